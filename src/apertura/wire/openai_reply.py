"""An answer of a provider in OpenAI's chat format, as events.

The decoder takes what the many providers of this format really send. Most of a stream is plain
pieces of text, which are decoded many at once; the rest is looked at one by one. What it is not:
the path of a stream whose caller speaks this format too; that one passes (`openai_listen`).

The rule that keeps it honest: nothing a provider sends is trusted to be there, to be of its type or
to come in order; and the quick way and the careful way give the same events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from apertura.errors import AperturaError, Cut, Garbled
from apertura.wire import sse
from apertura.wire.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)
from apertura.wire.openai_asides import Sound, Thinking, citations, images
from apertura.wire.openai_chunks import NOT_READ, any_json, words
from apertura.wire.openai_tools import CallPieces
from apertura.wire.openai_usage import lenient_report, usage_of
from apertura.wire.provider_errors import error_within, is_error

CHOICES_MAX = 128

_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
}


class _Delta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: None = None
    refusal: None = None
    function_call: None = None
    reasoning_details: None = None
    annotations: None = None
    audio: None = None
    images: None = None


class _Part(Struct, gc=False):
    delta: _Delta
    finish_reason: None = None
    index: int = 0
    message: None = None


class _Chunk(Struct, gc=False):
    """What nearly every chunk is: a piece of one choice's words, and nothing else that is an event.
    Anything else does not decode, and is looked at more closely.
    """

    choices: tuple[_Part]
    usage: None = None
    error: Literal["never"] | UnsetType = UNSET


_decode_plain = msgspec.json.Decoder(list[_Chunk]).decode
_LAST = 3
"""Events at the end of a read that are looked at one by one: an answer ends in so many."""


class _Choice:
    """What one choice has said so far."""

    __slots__ = ("begins", "calls", "chars", "index", "reason", "sound", "spoken", "thinking")

    def __init__(self, index: int) -> None:
        self.index = index
        self.reason: str | None = None
        self.spoken = False
        self.chars = 0
        self.begins: int | None = None
        """Where the current text began, among the characters of all texts; None between texts."""
        self.calls = CallPieces(index)
        self.thinking = Thinking(index)
        self.sound = Sound(index)

    def text(self, text: str) -> Text:
        """A piece of text."""
        if self.begins is None:
            self.begins = self.chars
        self.chars += len(text)
        self.spoken = True
        return Text(text=text, choice=self.index)

    def finish(self) -> Finished:
        """Why it ended; a choice that called tools says so, whatever the provider calls it."""
        reason = _REASONS.get((self.reason or "").lower(), "stop")
        if reason == "stop" and self.calls.any:
            reason = "tool_calls"
        return Finished(reason=reason, choice=self.index)


class ChatDecoder:
    """One streamed answer of a provider."""

    def __init__(self) -> None:
        self._reader = sse.Reader()
        self._choices: dict[int, _Choice] = {}
        self._usage: UsageReported | None = None
        self._started: Started | None = None
        self._over = False

    @property
    def ended(self) -> bool:
        """The provider said `[DONE]`, or failed."""
        return self._over

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if self._over:
            return events
        reader = self._reader
        try:
            parts = sse.canonical(data) if reader.idle else None
            if parts is None:
                parts = [event.data for event in reader.feed(data)]
            else:
                reader.at_start = False
            if self._started is None or not self._plain(parts, events):
                self._each(parts, events)
        except AperturaError as error:
            self._over = True
            events.append(Failed(error=error))
        return events

    def close(self) -> list[Event]:
        """The bytes have ended: what is still due."""
        if self._over:
            return []
        tail = [] if self._reader.idle else self.feed(b"\n\n")
        if tail and isinstance(tail[-1], Failed) and isinstance(tail[-1].error, Garbled):
            tail.pop()
        elif self._over:
            return tail
        elif self._choices and all(choice.reason for choice in self._choices.values()):
            return tail + self._finish()
        self._over = True
        return [*tail, Failed(error=Cut("The provider's reply ended before it was complete."))]

    def whole(self, body: bytes) -> list[Event]:
        """An answer that came at once. Raises: Garbled, or the error that it holds."""
        events: list[Event] = []
        self._document(any_json(body)[0], events)
        if not self._choices:
            raise Garbled("The provider sent a reply without an answer.")
        return events + self._finish()

    def _each(self, parts: list[bytes], events: list[Event]) -> None:
        """The first chunk and the last ones closely; what is between them at once, if it can be."""
        first = 1 if self._started is None else 0
        for part in parts[:first]:
            self._take(part, events)
        middle = parts[first:-_LAST] if self._started is not None else []
        if middle and self._plain(middle, events):
            first += len(middle)
        for part in parts[first:]:
            self._take(part, events)

    def _plain(self, parts: list[bytes], events: list[Event]) -> bool:
        """Events that are all plain pieces of words; False, and nothing said, if one is not."""
        joined = b"[%b]" % b",".join(parts)
        try:
            joined.isascii() or joined.decode()
            chunks = _decode_plain(joined)
        except NOT_READ:
            return False
        if len(chunks) != len(parts):
            return False
        choices = self._choices
        for chunk in chunks:
            part = chunk.choices[0]
            delta = part.delta
            choice = choices.get(part.index) or self._choice_at(part.index)
            thought = delta.reasoning_content or delta.reasoning
            if thought:
                events.append(choice.thinking.shown(thought))
                choice.spoken = True
                choice.begins = None
            if delta.content:
                events.append(choice.text(delta.content))
        return True

    def _take(self, data: bytes, events: list[Event]) -> None:
        """One event's data."""
        data = data.strip()
        if data == b"[DONE]" and not self._over:
            events.extend(self._finish())
        elif data and not self._over:
            self._document(any_json(data)[0], events)

    def _document(self, found: object, events: list[Event]) -> None:
        """One chunk, or a whole reply."""
        if not isinstance(found, dict):
            raise Garbled("The provider sent something that is not a part of an answer.")
        if is_error(found.get("error")):
            raise error_within(found["error"])
        if "choices" not in found and "usage" not in found:
            raise Garbled("The provider sent something that is not a part of an answer.")
        usage = usage_of(lenient_report(found.get("usage")))
        if usage is not None:
            self._usage = UsageReported(usage=usage)
        choices = found.get("choices") or []
        if not isinstance(choices, list):
            raise Garbled("The provider sent something that is not a part of an answer.")
        if choices and self._started is None:
            self._started = _started(found)
            events.append(self._started)
        for position, choice in enumerate(choices):
            self._choice(choice, position, events)

    def _choice(self, found: object, position: int, events: list[Event]) -> None:
        """One choice of one chunk."""
        if not isinstance(found, dict):
            raise Garbled("The provider sent something that is not a part of an answer.")
        index = found.get("index")
        choice = self._choice_at(index if isinstance(index, int) else position)
        delta, message = found.get("delta"), found.get("message")
        if isinstance(delta, dict):
            _said(delta, choice, events)
            _call(choice.calls.take(delta), choice, events)
        if isinstance(message, dict):
            if not choice.spoken:
                _said(message, choice, events)
            _call(choice.calls.take(message, whole=True), choice, events)
        reason = found.get("finish_reason")
        if isinstance(reason, str) and reason:
            choice.reason = reason

    def _choice_at(self, index: int) -> _Choice:
        if index not in self._choices:
            if not 0 <= index < CHOICES_MAX:
                raise Garbled("The provider sent more choices than there can be.")
            self._choices[index] = _Choice(index)
        return self._choices[index]

    def _finish(self) -> list[Event]:
        """The end: one `Finished` per choice, then usage."""
        self._over = True
        events: list[Event] = []
        if self._started is None:
            events.append(_started({}))
            self._choices.setdefault(0, _Choice(0))
        for choice in self._choices.values():
            events.extend(choice.calls.rest())
            events.extend(choice.sound.rest())
        events.extend(self._choices[index].finish() for index in sorted(self._choices))
        if self._usage is not None:
            events.append(self._usage)
        return events


def _started(found: dict[str, Any]) -> Started:
    """What the first chunk says; what it does not say stays empty, for the encoder to fill."""
    call_id, created, model = found.get("id"), found.get("created"), found.get("model")
    whole = isinstance(created, int | float) and 0 < created < 2**53
    return Started(
        id=call_id if isinstance(call_id, str) else "",
        created=int(created) if whole and created is not None else 0,
        model=model if isinstance(model, str) else "",
    )


def _said(delta: dict[str, Any], choice: _Choice, events: list[Event]) -> None:
    """All of a delta or a message but its calls."""
    thought = words(delta.get("reasoning_content")) or words(delta.get("reasoning"))
    content = delta.get("content")
    if isinstance(content, list):
        thought = thought or _thinking(content)
        content = [part for part in content if not _is_thinking(part)]
    _aside(choice.thinking.take(thought, delta.get("reasoning_details")), choice, events)
    spoken = choice.sound.take(delta)
    if text := words(content) or spoken:
        events.append(choice.text(text))
    events.extend(citations(delta, choice.index, choice.begins or 0))
    if refusal := words(delta.get("refusal")):
        _aside([Refusal(text=refusal, choice=choice.index)], choice, events)
    _aside(images(delta, choice.index), choice, events)


def _aside(found: Iterable[Event], choice: _Choice, events: list[Event]) -> None:
    """Content that ends a text."""
    before = len(events)
    events.extend(found)
    if len(events) > before:
        choice.spoken = True
        choice.begins = None


def _call(found: list[Event], choice: _Choice, events: list[Event]) -> None:
    """Calls to tools; what goes on with a call does not end a text."""
    if any(not isinstance(event, ToolCall) or event.id for event in found):
        choice.begins = None
    events.extend(found)


def _is_thinking(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def _thinking(content: list[Any]) -> str:
    return words([part for part in content if _is_thinking(part)])


def decoder() -> ChatDecoder:
    """For one streamed answer of a provider."""
    return ChatDecoder()


def parse_reply(body: bytes) -> list[Event]:
    """A whole answer of a provider. Raises: Garbled, or the error that it holds."""
    return ChatDecoder().whole(body)
