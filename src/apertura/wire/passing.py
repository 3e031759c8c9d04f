"""Streams that pass, and streams that are put into another format: what both have in common.

A `Reading` is what a format knows of one event; from it come a `Decoder` (bytes to events), and a
`PassingTap`, which lets the bytes of whole events through and only listens. `TranslatingTap` is a
decoder and another format's encoder, back to back. What it is not: the quick way of OpenAI's chat
format, which most calls take (`openai_listen`).

The rule that keeps it honest: only whole, understood events leave, and nothing from the success
marker on leaves before `close`, which the relay calls once the call is settled.
"""

from __future__ import annotations

from typing import Protocol

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, Cut, Garbled
from apertura.wire import sse
from apertura.wire.dialect import Decoder, Encoder, Tap
from apertura.wire.events import (
    CONTENT,
    Event,
    Failed,
    Finished,
    Media,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    UsageReported,
)

HELD_MOST = 16 * 1024 * 1024
"""Bytes that may wait for `close`."""


class Reading(Protocol):
    """One streamed reply, event by event."""

    ending: bool
    """The success marker was seen: this event and what follows wait for `close`."""
    ended: bool
    """No more is due from the provider."""

    def take(self, event: sse.SseEvent) -> list[Event]:
        """What one event of the stream says. Raises: Garbled, or the error that it reports."""
        ...

    def close(self) -> list[Event]:
        """The stream has ended: what is still due (`Finished`, usage). Raises: Cut."""
        ...


def cut() -> Cut:
    """The error of a stream that ends before it is complete."""
    return Cut("The provider's reply ended before it was complete.")


class ReadingDecoder:
    """Bytes to events, by a format's reading (`dialect.Decoder`)."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._reader = sse.Reader()
        self._over = False

    @property
    def ended(self) -> bool:
        """No more is due from the provider."""
        return self._over or self._reading.ended

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if self._over or self._reading.ended:
            return events
        try:
            for event in self._reader.feed(data):
                if self._reading.ended:
                    break
                events += self._reading.take(event)
        except AperturaError as error:
            self._over = True
            events.append(Failed(error=error))
        return events

    def close(self) -> list[Event]:
        """The bytes have ended: what is still due."""
        if self._over:
            return []
        events = [] if self._reader.idle or self._reading.ended else self.feed(b"\n\n")
        if events and isinstance(events[-1], Failed):
            if isinstance(events[-1].error, Garbled):  # half an event
                events[-1] = Failed(error=cut())
            return events
        self._over = True
        try:
            return events + self._reading.close()
        except AperturaError as error:
            return [*events, Failed(error=error)]


class _Heard:
    """What a tap has heard so far (`dialect.Tap`)."""

    def __init__(self) -> None:
        self.content = False
        self.usage: Usage | None = None
        self.finished = False
        self.ended = False
        self.pieces = 0
        self.chars = 0
        self.salvage = b""

    def _hear(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                    self.chars += len(text)
                case ToolCall(arguments=arguments, name=name):
                    self.chars += len(arguments) + len(name or "")
                case Media():
                    self.chars += 1
                case UsageReported(usage=usage):
                    self.usage = usage
                case Finished():
                    self.finished = True
                case _:
                    continue
            if isinstance(event, CONTENT):
                self.content = True
                self.pieces += 1


class PassingTap(_Heard):
    """A stream whose caller and provider speak the same format: whole events pass as they came."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading
        self._reader = sse.Reader()
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What the caller gets for these bytes. Raises: Garbled, or the provider's error."""
        out: list[bytes] = []
        reading = self._reading
        try:
            for event in self._reader.feed(data):
                if self.ended:
                    break
                self._hear(reading.take(event))
                if not event.data.strip():  # some keep a connection alive so
                    continue
                framed = sse.frame(event.data, event.name)
                if reading.ending:
                    self._hold(framed)
                else:
                    out.append(framed)
                self.ended = reading.ended
        except AperturaError:
            self.salvage = b"".join(out)
            raise
        return b"".join(out)

    def close(self) -> bytes:
        """The provider's bytes have ended: what is still due. Raises: Cut."""
        last = b""
        if not self.ended and not self._reader.idle:
            try:
                last = self.feed(b"\n\n")
            except Garbled:
                raise cut() from None
        self.salvage = last
        self._hear(self._reading.close())
        return last + b"".join(self._held)

    def _hold(self, framed: bytes) -> None:
        self._held.append(framed)
        self._held_bytes += len(framed)
        if self._held_bytes > HELD_MOST:
            raise Garbled("The provider sent too much after the end of its answer.")


class TranslatingTap(_Heard):
    """A stream that leaves in another format than it came in."""

    def __init__(self, decoder: Decoder, encoder: Encoder) -> None:
        super().__init__()
        self._decoder, self.encoder = decoder, encoder

    def feed(self, data: bytes) -> bytes:
        """What the caller gets for these bytes. Raises: what the provider's stream failed with."""
        out = self._say(self._decoder.feed(data))
        self.ended = self._decoder.ended
        return out

    def close(self) -> bytes:
        """The provider's bytes have ended: what is still due. Raises: Cut."""
        last = self._say(self._decoder.close())
        if not self.finished:
            self.salvage = last
            raise cut()
        return last + self.encoder.close()

    def _say(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        failure = events[-1]
        if isinstance(failure, Failed):
            events = events[:-1]
            self._hear(events)
            self.salvage = self.encoder.feed(events)
            raise failure.error
        self._hear(events)
        return self.encoder.feed(events)


class TapOver:
    """Another tap's stream with something done to its bytes; what was heard is the other's."""

    content = finished = ended = False
    usage: Usage | None = None
    pieces = chars = 0
    salvage = b""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    def feed(self, data: bytes) -> bytes:
        """As the other tap's."""
        try:
            out = self._tap.feed(data)
        except AperturaError:
            self._save()
            raise
        self._hear()
        return self.pass_on(out)

    def close(self) -> bytes:
        """As the other tap's."""
        try:
            end = self._tap.close()
        except AperturaError:
            self._save()
            raise
        self._hear()
        return self.pass_last(end)

    def pass_on(self, out: bytes) -> bytes:
        """What becomes of whole events on their way."""
        raise NotImplementedError

    def pass_last(self, end: bytes) -> bytes:
        """What becomes of the end of the stream."""
        raise NotImplementedError

    def _hear(self) -> None:
        tap = self._tap
        self.content, self.finished, self.ended = tap.content, tap.finished, tap.ended
        self.usage, self.pieces, self.chars = tap.usage, tap.pieces, tap.chars

    def _save(self) -> None:
        self._hear()
        self.salvage = self.pass_on(self._tap.salvage) if self._tap.salvage else b""
