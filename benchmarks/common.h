/* What the upstream and the load client share: the clock, header fields, the chunked coding.
 *
 * Not an HTTP library: just enough HTTP/1.1 for two programs that both speak it properly.
 * The rule that keeps it honest: bytes may arrive cut anywhere, so nothing here expects a whole
 * message in one read.
 */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static inline void *must(void *memory) {
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

static inline void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static inline void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* The value of a header field, up to its line's end, or NULL. `name` carries its colon. */
static inline const char *header_value(const char *head, size_t length, const char *name) {
    const char *end = head + length;
    size_t width = strlen(name);
    for (const char *line = memchr(head, '\n', length); line && (size_t)(end - ++line) > width;
         line = memchr(line, '\n', end - line)) {
        if (strncasecmp(line, name, width) == 0) {
            for (line += width; line < end && *line == ' '; line++) {
            }
            return line;
        }
    }
    return NULL;
}

static inline bool header_is(const char *head, size_t length, const char *name, const char *word) {
    const char *value = header_value(head, length, name);
    return value && strncasecmp(value, word, strlen(word)) == 0;
}

/* A decoder of the chunked coding; all zero is its start. */
typedef struct {
    enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, TRAILER, CHUNKED_DONE } at;
    size_t left;    /* CHUNK_SIZE: the size so far; CHUNK_DATA: bytes still to come */
    size_t width;   /* TRAILER: length of the line so far */
} Chunked;

static inline int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of the framing around the data. */
static inline void chunked_framing(Chunked *c, char byte) {
    switch (c->at) {
    case CHUNK_SIZE:
        if (hex_digit(byte) >= 0) {
            c->left = c->left * 16 + hex_digit(byte);
            return;
        }
        c->at = CHUNK_EXTENSION; /* and this byte may already end the line */
        /* fall through */
    case CHUNK_EXTENSION:
        if (byte == '\n') c->at = c->left ? CHUNK_DATA : TRAILER;
        return;
    case CHUNK_END:
        if (byte == '\n') c->at = CHUNK_SIZE;
        return;
    case TRAILER:
        if (byte == '\n') {
            if (c->width == 0) c->at = CHUNKED_DONE;
            c->width = 0;
        } else if (byte != '\r') {
            c->width++;
        }
        return;
    default:
        return;
    }
}

/* Reads on from `p`; returns where it stopped. `*piece` is the next run of body bytes, perhaps of
 * length 0. Call again until it returns `end` or `c->at` is CHUNKED_DONE. */
static inline const char *chunked_next(Chunked *c, const char *p, const char *end,
                                       const char **piece, size_t *length) {
    while (p < end && c->at != CHUNK_DATA && c->at != CHUNKED_DONE) chunked_framing(c, *p++);
    *piece = p;
    *length = 0;
    if (c->at == CHUNK_DATA) {
        *length = c->left < (size_t)(end - p) ? c->left : (size_t)(end - p);
        c->left -= *length;
        if (c->left == 0) c->at = CHUNK_END;
    }
    return p + *length;
}

#endif
