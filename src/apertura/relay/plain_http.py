"""HTTP messages of the plainest kind, told at a glance: a head and all of its body in one read.

Most requests of a connection have the head of the one before them, but for the length of the body;
most whole replies of providers arrive in one read with a stated length. Both can be understood with
a few searches in C, where the parser calls back into Python for every header.

What it is not: a parser. Whatever is not surely of that kind is left to httptools. The rule that
keeps it honest: what is accepted here, httptools accepts and reads the same; there is no message
that the two would end at different bytes.
"""

from __future__ import annotations

import re

import msgspec

from apertura.relay.exchange import Exchange, Handler

_BLANK_LINE = b"\r\n\r\n"
_stated_length = re.compile(rb"\r\ncontent-length: ([1-9][0-9]{0,9})\r\n", re.IGNORECASE).search
_CONTROLS = bytes(range(32)) + b"\x7f"
_token = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_NAMES_MOST = 1_000


class SameHead(msgspec.Struct):
    """The head of a request that httptools has read, and what it amounted to."""

    before: bytes
    """As it was sent, up to the digits of the body's length."""
    after: bytes
    """And from there to the empty line."""
    fixed: int
    """The length of both."""
    handler: Handler
    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]

    def body_of(self, data: bytes) -> bytes | None:
        """The body, if this is a whole request with that head; else None."""
        # If it is, so long is its body; so the whole head is known, and one comparison tells. (Some
        # lengths just below a power of ten are guessed wrong, and left to the parser.)
        rest = len(data) - self.fixed
        size = rest - len(b"%d" % rest)
        head = b"%b%d%b" % (self.before, size, self.after)
        begin = len(head)
        return data[begin:] if data[:begin] == head and begin + size == len(data) else None


def same_head(data: bytes, exchange: Exchange, handler: Handler) -> SameHead | None:
    """What `data`, just read as one whole request, has in common with the next; None where its
    framing is any but the plainest.
    """
    headers, body = exchange.headers, exchange.body
    end = data.find(_BLANK_LINE) + len(_BLANK_LINE)
    stated = _stated_length(data, 0, end)
    if stated is None or len(body) != int(stated[1]) or data[end:] != body:
        return None
    head = data[:end]
    if head.count(b"\n") != head.count(b"\r\n") or not _UNPLAIN.isdisjoint(headers):
        return None
    before, after = head[: stated.start(1)], head[stated.end(1) :]
    fixed = len(before) + len(after)
    request = exchange.method, exchange.path, exchange.query, headers
    return SameHead(before, after, fixed, handler, *request)


_UNPLAIN = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class PlainReply(msgspec.Struct):
    """A whole reply of status 200 with a stated length, after which its connection goes on."""

    headers: dict[bytes, bytes]
    body: bytes


def plain_reply(data: bytes) -> PlainReply | None:
    """What was read, if it is surely that; else None."""
    head, blank, body = data.partition(_BLANK_LINE)
    first, *lines = head.split(b"\r\n")
    if not blank or first != b"HTTP/1.1 200 OK" or not head.isascii():
        return None
    if len(head.translate(None, _CONTROLS)) + 2 * len(lines) != len(head):
        return None
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        known = _names.get(name) or _known(name)
        if known is None or known in headers:
            return None
        headers[known] = value.strip()
    if headers.get(b"content-length") != b"%d" % len(body) or not _FRAMING.isdisjoint(headers):
        return None
    if headers.get(b"connection", b"keep-alive") != b"keep-alive":
        return None
    return PlainReply(headers, body)


_FRAMING = frozenset({b"transfer-encoding", b"content-encoding", b"upgrade"})
_names: dict[bytes, bytes] = {}
"""Names of headers as they were sent, and in lower case."""


def _known(name: bytes) -> bytes | None:
    """A header's name in lower case, to be kept if there are not many yet; None if it is none."""
    if not _token(name):
        return None
    return name.lower() if len(_names) >= _NAMES_MOST else _names.setdefault(name, name.lower())
