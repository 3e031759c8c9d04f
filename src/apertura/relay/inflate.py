"""Compressed replies, opened in bounded pieces.

We ask providers for no compression; some compress all the same. What it is not: a way to compress
what we send. The rule that keeps it honest: no piece that comes out is larger than `PIECE`, so that
a small bomb cannot become a large allocation, and the reply's own bound stops it soon after.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from apertura.errors import Garbled

PIECE = 1 << 20
EITHER_WRAPPING = zlib.MAX_WBITS | 32
"""zlib's word for "gzip or zlib, see which"."""
RATIO_MOST = 200
"""Bytes out per byte in, past the first piece: text is five times its size, a bomb a thousand."""


class Inflater:
    """One reply's body. Raises: Garbled, where it is not what its header says, or a bomb."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(EITHER_WRAPPING)
        self._in = self._out = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes hold, in pieces of at most `PIECE`."""
        self._in += len(data)
        while data:
            if self._zlib.eof:  # zlib would keep what follows, without end
                raise Garbled("The provider's compressed reply goes on after its end.")
            try:
                piece = self._zlib.decompress(data, PIECE)
            except zlib.error:
                raise Garbled("The provider's compressed reply cannot be opened.") from None
            self._out += len(piece)
            if self._out > PIECE + RATIO_MOST * self._in:
                raise Garbled("The provider's compressed reply is larger than can be true.")
            if piece:
                yield piece
            data = self._zlib.unconsumed_tail or self._zlib.unused_data


def inflater(encoding: bytes) -> Inflater | None:
    """For a reply's Content-Encoding; None where there is none. Raises: Garbled."""
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return None
    if name in (b"gzip", b"x-gzip", b"deflate"):
        return Inflater()
    raise Garbled("The provider's reply is encoded in a way that was not asked for.")
