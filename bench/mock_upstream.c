/* An upstream for measuring, in three dialects: one thread, epoll, thousands of streams.
 *
 * POST answers a chunked SSE stream: of Responses events where the path ends in /responses, of Messages events where it
 * ends in /messages, else of chat chunks. A piece of text is about 230 bytes, and they are paced one by one: the first
 * at once, the others every 1/rate seconds from a random phase on, so that streams do not beat in step. Each piece's
 * text is " @" and 19 digits: CLOCK_MONOTONIC in nanoseconds just before it was sent. What the socket does not take
 * waits in memory, with its first timestamp: a slow reader shows as latency. At rate 0 nothing follows the first piece.
 * What does not ask for a stream gets a whole chat completion of about 300 bytes, and GET a list of models.
 *
 * mock_upstream --port P --rate CHUNKS_PER_SECOND --chunks PER_STREAM     prints "ready" and runs until SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 16384, REQUEST_MAX = 65536 };

typedef struct {
    int fd, heap_at; /* heap_at: place among the timers, -1 without one */
    uint64_t due;
    unsigned sent, number;
    const struct Dialect *dialect;
    char *in, *out;
    size_t in_len, out_len, out_at, out_room;
} Connection;

static Connection *timers[MAX_CONNECTIONS];
static int timer_count, epoll_fd;
static unsigned chunks_per_stream = 100, streams_started;
static uint64_t interval_ns;

static const char REPLY_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                 "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char MODELS[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 77\r\n\r\n"
                             "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"owned_by\":\"bench\"}]}";

#define COMPLETION "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1763690000,\"model\":\"bench\"," \
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A short answer, and a whole one.\"}," \
    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8,\"total_tokens\":13}}"
static char whole[1024];

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- timers: a binary heap by due time ---- */

static void heap_put(int at, Connection *c) {
    timers[at] = c;
    c->heap_at = at;
}

static void heap_settle(int at) {
    Connection *c = timers[at];
    while (at > 0 && timers[(at - 1) / 2]->due > c->due) {
        heap_put(at, timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (int child; (child = 2 * at + 1) < timer_count; at = child) {
        if (child + 1 < timer_count && timers[child + 1]->due < timers[child]->due) child++;
        if (timers[child]->due >= c->due) break;
        heap_put(at, timers[child]);
    }
    heap_put(at, c);
}

static void timer_set(Connection *c, uint64_t due) {
    c->due = due;
    if (c->heap_at < 0) heap_put(timer_count++, c);
    heap_settle(c->heap_at);
}

static void timer_clear(Connection *c) {
    int at = c->heap_at;
    if (at < 0) return;
    c->heap_at = -1;
    if (at != --timer_count) {
        heap_put(at, timers[timer_count]);
        heap_settle(at);
    }
}

/* ---- connections ---- */

static void drop(Connection *c) {
    timer_clear(c);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void watch(Connection *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

/* Send what waits. 0 when the connection is gone. */
static int flush(Connection *c) {
    while (c->out_at < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN;
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_len = 0;
    watch(c, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD);
    return 1;
}

static int push(Connection *c, const char *data, size_t size) {
    if (c->out_len == c->out_at) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return 0;
        if (n == (ssize_t)size) return 1;
        if (n > 0) data += n, size -= (size_t)n;
        watch(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP, EPOLL_CTL_MOD);
    }
    if (c->out_len + size > c->out_room) {
        c->out_room = (c->out_len + size) * 2;
        c->out = realloc(c->out, c->out_room);
    }
    memcpy(c->out + c->out_len, data, size);
    c->out_len += size;
    return 1;
}

/* ---- what is said ---- */

/* Events before the first piece, for each piece, and after the last. In a format: the answer's number, the event's
 * number, the time and the count of pieces. */
typedef struct Dialect {
    const char *path, *before[8], *piece, *after[8];
} Dialect;

#define CHAT "{\"id\":\"chatcmpl-bench%1$08u\",\"object\":\"chat.completion.chunk\",\"created\":1763690000,\"model\":\"bench\"," \
             "\"system_fingerprint\":\"fp_b5e7\",\"choices\":["
#define EVENT(type) "event: " type "\ndata: {\"type\":\"" type "\""
#define RESPONSE(status, usage) "\"response\":{\"id\":\"resp_bench%1$08u\",\"object\":\"response\",\"created_at\":1763690000," \
    "\"status\":\"" status "\",\"model\":\"bench\",\"output\":[],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\"," \
    "\"tools\":[],\"usage\":" usage "}}"
#define NUMBERED(type) EVENT(type) ",\"sequence_number\":%2$u,"
#define PLACE "\"item_id\":\"msg_bench%1$08u\",\"output_index\":0,\"content_index\":0,"
#define ITEM(status) "\"output_index\":0,\"item\":{\"id\":\"msg_bench%1$08u\",\"type\":\"message\",\"status\":\"" status "\"," \
    "\"role\":\"assistant\",\"content\":[]}}"
#define PART "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[],\"logprobs\":[]}}"

static const Dialect dialects[] = {
    {"/responses",
     {NUMBERED("response.created") RESPONSE("in_progress", "null"),
      NUMBERED("response.in_progress") RESPONSE("in_progress", "null"),
      NUMBERED("response.output_item.added") ITEM("in_progress"),
      NUMBERED("response.content_part.added") PLACE PART},
     NUMBERED("response.output_text.delta") PLACE "\"delta\":\" @%3$019llu\",\"logprobs\":[]}",
     {NUMBERED("response.output_text.done") PLACE "\"text\":\"\",\"logprobs\":[]}",
      NUMBERED("response.content_part.done") PLACE PART,
      NUMBERED("response.output_item.done") ITEM("completed"),
      NUMBERED("response.completed") RESPONSE("completed",
          "{\"input_tokens\":5,\"output_tokens\":%4$u,\"total_tokens\":%4$u,\"input_tokens_details\":{\"cached_tokens\":0},"
          "\"output_tokens_details\":{\"reasoning_tokens\":0}}")}},
    {"/messages",
     {EVENT("message_start") ",\"message\":{\"id\":\"msg_bench%1$08u\",\"type\":\"message\",\"role\":\"assistant\","
          "\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
          "\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}",
      EVENT("content_block_start") ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"},
     EVENT("content_block_delta") ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" @%3$019llu\"},"
         "\"padding\":\"................................................................\"}",
     {EVENT("content_block_stop") ",\"index\":0}",
      EVENT("message_delta") ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
          "\"usage\":{\"output_tokens\":%4$u}}",
      EVENT("message_stop") "}"}},
    {"",
     {"data: " CHAT "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}"},
     "data: " CHAT "{\"index\":0,\"delta\":{\"content\":\" @%3$019llu\"},\"logprobs\":null,\"finish_reason\":null}]}",
     {"data: " CHAT "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
      "data: " CHAT "],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":%4$u,\"total_tokens\":%4$u}}",
      "data: [DONE]"}},
};

static const Dialect *dialect_of(const char *request, size_t size) {
    const char *path = memchr(request, '/', size), *end = path;
    while (end < request + size && *end != ' ' && *end != '?') end++;
    for (const Dialect *d = dialects;; d++) {
        size_t length = strlen(d->path);
        if ((size_t)(end - path) >= length && !memcmp(end - length, d->path, length)) return d;
    }
}

/* One chunk of the body with one event; the events of an answer are numbered from 0. */
static size_t put_event(char *to, const char *format, const Connection *c, unsigned number) {
    char event[1024];
    int size = snprintf(event, sizeof event, format, c->number, number, (unsigned long long)now_ns(), c->sent);
    return (size_t)sprintf(to, "%x\r\n%s\n\n\r\n", size + 2, event);
}

static int send_next(Connection *c) {
    char frame[8192];
    size_t size = 0;
    unsigned before = 0;
    while (c->dialect->before[before]) before++;
    if (c->sent == 0) {
        size = (size_t)sprintf(frame, "%s", REPLY_HEAD);
        for (unsigned i = 0; i < before; i++) size += put_event(frame + size, c->dialect->before[i], c, i);
    }
    size += put_event(frame + size, c->dialect->piece, c, before + c->sent);
    if (++c->sent < chunks_per_stream) {
        if (!push(c, frame, size)) return 0;
        if (!interval_ns) return 1;
        uint64_t wait = c->sent == 1 ? (uint64_t)((double)interval_ns * drand48()) : interval_ns;
        timer_set(c, c->due + wait);
        return 1;
    }
    timer_clear(c);
    for (unsigned i = 0; c->dialect->after[i]; i++)
        size += put_event(frame + size, c->dialect->after[i], c, before + c->sent + i);
    size += (size_t)sprintf(frame + size, "0\r\n\r\n");
    return push(c, frame, size);
}

/* Whether the body says "stream": true. */
static int wants_stream(const char *request, size_t size) {
    static const char NAME[] = "\"stream\"";
    const char *at = memmem(request, size, NAME, sizeof NAME - 1), *end = request + size;
    if (!at) return 0;
    for (at += sizeof NAME - 1; at < end && (*at == ' ' || *at == ':'); at++) {}
    return end - at >= 4 && !memcmp(at, "true", 4);
}

/* The length of a complete request at the head of the buffer, 0 when there is none yet. */
static size_t request_size(const Connection *c) {
    const char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - c->in) + 4, body = 0;
    for (const char *line = c->in; line < end; line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1) {
        if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
        if (!strncasecmp(line, "transfer-encoding:", 18)) {
            const char *last = memmem(end, c->in_len - (size_t)(end - c->in), "\r\n0\r\n\r\n", 7);
            return last ? (size_t)(last - c->in) + 7 : 0;
        }
    }
    return c->in_len >= head + body ? head + body : 0;
}

static int receive(Connection *c) {
    ssize_t n = recv(c->fd, c->in + c->in_len, REQUEST_MAX - c->in_len, 0);
    if (n < 0) return errno == EAGAIN;
    if (n == 0 || c->in_len + (size_t)n == REQUEST_MAX) return 0;
    c->in_len += (size_t)n;
    size_t size = request_size(c);
    if (!size) return 1;
    int post = c->in[0] == 'P';
    int stream = post && wants_stream(c->in, size);
    c->dialect = dialect_of(c->in, size);
    c->in_len -= size;
    memmove(c->in, c->in + size, c->in_len);
    if (!post) return push(c, MODELS, sizeof MODELS - 1);
    if (!stream) return push(c, whole, strlen(whole));
    c->sent = 0;
    c->number = ++streams_started;
    c->due = now_ns();
    return send_next(c);
}

static void welcome(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->heap_at = -1;
        c->in = malloc(REQUEST_MAX);
        watch(c, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("mock_upstream: listen");
        exit(1);
    }
    return fd;
}

static void on_event(struct epoll_event *event) {
    Connection *c = event->data.ptr;
    int alive = !(event->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP));
    if (alive && event->events & EPOLLIN) alive = receive(c);
    if (alive && event->events & EPOLLOUT) alive = flush(c);
    if (!alive) drop(c);
}

int main(int argc, char **argv) {
    int port = 0;
    double rate = 50;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--rate")) rate = atof(argv[i + 1]);
        if (!strcmp(argv[i], "--chunks")) chunks_per_stream = (unsigned)atoi(argv[i + 1]);
    }
    interval_ns = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
    snprintf(whole, sizeof whole, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             sizeof COMPLETION - 1, COMPLETION);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(port), clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener}, events[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &clock_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clock_fd, &event);
    puts("ready");
    fflush(stdout);
    for (uint64_t armed = 0;;) {
        if (timer_count && timers[0]->due != armed) {
            armed = timers[0]->due;
            struct itimerspec at = {.it_value = {(time_t)(armed / 1000000000u), (long)(armed % 1000000000u)}};
            timerfd_settime(clock_fd, TFD_TIMER_ABSTIME, &at, NULL);
        }
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &listener) welcome(listener);
            else if (events[i].data.ptr != &clock_fd) on_event(&events[i]);
            else if (read(clock_fd, &(uint64_t){0}, 8) < 0 && errno != EAGAIN) return 1;
        }
        for (uint64_t now = now_ns(); timer_count && timers[0]->due <= now;) {
            Connection *c = timers[0];
            if (!send_next(c)) drop(c);
        }
    }
}
