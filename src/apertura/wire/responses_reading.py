"""A provider's answer in OpenAI's Responses format, streamed or whole, to events.

Takes what providers and their clones really send; what a piece belongs to is found in
`responses_pieces`. What it is not: a check of order or of numbers; sequence numbers are not read.

The rule that keeps it honest: an answer is complete when the provider says `response.completed` or
`response.incomplete`, and what that event holds beyond the deltas is said then.
"""

from __future__ import annotations

from typing import Any

import msgspec

from apertura.errors import Garbled
from apertura.wire.dialect import ReplyFacts
from apertura.wire.events import (
    CONTENT,
    Content,
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
from apertura.wire.openai_chunks import any_json
from apertura.wire.passing import PassingTap, ReadingDecoder, cut
from apertura.wire.provider_errors import error_within, is_error
from apertura.wire.responses_pieces import CALL, KINDS, MESSAGE, THOUGHT, Item, Items, Part
from apertura.wire.responses_usage import usage_of
from apertura.wire.sse import SseEvent

TEXT_DELTA = "response.output_text.delta"
_DELTAS = {
    TEXT_DELTA: MESSAGE,
    "response.refusal.delta": MESSAGE,
    "response.reasoning_summary_text.delta": THOUGHT,
    "response.reasoning_text.delta": THOUGHT,
    "response.function_call_arguments.delta": CALL,
}
"""Events that bring a piece, and the kind of item that it is of."""
_DONE = {
    "response.output_text.done": MESSAGE,
    "response.refusal.done": MESSAGE,
    "response.output_text.annotation.added": MESSAGE,
    "response.reasoning_summary_text.done": THOUGHT,
    "response.reasoning_text.done": THOUGHT,
    "response.function_call_arguments.done": CALL,
}
_ENDS = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)
_REASONS: dict[str, FinishReason] = {"content_filter": "content_filter"}
_NOT_AN_ANSWER = "The provider sent something that is not a part of an answer."


class _Line(msgspec.Struct, gc=False):
    """What a delta says; of other events only the type."""

    type: str = ""
    delta: str | None = None
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    summary_index: int | None = None


class _Last(msgspec.Struct, gc=False):
    """The event that ends a stream."""

    response: msgspec.Raw = msgspec.Raw(b"")


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_last = msgspec.json.Decoder(_Last).decode


class Reading:
    """One streamed answer (`passing.Reading`)."""

    def __init__(self) -> None:
        self.ending = False
        self.ended = False
        self.response = b""
        """The whole response as the provider wrote it, once the stream is complete."""
        self._items = Items()
        self._started = False
        self._usage: UsageReported | None = None
        self._reason: FinishReason = "stop"
        self._text: Part | None = None
        self._text_at: tuple[int | None, str | None, int | None] = (None, None, None)

    def take(self, event: SseEvent) -> list[Event]:
        """What one event says. Raises: Garbled, or the error that it reports."""
        if self.ended:
            return []
        try:
            event.data.isascii() or event.data.decode()
            line = _decode_line(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._other(event)
        if line.type not in _DELTAS or line.delta is None:
            return self._other(event)
        if line.type == TEXT_DELTA and self._text is not None:
            place = (line.output_index, line.item_id, line.content_index)
            if place == self._text_at:
                self._text.chars += len(line.delta)
                return [Text(text=line.delta)]
        return [*self._begin({}), *self._delta(line, line.delta)]

    def close(self) -> list[Event]:
        """The stream has ended: what is still due. Raises: Cut."""
        if not self.ended:
            raise cut()
        events: list[Event] = [Finished(reason=self._reason)]
        return events if self._usage is None else [*events, self._usage]

    def whole(self, found: object) -> list[Event]:
        """An answer that came at once. Raises: Garbled, or the error that it holds."""
        if not isinstance(found, dict):
            raise Garbled(_NOT_AN_ANSWER)
        if is_error(found.get("error")):
            raise error_within(found["error"])
        if not isinstance(found.get("output"), list):
            raise Garbled("The provider sent a reply without an answer.")
        return self._complete(found, "") + self.close()

    def _delta(self, line: _Line, delta: str) -> list[Content]:
        """One piece."""
        items = self._items
        item = items.at(_DELTAS[line.type], line.output_index, line.item_id)
        match line.type:
            case "response.output_text.delta":
                self._text = items.part(item, "text", line.content_index)
                self._text_at = (line.output_index, line.item_id, line.content_index)
                self._text.chars += len(delta)
                return [Text(text=delta)]
            case "response.refusal.delta":
                items.part(item, "refusal", line.content_index).chars += len(delta)
                return [Refusal(text=delta)]
            case "response.function_call_arguments.delta":
                return list(items.arguments(item, delta))
            case "response.reasoning_text.delta":
                return list(items.think(item, "content", line.content_index, delta))
            case _:
                return list(items.think(item, "summary", line.summary_index, delta))

    def _other(self, event: SseEvent) -> list[Event]:
        """Any event that is not a piece."""
        data = event.data.strip()
        if data == b"[DONE]":
            self.ended = self.ending = self._items.all_closed
            return list(self._rest()) if self.ended else []
        if not data:
            return []
        found = any_json(data)[0]
        if not isinstance(found, dict):
            raise Garbled(_NOT_AN_ANSWER)
        kind = found.get("type")
        if not isinstance(kind, str):
            kind = (event.name or b"").decode("ascii", "replace")
        self._refuse(found, kind)
        if kind in _ENDS or (not kind and found.get("object") == "response"):
            response = found.get("response") if kind in _ENDS else found
            self.response = _written(data) if kind in _ENDS else data
            return self._complete(response if isinstance(response, dict) else {}, kind)
        if kind in ("response.created", "response.in_progress", "response.queued"):
            response = found.get("response")
            return self._begin(response if isinstance(response, dict) else {})
        said = self._said(found, kind)
        return [*self._begin({}), *said] if said else []

    def _said(self, found: dict[str, Any], kind: str) -> list[Content]:
        """What an event about an item says."""
        items, index, item_id = self._items, found.get("output_index"), found.get("item_id")
        if kind in ("response.output_item.added", "response.output_item.done"):
            whole = found.get("item")
            if not isinstance(whole, dict) or (name := _kind(whole)) is None:
                return []
            item = items.announced(name, index, whole.get("id"))
            if kind.endswith("done"):
                return list(items.close(item, whole))
            return list(items.call(item, whole)) if item.kind == CALL else []
        if kind in _DELTAS and isinstance(delta := found.get("delta"), str):
            return self._delta(_loose(found, kind), delta)
        if kind not in _DONE:
            return []
        return list(self._done(items.at(_DONE[kind], index, item_id), found, kind))

    def _done(self, item: Item, found: dict[str, Any], kind: str) -> list[Content]:
        """What the end of a part says."""
        items, index = self._items, found.get("content_index")
        match kind:
            case "response.output_text.done":
                return list(items.text(item, index, found.get("text")))
            case "response.refusal.done":
                return list(items.refusal(item, index, found.get("refusal")))
            case "response.output_text.annotation.added":
                return list(items.cite(item, index, found.get("annotation")))
            case "response.function_call_arguments.done":
                named = {"name": found.get("name"), "arguments": found.get("arguments")}
                return list(items.call(item, named))
            case "response.reasoning_text.done":
                return list(items.thought(item, "content", index, found.get("text")))
            case _:
                part = found.get("summary_index")
                return list(items.thought(item, "summary", part, found.get("text")))

    def _complete(self, response: dict[str, Any], kind: str) -> list[Event]:
        """The whole response: what was not said yet, why it ended, what it consumed."""
        failed = kind in ("response.failed", "response.cancelled")
        if failed or response.get("status") in ("failed", "cancelled"):
            raise error_within(response.get("error") or {})
        events = self._begin(response)
        output = response.get("output")
        numbers = dict.fromkeys(KINDS, 0)
        for whole in output if isinstance(output, list) else ():
            if isinstance(whole, dict) and (name := _kind(whole)) is not None:
                item = self._items.nth(name, numbers[name], whole.get("id"))
                numbers[name] += 1
                events += self._items.close(item, whole)
        events += self._rest()
        self._reason = self._why(response, kind)
        if (usage := usage_of(response.get("usage"))) is not None:
            self._usage = UsageReported(usage=usage)
        self.ending = self.ended = True
        return events

    def _why(self, response: dict[str, Any], kind: str) -> FinishReason:
        """Why it ended; an answer that called tools says so."""
        if kind == "response.incomplete" or response.get("status") == "incomplete":
            details = response.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            return _REASONS.get(reason, "length") if isinstance(reason, str) else "length"
        return "tool_calls" if self._items.calls else "stop"

    def _rest(self) -> list[Content]:
        """Calls whose tool was never named."""
        rest = list(self._items.rest())
        if self._items.calls:
            self._reason = "tool_calls"
        return rest

    def _begin(self, response: dict[str, Any]) -> list[Event]:
        """What comes before all else, once."""
        if self._started:
            return []
        self._started = True
        answer_id, created, model = (response.get(n) for n in ("id", "created_at", "model"))
        whole = isinstance(created, int | float) and 0 < created < 2**53
        return [
            Started(
                id=answer_id if isinstance(answer_id, str) else "",
                created=int(created) if whole and created is not None else 0,
                model=model if isinstance(model, str) else "",
            )
        ]

    @staticmethod
    def _refuse(found: dict[str, Any], kind: str) -> None:
        """Raises: the error that an event reports."""
        error = found.get("error")
        if kind == "error":
            raise error_within(error if is_error(error) else found)
        if is_error(error) and not kind.startswith("response."):
            raise error_within(error)


def _kind(item: dict[str, Any]) -> str | None:
    """What an item is, of those that say something."""
    kind = item.get("type")
    return kind if isinstance(kind, str) and kind in KINDS else None


def _loose(found: dict[str, Any], kind: str) -> _Line:
    """A piece some of whose members have types that the format does not know."""
    item_id = found.get("item_id")
    line = _Line(type=kind, item_id=item_id if isinstance(item_id, str) else None)
    for name in ("output_index", "content_index", "summary_index"):
        if isinstance(number := found.get(name), int):
            setattr(line, name, number)
    return line


def _written(data: bytes) -> bytes:
    """The response within the event that ends a stream, as the provider wrote it."""
    try:
        return bytes(_decode_last(data).response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


class ResponsesTap(PassingTap):
    """A stream that passes; at its end, the whole response that it held."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self._read = reading
        self.passed = 0
        """Events that have passed, and so the number of the next one."""

    @property
    def response(self) -> bytes:
        """The provider's response object, for keeping; empty before the end."""
        return self._read.response

    def _hear(self, events: list[Event]) -> None:
        super()._hear(events)
        self.passed += 1


def decoder() -> ReadingDecoder:
    """For one streamed answer of a provider."""
    return ReadingDecoder(Reading())


def listen(include_usage: bool) -> ResponsesTap:
    """For one stream that passes; this format always reports usage."""
    return ResponsesTap(Reading())


def parse_reply(body: bytes) -> list[Event]:
    """A whole answer of a provider. Raises: Garbled, or the error that it holds."""
    return Reading().whole(any_json(body)[0])


def check_reply(body: bytes) -> ReplyFacts:
    """A whole answer that passes as it came. Raises: Garbled, or the error that it holds."""
    usage, chars, content = None, 0, False
    for event in parse_reply(body):
        match event:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                chars += len(text)
            case ToolCall(arguments=arguments, name=name):
                chars += len(arguments) + len(name or "")
            case UsageReported(usage=reported):
                usage = reported
        content = content or isinstance(event, CONTENT)
    return ReplyFacts(body=body, usage=usage, chars=chars, content=content)
