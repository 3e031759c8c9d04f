"""How the wall answers, well and badly: one small function for each behaviour.

A behaviour says what it likes on a `Talk`; when it returns without having ended the connection,
the next request is awaited on it. Each works for whole and for streamed answers, unless its
docstring says otherwise. Options for all that play a good answer: `chunks`, `input`, `delay`
(seconds between pieces), `first` (seconds before the head).
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterable

from tests.wall.speech import DONE, chunk, error, failure, pieces, refusal, sse
from tests.wall.talk import Call, Talk

Behaviour = Callable[[Talk, Call], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}

MIB = 2**20
BOUND = 256 * MIB
"""Where what is called endless ends, for the sake of a client that would read it all."""
HTML = b"<!doctype html><html><head><title>Error</title></head><body>Bad luck.</body></html>"


def named(*names: str) -> Callable[[Behaviour], Behaviour]:
    """Enters a behaviour under each of `names`."""

    def enter(behaviour: Behaviour) -> Behaviour:
        BEHAVIOURS.update(dict.fromkeys(names, behaviour))
        return behaviour

    return enter


async def play(talk: Talk, call: Call, parts: list[bytes], *headers: str) -> None:
    """A good answer made of `parts`. No pause follows the last: a client may leave with it."""
    await talk.pause(call.option("first", 0))
    await talk.begin(call, sum(map(len, parts)), *headers)
    for number, part in enumerate(parts):
        if number:
            await talk.pause(call.option("delay", 0))
        await talk.piece(part)
    await talk.finish()


@named("ok")
async def ok(talk: Talk, call: Call) -> None:
    await play(talk, call, pieces(call))


# --- the connection breaks or falls silent ---


@named("reset-before-head")
async def reset_before_head(talk: Talk, call: Call) -> None:
    await talk.reset()


@named("reset-after-head")
async def reset_after_head(talk: Talk, call: Call) -> None:
    await talk.begin(call, 1000)
    await talk.reset()


async def first_parts(talk: Talk, call: Call) -> None:
    """The head and the beginning of an answer: of a stream, up to its first words."""
    parts = pieces(call)
    await talk.begin(call, sum(map(len, parts)))
    for part in parts[:2]:
        await talk.piece(part)


@named("reset-after-first-chunk")
async def reset_after_first_chunk(talk: Talk, call: Call) -> None:
    await first_parts(talk, call)
    await talk.reset()


@named("close-before-head")
async def close_before_head(talk: Talk, call: Call) -> None:
    talk.close()


@named("close-in-the-middle")
async def close_in_the_middle(talk: Talk, call: Call) -> None:
    """In order (FIN), but before the announced length, or the last chunk, was sent."""
    await first_parts(talk, call)
    talk.close()


@named("stall-before-head")
async def stall_before_head(talk: Talk, call: Call) -> None:
    await talk.stall()


@named("stall-before-first-token")
async def stall_before_first_token(talk: Talk, call: Call) -> None:
    """A stream also says who speaks (the event with the role), which is no content yet."""
    await talk.begin(call, 1000)
    if call.stream:
        await talk.piece(pieces(call)[0])
    await talk.stall()


@named("stall-in-the-middle")
async def stall_in_the_middle(talk: Talk, call: Call) -> None:
    await first_parts(talk, call)
    await talk.stall()


@named("drip")
async def drip(talk: Talk, call: Call) -> None:
    """One byte per write."""
    body = b"".join(pieces(call))
    await play(talk, call, [body[at : at + 1] for at in range(len(body))])


# --- keep-alive that is none ---


@named("keepalive-lie")
async def keepalive_lie(talk: Talk, call: Call) -> None:
    """Announces keep-alive, and closes right after a streamed answer, as llama.cpp does."""
    await play(talk, call, pieces(call), "Connection: keep-alive", "Keep-Alive: timeout=5, max=100")
    if call.stream:
        talk.close()


@named("close-on-reuse")
async def close_on_reuse(talk: Talk, call: Call) -> None:
    """Answers; the next request on this connection is read and dropped (it is in `wall.lost`)."""
    await ok(talk, call)
    talk.doomed = True


# --- errors, said well ---


def failing(status: int, message: str, kind: str, code: str | None = None) -> Behaviour:
    async def fail(talk: Talk, call: Call) -> None:
        after = call.options.get("after", "7" if status == 429 else "")
        retry = [f"Retry-After: {after}"] if after else []
        await talk.whole(status, refusal(call, status, error(message, kind, code)), *retry)

    return fail


BEHAVIOURS |= {
    "400": failing(400, "Invalid value for 'temperature'", "invalid_request_error"),
    "401": failing(401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
    "404": failing(404, "No such model", "invalid_request_error", "model_not_found"),
    "429": failing(429, "Rate limit reached", "rate_limit_error", "rate_limit_exceeded"),
    "500": failing(500, "The server had an error", "server_error"),
    "502": failing(502, "Bad gateway", "server_error"),
    "503": failing(503, "The server is overloaded", "server_error"),
    "529": failing(529, "Overloaded", "overloaded_error"),
}


# --- errors, said badly ---


@named("error-200")
async def error_200(talk: Talk, call: Call) -> None:
    """Status 200, and an error for a body; of a stream, as its first event."""
    await play(talk, call, [failure(call, "The model crashed")])


@named("error-after-content")
async def error_after_content(talk: Talk, call: Call) -> None:
    """Streams: two words, then an error event and the end. Whole answers: as `error-200`."""
    words = pieces(call)[:3] if call.stream else []
    await play(talk, call, [*words, failure(call, "The model crashed")])


@named("html-200")
async def html_200(talk: Talk, call: Call) -> None:
    await talk.whole(200, HTML, kind="text/html")


@named("html-502")
async def html_502(talk: Talk, call: Call) -> None:
    await talk.whole(502, HTML, kind="text/html")


@named("no-content")
async def no_content(talk: Talk, call: Call) -> None:
    await talk.head(204)


@named("empty-200")
async def empty_200(talk: Talk, call: Call) -> None:
    await play(talk, call, [])


@named("redirect")
async def redirect(talk: Talk, call: Call) -> None:
    """To another path of the wall: a client that follows is seen as a second call."""
    await talk.head(302, "Location: /v1/elsewhere", "Content-Length: 0")


@named("not-http")
async def not_http(talk: Talk, call: Call) -> None:
    await talk.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    talk.close()


# --- the answer is not what it should be ---


def altered(change: Callable[[list[bytes]], Iterable[bytes]]) -> Behaviour:
    """A stream with its pieces changed; a whole answer stays good."""

    async def answer(talk: Talk, call: Call) -> None:
        parts = pieces(call)
        await play(talk, call, list(change(parts)) if call.stream else parts)

    return answer


def decorated(parts: list[bytes]) -> Iterable[bytes]:
    """Comments, event names, ids and retry times, all of which the format allows."""
    yield b": hello\n\n"
    for part in parts:
        yield b": keep-alive\n\nevent: message\nid: 7\nretry: 1000\n" + part


BEHAVIOURS |= {
    "no-done": altered(lambda parts: parts[:-1]),
    "no-finish": altered(lambda parts: parts[:3]),
    "done-without-finish": altered(lambda parts: [*parts[:3], DONE]),
    "after-done": altered(lambda parts: [*parts, parts[1]]),
    "malformed-event": altered(
        lambda parts: [*parts[:2], b'data: {"choices":[{"delta":{"con\n\n', *parts[2:]]
    ),
    "crlf": altered(lambda parts: [part.replace(b"\n", b"\r\n") for part in parts]),
    "comments": altered(decorated),
    "no-space": altered(lambda parts: [part.replace(b"data: ", b"data:") for part in parts]),
    "one-write": altered(lambda parts: [b"".join(parts)]),
}


@named("malformed-body")
async def malformed_body(talk: Talk, call: Call) -> None:
    """Half of a JSON object, sent as if it were whole; a stream has no good event at all."""
    half = pieces(call)[0]
    await play(talk, call, [half[: len(half) // 2] + b"\n\n"])


@named("usage-absent")
async def usage_absent(talk: Talk, call: Call) -> None:
    await play(talk, call, pieces(call, "absent"))


@named("usage-on-choice")
async def usage_on_choice(talk: Talk, call: Call) -> None:
    await play(talk, call, pieces(call, "choice"))


@named("usage-cumulative")
async def usage_cumulative(talk: Talk, call: Call) -> None:
    await play(talk, call, pieces(call, "cumulative"))


# --- the framing of HTTP ---


@named("close-delimited")
async def close_delimited(talk: Talk, call: Call) -> None:
    """Neither a length nor chunks: the body ends where the connection does (the wall's half)."""
    kind = "text/event-stream" if call.stream else "application/json"
    await talk.head(200, f"Content-Type: {kind}")
    await talk.send(b"".join(pieces(call)))
    talk.writer.write_eof()
    talk.call = None  # whole: that the client leaves now is as it should be
    await talk.stall()


def measured(change: int, *headers: str, after: bytes = b"") -> Behaviour:
    """A `Content-Length` that is wrong by `change` bytes, or followed by bytes too many."""

    async def answer(talk: Talk, call: Call) -> None:
        body = b"".join(pieces(call))
        kind = "text/event-stream" if call.stream else "application/json"
        length = f"Content-Length: {len(body) + change}"
        await talk.head(200, f"Content-Type: {kind}", length, *headers)
        await talk.send(body + after)
        if change > 0:
            talk.close()

    return answer


BEHAVIOURS |= {
    "length-too-long": measured(10),
    "length-too-short": measured(-10),
    "trailing-garbage": measured(0, after=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "two-lengths": measured(0, "Content-Length: 7"),
}


@named("both-lengths")
async def both_lengths(talk: Talk, call: Call) -> None:
    """Chunks, and a `Content-Length` beside them: what smuggling is made of."""
    kind = "text/event-stream" if call.stream else "application/json"
    await talk.head(200, f"Content-Type: {kind}", "Content-Length: 5", "Transfer-Encoding: chunked")
    for part in pieces(call):
        await talk.send(b"%x\r\n%b\r\n" % (len(part), part))
    await talk.send(b"0\r\n\r\n")


@named("bad-chunk-size")
async def bad_chunk_size(talk: Talk, call: Call) -> None:
    await talk.head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    await talk.send(b"zz\r\n" + b"".join(pieces(call)))


@named("interim")
async def interim(talk: Talk, call: Call) -> None:
    """100 and 103 before the answer."""
    await talk.head(100)
    await talk.head(103, "Link: </style.css>; rel=preload")
    await ok(talk, call)


@named("gzip")
async def gzipped(talk: Talk, call: Call) -> None:
    """Compressed although nobody asked for it; each event of a stream can be read at once."""
    parts = pieces(call)
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    await play(talk, call, [*packed, packer.flush()], "Content-Encoding: gzip")


# --- too much of it ---


async def endless(talk: Talk, call: Call, first: bytes, again: bytes, *headers: str) -> None:
    """`first`, then `again` and again, as chunks, until the client leaves or the bound is met."""
    kind = "text/event-stream" if call.stream else "application/json"
    await talk.head(200, f"Content-Type: {kind}", "Transfer-Encoding: chunked", *headers)
    framed = b"%x\r\n%b\r\n" % (len(again), again)
    await talk.send(b"%x\r\n%b\r\n" % (len(first), first))
    for _ in range(BOUND // len(again)):
        await talk.send(framed)
    talk.close()


@named("huge-body")
async def huge_body(talk: Talk, call: Call) -> None:
    """A stream of good events without end; or one JSON string without end."""
    word = sse(chunk(call, {"content": "many words "}))
    if call.stream:
        await endless(talk, call, pieces(call)[0], word * (65536 // len(word)))
    else:
        await endless(talk, call, b'{"id":"', b"a" * 65536)


@named("endless-event")
async def endless_event(talk: Talk, call: Call) -> None:
    """One event, or one JSON string, that never ends."""
    first = b'data: {"id":"' if call.stream else b'{"id":"'
    await endless(talk, call, first, b"a" * 65536)


@named("gzip-bomb")
async def gzip_bomb(talk: Talk, call: Call) -> None:
    """A few hundred kilobytes that unpack to 256 MiB of one event, or of JSON's white space."""
    packer = zlib.compressobj(wbits=31)
    start = packer.compress(b"data: " if call.stream else b"{") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    await play(talk, call, [start, *[block] * (BOUND // MIB)], "Content-Encoding: gzip")
    talk.close()


@named("header-flood")
async def header_flood(talk: Talk, call: Call) -> None:
    await play(talk, call, pieces(call), *(f"X-Flood-{number}: {number}" for number in range(1000)))


@named("header-huge")
async def header_huge(talk: Talk, call: Call) -> None:
    await play(talk, call, pieces(call), "X-Huge: " + "a" * MIB)
