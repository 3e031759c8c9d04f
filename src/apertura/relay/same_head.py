"""Requests that are known by the head of the one before them on the same connection.

A caller's library writes the same head each time, but for the length of the body. Where httptools
has read it once, one comparison tells that it came again, and no header is read a second time.

What it is not: a parser. Whatever differs is left to httptools. The rule that keeps it honest: what
is accepted here, httptools accepts and reads the same; there is no message that the two would end
at different bytes.
"""

from __future__ import annotations

import re

import msgspec

from apertura.relay.exchange import Exchange, Handler

_BLANK_LINE = b"\r\n\r\n"
_stated_length = re.compile(rb"\r\ncontent-length: ([1-9][0-9]{0,9})\r\n", re.IGNORECASE).search


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
