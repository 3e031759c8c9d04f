"""Amazon's binary stream of events (`application/vnd.amazon.eventstream`), read.

A frame is: its length, the length of its headers, a checksum of those two; the headers; the
payload; a checksum of it all. What it is not: a judge of what a frame says.

The rule that keeps it honest: nothing of a frame is used before its checksums agree, and what is
held between two reads is bounded by `FRAME_MAX`, which is checked as soon as the length is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct as Layout
from struct import error as LayoutError

import msgspec

from apertura.errors import Garbled

FRAME_MAX = 16 * 1024 * 1024
"""Bytes of one frame; a longer one is not an answer but an attack."""
HEADERS_MAX = 128 * 1024

_PRELUDE = Layout(">III")
_CHECKSUM = Layout(">I")
_LEAST = _PRELUDE.size + _CHECKSUM.size
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type, where they are fixed; the others begin with a length."""
_BYTES, _STRING = 6, 7
_LENGTH = Layout(">H")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame: its headers that are strings, and its payload."""

    headers: dict[str, str]
    payload: bytes


class Reader:
    """Bytes in, whole frames out. `idle` says that nothing is held between two reads."""

    __slots__ = ("_held", "_wanted")

    def __init__(self) -> None:
        self._held = bytearray()
        self._wanted = 0

    @property
    def idle(self) -> bool:
        return not self._held

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete, to be taken to the last one.

        Raises: Garbled, for a wrong checksum or a frame past all bounds.
        """
        self._held += data
        if len(self._held) < self._wanted:
            return
        held, at = bytes(self._held), 0
        while (size := _size(held, at)) is not None and at + size <= len(held):
            yield _frame(held[at : at + size])
            at += size
        del self._held[:at]
        self._wanted = size or 0


def _size(held: bytes, at: int) -> int | None:
    """The bytes of the frame that begins here; None if that is not known yet."""
    if len(held) - at < _PRELUDE.size:
        return None
    total, headers, checksum = _PRELUDE.unpack_from(held, at)
    if zlib.crc32(held[at : at + 8]) != checksum:
        raise _broken()
    if not _LEAST <= total <= FRAME_MAX or headers > min(HEADERS_MAX, total - _LEAST):
        raise _broken()
    return int(total)


def _frame(data: bytes) -> Frame:
    """One whole frame."""
    if zlib.crc32(data[:-4]) != _CHECKSUM.unpack_from(data, len(data) - 4)[0]:
        raise _broken()
    end = _PRELUDE.size + _PRELUDE.unpack_from(data)[1]
    try:
        headers = _headers(data[_PRELUDE.size : end])
    except (LayoutError, IndexError, KeyError, UnicodeDecodeError):
        raise _broken() from None
    return Frame(headers=headers, payload=data[end:-4])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        start = at + 1
        at = start + data[at]
        name, kind = data[start:at].decode(), data[at]
        at += 1
        if kind in (_BYTES, _STRING):
            size = _LENGTH.unpack_from(data, at)[0]
            at += _LENGTH.size
        else:
            size = _SIZES[kind]
        if at + size > len(data):
            raise IndexError
        if kind == _STRING:
            found[name] = data[at : at + size].decode()
        at += size
    return found


def _broken() -> Garbled:
    return Garbled("The provider sent a frame that is broken.")
