/* A mock provider in the OpenAI format: one thread, epoll, cheap enough never to be the bottleneck.
 *
 *     upstream PORT
 *
 * It answers POST .../chat/completions (at once, or as a stream) and POST .../embeddings on
 * 127.0.0.1, and decides by the model's name alone:
 *
 *     mock             64 content chunks as fast as the socket takes them
 *     mock-d20         20 ms after each content chunk
 *     mock-n20-d100    20 content chunks, 100 ms after each
 *     mock-l500        500 ms before the first byte
 *
 * A stream is: the role, the content chunks, the finish chunk, a usage chunk with no choices, and
 * [DONE]. The rule that keeps it honest: each event is an HTTP chunk and a send() of its own, as
 * real providers do it; whoever relays it may gather what one read brings, but never because the
 * upstream gathered it first.
 */
#include "common.h"
#include "replies.h"

#define WHEEL_SLOTS 1024 /* one per millisecond; a longer wait goes round more than once */
#define READ_SIZE 16384
#define DEFAULT_CHUNKS 64

typedef enum { IDLE, UNARY, STREAM } Replying;

typedef struct Conn Conn;
struct Conn {
    int fd;
    bool closed; /* freed at the end of the loop's turn: events of it may still be queued */
    char *in;    /* what was received and not yet answered */
    size_t in_length, in_capacity;
    char *out;   /* what the socket did not take */
    size_t out_length;
    Replying replying;
    const char *body; /* of a unary reply */
    size_t body_length;
    int event, chunks, delay_ms; /* of a stream: the next event, how many, how far apart */
    int64_t due_ms;              /* 0: no timer */
    Conn *previous, *next;       /* in its slot of the wheel */
    Conn *next_closed;
};

static int epoll_fd;
static Conn *wheel[WHEEL_SLOTS], *closed_conns;
static int64_t wheel_ms;
static int timers;

/* ---- The wheel of timers ----------------------------------------------------------------- */

static void set_timer(Conn *c, int ms) {
    int64_t now_ms = now_us() / 1000;
    if (timers == 0) wheel_ms = now_ms; /* it stood still while there was nothing to wait for */
    c->due_ms = now_ms + ms;
    if (c->due_ms <= wheel_ms) c->due_ms = wheel_ms + 1;
    Conn **slot = &wheel[c->due_ms % WHEEL_SLOTS];
    c->previous = NULL;
    c->next = *slot;
    if (*slot) (*slot)->previous = c;
    *slot = c;
    timers++;
}

static void clear_timer(Conn *c) {
    if (c->due_ms == 0) return;
    if (c->previous) c->previous->next = c->next;
    else wheel[c->due_ms % WHEEL_SLOTS] = c->next;
    if (c->next) c->next->previous = c->previous;
    c->due_ms = 0;
    timers--;
}

/* ---- Connections ------------------------------------------------------------------------- */

static void watch(Conn *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        no_delay(fd);
        Conn *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        c->in_capacity = READ_SIZE;
        c->in = must(malloc(c->in_capacity));
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void close_conn(Conn *c) {
    if (c->closed) return;
    clear_timer(c);
    close(c->fd);
    c->closed = true;
    c->next_closed = closed_conns;
    closed_conns = c;
}

static void free_closed(void) {
    while (closed_conns) {
        Conn *c = closed_conns;
        closed_conns = c->next_closed;
        free(c->in);
        free(c->out);
        free(c);
    }
}

/* Sends, and keeps what the socket does not take until it is writable. */
static void send_or_keep(Conn *c, const char *bytes, size_t length) {
    ssize_t sent = c->out_length ? 0 : send(c->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        close_conn(c);
        return;
    }
    if (sent < 0) sent = 0;
    if ((size_t)sent == length) return;
    if (c->out_length == 0) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    c->out = must(realloc(c->out, c->out_length + length - sent));
    memcpy(c->out + c->out_length, bytes + sent, length - sent);
    c->out_length += length - sent;
}

/* ---- Replying ---------------------------------------------------------------------------- */

/* Sends the next event of a stream; returns the milliseconds to wait after it. */
static int send_event(Conn *c) {
    int event = c->event++;
    Text usage = {.length = 0};
    if (event == 0) {
        send_or_keep(c, first_event.bytes, first_event.length);
    } else if (event <= c->chunks) {
        send_or_keep(c, content_event.bytes, content_event.length);
        return c->delay_ms;
    } else if (event == c->chunks + 1) {
        send_or_keep(c, finish_event.bytes, finish_event.length);
    } else if (event == c->chunks + 2) {
        usage_event(&usage, c->chunks);
        send_or_keep(c, usage.bytes, usage.length);
    } else {
        send_or_keep(c, last_event.bytes, last_event.length);
        c->replying = IDLE;
    }
    return 0;
}

/* Goes on with the reply until it has to wait for a timer or the socket, or is whole. */
static void go_on(Conn *c) {
    if (c->replying == UNARY) {
        c->replying = IDLE;
        send_or_keep(c, c->body, c->body_length);
    }
    while (c->replying == STREAM && !c->closed && c->out_length == 0) {
        int wait_ms = send_event(c);
        if (wait_ms && !c->closed) {
            set_timer(c, wait_ms);
            return;
        }
    }
}

/* ---- Requests ---------------------------------------------------------------------------- */

/* Whether `"name": true` stands in the body; an escaped one within a text does not match. */
static bool flag_is_set(const char *body, size_t length, const char *quoted_name) {
    const char *end = body + length;
    const char *p = memmem(body, length, quoted_name, strlen(quoted_name));
    if (!p) return false;
    for (p += strlen(quoted_name); p < end && (*p == ' ' || *p == ':'); p++) {
    }
    return end - p >= 4 && memcmp(p, "true", 4) == 0;
}

/* Reads the options out of the model's name, such as mock-n20-d100; returns the latency in ms. */
static int read_options(Conn *c, const char *body, size_t length) {
    const char *end = body + length, *p = memmem(body, length, "\"model\"", 7);
    int latency_ms = 0;
    c->chunks = DEFAULT_CHUNKS;
    c->delay_ms = 0;
    if (!p) return 0;
    for (p += 7; p < end && *p != '"'; p++) {
    }
    for (p++; p + 2 < end && *p != '"'; p++) {
        if (p[0] != '-' || p[2] < '0' || p[2] > '9') continue;
        int value = atoi(p + 2);
        if (p[1] == 'n') c->chunks = value;
        if (p[1] == 'd') c->delay_ms = value;
        if (p[1] == 'l') latency_ms = value;
    }
    return latency_ms;
}

static void answer(Conn *c, const char *head, const char *body, size_t body_length) {
    size_t line = (const char *)memchr(head, '\r', c->in_length) - head;
    const Text *reply = &unknown_reply;
    c->replying = UNARY;
    if (memmem(head, line, "/chat/completions", 17) || memmem(head, line, "/messages", 9)) {
        reply = &chat_reply;
        if (flag_is_set(body, body_length, "\"stream\"")) c->replying = STREAM;
    } else if (memmem(head, line, "/embeddings", 11)) {
        reply = &embeddings_reply;
    }
    c->body = reply->bytes;
    c->body_length = reply->length;
    c->event = 0;
    int latency_ms = read_options(c, body, body_length);
    if (latency_ms) set_timer(c, latency_ms);
    else go_on(c);
}

/* Joins the pieces of a chunked body at its start, when the whole of it is here; returns where it
 * ended in `*raw`, or false. */
static bool join_chunks(char *body, size_t available, size_t *length, size_t *raw) {
    const char *piece, *end = body + available;
    for (int joining = 0; joining < 2; joining++) { /* first only look whether all is there */
        Chunked state = {0};
        const char *p = body;
        size_t run;
        *length = 0;
        while (p < end && state.at != CHUNKED_DONE) {
            p = chunked_next(&state, p, end, &piece, &run);
            if (joining) memmove(body + *length, piece, run);
            *length += run;
        }
        if (state.at != CHUNKED_DONE) return false;
        *raw = p - body;
    }
    return true;
}

/* Answers the first request in the buffer if it is whole; false: more bytes are needed. */
static bool answer_one(Conn *c) {
    const char *head_end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
    if (!head_end) return false;
    size_t head = head_end + 4 - c->in, available = c->in_length - head;
    const char *stated = header_value(c->in, head, "content-length:");
    size_t length = stated ? strtoul(stated, NULL, 10) : 0, raw = length;
    if (header_is(c->in, head, "transfer-encoding:", "chunked")) {
        if (!join_chunks(c->in + head, available, &length, &raw)) return false;
    } else if (available < length) {
        return false;
    }
    answer(c, c->in, c->in + head, length);
    c->in_length -= head + raw;
    memmove(c->in, c->in + head + raw, c->in_length);
    return true;
}

static void answer_all(Conn *c) {
    while (!c->closed && c->replying == IDLE && c->in_length && answer_one(c)) {
    }
}

/* ---- The loop ---------------------------------------------------------------------------- */

static void on_readable(Conn *c) {
    if (c->in_capacity - c->in_length < READ_SIZE / 2) {
        c->in_capacity *= 2;
        c->in = must(realloc(c->in, c->in_capacity));
    }
    ssize_t n = recv(c->fd, c->in + c->in_length, c->in_capacity - c->in_length, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close_conn(c);
    } else if (n > 0) {
        c->in_length += n;
        answer_all(c);
    }
}

static void on_writable(Conn *c) {
    ssize_t sent = send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
    if (sent <= 0) return;
    c->out_length -= sent;
    memmove(c->out, c->out + sent, c->out_length);
    if (c->out_length) return;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (c->due_ms == 0) go_on(c);
    answer_all(c);
}

static void run_timers(void) {
    int64_t now_ms = now_us() / 1000;
    while (timers && wheel_ms < now_ms) {
        wheel_ms++;
        for (Conn *c = wheel[wheel_ms % WHEEL_SLOTS], *next; c; c = next) {
            next = c->next;
            if (c->due_ms > wheel_ms) continue;
            clear_timer(c);
            go_on(c);
            answer_all(c);
        }
    }
}

static int listen_on(int port) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("upstream: cannot listen");
        exit(1);
    }
    return fd;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    raise_file_limit();
    render_replies();
    int listener = listen_on(atoi(arguments[1]));
    epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    wheel_ms = now_us() / 1000;
    for (;;) {
        int n = epoll_wait(epoll_fd, ready, 256, timers ? 1 : -1);
        for (int i = 0; i < n; i++) {
            Conn *c = ready[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (!c->closed && ready[i].events & EPOLLOUT) on_writable(c);
            if (!c->closed && ready[i].events & ~EPOLLOUT) on_readable(c);
        }
        run_timers();
        free_closed();
    }
}
