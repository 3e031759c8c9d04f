"""Whatever bytes a caller sends, it ends in an error of the public API's form or a closed
connection, and other callers notice nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from tests.live import MIB, PATIENCE, Answer, Gone, Line, live
from tests.relay.callers import HOT, INVALID, WORDS, everything, head, serves
from tests.wall import Wall

# --- bodies ---

NESTED = b"[" * 100_000
BODIES = {
    "empty": b"",
    "not-json": b"hello",
    "half": b'{"model":"ok","messages":[',
    "two": b'{"model":"ok"}{"model":"ok"}',
    "array": b"[]",
    "null": b"null",
    "number": b"1e999",
    "nan": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
    "infinite": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
    "bad-utf-8": b'{"model":"ok","messages":[{"role":"user","content":"\xff\xfe"}]}',
    "overlong": b'{"model":"ok","messages":[{"role":"user","content":"\xc0\x80"}]}',
    "lone-surrogate-bytes": b'{"model":"ok","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    "utf-16": '{"model":"ok"}'.encode("utf-16"),
    "control": b'{"model":"ok","messages":[{"role":"user","content":"\x00"}]}',
    "deep": NESTED,
    "deep-within": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"z":' + NESTED,
    "deep-whole": b'{"model":"ok","messages":[],"z":' + NESTED + b"]" * 100_000 + b"}",
    "deep-objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "no-model": b'{"messages":[{"role":"user","content":"x"}]}',
    "model-number": b'{"model":1,"messages":[{"role":"user","content":"x"}]}',
    "model-list": b'{"model":["ok"],"messages":[{"role":"user","content":"x"}]}',
    "messages-string": b'{"model":"ok","messages":"x"}',
    "messages-empty": b'{"model":"ok","messages":[]}',
    "stream-string": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"stream":"yes"}',
    "n-huge": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"n":18446744073709551615}',
    "tokens-negative": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"max_tokens":-1}',
    "tokens-huge": b'{"model":"ok","messages":[{"role":"user","content":"x"}],"max_tokens":1'
    + b"0" * 400
    + b"}",
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_that_make_no_sense(wall: Wall, tmp_path: Path, name: str) -> None:
    """400 in the envelope, at no cost, and nothing reaches a provider."""
    async with live(wall, tmp_path) as gateway:
        for path in (HOT, "/v1/embeddings"):
            answer = await gateway.ask(gateway.request(BODIES[name], path=path))
            assert (answer.status, answer.json["error"]["type"]) == (400, INVALID)
        assert await gateway.rows() == []
        assert wall.calls() == []
        await serves(gateway)


async def test_a_key_given_twice_means_one_thing(wall: Wall, tmp_path: Path) -> None:
    """The model that is billed is the model that the provider sees; so for all that costs."""
    message = '"messages":[{"role":"user","content":"x"}]'
    body = f'{{"model":"500","model":"ok",{message},"stream":true,"stream":false,"n":1,"n":1}}'
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.ask(gateway.request(body.encode()))
        assert answer.text == WORDS
        [row] = await gateway.rows()
        [call] = wall.calls()
    assert row.model == call.model == "ok"
    for name in (b'"model"', b'"stream"', b'"n"', b'"messages"'):
        assert call.raw.count(name) <= 1


# --- sizes ---


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("reading", [False, True], ids=["written-first", "read-meanwhile"])
async def test_a_body_that_is_too_large(
    wall: Wall, tmp_path: Path, lane: bool, chunked: bool, reading: bool
) -> None:
    """413, before all of it was sent, and readable while more of it is being sent."""
    piece = b"a" * MIB
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {50 * MIB}"
    part = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    async with live(wall, tmp_path, lane=lane, max_body_mb=2) as gateway:
        line = await gateway.line()
        line.send(head(gateway, framing))
        sending = asyncio.ensure_future(keep_sending(line, part, 50))
        async with asyncio.timeout(PATIENCE):
            if not reading:
                await asyncio.sleep(0.2)
            answer = await line.answer()
            assert answer.error == (413, INVALID, "request_too_large")
            line.hang_up()
            await sending
        await serves(gateway)
        assert len(await gateway.rows()) == 1


async def keep_sending(line: Line, part: bytes, times: int) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):  # the second: we closed it ourselves
        for _ in range(times):
            await line.push(part)


FLOODS = {
    "many": b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(10_000)),
    "same": b"a:b\r\n" * 10_000,
    "huge": b"X-Huge: " + b"a" * MIB + b"\r\n",
    "huge-name": b"a" * MIB + b": x\r\n",
}


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("path", [HOT, "/v1/models", "/" + "a" * MIB])
async def test_heads_that_are_too_large(wall: Wall, tmp_path: Path, name: str, path: str) -> None:
    """431 in the envelope, or closed; if it came in few reads, perhaps what it asked for."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        request = b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path.encode(), FLOODS[name])
        await refused(line, request, {431, 401, 404, 405})
        await serves(gateway)


async def refused(line: Line, request: bytes, statuses: set[int]) -> Answer | None:
    """Send it; what comes back is one error in the envelope, or the end of the connection."""
    sending = asyncio.ensure_future(keep_sending(line, request, 1))
    async with asyncio.timeout(PATIENCE):
        try:
            answer = await line.answer()
        except Gone:
            answer = None
        line.hang_up()
        await sending
    if answer is not None:
        assert answer.status in statuses
        assert answer.whole
        assert answer.json["error"]["message"]
    return answer


async def test_trailers_without_end_are_not_kept(wall: Wall, tmp_path: Path) -> None:
    """What follows the last chunk is bounded as the head is."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(head(gateway, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n")
        assert await sent_until_refused(line, b"x-more: and more\r\n" * 50_000) < 32 * MIB
        await serves(gateway)


async def test_a_header_without_end_is_not_kept(wall: Wall, tmp_path: Path) -> None:
    """Nor one header of it, nor the URL."""
    async with live(wall, tmp_path) as gateway:
        for begin in (b"POST /v1/models HTTP/1.1\r\nX: ", b"GET /"):
            line = await gateway.line()
            line.send(begin)
            assert await sent_until_refused(line, b"a" * MIB) < 32 * MIB
        await serves(gateway)


async def sent_until_refused(line: Line, piece: bytes) -> int:
    """How many bytes the gateway took before it answered or closed; all of them if it never did."""
    answer = asyncio.ensure_future(everything(line))
    sent = 0
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            while sent < 64 * MIB and not answer.done():
                await line.push(piece)
                sent += len(piece)
    line.hang_up()
    await answer
    return sent


# --- time ---

SLOW = {
    "no-byte-of-a-head": b"",
    "half-a-head": b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "no-body": b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
    "half-a-body": b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345",
    "half-a-chunk": b"POST /v1/embeddings HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na\r\n1",
    "no-last-chunk": b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "half-a-cold-body": b"POST /v1/nothing HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345",
}


@pytest.mark.parametrize("name", list(SLOW)[1:])
async def test_a_request_that_never_arrives(wall: Wall, tmp_path: Path, name: str) -> None:
    """408, or what could be answered already, and closed."""
    async with live(wall, tmp_path, timeout_request=0.2) as gateway:
        line = await gateway.line()
        line.send(SLOW[name])
        async with asyncio.timeout(PATIENCE):
            answer = await line.answer()
            assert answer.error[0] in {408, 404}
            assert await line.is_closed()
        await serves(gateway)


# --- framing ---

AFTER = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMES = {
    "two-lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello" + AFTER),
    "same-length-twice": (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello" + AFTER),
    "list-of-lengths": (b"Content-Length: 5, 5\r\n", b"hello" + AFTER),
    "both": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + AFTER),
    "both-other-order": (
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"0\r\n\r\n" + AFTER,
    ),
    "chunked-not-last": (b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n" + AFTER),
    "chunked-twice": (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\n\r\n" + AFTER,
    ),
    "chunked-misspelt": (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + AFTER),
    "chunked-folded": (b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + AFTER),
    "chunked-spaced": (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + AFTER),
    "negative-length": (b"Content-Length: -5\r\n", b"hello"),
    "signed-length": (b"Content-Length: +5\r\n", b"hello"),
    "hex-length": (b"Content-Length: 0x5\r\n", b"hello"),
    "endless-length": (b"Content-Length: 99999999999999999999999\r\n", b"hello"),
    "empty-length": (b"Content-Length: \r\n", b"hello"),
    "bad-chunk-size": (b"Transfer-Encoding: chunked\r\n", b"zz\r\nhello\r\n0\r\n\r\n"),
    "negative-chunk-size": (b"Transfer-Encoding: chunked\r\n", b"-1\r\nhello\r\n0\r\n\r\n"),
    "endless-chunk-size": (b"Transfer-Encoding: chunked\r\n", b"f" * 40 + b"\r\nhello"),
    "chunk-too-long": (b"Transfer-Encoding: chunked\r\n", b"3\r\nhello\r\n0\r\n\r\n"),
    "nul-in-name": (b"X\x00Y: 1\r\nContent-Length: 0\r\n", b""),
    "nul-in-value": (b"X: a\x00b\r\nContent-Length: 0\r\n", b""),
    "bare-cr": (b"X: a\rb\r\nContent-Length: 0\r\n", b""),
    "no-colon": (b"nonsense\r\nContent-Length: 0\r\n", b""),
    "space-first": (b" X: a\r\nContent-Length: 0\r\n", b""),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_requests_whose_end_is_disputed(wall: Wall, tmp_path: Path, name: str) -> None:
    """At most one reply, an error, and closed: what follows is never taken for a request."""
    headers, body = FRAMES[name]
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body)
        async with asyncio.timeout(PATIENCE):
            got = await everything(line)
        assert got.count(b"HTTP/1.1 ") <= 1
        if got:
            assert got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 ", b"HTTP/1.1 413 "))
            assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["message"]
        await serves(gateway)


LINES = {
    "0.9": b"GET /\r\n",
    "0.9-hot": b"POST /v1/chat/completions\r\n\r\n",
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 200,
    "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "nul": b"GET /\x00 HTTP/1.1\r\n\r\n",
    "bad-version": b"GET / HTTP/9.9\r\n\r\n",
    "bad-method": b"FETCH / HTTP/1.1\r\n\r\n",
    "connect": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "connect-then-tls": b"CONNECT example.com:443 HTTP/1.1\r\n\r\n\x16\x03\x01" + b"\x00" * 50,
    "space-in-url": b"GET /a b HTTP/1.1\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\n\r\n",
    "no-path": b"GET  HTTP/1.1\r\n\r\n",
    "absolute-other": b"GET http://[::1 HTTP/1.1\r\n\r\n",
    "bytes-in-url": b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    "quoted-bytes-in-url": b"GET /%ff%00 HTTP/1.1\r\n\r\n",
    "only-newlines": b"\r\n" * 2000,
}


@pytest.mark.parametrize("name", LINES)
async def test_what_is_hardly_http(wall: Wall, tmp_path: Path, name: str) -> None:
    """An error in the envelope, or closed, and no noise in the log."""
    async with live(wall, tmp_path, timeout_request=0.2) as gateway:
        line = await gateway.line()
        line.send(LINES[name])
        line.half_close()
        async with asyncio.timeout(PATIENCE):
            got = await everything(line)
        if got:
            assert 400 <= int(got[9:12]) < 500
            assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["message"]
        await serves(gateway)
