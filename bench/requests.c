/* Asks for whole answers again and again over kept-alive connections: one thread, epoll, HTTP/1.1.
 *
 * Each connection asks anew as soon as it has its answer, until the window is over. An answer must be a 200 with a
 * length or in chunks, and hold "object". Latency is the time from question to the end of the answer; CPU time is that
 * of the processes named, over the window.
 *
 * requests --port P --path /v1/chat/completions --body JSON --streams CONNECTIONS --from S --to S [--limit S]
 *          [--header LINE]... [--core N] [--pid P]...                                        prints one JSON object
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "measure.h"

enum { ANSWER_MAX = 65536 };
static const char EXPECTED[] = "\"object\"";

typedef struct {
    int fd;
    uint64_t asked_at;
    size_t size;
    char answer[ANSWER_MAX + 1];
} Connection;

static struct {
    int port;
    const char *path, *body;
    unsigned connections;
    double limit;
} option = {.connections = 1, .limit = 60, .path = "/", .body = "{}"};

static Series latency;
static unsigned completed, failed, open_now;
static uint64_t answers_in_window;
static int epoll_fd;
static char request[8192], headers[2048];
static size_t request_len;

static void finish(Connection *c, const char *fault) {
    if (fault && !failed++) fprintf(stderr, "requests: %s: %.200s\n", fault, c->answer);
    close(c->fd);
    c->fd = -1;
    open_now--;
}

static void ask(Connection *c) {
    c->size = 0;
    c->asked_at = now_ns();
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) finish(c, "could not ask");
}

static void open_connection(Connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    open_now++;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) finish(c, "could not connect");
    else ask(c);
}

/* Whether the answer is all there. Both ends are looked for in what has come so far: answers are short. */
static int is_whole(const Connection *c) {
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return 0;
    const char *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (length && length < end) return c->size >= (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
    return strstr(end + 2, "\r\n0\r\n\r\n") != NULL;
}

static void receive(Connection *c) {
    ssize_t got = recv(c->fd, c->answer + c->size, ANSWER_MAX - c->size, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        finish(c, "cut off");
        return;
    }
    c->size += (size_t)got;
    c->answer[c->size] = 0;
    if (!is_whole(c)) return;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) || !strstr(c->answer, EXPECTED)) {
        finish(c, "refused");
        return;
    }
    completed++;
    if (measured.is_open) {
        answers_in_window++;
        add(&latency, now_ns() - c->asked_at);
    }
    if (measured.is_over) finish(c, NULL);
    else ask(c);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (measure_option(name, value)) continue;
        if (!strcmp(name, "--port")) option.port = atoi(value);
        else if (!strcmp(name, "--path")) option.path = value;
        else if (!strcmp(name, "--body")) option.body = value;
        else if (!strcmp(name, "--header")) add_header(headers, sizeof headers, value);
        else if (!strcmp(name, "--streams")) option.connections = (unsigned)atoi(value);
        else if (!strcmp(name, "--limit")) option.limit = atof(value);
    }
    request_len = compose(request, sizeof request, "POST", option.path, option.port, headers, option.body);
}

int main(int argc, char **argv) {
    struct epoll_event events[256];
    read_options(argc, argv);
    Connection *connections = calloc(option.connections, sizeof *connections);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    uint64_t began = now_ns();
    double elapsed = 0;
    for (unsigned i = 0; i < option.connections; i++) open_connection(&connections[i]);
    while (open_now && elapsed < option.limit) {
        elapsed = (double)(now_ns() - began) / 1e9;
        window_at(elapsed);
        int count = epoll_wait(epoll_fd, events, 256, 10);
        for (int i = 0; i < count; i++) receive(events[i].data.ptr);
    }
    window_close((double)(now_ns() - began) / 1e9);
    printf("{\"completed\": %u, \"failed\": %u, \"unfinished\": %u, \"disordered\": 0, ", completed, failed, open_now);
    print_series("latency_ms", &latency);
    print_window(answers_in_window);
    return 0;
}
