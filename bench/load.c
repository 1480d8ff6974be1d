/* Reads many streams at once and measures them: one thread, epoll, HTTP/1.1 keep-alive.
 *
 * Every stream must answer 200 and chunked, carry its number of chunks in order (" @" and 19 digits, the upstream's
 * CLOCK_MONOTONIC in nanoseconds), hold its dialect's end ([DONE], or what --end names), and finish with the zero chunk.
 * With --repeats, stamps after the last of them are the whole text once more. Latency is the time from that stamp to the
 * moment it was read here. CPU time is that of the processes named, over the window, by the kernel's nanosecond clock of
 * each.
 *
 * Where the path or the body has "#####", each stream puts its own number, from 1. With --hold, the program says "open"
 * and how many once every stream has had its first chunk or failed, or the limit is reached, and ends with its
 * standard input.
 *
 * load --port P --path /v1/chat/completions --body JSON --streams N --chunks PER_STREAM [--ramp S] [--repeat K]
 *      [--method GET] [--header LINE]... [--repeats 1] [--hold 1] [--end TEXT] [--from S --to S] [--limit S] [--core N]
 *      [--pid P]...                                                                         prints one JSON object
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "measure.h"

enum { CONNECTING, HEAD, SIZE, DATA, DATA_END, TRAILER };

typedef struct {
    int fd, state, digits, asked; /* asked: from the connection on, until the answer has ended */
    uint64_t start, asked_at, first_byte, stamp, last_stamp;
    size_t left, line_len;
    unsigned number, chunks, rounds;
    size_t end_at; /* how much of the dialect's end has been seen in a row; all of it, once it has been */
    char line[4096]; /* a header or chunk-size line in the making */
} Stream;

static struct {
    int port;
    const char *method, *path, *body, *end;
    unsigned streams, chunks, repeat, repeats, hold;
    double ramp, limit;
} option = {.streams = 1, .chunks = 100, .repeat = 1, .limit = 60, .method = "POST", .path = "/", .body = "", .end = "[DONE]"};

static Series latency, first_byte, first_chunk;
static unsigned completed, failed, disordered, ended;
static uint64_t began, chunks_in_window, bytes_in_window;
static int epoll_fd, holding;
static char request[8192], headers[2048], *number; /* where the number of the stream stands in the request */
static size_t request_len;

/* ---- one stream ---- */

static void finish(Stream *s, const char *fault) {
    if (fault && !failed++) fprintf(stderr, "load: %s: %.200s\n", fault, s->line);
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    close(s->fd);
    s->fd = -1;
    ended++;
}

static void ask(Stream *s, uint64_t now) {
    s->state = HEAD;
    s->asked = 1;
    s->chunks = 0;
    s->digits = -1;
    s->line_len = 0;
    s->end_at = 0;
    s->first_byte = s->last_stamp = 0;
    s->asked_at = now;
    char digits[12];
    if (snprintf(digits, sizeof digits, "%05u", s->number % 100000) == 5 && number) memcpy(number, digits, 5);
    if (send(s->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) finish(s, "could not ask");
}

/* A connection waits for its turn at the listener without holding up the others. */
static void open_stream(Stream *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = s};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->state = CONNECTING;
    s->asked = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
    if (connect(s->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) finish(s, "could not connect");
}

static void on_connected(Stream *s, uint64_t now) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    int fault = 0;
    socklen_t size = sizeof fault;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &fault, &size);
    if (fault) {
        finish(s, "could not connect");
        return;
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
    ask(s, now);
}

static void on_stamp(Stream *s, uint64_t now) {
    if (option.repeats && s->chunks == option.chunks) return;
    if (s->stamp <= s->last_stamp) disordered++;
    s->last_stamp = s->stamp;
    if (s->chunks++ == 0) add(&first_chunk, now - s->asked_at);
    if (!measured.is_open) return;
    chunks_in_window++;
    add(&latency, now - s->stamp);
}

/* Look for the dialect's end in what comes, whatever it is cut into. It begins with a letter that it does not repeat. */
static void look_for_end(Stream *s, const char *data, size_t size) {
    for (const char *end = data + size; option.end[s->end_at] && data < end; data++)
        s->end_at = *data == option.end[s->end_at] ? s->end_at + 1 : *data == option.end[0];
}

/* Find the stamps in a piece of the body; one may be cut in two. */
static void scan(Stream *s, const char *data, size_t size, uint64_t now) {
    look_for_end(s, data, size);
    for (const char *end = data + size; data < end;) {
        if (s->digits < 0) {
            data = memchr(data, '@', (size_t)(end - data));
            if (!data) return;
            data++;
            s->digits = 0;
            s->stamp = 0;
        }
        for (; data < end && s->digits < 19 && *data >= '0' && *data <= '9'; data++, s->digits++)
            s->stamp = s->stamp * 10 + (uint64_t)(*data - '0');
        if (data == end && s->digits < 19) return;
        if (s->digits == 19) on_stamp(s, now);
        s->digits = -1;
    }
}

static void on_end(Stream *s, uint64_t now) {
    if (s->chunks != option.chunks) finish(s, "chunks lost or doubled");
    else if (option.end[s->end_at]) finish(s, "no end");
    else if (++s->rounds == option.repeat) {
        completed++;
        finish(s, NULL);
    } else {
        completed++;
        s->asked = 0;
        s->start = now + (uint64_t)(drand48() * 20e6);
    }
}

/* A whole line of the head, of a chunk's size, after a chunk or of the trailer. 0 when the stream is over. */
static int on_line(Stream *s, uint64_t now) {
    s->line[s->line_len] = 0;
    size_t length = s->line_len;
    s->line_len = 0;
    switch (s->state) {
    case HEAD:
        if (!s->first_byte) {
            s->first_byte = now;
            add(&first_byte, now - s->asked_at);
            if (strncmp(s->line, "HTTP/1.1 200", 12)) return finish(s, "refused"), 0;
        }
        if (!strncasecmp(s->line, "content-length:", 15)) return finish(s, "not chunked"), 0;
        if (!length) s->state = SIZE;
        return 1;
    case SIZE:
        s->left = strtoul(s->line, NULL, 16);
        s->state = s->left ? DATA : TRAILER;
        return 1;
    case DATA_END:
        s->state = SIZE;
        return 1;
    default:
        if (length) return 1;
        on_end(s, now);
        return 0;
    }
}

static void receive(Stream *s, uint64_t now) {
    static char buffer[65536];
    ssize_t got = recv(s->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        finish(s, s->asked ? "cut off" : "connection not kept alive");
        return;
    }
    if (measured.is_open) bytes_in_window += (uint64_t)got;
    for (const char *at = buffer, *end = buffer + got; at < end;) {
        if (s->state == DATA) {
            size_t size = (size_t)(end - at) < s->left ? (size_t)(end - at) : s->left;
            scan(s, at, size, now);
            at += size;
            if (!(s->left -= size)) s->state = DATA_END;
        } else if (*at == '\n') {
            at++;
            if (s->line_len && s->line[s->line_len - 1] == '\r') s->line_len--;
            if (!on_line(s, now)) return;
        } else if (s->line_len < sizeof s->line - 1) s->line[s->line_len++] = *at++;
        else {
            finish(s, "line too long");
            return;
        }
    }
}

/* ---- the run ---- */

static void read_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (measure_option(name, value)) continue;
        if (!strcmp(name, "--port")) option.port = atoi(value);
        else if (!strcmp(name, "--method")) option.method = value;
        else if (!strcmp(name, "--path")) option.path = value;
        else if (!strcmp(name, "--body")) option.body = value;
        else if (!strcmp(name, "--header")) add_header(headers, sizeof headers, value);
        else if (!strcmp(name, "--repeats")) option.repeats = (unsigned)atoi(value);
        else if (!strcmp(name, "--hold")) option.hold = (unsigned)atoi(value);
        else if (!strcmp(name, "--end")) option.end = value;
        else if (!strcmp(name, "--streams")) option.streams = (unsigned)atoi(value);
        else if (!strcmp(name, "--chunks")) option.chunks = (unsigned)atoi(value);
        else if (!strcmp(name, "--repeat")) option.repeat = (unsigned)atoi(value);
        else if (!strcmp(name, "--ramp")) option.ramp = atof(value);
        else if (!strcmp(name, "--limit")) option.limit = atof(value);
    }
    request_len = compose(request, sizeof request, option.method, option.path, option.port, headers, option.body);
    number = strstr(request, "#####");
}

/* Say how many streams are open. Standard input is watched from then on: its end is the run's. */
static void tell_that_open(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    printf("open %zu\n", first_chunk.count);
    fflush(stdout);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    option.hold = 0, holding = 1;
}

/* Open what is due, and ask again where it is time to. Returns how many have been opened. */
static unsigned ask_what_is_due(Stream *streams, unsigned opened, uint64_t now) {
    while (opened < option.streams && streams[opened].start <= now) open_stream(&streams[opened++]);
    for (unsigned i = 0; option.repeat > 1 && i < opened; i++)
        if (streams[i].fd >= 0 && !streams[i].asked && streams[i].start <= now) ask(&streams[i], now);
    return opened;
}

/* Until all streams have ended, the time is up, or standard input has. */
static void run(Stream *streams) {
    struct epoll_event events[256];
    for (unsigned opened = 0; ended < option.streams;) {
        uint64_t now = now_ns();
        double elapsed = (double)(now - began) / 1e9;
        if (option.hold && (first_chunk.count + failed >= option.streams || elapsed > option.limit)) tell_that_open();
        else if (elapsed > option.limit && !holding) return;
        window_at(elapsed);
        opened = ask_what_is_due(streams, opened, now);
        int count = epoll_wait(epoll_fd, events, 256, 1);
        for (int i = 0; i < count; i++) {
            if (!events[i].data.ptr) return;
            Stream *s = events[i].data.ptr;
            (s->state == CONNECTING ? on_connected : receive)(s, now_ns());
        }
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    Stream *streams = calloc(option.streams, sizeof *streams);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    began = now_ns();
    for (unsigned i = 0; i < option.streams; i++) {
        streams[i].fd = -1;
        streams[i].number = i + 1;
        streams[i].start = began + (uint64_t)(option.ramp * 1e9 * i / option.streams);
    }
    run(streams);
    window_close((double)(now_ns() - began) / 1e9);
    printf("{\"completed\": %u, \"failed\": %u, \"unfinished\": %u, \"disordered\": %u, ", completed, failed,
           option.streams - ended, disordered);
    print_series("latency_ms", &latency);
    print_series("first_byte_ms", &first_byte);
    print_series("first_chunk_ms", &first_chunk);
    printf("\"bytes\": %llu, ", (unsigned long long)bytes_in_window);
    print_window(chunks_in_window);
    return 0;
}
