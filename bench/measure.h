/* What the programs that measure share: the clock, series of times, CPU time by the kernel's own clocks, a request. */
#ifndef MEASURE_H
#define MEASURE_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PIDS = 32 };

typedef struct {
    uint64_t *values;
    size_t count, room;
} Series;

/* The processes whose CPU time is read, the core that they have, and the window in which it is, in seconds since the
 * run began. */
static struct {
    int core, pids[MAX_PIDS], count, is_open, is_over;
    double from, to, began, seconds, cpu_s, core_s;
} measured = {.core = -1, .to = 1e9};

static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void add(Series *series, uint64_t value) {
    if (series->count == series->room) {
        series->room = series->room ? series->room * 2 : 4096;
        series->values = realloc(series->values, series->room * sizeof value);
    }
    series->values[series->count++] = value;
}

static inline int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static inline void print_series(const char *name, Series *series) {
    size_t n = series->count;
    if (!n) {
        printf("\"%s\": null, ", name);
        return;
    }
    qsort(series->values, n, sizeof *series->values, by_value);
    printf("\"%s\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, ", name, (double)series->values[n / 2] / 1e6,
           (double)series->values[n * 99 / 100] / 1e6, (double)series->values[n - 1] / 1e6);
}

/* CPU seconds of the processes named, and of all that ran on their core. */
static inline double cpu_of_processes(void) {
    double sum = 0;
    for (int i = 0; i < measured.count; i++) {
        clockid_t clock;
        struct timespec used;
        if (clock_getcpuclockid(measured.pids[i], &clock) || clock_gettime(clock, &used)) continue;
        sum += (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    }
    return sum;
}

static inline double cpu_of_core(void) {
    char line[512], name[32];
    double sum = 0;
    FILE *stat = fopen("/proc/stat", "r");
    snprintf(name, sizeof name, "cpu%d ", measured.core);
    while (stat && fgets(line, sizeof line, stat)) {
        unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
        if (strncmp(line, name, strlen(name))) continue;
        if (sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait,
                   &irq, &softirq, &steal) == 8)
            sum = (double)(user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
    }
    if (stat) fclose(stat);
    return sum;
}

/* ---- what is asked ---- */

/* Adds a line to the head of each request. */
static inline void add_header(char *headers, size_t room, const char *line) {
    size_t length = strlen(headers);
    snprintf(headers + length, room - length, "%s\r\n", line);
}

static inline size_t compose(char *request, size_t room, const char *method, const char *path, int port, const char *headers,
                             const char *body) {
    char about[96] = "";
    if (*body) snprintf(about, sizeof about, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    return (size_t)snprintf(request, room, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s%s\r\n%s",
                            method, path, port, headers, about, body);
}

/* ---- the window ---- */

/* Takes an option that all programs have; 0 for another. */
static inline int measure_option(const char *name, const char *value) {
    if (!strcmp(name, "--from")) measured.from = atof(value);
    else if (!strcmp(name, "--to")) measured.to = atof(value);
    else if (!strcmp(name, "--core")) measured.core = atoi(value);
    else if (strcmp(name, "--pid")) return 0;
    else if (measured.count < MAX_PIDS) measured.pids[measured.count++] = atoi(value);
    return 1;
}

static inline void window_close(double elapsed) {
    if (!measured.is_open) return;
    measured.is_open = 0, measured.is_over = 1;
    measured.seconds = elapsed - measured.began;
    measured.cpu_s = cpu_of_processes() - measured.cpu_s, measured.core_s = cpu_of_core() - measured.core_s;
}

/* Opens and closes the window when it is time to; one that opens late is as long as the others. */
static inline void window_at(double elapsed) {
    if (!measured.is_open && !measured.is_over && elapsed >= measured.from) {
        measured.is_open = 1, measured.began = elapsed;
        measured.cpu_s = cpu_of_processes(), measured.core_s = cpu_of_core();
    } else if (elapsed >= measured.began + measured.to - measured.from) window_close(elapsed);
}

static inline void print_window(uint64_t chunks) {
    printf("\"window_s\": %.3f, \"chunks\": %llu, \"cpu_s\": %.6f, \"core_s\": %.2f}\n", measured.seconds,
           (unsigned long long)chunks, measured.cpu_s, measured.core_s);
}

#endif
