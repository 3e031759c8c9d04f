"""The canonical stream: what a model's answer is, whatever format it travels in.

A decoder turns a provider's bytes into these events, an encoder turns them into the caller's bytes;
a whole (unstreamed) reply is the same list of events, folded. What it is not: any one vendor's
format; what only one format can say stays in that dialect, or passes through unread.

The order is fixed: one `Started`; any mix of content (`Text`, `Refusal`, `Reasoning`, `ToolCall`,
`Cited`, `Media`); one `Finished` per choice; one `UsageReported`, last; or `Failed` in place of all
that was still due. The rule that keeps it honest: events are frozen values, and a match on them
closes with `assert_never`, so that a forgotten kind is a type error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never

import msgspec

from apertura.domain.usage import Usage
from apertura.errors import AperturaError
from apertura.wire.chat import (
    CallPart,
    Citation,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Started(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer begins. `created` is in whole seconds since 1970."""

    id: str
    created: int
    model: str


class Text(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of the answer's text."""

    text: str
    choice: int = 0


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of the text in which the model declines."""

    text: str
    choice: int = 0


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of the model's reasoning: text that it shows, or the opaque `state` that closes what
    came before it. State always comes whole, in one event; `origin` is the format that can read it.
    """

    text: str = ""
    state: str = ""
    origin: str = ""
    choice: int = 0


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of a call to one of the caller's tools.

    `index` counts the tool calls of a choice from 0. The first piece of a call has its `id` and
    `name`; `arguments` are to be joined and are JSON when whole.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    choice: int = 0


class Cited(msgspec.Struct, frozen=True, kw_only=True):
    """The text so far rests on a web page."""

    citation: Citation
    choice: int = 0


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """An image or a sound in the answer, whole."""

    part: MediaPart
    choice: int = 0


class Finished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A choice is complete. `stop_sequence`: which of the caller's it was, where that is known."""

    reason: FinishReason
    stop_sequence: str | None = None
    choice: int = 0


class UsageReported(msgspec.Struct, frozen=True, kw_only=True):
    """What the call consumed, from the provider: exactly once, last."""

    usage: Usage


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The provider said, or it became plain, that no more will come."""

    error: AperturaError


Content = Text | Refusal | Reasoning | ToolCall | Cited | Media
Event = Started | Content | Finished | UsageReported | Failed
CONTENT = (Text, Refusal, Reasoning, ToolCall, Media)
"""The kinds that commit a call to the offer that sent them."""


class AnsweredChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One whole choice: its parts in the order in which they began."""

    parts: tuple[Part, ...] = ()
    reason: FinishReason = "stop"
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def refusal(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, RefusalPart))

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, ReasoningPart))

    @property
    def calls(self) -> dict[int, CallPart]:
        return dict(enumerate(part for part in self.parts if isinstance(part, CallPart)))


class Answer(msgspec.Struct, kw_only=True):
    """A stream, folded: what a whole reply says."""

    started: Started = Started(id="", created=0, model="")
    choices: dict[int, AnsweredChoice] = msgspec.field(default_factory=dict)
    usage: Usage | None = None


class _Begun(msgspec.Struct, kw_only=True):
    """A part in the making."""

    kind: type[Text | Refusal | Reasoning | ToolCall | Media]
    pieces: list[str] = msgspec.field(default_factory=list)
    index: int = 0
    id: str = ""
    name: str = ""
    state: str = ""
    origin: str = ""
    cited: list[Citation] = msgspec.field(default_factory=list)
    media: MediaPart | None = None

    def part(self) -> Part:
        text = "".join(self.pieces)
        if self.media is not None:
            return self.media
        if self.kind is ToolCall:
            return CallPart(id=self.id, name=self.name, arguments=text or "{}")
        if self.kind is Reasoning:
            return ReasoningPart(text=text, state=self.state, origin=self.origin)
        if self.kind is Refusal:
            return RefusalPart(text=text)
        return TextPart(text=text, cited=tuple(self.cited))


class Folder:
    """Joins the content of one choice into parts."""

    def __init__(self) -> None:
        self._parts: list[_Begun] = []
        self._calls: dict[int, _Begun] = {}

    def add(self, event: Content) -> None:
        """One event of this choice."""
        match event:
            case Text(text=text) | Refusal(text=text):
                if text:
                    self._open(type(event)).pieces.append(text)
            case Reasoning():
                self._think(event)
            case ToolCall():
                self._call(event)
            case Cited(citation=citation):
                self._open(Text).cited.append(citation)
            case Media(part=media):
                self._parts.append(_Begun(kind=Media, media=media))
            case _:
                assert_never(event)

    def parts(self) -> tuple[Part, ...]:
        """What has come so far."""
        return tuple(begun.part() for begun in self._parts)

    def _open(self, kind: type[Text | Refusal | Reasoning]) -> _Begun:
        """The part that a piece of this kind goes on with, or begins."""
        if not self._parts or self._parts[-1].kind is not kind or self._parts[-1].state:
            self._parts.append(_Begun(kind=kind))
        return self._parts[-1]

    def _think(self, event: Reasoning) -> None:
        begun = self._open(Reasoning)
        begun.pieces.append(event.text)
        begun.state, begun.origin = event.state, event.origin or begun.origin

    def _call(self, piece: ToolCall) -> None:
        begun = self._calls.get(piece.index)
        if begun is None:
            begun = self._calls[piece.index] = _Begun(kind=ToolCall, index=piece.index)
            self._parts.append(begun)
        begun.id = begun.id or piece.id or ""
        begun.name = begun.name or piece.name or ""
        begun.pieces.append(piece.arguments)


def fold(events: Iterable[Event]) -> Answer:
    """The answer that these events add up to. Raises: the error of a `Failed` among them."""
    answer = Answer()
    folders: dict[int, Folder] = {}
    ends: dict[int, Finished] = {}
    for event in events:
        match event:
            case Started():
                answer.started = event
            case UsageReported(usage=usage):
                answer.usage = usage
            case Failed(error=error):
                raise error
            case Finished(choice=choice):
                ends[choice] = event
                folders.setdefault(choice, Folder())
            case _:
                folders.setdefault(event.choice, Folder()).add(event)
    for choice, folder in folders.items():
        end = ends.get(choice, _ENDED)
        answer.choices[choice] = AnsweredChoice(
            parts=folder.parts(), reason=end.reason, stop_sequence=end.stop_sequence
        )
    return answer


_ENDED = Finished(reason="stop")
