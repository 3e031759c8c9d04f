/* What the upstream says, rendered once at its start: whole replies and the events of a stream.
 *
 * Its sizes are like those of real providers: 600 bytes for a whole answer, 290 for an event.
 */
#ifndef REPLIES_H
#define REPLIES_H

#include <stdio.h>
#include <string.h>

typedef struct {
    char bytes[1024];
    size_t length;
} Text;

#define JSON_HEAD                                                                                  \
    "HTTP/1.1 %s\r\nContent-Type: application/json\r\nx-request-id: req_0123456789abcdef\r\n"      \
    "Content-Length: %zu\r\n\r\n%s"
#define STREAM_HEAD                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"                        \
    "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\nx-request-id: req_0123456789abcdef\r\n"   \
    "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNK_JSON                                                                                 \
    "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789\",\"object\":\"chat.completion.chunk\","  \
    "\"created\":1760000000,\"model\":\"mock\",\"service_tier\":\"default\","                      \
    "\"system_fingerprint\":\"fp_0123456789\",\"choices\":[%s],\"usage\":%s}\n\n"
#define CHOICE "{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}"

static const char chat_json[] =
    "{\"id\":\"chatcmpl-0123456789abcdef0123456789\",\"object\":\"chat.completion\","
    "\"created\":1760000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
    "\"assistant\",\"content\":\"The quick brown fox jumps over the lazy dog. The quick brown fox "
    "jumps over the lazy dog.\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":213,\"completion_tokens\":21,"
    "\"total_tokens\":234,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}},"
    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\"}";
static const char embeddings_json[] =
    "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
    "[0.125,-0.25,0.5,-0.0625,0.75,0.03125,-0.5,0.25]}],\"model\":\"mock\","
    "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}";
static const char unknown_json[] =
    "{\"error\":{\"message\":\"Unknown path\",\"type\":\"invalid_request_error\","
    "\"param\":null,\"code\":\"not_found\"}}";

static Text chat_reply, embeddings_reply, unknown_reply;
static Text first_event, content_event, finish_event, last_event;

/* Appends `payload` as one chunk of the chunked coding. */
static void add_chunk(Text *text, const char *payload) {
    text->length += sprintf(text->bytes + text->length, "%zx\r\n%s\r\n", strlen(payload), payload);
}

static void add_event(Text *text, const char *delta, const char *finish_reason) {
    char choice[256], event[768];
    snprintf(choice, sizeof choice, CHOICE, delta, finish_reason);
    snprintf(event, sizeof event, CHUNK_JSON, choice, "null");
    add_chunk(text, event);
}

/* The usage chunk differs from call to call in its completion_tokens alone. */
static void usage_event(Text *text, int chunks) {
    char usage[128], event[768];
    snprintf(usage, sizeof usage,
             "{\"prompt_tokens\":213,\"completion_tokens\":%d,\"total_tokens\":%d}", chunks,
             213 + chunks);
    snprintf(event, sizeof event, CHUNK_JSON, "", usage);
    add_chunk(text, event);
}

static void render_whole(Text *text, const char *status, const char *json) {
    text->length = sprintf(text->bytes, JSON_HEAD, status, strlen(json), json);
}

static void render_replies(void) {
    render_whole(&chat_reply, "200 OK", chat_json);
    render_whole(&embeddings_reply, "200 OK", embeddings_json);
    render_whole(&unknown_reply, "404 Not Found", unknown_json);
    first_event.length = sprintf(first_event.bytes, "%s", STREAM_HEAD);
    add_event(&first_event, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null");
    add_event(&content_event, "\"content\":\" token\"", "null");
    add_event(&finish_event, "", "\"stop\"");
    add_chunk(&last_event, "data: [DONE]\n\n");
    last_event.length += sprintf(last_event.bytes + last_event.length, "0\r\n\r\n");
}

#endif
