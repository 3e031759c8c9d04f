"""The canonical stream: what a model's answer is, whatever format it travels in.

A decoder turns a provider's bytes into these events, an encoder turns them into the caller's bytes;
a whole (unstreamed) reply is the same list of events, folded. What it is not: any one vendor's
format; what only one format can say stays in that dialect, or passes through unread.

The order is fixed: one `Started`; any mix of `Text`, `Refusal`, `Reasoning` and `ToolCall`; one
`Finished` per choice; one `UsageReported`, last; or `Failed` in place of all that was still due.
The rule that keeps it honest: events are frozen values, and a match on them closes with
`assert_never`, so that a forgotten kind is a type error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never

import msgspec

from apertura.domain.usage import Usage
from apertura.errors import AperturaError

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The answer begins. `created` is in whole seconds since 1970."""

    id: str
    created: int
    model: str


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the answer's text."""

    text: str
    choice: int = 0


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the text in which the model declines."""

    text: str
    choice: int = 0


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the model's reasoning that it shows."""

    text: str
    choice: int = 0


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a call to one of the caller's tools.

    `index` counts the tool calls of a choice from 0. The first piece of a call has its `id` and
    `name`; `arguments` are to be joined and are JSON when whole.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    choice: int = 0


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A choice is complete."""

    reason: FinishReason
    choice: int = 0


class UsageReported(msgspec.Struct, frozen=True, kw_only=True):
    """What the call consumed, from the provider: exactly once, last."""

    usage: Usage


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The provider said, or it became plain, that no more will come."""

    error: AperturaError


Event = Started | Text | Refusal | Reasoning | ToolCall | Finished | UsageReported | Failed
CONTENT = (Text, Refusal, Reasoning, ToolCall)
"""The kinds that commit a call to the offer that sent them."""


class AnsweredCall(msgspec.Struct, kw_only=True):
    """One whole call to a tool; `arguments` is JSON text."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class AnsweredChoice(msgspec.Struct, kw_only=True):
    """One whole choice."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: dict[int, AnsweredCall] = msgspec.field(default_factory=dict)
    reason: FinishReason = "stop"


class Answer(msgspec.Struct, kw_only=True):
    """A stream, folded: what a whole reply says."""

    started: Started = Started(id="", created=0, model="")
    choices: dict[int, AnsweredChoice] = msgspec.field(default_factory=dict)
    usage: Usage | None = None


def fold(events: Iterable[Event]) -> Answer:
    """The answer that these events add up to. Raises: the error of a `Failed` among them."""
    answer = Answer()
    pieces: dict[tuple[int, str, int], list[str]] = {}
    for event in events:
        match event:
            case Started():
                answer.started = event
            case UsageReported(usage=usage):
                answer.usage = usage
            case Failed(error=error):
                raise error
            case _:
                _fold_content(event, answer, pieces)
    for (choice, name, index), texts in pieces.items():
        if name == "arguments":
            answer.choices[choice].calls[index].arguments = "".join(texts) or "{}"
        else:
            setattr(answer.choices[choice], name, "".join(texts))
    return answer


def _fold_content(
    event: Text | Refusal | Reasoning | ToolCall | Finished,
    answer: Answer,
    pieces: dict[tuple[int, str, int], list[str]],
) -> None:
    choice = answer.choices.setdefault(event.choice, AnsweredChoice())
    match event:
        case Text(text=text):
            pieces.setdefault((event.choice, "text", 0), []).append(text)
        case Refusal(text=text):
            pieces.setdefault((event.choice, "refusal", 0), []).append(text)
        case Reasoning(text=text):
            pieces.setdefault((event.choice, "reasoning", 0), []).append(text)
        case ToolCall(index=index):
            call = choice.calls.setdefault(index, AnsweredCall())
            call.id = call.id or event.id or ""
            call.name = call.name or event.name or ""
            pieces.setdefault((event.choice, "arguments", index), []).append(event.arguments)
        case Finished(reason=reason):
            choice.reason = reason
        case _:
            assert_never(event)
