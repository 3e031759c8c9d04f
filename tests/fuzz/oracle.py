"""What must hold of whatever comes out, whatever bytes went in.

Each check raises AssertionError. That nothing but an AperturaError may leave is not checked here:
the surfaces catch no other, so that any other reaches the fuzzer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import msgspec

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, Garbled
from apertura.wire import sse
from apertura.wire.chat import CallPart, MediaPart
from apertura.wire.events import (
    Answer,
    Cited,
    Event,
    Failed,
    Finished,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)

DEEP = 500
"""Levels that every part of the project can read, wherever it is called from."""
FACTOR, REST = 400, 64 * 1024
"""Bytes that one byte of input may become, and that any input may. The worst is a stream in the
Responses format, where one letter of text between two of reasoning has eight events of its own.
"""


def valid_json(data: bytes) -> object:
    """JSON by the letter: UTF-8, no NaN, no Infinity. Numbers stay text, for they may be long."""
    text = data.decode()
    try:
        return _loaded(text)
    except RecursionError:  # deep JSON that passes is JSON all the same
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(50_000)
        try:
            return _loaded(text)
        finally:
            sys.setrecursionlimit(before)


def _loaded(text: str) -> object:
    found: object = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refused)
    return found


def _refused(constant: str) -> object:
    raise AssertionError(f"{constant} is not JSON")


def valid_stream(data: bytes) -> list[object]:
    """Whole server-sent events, each of JSON but OpenAI's end marker."""
    reader = sse.Reader()
    events = reader.feed(data)
    assert reader.idle, "half an event was written"
    return [valid_json(event.data) for event in events if event.data != b"[DONE]"]


def bounded(output: bytes | int, source: bytes) -> None:
    """No input becomes much more output."""
    size = output if isinstance(output, int) else len(output)
    assert size <= FACTOR * len(source) + REST, f"{len(source)} bytes became {size}"


def legal_error(error: AperturaError) -> None:
    """An error that can be shown."""
    assert error.message
    error.message.encode()
    assert error.message.isprintable()
    assert 400 <= error.status < 600
    if error.param is not None:
        error.param.encode()
        assert len(error.param) < 1_000


def legal(events: list[Event]) -> None:
    """The order that `wire.events` promises, of all events that a decoder gave."""
    assert events, "neither an answer nor a failure"
    failed = isinstance(events[-1], Failed)
    said = events[:-1] if failed else events
    ended: set[int] = set()
    calls: dict[int, set[int]] = {}
    assert failed or isinstance(said[0], Started)
    for place, event in enumerate(said):
        match event:
            case Started():
                assert place == 0, "started twice, or late"
            case Failed():
                raise AssertionError("events after a failure")
            case UsageReported(usage=usage):
                assert place == len(said) - 1, "usage is not last"
                legal_usage(usage)
            case Finished(choice=choice):
                assert choice not in ended, "ended twice"
                ended.add(choice)
            case _:
                assert place > 0, "content before the start"
                assert event.choice not in ended, "content after the end"
                legal_content(event, calls)
    assert failed or ended, "no end"
    if not failed:
        numbered = [seen == set(range(len(seen))) for seen in calls.values()]
        assert all(numbered), "tool calls are not counted from 0"


def legal_content(
    event: Text | Refusal | Reasoning | ToolCall | Cited | Media, calls: dict[int, set[int]]
) -> None:
    """One piece; `calls` are those of each choice that have begun."""
    match event:
        case Text(text=text) | Refusal(text=text):
            text.encode()
        case Reasoning(text=text, state=state, origin=origin):
            (text + state + origin).encode()
        case ToolCall(index=index, choice=choice):
            begun = calls.setdefault(choice, set())
            if index not in begun:
                begun.add(index)
                assert event.id, "a tool call without an id"
            (event.arguments + (event.id or "") + (event.name or "")).encode()
        case Cited(citation=citation):
            (citation.url + citation.title).encode()
        case Media(part=part):
            (part.data + part.mime).encode()


def legal_usage(usage: Usage | None) -> None:
    """Counts that money can be made of."""
    if usage is None:
        return
    counts = [getattr(usage, name) for name in usage.__struct_fields__ if name != "estimated"]
    assert all(type(count) is int and 0 <= count < 2**63 for count in counts), usage
    assert usage.plain_input >= 0 and usage.plain_output >= 0, usage


def same(events: Iterable[Event]) -> list[object]:
    """Events as they can be compared: a failure by what it says."""
    return [shown(event.error) if isinstance(event, Failed) else event for event in events]


def shown(error: AperturaError) -> tuple[object, ...]:
    """An error as it can be compared."""
    return (type(error), error.message, error.code, error.param, tuple(error.headers.items()))


def gist(events: list[Event]) -> tuple[list[str] | None, list[str]]:
    """What every format can say of the first choice: its words, and the tools that it calls. Not
    in their order: a refusal has a place of its own in some formats, and a call whose tool is
    never named begins last. A picture is words to some.
    """
    answer: Answer = fold(events)
    choice = answer.choices.get(0)
    if choice is None:
        return [], []
    calls = sorted(part.name for part in choice.parts if isinstance(part, CallPart) and part.name)
    seen = any(isinstance(part, MediaPart) for part in choice.parts)
    return None if seen else sorted(choice.text + choice.refusal), calls


def alike(said: list[Event], read: list[Event]) -> bool:
    """Whether what was read back is what was said. A call with arguments that are no JSON cannot
    be said in formats where they are no text: it is a failure of the model, or, where the answer
    was cut at its limit, left out.
    """
    if isinstance(read[-1], Failed):
        return isinstance(read[-1].error, Garbled) and _misspoke(said)
    (text, calls), (text_read, calls_read) = gist(said), gist(read)
    return (calls == calls_read or _misspoke(said)) and text in (None, text_read)


def _misspoke(said: list[Event]) -> bool:
    """Whether a call has arguments that are no object, or one so deep that it may be none to a
    reader with less room.
    """
    for part in (part for choice in fold(said).choices.values() for part in choice.parts):
        if isinstance(part, CallPart):
            if part.arguments.count("{") + part.arguments.count("[") > DEEP:
                return True
            try:
                if not isinstance(msgspec.json.decode(part.arguments), dict):
                    return True
            except (msgspec.DecodeError, RecursionError):
                return True
    return False
