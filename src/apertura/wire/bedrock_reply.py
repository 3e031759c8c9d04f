"""An answer of Amazon Bedrock's Converse API, as events: from its binary stream, or whole.

What it is not: the frames (`eventstream`). Cached tokens stand beside the input here; the reply has
no id, no time and no model's name.

The rule that keeps it honest: whatever the bytes, reading them ends in events, in `Garbled`, `Cut`,
or the error that they report; an answer is complete with its reason, and a report may follow it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from apertura.domain.usage import Usage, tidy
from apertura.errors import AperturaError, Garbled
from apertura.wire.bedrock_errors import exception
from apertura.wire.chat import Citation, MediaPart
from apertura.wire.events import (
    Cited,
    Event,
    Failed,
    Finished,
    FinishReason,
    Media,
    Reasoning,
    Started,
    Text,
    ToolCall,
    UsageReported,
)
from apertura.wire.eventstream import Frame, Reader
from apertura.wire.openai_chunks import any_json
from apertura.wire.passing import cut
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED

CALLS_MAX = 512
STATE_MAX = 4 * 1024 * 1024
"""Characters of state that may wait for their block to close."""

_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
}
_FAILED = ("malformed_model_output", "malformed_tool_use")
_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Thought(Struct, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Input(Struct, gc=False):
    input: str | None = None


class _Delta(Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _Thought | None = None
    citation: Raw | UnsetType = UNSET


class _TextDelta(Struct, gc=False, rename="camel"):
    """The payload of `contentBlockDelta`."""

    delta: _Delta | None = None
    content_block_index: int = 0


_decode_delta = msgspec.json.Decoder(_TextDelta).decode


def _loosely(found: dict[str, Any]) -> _TextDelta:
    """What can be understood where members have types that the format does not know."""
    delta = _dict(found.get("delta"))
    thought, call = _dict(delta.get("reasoningContent")), _dict(delta.get("toolUse"))
    return _TextDelta(
        delta=_Delta(
            text=_text(delta.get("text")),
            tool_use=_Input(input=_text(call.get("input"))),
            reasoning_content=_Thought(
                text=_text(thought.get("text")), signature=_text(thought.get("signature"))
            ),
        ),
        content_block_index=_index(found),
    )


class _Answer:
    """What an answer has said so far."""

    def __init__(self) -> None:
        self.events: list[Event] = [Started(id="", created=0, model="")]
        self.reason: str | None = None
        self._calls: dict[int, int] = {}
        self._begun = 0
        self._signatures: dict[int, list[str]] = {}
        self._redacted: dict[int, list[str]] = {}
        self._waiting = 0

    def taken(self) -> list[Event]:
        """The events since the last time."""
        events, self.events = self.events, []
        return events

    def begin(self, found: dict[str, Any]) -> None:
        """`contentBlockStart`."""
        call = _dict(_dict(found.get("start")).get("toolUse"))
        if call:
            self.call(_index(found), call, "")

    def call(self, block: int, call: dict[str, Any], arguments: str) -> None:
        """A call to a tool begins, perhaps with all its arguments."""
        if self._begun >= CALLS_MAX:
            raise Garbled("The provider sent more tool calls than there can be.")
        number = self._calls[block] = self._begun
        self._begun += 1
        self.events.append(
            ToolCall(
                index=number,
                id=_text(call.get("toolUseId")) or f"call_{number}",
                name=_text(call.get("name")),
                arguments=arguments,
            )
        )

    def delta(self, payload: bytes) -> None:
        """`contentBlockDelta`."""
        try:
            payload.isascii() or payload.decode()
            found = _decode_delta(payload)
        except _NOT_READ:
            found = _loosely(_dict(any_json(payload)[0]))
        delta, block = found.delta, found.content_block_index
        if delta is None:
            return
        if delta.text:
            self.events.append(Text(text=delta.text))
        if delta.tool_use is not None and delta.tool_use.input and block in self._calls:
            piece = delta.tool_use.input
            self.events.append(ToolCall(index=self._calls[block], arguments=piece))
        if delta.reasoning_content is not None:
            self._thought(delta.reasoning_content, block)
        if delta.citation is not UNSET:
            self.cite(_dict(any_json(delta.citation)[0]))

    def _thought(self, found: _Thought, block: int) -> None:
        if found.text:
            self.events.append(Reasoning(text=found.text))
        for piece, waiting in (
            (found.signature, self._signatures),
            (found.redacted_content, self._redacted),
        ):
            if piece:
                self._waiting += len(piece)
                if self._waiting > STATE_MAX:
                    raise Garbled("The provider sent more reasoning state than there can be.")
                waiting.setdefault(block, []).append(piece)

    def end(self, block: int) -> None:
        """`contentBlockStop`: state is whole now."""
        for waiting, origin in (
            (self._signatures, ANTHROPIC),
            (self._redacted, ANTHROPIC_REDACTED),
        ):
            state = "".join(waiting.pop(block, ()))
            if state:
                self._waiting -= len(state)
                self.events.append(Reasoning(state=state, origin=origin))

    def block(self, number: int, found: dict[str, Any]) -> None:
        """A whole block of a whole reply."""
        if text := _text(found.get("text")):
            self.events.append(Text(text=text))
        if call := _dict(found.get("toolUse")):
            self.call(number, call, _json(call.get("input")))
        thought = _dict(found.get("reasoningContent"))
        shown = _dict(thought.get("reasoningText"))
        whole = _Thought(
            text=_text(shown.get("text")),
            signature=_text(shown.get("signature")),
            redacted_content=_text(thought.get("redactedContent")),
        )
        self._thought(whole, number)
        self.end(number)
        cited = _dict(found.get("citationsContent"))
        texts = [_text(piece.get("text")) for piece in _dicts(cited.get("content"))]
        self.events += [Text(text=text) for text in texts if text]
        for citation in _dicts(cited.get("citations")):
            self.cite(citation)
        self.picture(_dict(found.get("image")))

    def cite(self, found: dict[str, Any]) -> None:
        """A page on the web; other sources have no address."""
        url = _text(_dict(_dict(found.get("location")).get("web")).get("url"))
        if url:
            citation = Citation(url=url, title=_text(found.get("title")))
            self.events.append(Cited(citation=citation))

    def picture(self, found: dict[str, Any]) -> None:
        """An image that the model made."""
        data, kind = _text(_dict(found.get("source")).get("bytes")), _text(found.get("format"))
        if data:
            part = MediaPart(kind="image", data=data, mime=f"image/{kind or 'png'}")
            self.events.append(Media(part=part))

    def finish(self, usage: Usage | None) -> list[Event]:
        """The end. Raises: Garbled, for a model that failed at its own format."""
        for block in sorted({*self._signatures, *self._redacted}):
            self.end(block)
        if self.reason in _FAILED:
            raise Garbled("The model failed at the form of its own answer.")
        reason = _REASONS.get(self.reason or "", "stop")
        if reason == "stop" and self._begun:
            reason = "tool_calls"
        ends: list[Event] = [*self.taken(), Finished(reason=reason)]
        return ends if usage is None else [*ends, UsageReported(usage=usage)]


class ConverseDecoder:
    """One streamed answer (`dialect.Decoder`)."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._answer: _Answer | None = None
        self._usage: Usage | None = None
        self._reported = False
        self._over = False

    @property
    def ended(self) -> bool:
        """The report came, which is last; or the stream failed."""
        return self._over or self._reported

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if self.ended:
            return events
        try:
            for frame in self._reader.feed(data):
                if not self._reported:
                    self._take(frame)
                    events += [] if self._answer is None else self._answer.taken()
        except AperturaError as error:
            self._over = True
            events.append(Failed(error=error))
        return events

    def close(self) -> list[Event]:
        """The bytes have ended: what is still due."""
        if self._over:
            return []
        self._over = True
        answer = self._answer
        if answer is None or answer.reason is None:
            return [Failed(error=cut())]
        try:
            return answer.finish(self._usage)
        except AperturaError as error:
            return [Failed(error=error)]

    def _take(self, frame: Frame) -> None:
        """One frame. Raises: Garbled, or the error that it reports."""
        headers, payload = frame.headers, frame.payload
        kind = headers.get(":message-type", "event")
        if kind == "exception":
            raise exception(headers.get(":exception-type", ""), payload)
        if kind == "error":
            raise exception(headers.get(":error-code", ""), b"{}")
        name = headers.get(":event-type", "")
        if name.endswith("Exception"):
            raise exception(name, payload)
        if self._answer is None:
            self._answer = _Answer()
        answer = self._answer
        if name == "contentBlockDelta":
            answer.delta(payload)
        elif name in ("contentBlockStart", "contentBlockStop", "messageStop", "metadata"):
            self._mark(name, answer, _dict(any_json(payload)[0]))

    def _mark(self, name: str, answer: _Answer, found: dict[str, Any]) -> None:
        """An event that is not a piece of content."""
        if name == "contentBlockStart":
            answer.begin(found)
        elif name == "contentBlockStop":
            answer.end(_index(found))
        elif name == "messageStop":
            answer.reason = _text(found.get("stopReason")) or "end_turn"
        else:
            self._usage = usage_of(found.get("usage")) or self._usage
            self._reported = answer.reason is not None


def decoder() -> ConverseDecoder:
    """For one streamed answer of a provider."""
    return ConverseDecoder()


def parse_reply(body: bytes) -> list[Event]:
    """A whole answer of a provider. Raises: Garbled, or the error that it holds."""
    found = _dict(any_json(body)[0])
    message = _dict(_dict(found.get("output")).get("message"))
    answer = _Answer()
    answer.reason = _text(found.get("stopReason"))
    if not message and not answer.reason:
        raise Garbled("The provider sent a reply without an answer.")
    for number, block in enumerate(_dicts(message.get("content"))):
        answer.block(number, block)
    return answer.finish(usage_of(found.get("usage")))


def usage_of(report: object) -> Usage | None:
    """What was consumed; None if the report says nothing."""
    found = _dict(report)
    if not {"inputTokens", "outputTokens"} & found.keys():
        return None
    read, written = _count(found, "cacheReadInputTokens"), _count(found, "cacheWriteInputTokens")
    details = _dicts(found.get("cacheDetails"))
    long = sum(_count(one, "inputTokens") for one in details if one.get("ttl") == "1h")
    long = min(long, written)
    return tidy(
        Usage(
            input=_count(found, "inputTokens") + read + written,
            cache_read=read,
            cache_write=written - long,
            cache_write_1h=long,
            output=_count(found, "outputTokens"),
        )
    )


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value if isinstance(value, dict) else {}).decode()
    except RecursionError:
        raise Garbled("The provider sent arguments that are nested too deeply.") from None


def _index(found: dict[str, Any]) -> int:
    index = found.get("contentBlockIndex")
    return index if isinstance(index, int) else 0


def _count(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**62:
        return 0
    return int(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
