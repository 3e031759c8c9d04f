"""An answer in OpenAI's Responses format, written to a caller: streamed, or whole.

The whole answer is what the stream's last event holds, so both are written by one hand. What it is
not: the path of an answer whose provider speaks this format too; that one passes.

The rule that keeps it honest: items are announced in the order of their indexes and each is closed;
one that can still grow (a call whose arguments come interleaved with another's) stays open beside
the next, which the format allows, so that nothing waits and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

import msgspec

from apertura.wire import state
from apertura.wire.chat import (
    CallPart,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
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
from apertura.wire.responses_errors import render_stream_error
from apertura.wire.responses_items import Call, Message, Picture, Said, Script, Thought
from apertura.wire.responses_object import identity, status
from apertura.wire.responses_usage import report_of

_encode = msgspec.json.Encoder().encode


class ResponsesEncoder:
    """One streamed answer to a caller."""

    def __init__(self, call: CallFacts) -> None:
        self._call = call
        self._script = Script()
        self._identity: Said = {}
        self._open: Message | Thought | None = None
        self._calls: dict[int, Call] = {}
        """Calls that are open."""
        self._called: set[int] = set()
        self._output: dict[int, Said] = {}
        self._count = 0
        self._reason: FinishReason | None = None
        self._usage: Said | None = None
        self._failed = False
        self._response = b""

    @property
    def response(self) -> bytes:
        """The whole response, for keeping; empty before `close`, and where the stream failed."""
        return self._response

    def feed(self, events: list[Event]) -> bytes:
        """The bytes that say these events."""
        return b"".join(map(self._say, events))

    def close(self) -> bytes:
        """The event that ends the stream with success, unless it failed."""
        if self._failed:
            return b""
        out = self._begin(_UNSAID)
        if self._reason is None:
            out += self._finish("stop")
        whole = self._whole()
        self._response = _encode(whole)
        done = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
        return out + self._script.event(done, response=msgspec.Raw(self._response))

    def _say(self, event: Event) -> bytes:
        if event.__class__ is Text and (opened := self._open).__class__ is Message:
            part = opened.part
            if part is not None and part.kind == "output_text" and event.text and not event.choice:
                return part.say(event.text)
        if self._failed:
            return b""
        match event:
            case Started():
                return self._begin(event)
            case UsageReported(usage=usage):
                self._usage = report_of(usage)
                return b""
            case Failed(error=error):
                self._failed, self._open = True, None
                return render_stream_error(error, self._script.next())
            case _:
                # This format has one answer; more are refused before they are asked for.
                return b"" if event.choice else self._begin(_UNSAID) + self._content(event)

    def _content(self, event: Content | Finished) -> bytes:
        match event:
            case Finished(reason=reason):
                return self._finish(reason)
            case Text(text=text):
                return self._words("output_text", text)
            case Refusal(text=text):
                return self._words("refusal", text)
            case Reasoning():
                return self._think(event)
            case ToolCall():
                return self._tool(event)
            case Cited(citation=citation):
                message, opened = self._message()
                part, begun = message.turn_to("output_text")
                return opened + begun + part.cite(citation)
            case Media(part=media):
                return self._picture(media)
            case _:
                assert_never(event)

    def _begin(self, started: Started) -> bytes:
        """What comes before all else, once."""
        if self._identity:
            return b""
        self._identity = identity(self._call, started)
        response = self._whole()
        return self._script.event("response.created", response=response) + self._script.event(
            "response.in_progress", response=response
        )

    def _words(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        begun = self._begin(_UNSAID)
        message, opened = self._message()
        part, turned = message.turn_to(kind)
        return begun + opened + turned + part.say(text)

    def _message(self) -> tuple[Message, bytes]:
        """The message to go on with, and what opens it if it is new."""
        if isinstance(self._open, Message):
            return self._open, b""
        before = self._settle()
        message = Message(self._script, self._index(), self._id("msg"))
        self._open = message
        return message, before + message.open()

    def _think(self, event: Reasoning) -> bytes:
        """A piece of thought; its state closes it."""
        if not event.text and not event.state:
            return b""
        out = b""
        thought = self._open
        if not isinstance(thought, Thought):
            out = self._settle()
            item_id = self._id("rs")
            if event.state and event.origin == state.OPENAI:
                item_id = event.state.partition(":")[0] or item_id
            thought = Thought(self._script, self._index(), item_id)
            self._open = thought
            out += thought.open()
        thought.origin = event.origin or thought.origin
        if event.text:
            out += thought.say(event.text)
        if event.state:
            thought.seal(event.state, event.origin)
            out += self._close_open("completed")
        return out

    def _tool(self, piece: ToolCall) -> bytes:
        call = self._calls.get(piece.index)
        if call is not None:
            return call.say(piece.arguments) if piece.arguments else b""
        if piece.index in self._called:  # complete, and closed; only space can follow
            return b""
        before = self._settle()
        self._called.add(piece.index)
        item_id = self._id("fc")
        call_id = piece.id or f"call_{self._call.id}_{piece.index}"
        call = Call(self._script, self._index(), item_id, call_id, piece.name or "")
        self._calls[piece.index] = call
        return before + call.open() + (call.say(piece.arguments) if piece.arguments else b"")

    def _picture(self, media: MediaPart) -> bytes:
        """A picture as the format's own tool would bring it; what else there is has no place."""
        if media.kind != "image" or not media.data:
            return b""
        before = self._settle()
        index = self._index()
        said, item = Picture(
            self._script, index, self._id("ig"), media.data, media.mime or "image/png"
        ).write()
        self._output[index] = item
        return before + said

    def _settle(self) -> bytes:
        """Closes what is open before another item begins; calls only if they are complete."""
        out = self._close_open("completed")
        for number in [n for n, call in self._calls.items() if call.complete]:
            out += self._close_call(number, "completed")
        return out

    def _finish(self, reason: FinishReason) -> bytes:
        """Closes all that is open; an answer of nothing is an empty message."""
        self._reason = reason
        ended = "incomplete" if reason in ("length", "content_filter") else "completed"
        out = b""
        if not self._count:
            message, out = self._message()
            out += message.turn_to("output_text")[1]
        out += self._close_open(ended)
        for number in list(self._calls):
            call = self._calls[number]
            out += self._close_call(number, "completed" if call.complete else ended)
        return out

    def _close_open(self, ended: str) -> bytes:
        opened, self._open = self._open, None
        if opened is None:
            return b""
        said, self._output[opened.index] = opened.close(ended)
        return said

    def _close_call(self, number: int, ended: str) -> bytes:
        call = self._calls.pop(number)
        said, self._output[call.index] = call.close(ended)
        return said

    def _index(self) -> int:
        self._count += 1
        return self._count - 1

    def _id(self, kind: str) -> str:
        """The id of the next item."""
        return f"{kind}_{self._call.id}_{self._count}"

    def _whole(self) -> Said:
        output = [self._output[index] for index in sorted(self._output)]
        said = {**self._identity, **status(self._reason), "output": output}
        if self._reason is not None and self._usage is not None:
            said["usage"] = self._usage
        return said


def encoder(call: CallFacts) -> ResponsesEncoder:
    """For one streamed answer to a caller."""
    return ResponsesEncoder(call)


def render_reply(events: list[Event], call: CallFacts) -> bytes:
    """A whole answer to a caller. Raises: the error of a `Failed` among the events."""
    answer = fold(events)
    choice = answer.choices.get(0, AnsweredChoice())
    writer = ResponsesEncoder(call)
    writer.feed([answer.started, *_events(choice.parts), Finished(reason=choice.reason)])
    if answer.usage is not None:
        writer.feed([UsageReported(usage=answer.usage)])
    writer.close()
    return writer.response


def _events(parts: Iterable[Part]) -> Iterator[Event]:
    """Parts as events again, each in one piece: so reasoning knows its state when it begins."""
    calls = 0
    for part in parts:
        yield from _events_of(part, calls)
        calls += isinstance(part, CallPart)


def _events_of(part: Part, calls: int) -> Iterator[Event]:
    match part:
        case TextPart(text=text, cited=cited):
            yield Text(text=text)
            for citation in cited:
                yield Cited(citation=citation)
        case RefusalPart(text=text):
            yield Refusal(text=text)
        case ReasoningPart(text=text, state=opaque, origin=origin):
            yield Reasoning(text=text, state=opaque, origin=origin)
        case CallPart(id=call_id, name=name, arguments=arguments):
            yield ToolCall(index=calls, id=call_id, name=name, arguments=arguments)
        case MediaPart():
            yield Media(part=part)
        case _:
            return  # a result is nothing that a model says


_UNSAID = Started(id="", created=0, model="")
