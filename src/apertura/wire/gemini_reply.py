"""An answer in Gemini's format, as events: chunk by chunk, or whole.

Each chunk is a reply of its own, with pieces of candidates; a call to a tool comes whole. There is
no end marker: a stream is complete when it closes after every candidate has said why it ended.
What it is not: the way back (`gemini_encoder`).

The rule that keeps it honest: nothing a provider sends is trusted to be there, to be of its type or
to come in order; and a model that failed at its own format (`_FAILED`) has not answered, unless it
spoke before and its caller knows this format and what it means.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from apertura.errors import Cut, Garbled
from apertura.wire import sse
from apertura.wire.chat import Citation, MediaPart
from apertura.wire.dialect import ReplyFacts
from apertura.wire.events import (
    CONTENT,
    Cited,
    Event,
    Finished,
    FinishReason,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)
from apertura.wire.gemini_chunks import Candidate, Chunk, Grounding, Part, Segment, Web, read
from apertura.wire.gemini_state import unsign
from apertura.wire.gemini_turns import media_kind
from apertura.wire.gemini_usage import Report, usage_of
from apertura.wire.passing import PassingTap, ReadingDecoder, cut
from apertura.wire.state import GEMINI

CHOICES_MAX = 128
CALLS_MAX = 512
SOURCES_MAX = 1_000
TEXT_KEPT = 4 * 1024 * 1024
"""Characters of text that are kept, to tell where a citation stands."""

_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""The model went wrong, not the request; another try may well succeed."""


class _Choice:
    """What one candidate has said so far."""

    __slots__ = ("calls", "index", "kept", "reason", "sources", "spoken", "text")

    def __init__(self, index: int) -> None:
        self.index = index
        self.reason: str | None = None
        self.spoken = False
        self.calls = 0
        self.text: list[str] = []
        self.kept = 0
        self.sources: list[Web] = []

    def finish(self) -> Finished:
        """Why it ended; a candidate that called tools says so."""
        reason = _REASONS.get(self.reason or "", "stop")
        if reason == "stop" and self.calls:
            reason = "tool_calls"
        return Finished(reason=reason, choice=self.index)


class Reading:
    """One reply (`passing.Reading`). `passing`: its caller gets the provider's own bytes."""

    ended = False
    """Never before the connection ends: the format has no end marker."""

    def __init__(self, *, passing: bool = False) -> None:
        self.ending = False
        self._passing = passing
        self._choices: dict[int, _Choice] = {}
        self._report: Report | None = None
        self._started: Started | None = None
        self._blocked = False

    def take(self, event: sse.SseEvent) -> list[Event]:
        """What one chunk says. Raises: Garbled, or the error that it reports."""
        events: list[Event] = []
        if event.data.strip():
            self.document(read(event.data), events)
        return events

    def document(self, chunk: Chunk, events: list[Event]) -> None:
        """What one chunk, or a whole reply, says."""
        report = chunk.usage_metadata
        if report is not None and report.says_something:
            self._report = report
        if self._started is None:
            self._started = _started(chunk)
            events.append(self._started)
        for position, candidate in enumerate(chunk.candidates or ()):
            index = position if candidate.index is None else candidate.index
            self._candidate(candidate, self._choice(index), events)
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and not self._choices:
            self._blocked = True
        if not self.ending:
            choices = self._choices.values()
            self.ending = self._blocked or (
                bool(choices) and all(choice.reason is not None for choice in choices)
            )

    def close(self) -> list[Event]:
        """The stream has ended: one end for each choice, then usage. Raises: Cut, Garbled."""
        if self._blocked and not self._choices:
            ends: list[Event] = [Finished(reason="content_filter")]
        else:
            choices = [self._choices[index] for index in sorted(self._choices)]
            if not choices or any(choice.reason is None for choice in choices):
                raise cut()
            if any(map(self._has_failed, choices)):
                raise Garbled("The model failed at the form of its own answer.")
            ends = [choice.finish() for choice in choices]
        usage = usage_of(self._report)
        return ends if usage is None else [*ends, UsageReported(usage=usage)]

    def _has_failed(self, choice: _Choice) -> bool:
        return choice.reason in _FAILED and not (self._passing and choice.spoken)

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            if not 0 <= index < CHOICES_MAX:
                raise Garbled("The provider sent more choices than there can be.")
            choice = self._choices[index] = _Choice(index)
        return choice

    def _candidate(self, found: Candidate, choice: _Choice, events: list[Event]) -> None:
        before = len(events)
        if found.content is not None:
            for part in found.content.parts or ():
                self._part(part, choice, events)
        if len(events) > before:
            choice.spoken = True
        if found.grounding_metadata is not None:
            events.extend(_cited(found.grounding_metadata, choice))
        if found.finish_reason and found.finish_reason != "FINISH_REASON_UNSPECIFIED":
            choice.reason = found.finish_reason

    def _part(self, part: Part, choice: _Choice, events: list[Event]) -> None:
        index, text = choice.index, part.text
        if part.thought:
            if text:
                events.append(Reasoning(text=text, origin=GEMINI, choice=index))
            text = None
        if part.thought_signature:
            origin, state = unsign(part.thought_signature)
            events.append(Reasoning(state=state, origin=origin, choice=index))
        if text:
            events.append(Text(text=text, choice=index))
            if choice.kept < TEXT_KEPT:
                choice.text.append(text)
                choice.kept += len(text)
        if part.function_call is not None:
            events.append(self._call(part, choice))
        if part.inline_data is not None or part.executable_code or part.code_execution_result:
            events.extend(_shown(part, index))

    def _call(self, part: Part, choice: _Choice) -> ToolCall:
        """A whole call; one without an id gets one that no other answer has."""
        call, number = part.function_call, choice.calls
        if call is None or number >= CALLS_MAX:
            raise Garbled("The provider sent more tool calls than there can be.")
        choice.calls += 1
        answer = self._started.id if self._started is not None else ""
        made = "_".join(filter(None, ("call", answer, str(choice.index), str(number))))
        return ToolCall(
            index=number,
            id=call.id or made,
            name=call.name or "",
            arguments=_arguments(call.args),
            choice=choice.index,
        )


def _arguments(args: msgspec.Raw | msgspec.UnsetType) -> str:
    """Arguments as JSON text: the same, whether a whole reply or a stream brought them."""
    if args is msgspec.UNSET or bytes(args)[:1] != b"{":
        return "{}"
    try:
        return msgspec.json.format(bytes(args), indent=-1).decode()
    except (msgspec.DecodeError, RecursionError):
        raise Garbled("The provider sent arguments that are not JSON.") from None


def _shown(part: Part, choice: int) -> list[Event]:
    """A picture or a sound; or what ran at Google, as text. Pictures in thoughts are drafts."""
    events: list[Event] = []
    blob = part.inline_data
    if blob is not None and blob.data and not part.thought:
        mime = blob.mime_type or "application/octet-stream"
        media = MediaPart(kind=media_kind(mime), data=blob.data, mime=mime)
        events.append(Media(part=media, choice=choice))
    codes = (part.executable_code, part.code_execution_result)
    said = "".join((code.code or code.output or "") for code in codes if code is not None)
    if said:
        events.append(Text(text=said, choice=choice))
    return events


def _started(chunk: Chunk) -> Started:
    return Started(
        id=chunk.response_id or "",
        created=_seconds(chunk.create_time),
        model=chunk.model_version or "",
    )


def _seconds(moment: str | None) -> int:
    """A time of RFC 3339 in seconds since 1970; 0 where there is none."""
    try:
        found = msgspec.convert(moment, datetime)
        known = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return max(0, int(known.timestamp()))
    except (msgspec.ValidationError, OverflowError, ValueError, OSError):
        return 0


def _cited(found: Grounding, choice: _Choice) -> list[Event]:
    """The pages that the text rests on: each passage with each of its pages, then all others."""
    for source in found.grounding_chunks or ():
        if len(choice.sources) < SOURCES_MAX:
            choice.sources.append(source.web or Web())
    text = "".join(choice.text).encode()
    passages: list[tuple[int, Segment]] = []
    for support in found.grounding_supports or ():
        segment = support.segment or Segment()
        passages += [(index, segment) for index in support.grounding_chunk_indices or ()]
    cited = {index for index, _ in passages}
    new = range(len(choice.sources) - len(found.grounding_chunks or ()), len(choice.sources))
    passages += [(index, Segment()) for index in new if index not in cited]
    events: list[Event] = []
    for index, segment in passages[:SOURCES_MAX]:
        web = choice.sources[index] if 0 <= index < len(choice.sources) else Web()
        if web.uri:
            citation = Citation(
                url=web.uri,
                title=web.title or "",
                start=_characters(text, segment.start_index),
                end=_characters(text, segment.end_index),
            )
            events.append(Cited(citation=citation, choice=choice.index))
    return events


def _characters(text: bytes, place: int | None) -> int:
    """Where a place in bytes is, in characters."""
    return len(text[: max(0, place or 0)].decode(errors="ignore"))


def decoder() -> ReadingDecoder:
    """For one streamed answer of a provider."""
    return ReadingDecoder(Reading())


def listen(include_usage: bool) -> PassingTap:
    """For one stream that passes; usage always comes, asked or not."""
    del include_usage
    return PassingTap(Reading(passing=True))


def parse_reply(body: bytes) -> list[Event]:
    """A whole answer of a provider. Raises: Garbled, or the error that it holds."""
    return _whole(body, Reading())


def _whole(body: bytes, reading: Reading) -> list[Event]:
    events: list[Event] = []
    reading.document(read(body), events)
    try:
        return events + reading.close()
    except Cut:
        raise Garbled("The provider sent a reply without an answer.") from None


def check_reply(body: bytes) -> ReplyFacts:
    """A whole reply that passes. Raises: Garbled, or the error that it holds."""
    chars, content, usage = 0, False, None
    for event in _whole(body, Reading(passing=True)):
        if isinstance(event, Text | Refusal | Reasoning):
            chars += len(event.text)
        elif isinstance(event, ToolCall):
            chars += len(event.arguments) + len(event.name or "")
        elif isinstance(event, UsageReported):
            usage = event.usage
        content = content or isinstance(event, CONTENT)
    return ReplyFacts(body=body, usage=usage, chars=chars, content=content)
