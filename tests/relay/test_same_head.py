"""Behaviour of the quick way to read a request: it says what httptools says, or nothing."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.relay.exchange import Exchange
from apertura.relay.same_head import SameHead, same_head


class Read:
    """What httptools makes of some bytes: each message with its headers and body."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.ended = 0
        self.failed = False
        self._parser = httptools.HttpRequestParser(self)
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
HEADS = st.lists(LINES, max_size=3)
POST = b"POST /v1/chat/completions HTTP/1.1"


def remembered(data: bytes) -> SameHead | None:
    """What a connection keeps of a request that httptools has read."""
    read = Read(data)
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
            read = Read(data)
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
