"""Server-sent events, both directions, on bytes.

A reader that takes a provider's bytes however they are cut and gives whole events, and the one way
in which we write an event. What it is not: a judge of what an event's data means.

Lines end at CR, LF or CRLF and nowhere else; whatever else Unicode calls a line end (U+2028, say)
is content. The rule that keeps it honest: the quick way (`canonical`) and the careful way (`Reader`
line by line) give the same events for the same bytes, and what is held between two reads is bounded
by `EVENT_MAX`.
"""

from __future__ import annotations

import msgspec

from apertura.errors import Garbled

EVENT_MAX = 16 * 1024 * 1024
"""Bytes of one event, with its field names; a longer one is not an answer but an attack."""

_BOM = b"\xef\xbb\xbf"
CR, LF = b"\r\n"
"""As numbers: looking for one is five times as fast as for a byte string of length one."""


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event: its data (lines joined by LF) and its name, if it was given one."""

    data: bytes
    name: bytes | None = None


def frame(data: bytes, event: bytes | None = None) -> bytes:
    """One event as bytes; always `data: ` with the space, which some clients insist on."""
    if LF in data or CR in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        data = b"\ndata: ".join(lines)
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event + b"\ndata: " + data + b"\n\n"


def canonical(data: bytes) -> list[bytes] | None:
    """The data of each event, if these bytes are just what `frame` would write; else None.

    Canonical means: whole events, each one line `data: …` ended by LF LF. This is how nearly all
    providers speak, and it can be told with four scans in C instead of a loop over lines.
    """
    end = len(data) - 2
    if data[:6] != b"data: " or data[end:] != b"\n\n" or CR in data or end > EVENT_MAX:
        return None
    if data.find(LF) == end:
        return [data[6:end]]
    parts = data[6:end].split(b"\n\ndata: ")
    return None if LF in b"".join(parts) else parts


def named(data: bytes) -> list[SseEvent] | None:
    """The same for events of two lines, `event: …` and `data: …`, as some formats have them."""
    end = len(data) - 2
    if data[:7] != b"event: " or data[end:] != b"\n\n" or CR in data or end > EVENT_MAX:
        return None
    parts = [part.split(b"\ndata: ") for part in data[7:end].split(b"\n\nevent: ")]
    if data.count(LF) != 3 * len(parts) or any(len(p) != 2 or not p[0] for p in parts):
        return None
    return [SseEvent(said, name) for name, said in parts]


def quick(data: bytes) -> list[SseEvent] | None:
    """The events of bytes that are framed in one of the two usual ways; else None."""
    parts = canonical(data)
    return named(data) if parts is None else list(map(SseEvent, parts))


class Reader:
    """Bytes in, whole events out. Comments, `id` and `retry` are read over.

    `idle` says that nothing is held between two reads. `at_start` is true until something was fed;
    only there a byte order mark is no content.
    """

    __slots__ = ("_after_cr", "_data", "_line", "_name", "_size", "at_start", "idle")

    def __init__(self) -> None:
        self.idle = True
        self.at_start = True
        self._line = bytearray()
        self._data: list[bytes] = []
        self._name: bytes | None = None
        self._size = 0
        self._after_cr = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that these bytes complete. Raises: Garbled, for an event past `EVENT_MAX`."""
        if self.idle:
            events = quick(data)
            if events is not None:
                self.at_start = False
                return events
            return self._cut(data)
        end = data.find(b"\n\n") + 2
        if end < 2 or end == len(data):
            return self._lines(data)
        return self._lines(data[:end]) + self.feed(data[end:])

    def _cut(self, data: bytes) -> list[SseEvent]:
        """The quick way for the whole events, the careful way for the part that is left."""
        end = data.rfind(b"\n\n") + 2
        events = quick(data[:end]) if 2 <= end < len(data) else None
        if events is None:
            return self._lines(data)
        self.at_start = False
        return events + self._lines(data[end:])

    def _lines(self, data: bytes) -> list[SseEvent]:
        """The careful way: line by line."""
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data[-1:] == b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        events: list[SseEvent] = []
        for line in lines:
            if self._line:
                self._size -= len(self._line)
                line = bytes(self._line) + line
                self._line.clear()
            self._take(line, events)
        if rest:
            self._line += rest
            self._grow(len(rest))
        self.idle = not (self._line or self._data or self._after_cr or self._name is not None)
        return events

    def _take(self, line: bytes, events: list[SseEvent]) -> None:
        """One whole line."""
        if self.at_start:
            self.at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append(SseEvent(b"\n".join(self._data), self._name))
                self._data.clear()
            self._name = None
            self._size = 0
            return
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._data.append(value)
            self._grow(len(value) + 6)
        elif field == b"event":
            self._name = value or None
            self._grow(len(value))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > EVENT_MAX:
            raise Garbled("The provider sent an event that is too large.")
