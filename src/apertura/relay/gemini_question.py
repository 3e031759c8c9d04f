"""A chat request of Gemini's clients, who may want a stream as one JSON array.

What it is not: the format (`wire.gemini`). The rule that keeps it honest: an array is made of the
same events that a stream would have had, and is closed whatever becomes of the call.
"""

from __future__ import annotations

from apertura.domain.catalog import Offer
from apertura.domain.usage import Usage
from apertura.errors import AperturaError
from apertura.relay.questions import ChatQuestion
from apertura.wire import gemini
from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import Tap


class GeminiQuestion(ChatQuestion):
    """A question whose streams are events, or with `array` the items of one array."""

    __slots__ = ("_array", "stream_type")

    def __init__(self, request: ChatRequest, call_id: str, *, array: bool) -> None:
        super().__init__("gemini", gemini, request, call_id)
        self._array = gemini.JsonArray() if array else None
        self.stream_type = b"application/json" if array else ChatQuestion.stream_type

    def listen(self, offer: Offer) -> Tap:
        tap = super().listen(offer)
        if self._array is None:
            return tap
        self._array = gemini.JsonArray()  # each attempt begins anew
        return ArrayTap(tap, self._array)

    def render_stream_error(self, error: AperturaError) -> bytes:
        said = super().render_stream_error(error)
        return said if self._array is None else self._array.feed(said) + self._array.close()


class ArrayTap:
    """Another tap's stream, as the items of an array; what was heard is the other's."""

    content = finished = ended = False
    usage: Usage | None = None
    pieces = chars = 0
    salvage = b""

    def __init__(self, tap: Tap, array: gemini.JsonArray) -> None:
        self._tap, self._array = tap, array

    def feed(self, data: bytes) -> bytes:
        """As the other tap's."""
        try:
            return self._array.feed(self._tap.feed(data))
        finally:
            self._hear()

    def close(self) -> bytes:
        """As the other tap's, and the end of the array."""
        try:
            return self._array.feed(self._tap.close()) + self._array.close()
        finally:
            self._hear()

    def _hear(self) -> None:
        tap = self._tap
        self.content, self.finished, self.ended = tap.content, tap.finished, tap.ended
        self.usage, self.pieces, self.chars = tap.usage, tap.pieces, tap.chars
        self.salvage = self._array.feed(tap.salvage) if tap.salvage else b""
