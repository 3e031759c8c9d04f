"""A chat request of Gemini's clients, who may want a stream as one JSON array.

What it is not: the format (`wire.gemini`). The rule that keeps it honest: an array is made of the
same events that a stream would have had, and is closed whatever becomes of the call.
"""

from __future__ import annotations

from collections.abc import Callable

from apertura.domain.catalog import Offer
from apertura.domain.usage import Usage
from apertura.errors import AperturaError
from apertura.relay.questions import ChatQuestion
from apertura.wire import gemini
from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import Tap
from apertura.wire.passing import TapOver


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
        return ArrayTap(tap, self._array, whole=not self.include_cost)

    def last(self, usage: Usage) -> Callable[[int], bytes]:
        due, array = super().last(usage), self._array
        return due if array is None else lambda cost: array.feed(due(cost)) + array.close()

    def render_stream_error(self, error: AperturaError) -> bytes:
        said = super().render_stream_error(error)
        return said if self._array is None else self._array.feed(said) + self._array.close()


class ArrayTap(TapOver):
    """Another tap's stream, as the items of an array. `whole`: nothing follows its end."""

    def __init__(self, tap: Tap, array: gemini.JsonArray, *, whole: bool) -> None:
        super().__init__(tap)
        self._array, self._whole = array, whole

    def pass_on(self, out: bytes) -> bytes:
        """Events as items."""
        return self._array.feed(out)

    def pass_last(self, end: bytes) -> bytes:
        """The last items, and the end of the array."""
        return self._array.feed(end) + (self._array.close() if self._whole else b"")
