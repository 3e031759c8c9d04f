"""Behaviour of what passing and translated streams have in common, with a small format of its own:
`t:words` is text, `end` the success marker, `bad` garbage.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import Cut, Garbled
from apertura.wire import passing
from apertura.wire.events import Event, Failed, Finished, Text, UsageReported
from apertura.wire.passing import PassingTap, ReadingDecoder, TranslatingTap
from apertura.wire.sse import SseEvent, frame

USED = UsageReported(usage=Usage(input=1, output=2))


class Reading:
    """The small format."""

    def __init__(self) -> None:
        self.ending = self.ended = False

    def take(self, event: SseEvent) -> list[Event]:
        if event.data == b"end":
            self.ending = self.ended = True
            return []
        if event.data == b"bad":
            raise Garbled("The provider sent something odd.")
        return [Text(text=event.data.decode().removeprefix("t:"))]

    def close(self) -> list[Event]:
        if not self.ended:
            raise passing.cut()
        return [Finished(reason="stop"), USED]


class Encoder:
    """Writes the names of events; remembers nothing."""

    said: ClassVar[list[str]] = []

    def feed(self, events: list[Event]) -> bytes:
        return b"".join(e.text.encode() if isinstance(e, Text) else b"." for e in events)

    def close(self) -> bytes:
        return b"!"


def stream(*events: bytes, name: bytes | None = None) -> bytes:
    return b"".join(frame(event, name) for event in events)


WHOLE = stream(b"t:one", b"t:two") + stream(b"end", name=b"stop")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    """The same events, and the same bytes to the caller."""
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in pairwise(edges)]
    decoder, tap = ReadingDecoder(Reading()), PassingTap(Reading())

    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()
    passed = b"".join(tap.feed(piece) for piece in pieces) + tap.close()

    assert events == [Text(text="one"), Text(text="two"), Finished(reason="stop"), USED]
    assert passed == WHOLE


def test_the_success_marker_waits_for_the_close() -> None:
    """So that a call is settled before its caller can think it whole."""
    tap = PassingTap(Reading())

    assert tap.feed(WHOLE) == stream(b"t:one", b"t:two")
    assert tap.ended
    assert tap.close() == stream(b"end", name=b"stop")
    assert tap.finished
    assert tap.usage == USED.usage
    assert (tap.pieces, tap.chars, tap.content) == (2, 6, True)


def test_a_stream_without_its_end_is_cut() -> None:
    """For who listens, who decodes, and who translates."""
    half = stream(b"t:one")
    tap, decoder = PassingTap(Reading()), ReadingDecoder(Reading())
    other = TranslatingTap(ReadingDecoder(Reading()), Encoder())

    tap.feed(half)
    other.feed(half)
    decoder.feed(half)

    with pytest.raises(Cut):
        tap.close()
    with pytest.raises(Cut):
        other.close()
    (failure,) = decoder.close()
    assert isinstance(failure, Failed)
    assert isinstance(failure.error, Cut)


def test_what_came_before_a_fault_can_still_be_sent() -> None:
    """In either way of passing on."""
    faulty = stream(b"t:one", b"bad", b"t:two")
    tap = PassingTap(Reading())
    other = TranslatingTap(ReadingDecoder(Reading()), Encoder())

    with pytest.raises(Garbled):
        tap.feed(faulty)
    with pytest.raises(Garbled):
        other.feed(faulty)

    assert tap.salvage == stream(b"t:one")
    assert other.salvage == b"one"


def test_half_an_event_at_the_end_is_a_cut() -> None:
    """Not garbage: its other half was never sent."""
    decoder = ReadingDecoder(Reading())

    assert decoder.feed(b"data: ba") == []
    assert decoder.feed(b"d") == []
    (failure,) = decoder.close()
    assert isinstance(failure, Failed)
    assert isinstance(failure.error, Cut)


def test_a_translated_stream_ends_with_the_other_formats_marker() -> None:
    """After all that was still due."""
    tap = TranslatingTap(ReadingDecoder(Reading()), Encoder())

    assert tap.feed(WHOLE) == b"onetwo"
    assert tap.ended
    assert tap.close() == b"..!"
    assert tap.usage == USED.usage


def test_an_event_without_data_does_not_pass() -> None:
    """It keeps a connection alive; to a client it would be JSON that is empty."""
    tap = PassingTap(Blank())

    assert tap.feed(b"data: \n\ndata: t:one\n\nevent: ping\ndata:\n\n") == stream(b"t:one")


class Blank(Reading):
    """The small format, which reads over what is empty."""

    def take(self, event: SseEvent) -> list[Event]:
        return super().take(event) if event.data else []
