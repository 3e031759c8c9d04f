"""Events, written in Gemini's format: streamed chunk by chunk, or as a whole reply.

A call to a tool leaves when its arguments are a whole JSON object, for the format has no pieces of
one. State stands on the part after it; state with nothing after it on a part without words, as
Google does it. What it is not: the reading of such answers (`gemini_reply`).

The rule that keeps it honest: text leaves at once; the reasons why candidates ended leave last, in
one chunk with the usage; and a call that never became JSON is said to be malformed, not made up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, assert_never

import msgspec

from apertura.domain.usage import Usage
from apertura.errors import Garbled
from apertura.wire.chat import (
    CallPart,
    Citation,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
)
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    AnsweredChoice,
    Cited,
    Content,
    Event,
    Failed,
    Finished,
    FinishReason,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.gemini_errors import render_stream_error
from apertura.wire.gemini_state import sign
from apertura.wire.gemini_usage import report_of
from apertura.wire.openai_shapes import Object
from apertura.wire.state import GEMINI

ARGUMENTS_MAX = 16 * 1024 * 1024
"""Characters of tool arguments in one answer."""
LATEST = 253_402_300_799
"""The last second of the year 9999; times end there."""

_REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_MALFORMED = "MALFORMED_FUNCTION_CALL"
_decode_object = msgspec.json.Decoder(Object).decode
_encode = msgspec.json.Encoder().encode

Said = dict[str, Any]
"""A part, as the format has it."""


class _Held(msgspec.Struct, kw_only=True):
    """A call to a tool in the making."""

    id: str
    name: str
    signature: str
    pieces: list[str] = msgspec.field(default_factory=list)

    def whole(self, *, at_end: bool = False) -> Said | None:
        """The part, once the arguments are whole; at the end none at all means no arguments."""
        text = ("".join(self.pieces) or ("{}" if at_end else "")).encode()
        try:
            _decode_object(text)
            args = msgspec.Raw(msgspec.json.format(text, indent=-1))  # on one line
        except (msgspec.DecodeError, RecursionError):
            return None
        said: Said = {"functionCall": {"id": self.id, "name": self.name, "args": args}}
        return {**said, "thoughtSignature": self.signature} if self.signature else said


class _Voice:
    """One candidate: its events in, its parts out."""

    def __init__(self) -> None:
        self.busy = False
        """Something waits that has its place before the next text."""
        self.malformed = False
        self._signature = ""
        self._unsealed = ""
        """The origin of thoughts that were shown and whose state has not come."""
        self._calls: dict[int, _Held] = {}
        self._begun: set[int] = set()
        self._arguments = 0
        self._text: list[str] = []
        self._length = 0
        self._run = 0
        """Where in the text the part that is being said begins, in characters."""
        self._cited: list[tuple[Citation, int, int]] = []

    def said(self, event: Content) -> list[Said]:
        """The parts that an event completes. Raises: Garbled, for arguments past all bounds."""
        match event:
            case Text(text=text) | Refusal(text=text):
                return self._words(text)
            case Reasoning():
                return self._thought(event)
            case ToolCall():
                return self._call(event)
            case Media(part=part):
                return self._media(part)
            case Cited(citation=citation):
                self._cite(citation)
                return []
            case _:
                assert_never(event)

    def heard(self, text: str) -> None:
        """Text that has left without us."""
        self._text.append(text)
        self._length += len(text)

    def end(self) -> list[Said]:
        """What still waits."""
        self._seal()
        parts: list[Said] = []
        for held in self._calls.values():
            part = held.whole(at_end=True)
            if part is None:
                self.malformed = True
            else:
                parts.append(part)
        self._calls.clear()
        return parts + self._loose()

    def grounding(self) -> Said:
        """`groundingMetadata`: pages, and which passage rests on which."""
        if not self._cited:
            return {}
        text = "".join(self._text)
        chunks, supports = [], []
        for index, (citation, start, end) in enumerate(self._cited):
            chunks.append({"web": {"uri": citation.url, "title": citation.title}})
            if end > start:
                segment: Said = {
                    "startIndex": _size(text[:start]),
                    "endIndex": _size(text[:end]),
                    "text": text[start:end],
                }
                supports.append({"segment": segment, "groundingChunkIndices": [index]})
        return {"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": supports}}

    def _words(self, text: str) -> list[Said]:
        if not text:
            return []
        self.heard(text)
        return [*self._before(), self._signed({"text": text})]

    def _media(self, part: MediaPart) -> list[Said]:
        """A picture or a sound; one that is only an address has no place here but in words."""
        self._run = self._length
        if not part.data:
            return self._words(part.url)
        blob = {"mimeType": part.mime or "application/octet-stream", "data": part.data}
        return [*self._before(), self._signed({"inlineData": blob})]

    def _thought(self, event: Reasoning) -> list[Said]:
        parts = self._loose() + self._whole_calls()
        if event.text:
            parts.append({"text": event.text, "thought": True})
            self._unsealed = "" if event.origin == GEMINI else event.origin
        if event.state:
            self._signature, self._unsealed = sign(event.origin, event.state), ""
        self.busy = True
        self._run = self._length
        return parts

    def _call(self, piece: ToolCall) -> list[Said]:
        self._arguments += len(piece.arguments)
        if self._arguments > ARGUMENTS_MAX:
            raise Garbled("The provider sent tool arguments that are too large.")
        parts: list[Said] = []
        if piece.index not in self._begun:
            self._begun.add(piece.index)
            parts = self._before()
            self._calls[piece.index] = _Held(
                id=piece.id or "", name=piece.name or "", signature=self._signature
            )
            self._signature = ""
            self.busy = True
            self._run = self._length
        if (held := self._calls.get(piece.index)) is not None and piece.arguments:
            held.pieces.append(piece.arguments)
        return parts

    def _before(self) -> list[Said]:
        """What comes before the next part: calls that are whole. The signature goes onto it."""
        if not self.busy:
            return []
        self._seal()
        return self._whole_calls()

    def _whole_calls(self) -> list[Said]:
        """The calls that are whole, up to the first that is not: they keep their order."""
        parts: list[Said] = []
        while self._calls:
            index, held = next(iter(self._calls.items()))
            part = held.whole()
            if part is None:
                break
            parts.append(part)
            del self._calls[index]
        return parts

    def _signed(self, part: Said) -> Said:
        if self._signature:
            part["thoughtSignature"] = self._signature
            self._signature = ""
        self.busy = bool(self._calls)
        return part

    def _seal(self) -> None:
        """Thoughts of another format that came without state are marked as that format's."""
        if self._unsealed:
            self._signature, self._unsealed = sign(self._unsealed, ""), ""

    def _loose(self) -> list[Said]:
        """A signature that no part came for."""
        return [self._signed({"text": ""})] if self._signature else []

    def _cite(self, citation: Citation) -> None:
        start, end = self._run + citation.start, self._run + citation.end
        self._cited.append((citation, start, end))


def _size(text: str) -> int:
    return len(text.encode())


class GeminiEncoder:
    """One streamed answer to a caller."""

    def __init__(self, call: CallFacts) -> None:
        self._call = call
        self._identity = _identity(call, Started(id="", created=0, model=""))
        self._voices: dict[int, _Voice] = {}
        self._ends: dict[int, FinishReason] = {}
        self._over = False

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events. Raises: Garbled, for arguments past all bounds."""
        return b"".join(map(self._say, events))

    def close(self) -> bytes:
        """What ends the stream, unless it has been said or the stream failed."""
        return b"" if self._over or not self._ends else self._last(None)

    def _say(self, event: Event) -> bytes:
        if self._over:
            return b""
        match event:
            case Text(text=text, choice=choice) if choice in self._voices:
                voice = self._voices[choice]
                if voice.busy or not text:
                    return self._parts(choice, voice.said(event))
                voice.heard(text)
                return b"%b%b%b" % (_HEAD, _encode(text), self._tail(choice))
            case Finished(reason=reason, choice=choice):
                self._ends[choice] = reason
                return self._parts(choice, self._voice(choice).end())
            case Started():
                self._identity = _identity(self._call, event)
                return b""
            case UsageReported(usage=usage):
                return self._last(usage)
            case Failed(error=error):
                self._over = True
                return render_stream_error(error)
            case _:
                return self._parts(event.choice, self._voice(event.choice).said(event))

    def _voice(self, choice: int) -> _Voice:
        return self._voices.setdefault(choice, _Voice())

    def _tail(self, choice: int) -> bytes:
        return b'}],"role":"model"},"index":%d}],%b\n\n' % (choice, self._identity)

    def _parts(self, choice: int, parts: list[Said]) -> bytes:
        """One chunk for these parts."""
        if not parts:
            return b""
        content = {"content": {"parts": parts, "role": "model"}, "index": choice}
        return b'data: {"candidates":%b,%b\n\n' % (_encode([content]), self._identity)

    def _last(self, usage: Usage | None) -> bytes:
        self._over = True
        candidates = [
            _ended(self._voice(choice), choice, self._ends[choice], [])
            for choice in sorted(self._ends)
        ]
        report = b"" if usage is None else b'"usageMetadata":%b,' % _encode(report_of(usage))
        return b'data: {"candidates":%b,%b%b\n\n' % (_encode(candidates), report, self._identity)


_HEAD = b'data: {"candidates":[{"content":{"parts":[{"text":'


def _ended(voice: _Voice, choice: int, reason: FinishReason, parts: list[Said]) -> Said:
    """A candidate with why it ended."""
    known = _MALFORMED if voice.malformed and reason != "length" else _REASONS[reason]
    return {
        "content": {"parts": parts or [{"text": ""}], "role": "model"},
        "finishReason": known,
        "index": choice,
        **voice.grounding(),
    }


def _identity(call: CallFacts, started: Started) -> bytes:
    """The members that all chunks of a stream share, with the bracket that closes a chunk: one id
    and one time, the provider's or else ours.
    """
    created = min(started.created or call.created, LATEST)
    moment = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    members = {
        "modelVersion": started.model or call.model,
        "responseId": started.id or call.id,
        "createTime": moment,
    }
    return _encode(members)[1:]


def encoder(call: CallFacts) -> GeminiEncoder:
    """For one streamed answer to a caller."""
    return GeminiEncoder(call)


def render_reply(events: Iterable[Event], call: CallFacts) -> bytes:
    """A whole answer to a caller. Raises: the error of a `Failed` among the events."""
    answer = fold(events)
    choices = answer.choices or {0: AnsweredChoice()}
    candidates = [_whole(index, choices[index]) for index in sorted(choices)]
    usage = answer.usage
    report = b"" if usage is None else b'"usageMetadata":%b,' % _encode(report_of(usage))
    identity = _identity(call, answer.started)
    return b'{"candidates":%b,%b%b' % (_encode(candidates), report, identity)


def _whole(index: int, choice: AnsweredChoice) -> Said:
    voice = _Voice()
    parts: list[Said] = []
    for number, part in enumerate(choice.parts):
        for event in _again(part, number):
            parts += voice.said(event)
    parts += voice.end()
    return _ended(voice, index, choice.reason, parts)


def _again(part: Part, number: int) -> list[Content]:
    """A part of an answer as the events that make it."""
    match part:
        case TextPart(text=text, cited=cited):
            return [Text(text=text), *(Cited(citation=citation) for citation in cited)]
        case RefusalPart(text=text):
            return [Refusal(text=text)]
        case ReasoningPart(text=text, state=state, origin=origin):
            return [Reasoning(text=text, state=state, origin=origin)]
        case CallPart(id=call_id, name=name, arguments=arguments):
            return [ToolCall(index=number, id=call_id, name=name, arguments=arguments)]
        case MediaPart():
            return [Media(part=part)]
        case ResultPart():
            return []
        case _:
            assert_never(part)
