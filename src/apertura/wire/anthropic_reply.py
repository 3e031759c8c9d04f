"""An answer in the Messages format, read: a stream event by event, or whole.

What it is not: the content (`anthropic_blocks`) or the way back (`anthropic_write`).

The rule that keeps it honest: whatever the bytes, reading them ends in events, in `Garbled`, in the
error that they report or in `Cut`; a stream is complete with its `message_stop` and not before.
"""

from __future__ import annotations

from apertura.domain.usage import Usage
from apertura.errors import Garbled
from apertura.wire import sse
from apertura.wire.anthropic_blocks import Blocks
from apertura.wire.anthropic_events import Block, Message, StreamEvent, read_event, read_message
from apertura.wire.anthropic_usage import Counts
from apertura.wire.dialect import ReplyFacts, Tap
from apertura.wire.events import (
    CONTENT,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)
from apertura.wire.passing import PassingTap, ReadingDecoder, cut
from apertura.wire.provider_errors import error_within

_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Reading:
    """One streamed answer of a provider (`passing.Reading`)."""

    __slots__ = ("_blocks", "_counts", "_reason", "_sequence", "_started", "ended", "ending")

    def __init__(self) -> None:
        self.ending = False
        self.ended = False
        self._blocks = Blocks()
        self._counts = Counts()
        self._started = False
        self._reason: str | None = None
        self._sequence: str | None = None

    def take(self, event: sse.SseEvent) -> list[Event]:
        """What one event says. Raises: Garbled, or the error that it reports."""
        data = event.data
        if not data.strip() or data == b"[DONE]":
            return []
        found = read_event(data)
        kind = found.type or (event.name or b"").decode(errors="replace")
        if kind == "content_block_delta":
            said = [] if found.delta is None else self._blocks.more(found.index, found.delta)
        elif kind == "content_block_start":
            said = self._blocks.begin(found.index, found.content_block or Block())
        elif kind == "content_block_stop":
            said = self._blocks.end(found.index)
        else:
            return self._about(kind, found)
        return said if self._started or not said else [*self._start(None), *said]

    def _about(self, kind: str, found: StreamEvent) -> list[Event]:
        """An event about the message itself; unknown kinds say nothing."""
        if kind == "error":
            raise error_within({"type": "api_error"})
        if kind == "message_start":
            self._counts.add(found.message.usage if found.message is not None else None)
            return self._start(found.message)
        if kind == "message_delta":
            self._counts.add(found.usage)
            if found.delta is not None:
                self._reason = found.delta.stop_reason or self._reason
                self._sequence = found.delta.stop_sequence or self._sequence
            return []
        if kind == "message_stop":
            self.ending = self.ended = True
            return [*self._start(None), *self._blocks.end_all()]
        return []

    def close(self) -> list[Event]:
        """The stream has ended: why, and what it consumed. Raises: Cut."""
        if not self.ended:
            raise cut()
        return _end(self._reason, self._sequence, self._counts, called=self._blocks.called)

    def _start(self, message: Message | None) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [_started(message or Message())]


def _started(message: Message) -> Started:
    return Started(id=message.id or "", created=0, model=message.model or "")


def _end(reason: str | None, sequence: str | None, counts: Counts, *, called: bool) -> list[Event]:
    why = _REASONS.get(reason or "", "stop")
    if why == "stop" and called:
        why = "tool_calls"
    which = sequence if reason == "stop_sequence" else None
    usage = counts.usage()
    reported = [] if usage is None else [UsageReported(usage=usage)]
    return [Finished(reason=why, stop_sequence=which), *reported]


def parse_reply(body: bytes) -> list[Event]:
    """A whole answer of a provider. Raises: Garbled, or the error that it holds."""
    message = read_message(body)
    if message.content is None:
        raise Garbled("The provider sent a reply without an answer.")
    blocks, counts = Blocks(), Counts()
    counts.add(message.usage)
    events: list[Event] = [_started(message)]
    for index, block in enumerate(message.content):
        events += blocks.begin(index, block)
        events += blocks.end(index)
    end = _end(message.stop_reason, message.stop_sequence, counts, called=blocks.called)
    return events + end


def check_reply(body: bytes) -> ReplyFacts:
    """A whole answer that passes. Raises: Garbled, or the error that it holds."""
    events = parse_reply(body)
    usage: Usage | None = None
    chars = 0
    for event in events:
        match event:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                chars += len(text)
            case ToolCall(arguments=arguments, name=name):
                chars += len(arguments) + len(name or "")
            case UsageReported(usage=reported):
                usage = reported
    content = any(isinstance(event, CONTENT) for event in events)
    return ReplyFacts(body=body, usage=usage, chars=chars, content=content)


def decoder() -> ReadingDecoder:
    """For one streamed answer of a provider."""
    return ReadingDecoder(Reading())


def listen(include_usage: bool) -> Tap:
    """For one stream that passes; its usage is always reported."""
    return PassingTap(Reading())
