"""An answer, written to a caller in OpenAI's chat format.

Whole, or as a stream: each piece of text leaves at once; each call to a tool leaves as one delta,
complete in itself, so that clients that join deltas and clients that do not read the same. What it
is not: the path of a stream whose provider speaks this format too; that one passes.

The rule that keeps it honest: what a stream says, a whole reply says too, because both are written
from the same pieces; and the opaque state of what a model thought leaves whole, in one entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from apertura.errors import Garbled
from apertura.wire.chat import (
    CallPart,
    Citation,
    MediaPart,
    ReasoningPart,
    RefusalPart,
    ResultPart,
    TextPart,
)
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    Answer,
    AnsweredChoice,
    Cited,
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
from apertura.wire.openai_errors import render_stream_error
from apertura.wire.openai_listen import DONE
from apertura.wire.openai_media import url_of
from apertura.wire.openai_thoughts import EXTRA, Carrier
from apertura.wire.openai_usage import report_of

ARGUMENTS_MAX = 16 * 1024 * 1024
"""Characters of tool arguments in one answer."""

Delta = dict[str, object]
_encode = msgspec.json.Encoder().encode
_TAIL = b'},"finish_reason":null}]}\n\n'
_NOT_STARTED = Started(id="", created=0, model="")


class _Voice:
    """One choice of a stream. `running` is the kind of its last piece, where the next one of that
    kind needs nothing around it: its bytes begin with `head`.
    """

    __slots__ = (
        "begins",
        "begun",
        "calls",
        "carrier",
        "chars",
        "extras",
        "head",
        "index",
        "running",
        "thought",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.begun = False
        self.running: type[Text | Reasoning] | None = None
        self.head = b""
        self.chars = 0
        self.begins: int | None = None
        """Where the current text began, among the characters of all texts."""
        self.thought: list[str] = []
        self.carrier = Carrier()
        self.calls: dict[int, list[ToolCall]] = {}
        self.extras: dict[int, object] = {}


class ChatEncoder:
    """One streamed answer to a caller."""

    def __init__(self, call: CallFacts) -> None:
        self._call = call
        self._head = _head(call, _NOT_STARTED)
        self._voices: dict[int, _Voice] = {}
        self._arguments = 0
        self._first_way = _first_way(call)
        self._failed = False

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events. Raises: Garbled, for arguments past all bounds."""
        out: list[bytes] = []
        voices = self._voices
        for event in events:
            if isinstance(event, Text):
                voice = voices.get(event.choice)
                if voice is not None and voice.running is Text:
                    voice.chars += len(event.text)
                    out.append(voice.head + _encode(event.text) + _TAIL)
                    continue
            elif isinstance(event, Reasoning) and not event.state:
                voice = voices.get(event.choice)
                if voice is not None and voice.running is Reasoning:
                    voice.thought.append(event.text)
                    out.append(voice.head + _encode(event.text) + _TAIL)
                    continue
            out.append(self._say(event))
        return b"".join(out)

    def close(self) -> bytes:
        """The end marker, unless the stream failed."""
        return b"" if self._failed else DONE

    def _say(self, event: Event) -> bytes:
        match event:
            case Started():
                self._head = _head(self._call, event)
                return b""
            case UsageReported(usage=usage):
                if not self._call.include_usage:
                    return b""
                return b"data: " + self._head + b'[],"usage":' + _encode(report_of(usage)) + _END
            case Failed(error=error):
                self._failed = True
                return render_stream_error(error)
            case _:
                return self._say_of(event, self._voice(event.choice))

    def _voice(self, choice: int) -> _Voice:
        voice = self._voices.get(choice)
        if voice is None:
            voice = self._voices[choice] = _Voice(choice)
        return voice

    def _say_of(
        self,
        event: Text | Refusal | Reasoning | ToolCall | Cited | Media | Finished,
        voice: _Voice,
    ) -> bytes:
        match event:
            case Text():
                return self._text(event, voice)
            case Reasoning():
                return self._think(event, voice)
            case ToolCall():
                return self._gather(event, voice)
            case Refusal(text=text):
                return self._other(voice, {"refusal": text} if text else {})
            case Cited(citation=citation):
                begins = voice.chars if voice.begins is None else voice.begins
                return self._delta(voice, {"annotations": [_annotation(citation, begins)]})
            case Media(part=part):
                voice.begins = None
                return self._other(voice, _medium(part, self._call))
            case Finished():
                return self._ended(event, voice)
            case _:
                assert_never(event)

    def _text(self, event: Text, voice: _Voice) -> bytes:
        """The first piece of a text; those that follow it take the quick way."""
        if not event.text:
            return b""
        out = self._placed(voice)
        voice.begins = voice.chars if voice.begins is None else voice.begins
        voice.chars += len(event.text)
        out += self._delta(voice, {"content": event.text})
        self._run(voice, Text, b'"content":')
        return out

    def _think(self, event: Reasoning, voice: _Voice) -> bytes:
        """A thought: its text at once; its state once it is known what it stands before."""
        voice.begins = None
        if event.text:
            voice.thought.append(event.text)
        out = self._delta(voice, {"reasoning_content": event.text}) if event.text else b""
        self._run(voice, Reasoning, b'"reasoning_content":')
        if event.state:
            text = "".join(voice.thought)
            voice.thought.clear()
            voice.carrier.hold(ReasoningPart(text=text, state=event.state, origin=event.origin))
        return out

    def _run(self, voice: _Voice, kind: type[Text | Reasoning], member: bytes) -> None:
        """From now on, pieces of this kind take the quick way."""
        if voice.begun:
            voice.running = kind
            voice.head = b'data: %b[{"index":%d,"delta":{%b' % (self._head, voice.index, member)

    def _other(self, voice: _Voice, delta: Delta) -> bytes:
        """Content that is neither text nor thought; none, if the format has no place for it."""
        if not delta:
            return b""
        out = self._placed(voice)
        voice.running, voice.begins = None, None
        return out + self._delta(voice, delta)

    def _placed(self, voice: _Voice, before: str = "") -> bytes:
        """The states that waited for the content which comes now."""
        voice.thought.clear()
        found = voice.carrier.placed(before=before, offset=voice.chars)
        return self._delta(voice, {"reasoning_details": found}) if found else b""

    def _delta(self, voice: _Voice, delta: Delta, reason: str | None = None) -> bytes:
        if not voice.begun:
            voice.begun = True
            delta = {"role": "assistant", "content": None, **delta}
        said = {"index": voice.index, "delta": delta, "finish_reason": reason}
        return b"data: " + self._head + _encode([said]) + _END

    def _gather(self, piece: ToolCall, voice: _Voice) -> bytes:
        """Tool calls wait until they are whole; no client can act on a part of one."""
        self._arguments += len(piece.arguments)
        if self._arguments > ARGUMENTS_MAX:
            raise Garbled("The provider sent tool arguments that are too large.")
        if piece.index in voice.calls:
            voice.calls[piece.index].append(piece)
            return b""
        voice.calls[piece.index] = [piece]
        voice.running, voice.begins = None, None
        extra = voice.carrier.extra()
        if extra is not None:
            voice.extras[piece.index] = extra
        return self._placed(voice, piece.id or "")

    def _ended(self, event: Finished, voice: _Voice) -> bytes:
        out = [self._placed(voice)]
        calls: list[Delta] = []
        for index, pieces in voice.calls.items():
            (call,) = fold(pieces).choices[voice.index].calls.values()
            calls.append(_call(call, voice.extras.get(index)))
        if calls and self._first_way:
            out.append(self._delta(voice, {"function_call": calls[0]["function"]}))
        else:
            for index, said in enumerate(calls):
                out.append(self._delta(voice, {"tool_calls": [{"index": index, **said}]}))
        voice.calls = {}
        if not voice.begun:
            out.append(self._delta(voice, {"content": ""}))
        voice.running = None
        return b"".join(out) + self._delta(voice, {}, _reason(event.reason, self._first_way))


_END = b"}\n\n"


def _head(call: CallFacts, started: Started) -> bytes:
    """The members that all chunks of a stream share, up to the choices."""
    return _encode(_identity(call, started, "chat.completion.chunk"))[:-1] + b',"choices":'


def _identity(call: CallFacts, started: Started, kind: str) -> dict[str, object]:
    """One id and one time per answer: the provider's, or else ours."""
    return {
        "id": started.id or call.id,
        "object": kind,
        "created": started.created or call.created,
        "model": started.model or call.model,
    }


def _first_way(call: CallFacts) -> bool:
    """Whether the caller knows the format's first way to call alone: one function at a time."""
    members = call.request.members if call.request is not None else {}
    return "functions" in members and "tools" not in members


def _reason(reason: FinishReason, first_way: bool) -> str:
    return "function_call" if first_way and reason == "tool_calls" else reason


def _call(call: CallPart, extra: object) -> Delta:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    said: dict[str, object] = {"id": call.id, "type": "function", "function": function}
    return said if extra is None else {**said, EXTRA: extra}


def _annotation(citation: Citation, begins: int) -> dict[str, object]:
    """A citation as clients read it: some the nested form, some the flat one.

    Its place counts from the beginning of the whole content, where the text it is of `begins`.
    """
    shift = begins if citation.end else 0
    said: dict[str, object] = {
        "start_index": citation.start + shift,
        "end_index": citation.end + shift,
        "url": citation.url,
        "title": citation.title,
    }
    return {"type": "url_citation", "url_citation": said, **said}


def _medium(part: MediaPart, call: CallFacts) -> Delta:
    if part.kind == "image":
        return {"images": [_image(part)]}
    return {"audio": _audio(part, call)} if part.kind == "audio" and part.data else {}


def _image(part: MediaPart) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url_of(part)}}


def _audio(part: MediaPart, call: CallFacts) -> dict[str, object]:
    """A sound; the words in it, where they are known, are the answer's text."""
    expires = call.created + 3_600
    return {"id": f"audio_{call.id}", "data": part.data, "expires_at": expires, "transcript": ""}


def encoder(call: CallFacts) -> ChatEncoder:
    """For one streamed answer to a caller."""
    return ChatEncoder(call)


def render_reply(events: Iterable[Event], call: CallFacts) -> bytes:
    """A whole answer to a caller. Raises: the error of a `Failed` among the events."""
    answer = fold(events)
    choices = answer.choices or {0: AnsweredChoice()}
    return _encode(
        {
            **_identity(call, answer.started, "chat.completion"),
            "choices": [_whole(index, choices[index], call) for index in sorted(choices)],
            **_usage(answer),
        }
    )


def _usage(answer: Answer) -> dict[str, object]:
    return {} if answer.usage is None else {"usage": report_of(answer.usage)}


def _whole(index: int, choice: AnsweredChoice, call: CallFacts) -> dict[str, object]:
    silent = not choice.text and (choice.calls or choice.refusal)
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if silent else choice.text,
        "refusal": choice.refusal or None,
        **_members(choice, call),
    }
    reason = _reason(choice.reason, _first_way(call))
    return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


def _members(choice: AnsweredChoice, call: CallFacts) -> dict[str, object]:
    """The members of a message that most have not."""
    carrier = Carrier()
    details: list[object] = []
    calls: list[Delta] = []
    cited: list[object] = []
    chars = 0
    for part in choice.parts:
        match part:
            case ReasoningPart():
                if part.state:
                    carrier.hold(part)
            case CallPart():
                calls.append(_call(part, carrier.extra()))
                details += carrier.placed(before=part.id, offset=chars)
            case TextPart(text=text):
                details += carrier.placed(offset=chars)
                cited += [_annotation(citation, chars) for citation in part.cited]
                chars += len(text)
            case RefusalPart() | MediaPart() | ResultPart():
                details += carrier.placed(offset=chars)
            case _:
                assert_never(part)
    details += carrier.placed(offset=chars)
    media = [part for part in choice.parts if isinstance(part, MediaPart)]
    sounds = [_audio(part, call) for part in media if part.kind == "audio" and part.data]
    first_way = bool(calls) and _first_way(call)
    found: dict[str, object] = {
        "reasoning_content": choice.reasoning,
        "reasoning_details": details,
        "annotations": cited,
        "images": [_image(part) for part in media if part.kind == "image"],
        "audio": sounds[0] if sounds else None,
        "function_call": calls[0]["function"] if first_way else None,
        "tool_calls": None if first_way else calls,
    }
    return {name: value for name, value in found.items() if value}
