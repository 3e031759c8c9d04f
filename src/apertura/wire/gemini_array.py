"""Gemini's other way to stream: one JSON array, whose items come as they are ready.

Google answers `streamGenerateContent` so where the URL does not say `alt=sse`. Here a stream of
events that is ready for the caller, be it translated, passed or broken off by an error, is put into
that form. What it is not: an encoder; it knows nothing of what the events say.

The rule that keeps it honest: each event is one item, and what `close` leaves is valid JSON.
"""

from __future__ import annotations

from apertura.wire import sse

CONTENT_TYPE = "application/json"


class JsonArray:
    """One stream."""

    def __init__(self) -> None:
        self._reader = sse.Reader()
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """The items in these bytes, which are whole events."""
        out: list[bytes] = []
        for event in self._reader.feed(data):
            out.append(b",\r\n" if self._begun else b"[")
            out.append(event.data)
            self._begun = True
        return b"".join(out)

    def close(self) -> bytes:
        """The end of the array; also after an error."""
        return b"]" if self._begun else b"[]"
