/* The load: calls a gateway on 127.0.0.1 from one thread and prints one line of JSON.
 *
 *     load unary  PORT CONNECTIONS SECONDS MODEL KEY
 *     load stream|messages PORT CONNECTIONS SECONDS MODEL KEY [EVENTS [RAMP_MS]]
 *     load once   PORT CONNECTIONS SECONDS MODEL KEY [EVENTS [RAMP_MS]]
 *
 * unary: each connection is kept alive and calls again as soon as its answer is whole. stream: the
 * same with streamed answers, counting events; messages: asked for in that format. once: one stream for each connection, then the end;
 * SECONDS is then the longest to wait. RAMP_MS spreads the first calls over that time; EVENTS is
 * the least number of events that a whole stream has.
 *
 * When the time is over, no call is begun and those that run may finish, so that each call has an
 * outcome. The rule that keeps it honest: a call that is not whole is bad. Bad is another status
 * than 200, a connection that ends inside an answer, a stream with fewer events or without its end marker,
 * and whatever has not finished 30 seconds after the end.
 *
 * The line: seconds (of the window that `per_s` is about: from the end of the ramp to the end of
 * the time), calls (whole), bad, units (calls, or events of streams, over the whole run), per_s,
 * p50_ms, p99_ms and max_ms (until the answer is whole; for streams until the first content).
 * The first bad answer is shown on standard error.
 */
#include "common.h"

#define HEAD_SIZE 8192
#define GRACE_US 30000000
#define CONTENT "\" token\"" /* as the upstream writes it, and each gateway must */

typedef enum { HEAD, LENGTH, CHUNKED, UNTIL_CLOSE } Reading;

typedef struct {
    int fd;           /* -1: closed */
    bool running;     /* a call is under way */
    int64_t began_us;
    Reading reading;
    char head[HEAD_SIZE];
    size_t head_length;
    bool ok, close_after;
    size_t left;      /* LENGTH: bytes still to come */
    Chunked chunked;
    char line[24];    /* the start of the current line of a stream */
    size_t line_length;
    int events;
    bool content_seen, done_seen;
} Conn;

static struct {
    bool stream, once, messages;
    int port, connections, least_events, ramp_ms;
    double seconds;
    const char *model, *key;
} options;

static struct {
    long calls, bad, units, units_in_window;
    int64_t ramped_us, end_us, last_us;
    int running, started;
} run;

static struct {
    uint32_t *us;
    size_t length, capacity;
} latencies;

static char request[4096];
static size_t request_length;
static Conn *conns;
static int epoll_fd;

/* ---- What is counted --------------------------------------------------------------------- */

static void add_latency(int64_t us) {
    if (latencies.length == latencies.capacity) {
        latencies.capacity = latencies.capacity ? latencies.capacity * 2 : 65536;
        latencies.us = must(realloc(latencies.us, latencies.capacity * sizeof *latencies.us));
    }
    latencies.us[latencies.length++] = us;
}

static void add_units(int64_t now, long units) {
    run.units += units;
    if (now >= run.ramped_us && now < run.end_us) run.units_in_window += units;
}

static void call_is_bad(Conn *c, const char *why) {
    static bool shown;
    run.bad++;
    if (shown) return;
    shown = true;
    fprintf(stderr, "%s: %.*s\n", why, (int)(c->head_length < 600 ? c->head_length : 600), c->head);
}

/* ---- Calls ------------------------------------------------------------------------------- */

static void render_request(void) {
    char filler[800] = "", body[2048];
    while (strlen(filler) < 750) strcat(filler, "lorem ipsum dolor sit amet ");
    int length = snprintf(
        body, sizeof body,
        "{\"model\":\"%s\",%s\"temperature\":0.7,\"max_tokens\":256,\"messages\":[%s"
        "{\"role\":\"user\",\"content\":\"%s\"}]}",
        options.model,
        options.messages ? "\"stream\":true,"
        : options.stream ? "\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                         : "",
        options.messages
            ? ""
            : "{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},",
        filler);
    request_length = snprintf(
        request, sizeof request,
        "POST /v1/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
        "Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: OpenAI/Python 1.99.0\r\n"
        "Content-Length: %d\r\n\r\n%s",
        options.messages ? "messages" : "chat/completions", options.port, options.key, length,
        body);
}

static bool connect_conn(Conn *c) {
    struct sockaddr_in address = loopback(options.port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd >= 0 && connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0) {
        no_delay(c->fd);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
        return true;
    }
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    return false;
}

/* Begins a call; a connection that cannot be made is one bad call and not tried again. */
static void begin_call(Conn *c) {
    bool fresh = c->fd < 0;
    c->reading = HEAD;
    c->head_length = c->line_length = 0;
    c->events = 0;
    c->ok = c->close_after = c->content_seen = c->done_seen = false;
    c->began_us = now_us();
    if (fresh && !connect_conn(c)) {
        call_is_bad(c, "cannot connect");
        return;
    }
    c->running = true;
    run.running++;
    /* A failed send shows itself as the end of the connection. */
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) < 0) shutdown(c->fd, SHUT_RDWR);
}

/* Ends the call that runs on the connection, and begins the next one if it is time for it. */
static void end_call(Conn *c, int64_t now, const char *why_bad) {
    c->running = false;
    run.running--;
    run.last_us = now;
    if (why_bad) {
        call_is_bad(c, why_bad);
    } else {
        run.calls++;
        if (!options.stream) {
            add_latency(now - c->began_us);
            add_units(now, 1);
        }
    }
    if (c->fd >= 0 && (why_bad || c->close_after || options.once)) {
        close(c->fd);
        c->fd = -1;
    }
    if (!options.once && now < run.end_us) begin_call(c);
}

static const char *judge(const Conn *c) {
    if (!c->ok) return "not 200";
    if (options.stream && !c->done_seen) return "a stream without its end marker";
    if (options.stream && c->events < options.least_events) return "a stream lost events";
    return NULL;
}

/* ---- Reading answers --------------------------------------------------------------------- */

static void end_line(Conn *c) {
    if (c->line_length >= 5 && memcmp(c->line, "data:", 5) == 0) c->events++;
    if (c->line_length >= 12 && memcmp(c->line, "data: [DONE]", 12) == 0) c->done_seen = true;
    if (c->line_length >= 19 && memcmp(c->line, "event: message_stop", 19) == 0) {
        c->done_seen = true;
    }
    c->line_length = 0;
}

/* Counts the events in a run of body bytes of a stream, however it is cut. The first content is
 * looked for within one run: if a cut goes through it, the next content counts. */
static void scan_stream(Conn *c, int64_t now, const char *p, size_t length) {
    const char *end = p + length;
    int before = c->events;
    if (!c->content_seen && memmem(p, length, CONTENT, sizeof CONTENT - 1)) {
        c->content_seen = true;
        add_latency(now - c->began_us);
    }
    while (p < end) {
        const char *newline = memchr(p, '\n', end - p);
        size_t n = (newline ? newline : end) - p, room = sizeof c->line - c->line_length;
        memcpy(c->line + c->line_length, p, n < room ? n : room);
        c->line_length += n < room ? n : room;
        if (newline) end_line(c);
        p += n + (newline != NULL);
    }
    add_units(now, c->events - before);
}

/* Takes the head of an answer out of `p`; returns where the body begins, or NULL. */
static const char *read_head(Conn *c, const char *p, const char *end) {
    size_t before = c->head_length, room = HEAD_SIZE - before, n = end - p;
    if (n > room) n = room;
    memcpy(c->head + before, p, n);
    c->head_length += n;
    const char *blank = memmem(c->head, c->head_length, "\r\n\r\n", 4);
    if (!blank) return NULL;
    size_t length = blank + 4 - c->head;
    const char *stated = header_value(c->head, length, "content-length:");
    c->ok = memcmp(c->head, "HTTP/1.1 200", 12) == 0;
    c->close_after = header_is(c->head, length, "connection:", "close");
    c->left = stated ? strtoul(stated, NULL, 10) : 0;
    c->reading = stated ? LENGTH : UNTIL_CLOSE;
    if (header_is(c->head, length, "transfer-encoding:", "chunked")) c->reading = CHUNKED;
    c->chunked = (Chunked){0};
    return p + (length - before);
}

/* Reads body bytes; true when the answer is whole. */
static bool read_body(Conn *c, int64_t now, const char *p, const char *end) {
    if (c->reading == CHUNKED) {
        while (p < end && c->chunked.at != CHUNKED_DONE) {
            const char *piece;
            size_t length;
            p = chunked_next(&c->chunked, p, end, &piece, &length);
            if (options.stream) scan_stream(c, now, piece, length);
        }
        return c->chunked.at == CHUNKED_DONE;
    }
    if (options.stream) scan_stream(c, now, p, end - p);
    if (c->reading == UNTIL_CLOSE) return false;
    c->left -= (size_t)(end - p) < c->left ? (size_t)(end - p) : c->left;
    return c->left == 0;
}

static void on_end_of_connection(Conn *c, int64_t now) {
    close(c->fd);
    c->fd = -1;
    if (!c->running) return;
    bool whole = c->reading == UNTIL_CLOSE;
    end_call(c, now, whole ? judge(c) : "the connection ended inside an answer");
}

static void on_readable(Conn *c) {
    static char buffer[1 << 17];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    int64_t now = now_us();
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        on_end_of_connection(c, now);
        return;
    }
    const char *body = buffer, *end = buffer + n;
    if (!c->running) return;
    if (c->reading == HEAD) {
        body = read_head(c, buffer, end);
        if (!body && c->head_length == HEAD_SIZE) end_call(c, now, "a head without an end");
        if (!body) return;
    }
    if (read_body(c, now, body, end)) end_call(c, now, judge(c));
}

/* ---- The run ----------------------------------------------------------------------------- */

/* Begins the first calls that are due by now. */
static void begin_due(int64_t began_us) {
    while (run.started < options.connections) {
        int64_t offset = options.ramp_ms * 1000LL * run.started / options.connections;
        if (began_us + offset > now_us()) return;
        begin_call(&conns[run.started++]);
    }
}

static void run_load(void) {
    struct epoll_event ready[256];
    int64_t began_us = now_us();
    run.end_us = began_us + (int64_t)(options.seconds * 1e6);
    run.ramped_us = options.once ? began_us : began_us + options.ramp_ms * 1000LL;
    for (;;) {
        begin_due(began_us);
        bool begun = run.started == options.connections;
        if (begun && run.running == 0) break;
        if (now_us() > run.end_us + (options.once ? 0 : GRACE_US)) break;
        int n = epoll_wait(epoll_fd, ready, 256, begun ? 100 : 1);
        for (int i = 0; i < n; i++) on_readable(ready[i].data.ptr);
    }
    run.bad += run.running;
    if (run.running) fprintf(stderr, "%d calls did not finish\n", run.running);
    if (options.once) run.end_us = run.last_us;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double fraction) {
    if (latencies.length == 0) return 0;
    return latencies.us[(size_t)(fraction * (latencies.length - 1) + 0.5)] / 1000.0;
}

static void report(void) {
    double seconds = (run.end_us - run.ramped_us) / 1e6;
    if (latencies.length) {
        qsort(latencies.us, latencies.length, sizeof *latencies.us, ascending);
    }
    printf("{\"seconds\":%.3f,\"calls\":%ld,\"bad\":%ld,\"units\":%ld,\"per_s\":%.1f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
           seconds, run.calls, run.bad, run.units,
           seconds > 0 ? run.units_in_window / seconds : 0, percentile_ms(0.5),
           percentile_ms(0.99), percentile_ms(1));
}

static bool read_options(int count, char **arguments) {
    if (count < 7 || count > 9) return false;
    options.once = strcmp(arguments[1], "once") == 0;
    options.messages = strcmp(arguments[1], "messages") == 0;
    options.stream = options.once || options.messages || strcmp(arguments[1], "stream") == 0;
    options.port = atoi(arguments[2]);
    options.connections = atoi(arguments[3]);
    options.seconds = atof(arguments[4]);
    options.model = arguments[5];
    options.key = arguments[6];
    options.least_events = count > 7 ? atoi(arguments[7]) : 0;
    options.ramp_ms = count > 8 ? atoi(arguments[8]) : 0;
    return options.stream || strcmp(arguments[1], "unary") == 0;
}

int main(int count, char **arguments) {
    if (!read_options(count, arguments)) {
        fprintf(stderr, "usage: load unary|stream|messages|once PORT CONNECTIONS SECONDS MODEL KEY "
                        "[EVENTS [RAMP_MS]]\n");
        return 2;
    }
    raise_file_limit();
    render_request();
    epoll_fd = epoll_create1(0);
    conns = must(calloc(options.connections, sizeof *conns));
    for (int i = 0; i < options.connections; i++) conns[i].fd = -1;
    run_load();
    report();
    return 0;
}
