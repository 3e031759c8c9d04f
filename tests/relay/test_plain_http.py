"""Behaviour of the quick ways to read HTTP: they say what httptools says, or nothing."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.relay.exchange import Exchange
from apertura.relay.plain_http import SameHead, plain_reply, same_head


class Read:
    """What httptools makes of some bytes: each message with its headers and body."""

    def __init__(self, data: bytes, *, reply: bool) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.ended = 0
        self.failed = False
        parser = httptools.HttpResponseParser if reply else httptools.HttpRequestParser
        self._parser = parser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.failed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1
        self.reusable = self._parser.should_keep_alive()


async def handler(_: Exchange) -> None:
    """Never called here."""


LINES = st.sampled_from(
    [
        b"content-type: application/json",
        b"Content-Length: 7",
        b"content-length: 7",
        b"content-length: 07",
        b"content-length:7",
        b"content-length: 7 ",
        b"content-length : 7",
        b"content-length: 8",
        b"content-length: +7",
        b"transfer-encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"content-encoding: gzip",
        b"connection: keep-alive",
        b"Connection: close",
        b"connection: Keep-Alive",
        b"connection: upgrade",
        b"upgrade: h2c",
        b"x-empty:",
        b"x-two: a\r\n folded",
        b"x-bare: a\nb: c",
        b"x-nul: \x00",
        b"x-del: \x7f",
        b"x-high: \xe9",
        b"x-tab:\ta\t",
        b"no colon",
        b": no name",
        b"two words: x",
        b"",
    ]
)
FIRSTS = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 8 + [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 200"]
)
BODIES = st.sampled_from([b"1234567"] * 8 + [b"", b"12345678", b"123\r\n\r\n", b"0\r\n\r\n12"])
MOST = st.lists(st.one_of(LINES, st.just(b"content-length: 7")), min_size=1, max_size=4)


@given(FIRSTS, MOST, BODIES)
def test_a_plain_reply_is_what_the_parser_reads(
    first: bytes, lines: list[bytes], body: bytes
) -> None:
    data = b"\r\n".join([first, *lines, b"", body])
    plain = plain_reply(data)
    if plain is not None:
        read = Read(data, reply=True)
        assert not read.failed and read.ended == 1 and read.reusable
        assert plain.headers == dict(read.headers)
        assert plain.body == read.body


@pytest.mark.parametrize("more", [b"", b"connection: keep-alive\r\n", b"X-Request-Id: a\r\n"])
def test_usual_replies_are_plain(more: bytes) -> None:
    plain = plain_reply(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\n{}" % more)
    assert plain is not None and plain.body == b"{}"


HEADS = st.lists(LINES, max_size=3)
POST = b"POST /v1/chat/completions HTTP/1.1"


def remembered(data: bytes) -> SameHead | None:
    """What a connection keeps of a request that httptools has read."""
    read = Read(data, reply=False)
    if read.failed or read.ended != 1 or not read.reusable:
        return None
    return same_head(data, asked(dict(read.headers), read.body), handler)


def asked(headers: dict[bytes, bytes], body: bytes) -> Exchange:
    """What a handler is given."""
    return Exchange("POST", "/v1/chat/completions", b"", headers, body, "127.0.0.1")


@given(HEADS, HEADS, st.integers(0, 1200), st.integers(0, 1200), st.binary(max_size=3))
def test_a_request_with_the_same_head_is_what_the_parser_reads(
    above: list[bytes], below: list[bytes], size: int, next_size: int, more: bytes
) -> None:
    def request(length: int, body: bytes) -> bytes:
        stated = b"content-length: %d" % length
        return b"\r\n".join([POST, *above, stated, *below, b"", body])

    same = remembered(request(size, b"a" * size))
    for data in (
        request(next_size, b"b" * next_size),
        request(next_size, b"b" * next_size + more),
        request(next_size, b"b" * max(0, next_size - len(more))),
    ):
        body = same.body_of(data) if same is not None else None
        if body is not None:
            read = Read(data, reply=False)
            assert not read.failed and read.ended == 1 and read.reusable
            assert body == read.body


def test_another_length_is_the_same_head() -> None:
    head = POST + b"\r\nhost: a\r\ncontent-length: %d\r\nx: y\r\n\r\n"
    same = remembered(head % 5 + b"12345")
    assert same is not None
    for size in (1, 8, 12, 500, 99_000):
        assert same.body_of(head % size + b"c" * size) == b"c" * size
    assert same.body_of(head % 5 + b"1234") is None
    assert same.body_of(head.replace(b"x: y", b"x: z") % 5 + b"12345") is None


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 5\r\nexpect: 100-continue\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"x: y\r\n",
    ],
)
def test_what_is_not_framed_plainly_is_not_remembered(lines: bytes) -> None:
    headers = dict(line.split(b": ") for line in lines.split(b"\r\n")[:-1])
    data = POST + b"\r\n" + lines + b"\r\n12345"
    assert same_head(data, asked(headers, b"12345"), handler) is None
