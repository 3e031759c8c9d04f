"""An answer in OpenAI's chat format, to events and back.

The decoder takes what the many providers of this format really send; the encoder writes it in the
one way that all clients read. What it is not: the path of a stream whose caller speaks this format
too; that one passes (`openai_listen`).

The rule that keeps it honest: nothing a provider sends is trusted to be there, to be of its type or
to come in order, and what the encoder writes is complete in itself: each call to a tool is one
delta, so that clients that join deltas and clients that do not read the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from apertura.errors import AperturaError, Cut, Garbled
from apertura.wire import sse
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    Answer,
    AnsweredCall,
    AnsweredChoice,
    Event,
    Failed,
    Finished,
    FinishReason,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.openai_chunks import any_json, words
from apertura.wire.openai_errors import render_stream_error
from apertura.wire.openai_listen import DONE
from apertura.wire.openai_tools import CallPieces
from apertura.wire.openai_usage import lenient_report, report_of, usage_of
from apertura.wire.provider_errors import error_within, is_error

CHOICES_MAX = 128
ARGUMENTS_MAX = 16 * 1024 * 1024
"""Characters of tool arguments in one answer."""

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

_encode = msgspec.json.Encoder().encode


class _Choice:
    """What one choice has said so far."""

    __slots__ = ("calls", "index", "reason", "spoken")

    def __init__(self, index: int) -> None:
        self.index = index
        self.reason: str | None = None
        self.spoken = False
        self.calls = CallPieces(index)

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

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if self._over:
            return events
        try:
            for event in self._reader.feed(data):
                self._take(event.data, events)
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
            events.extend(choice.calls.take(delta))
        if isinstance(message, dict):
            if not choice.spoken:
                _said(message, choice, events)
            events.extend(choice.calls.take(message, whole=True))
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
    """The words of a delta or a message."""
    thought = words(delta.get("reasoning_content")) or words(delta.get("reasoning"))
    content = delta.get("content")
    if isinstance(content, list):
        thought = thought or _thinking(content)
        content = [part for part in content if not _is_thinking(part)]
    if thought:
        events.append(Reasoning(text=thought, choice=choice.index))
        choice.spoken = True
    if text := words(content):
        events.append(Text(text=text, choice=choice.index))
        choice.spoken = True
    if refusal := words(delta.get("refusal")):
        events.append(Refusal(text=refusal, choice=choice.index))
        choice.spoken = True


def _is_thinking(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def _thinking(content: list[Any]) -> str:
    return words([part for part in content if _is_thinking(part)])


class ChatEncoder:
    """One streamed answer to a caller."""

    def __init__(self, call: CallFacts) -> None:
        self._call = call
        self._head = _head(call, Started(id="", created=0, model=""))
        self._begun: set[int] = set()
        self._calls: dict[int, list[ToolCall]] = {}
        self._arguments = 0
        self._failed = False

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events. Raises: Garbled, for arguments past all bounds."""
        return b"".join(map(self._say, events))

    def close(self) -> bytes:
        """The end marker, unless the stream failed."""
        return b"" if self._failed else DONE

    def _say(self, event: Event) -> bytes:
        match event:
            case Text(text=text, choice=choice):
                return self._delta(choice, {"content": text})
            case Reasoning(text=text, choice=choice):
                return self._delta(choice, {"reasoning_content": text})
            case Refusal(text=text, choice=choice):
                return self._delta(choice, {"refusal": text})
            case ToolCall():
                return self._gather(event)
            case Finished(reason=reason, choice=choice):
                return self._ended(choice, reason)
            case _:
                return self._say_once(event)

    def _say_once(self, event: Started | UsageReported | Failed) -> bytes:
        match event:
            case Started():
                self._head = _head(self._call, event)
                return b""
            case UsageReported(usage=usage):
                if not self._call.include_usage:
                    return b""
                return sse.frame(self._head + b'[],"usage":' + _encode(report_of(usage)) + b"}")
            case Failed(error=error):
                self._failed = True
                return render_stream_error(error)
            case _:
                assert_never(event)

    def _delta(self, choice: int, delta: dict[str, Any], reason: str | None = None) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = {"role": "assistant", "content": None, **delta}
        said = {"index": choice, "delta": delta, "finish_reason": reason}
        return sse.frame(self._head + _encode([said]) + b"}")

    def _gather(self, piece: ToolCall) -> bytes:
        """Tool calls wait until they are whole; no client can act on a part of one."""
        self._calls.setdefault(piece.choice, []).append(piece)
        self._arguments += len(piece.arguments)
        if self._arguments > ARGUMENTS_MAX:
            raise Garbled("The provider sent tool arguments that are too large.")
        return b""

    def _ended(self, choice: int, reason: FinishReason) -> bytes:
        pieces = self._calls.pop(choice, None)
        calls = fold(pieces).choices[choice].calls if pieces else {}
        out = [
            self._delta(choice, {"tool_calls": [{"index": index, **_call(calls[index])}]})
            for index in sorted(calls)
        ]
        if choice not in self._begun:
            out.append(self._delta(choice, {"content": ""}))
        return b"".join(out) + self._delta(choice, {}, reason)


def _head(call: CallFacts, started: Started) -> bytes:
    """The members that all chunks of a stream share, up to the choices."""
    members = {**_identity(call, started, "chat.completion.chunk")}
    return _encode(members)[:-1] + b',"choices":'


def _identity(call: CallFacts, started: Started, kind: str) -> dict[str, Any]:
    """One id and one time per answer: the provider's, or else ours."""
    return {
        "id": started.id or call.id,
        "object": kind,
        "created": started.created or call.created,
        "model": started.model or call.model,
    }


def _call(call: AnsweredCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def decoder() -> ChatDecoder:
    """For one streamed answer of a provider."""
    return ChatDecoder()


def encoder(call: CallFacts) -> ChatEncoder:
    """For one streamed answer to a caller."""
    return ChatEncoder(call)


def parse_reply(body: bytes) -> list[Event]:
    """A whole answer of a provider. Raises: Garbled, or the error that it holds."""
    return ChatDecoder().whole(body)


def render_reply(events: Iterable[Event], call: CallFacts) -> bytes:
    """A whole answer to a caller. Raises: the error of a `Failed` among the events."""
    answer = fold(events)
    choices = answer.choices or {0: AnsweredChoice()}
    return _encode(
        {
            **_identity(call, answer.started, "chat.completion"),
            "choices": [_whole(index, choices[index]) for index in sorted(choices)],
            **_usage(answer),
        }
    )


def _usage(answer: Answer) -> dict[str, Any]:
    return {} if answer.usage is None else {"usage": report_of(answer.usage)}


def _whole(index: int, choice: AnsweredChoice) -> dict[str, Any]:
    silent = not choice.text and (choice.calls or choice.refusal)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if silent else choice.text,
        "refusal": choice.refusal or None,
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [_call(choice.calls[number]) for number in sorted(choice.calls)]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.reason}
