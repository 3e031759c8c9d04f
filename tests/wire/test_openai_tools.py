"""Behaviour of tool calls, in every shape that providers were seen to send."""

from __future__ import annotations

from typing import Any

import pytest

from apertura.wire.chat import CallPart
from apertura.wire.events import Text, ToolCall, fold
from apertura.wire.openai_chat import decoder
from tests.wire.said import chunk, sse

A = CallPart(id="a", name="f", arguments='{"x":1}')
B = CallPart(id="b", name="g", arguments='{"y":2}')


def piece(
    index: int | None = None, call_id: str | None = None, name: str | None = None, said: Any = None
) -> dict[str, Any]:
    """One member of `tool_calls`, without what is not given."""
    function = {"name": name, "arguments": said}
    found = {
        "index": index,
        "id": call_id,
        "function": {k: v for k, v in function.items() if v is not None},
    }
    return {k: v for k, v in found.items() if v is not None}


def calls(*deltas: list[dict[str, Any]]) -> dict[int, CallPart]:
    """The calls that deltas with these pieces add up to."""
    reader = decoder()
    said = sse(*[chunk({"tool_calls": found}) for found in deltas], chunk(reason="tool_calls"))
    return fold(reader.feed(said)).choices[0].calls


SHAPES: dict[str, list[list[dict[str, Any]]]] = {
    "as published": [
        [piece(0, "a", "f", "")],
        [piece(0, said='{"x"')],
        [piece(0, said=":1}")],
        [piece(1, "b", "g", "")],
        [piece(1, said='{"y":2}')],
    ],
    "interleaved": [
        [piece(0, "a", "f"), piece(1, "b", "g")],
        [piece(1, said='{"y"')],
        [piece(0, said='{"x":1}')],
        [piece(1, said=":2}")],
    ],
    "complete deltas": [[piece(0, "a", "f", '{"x":1}')], [piece(1, "b", "g", '{"y":2}')]],
    "first index is 1": [[piece(1, "a", "f", '{"x":1}')], [piece(2, "b", "g", '{"y":2}')]],
    "no index": [[piece(None, "a", "f", '{"x":1}')], [piece(None, "b", "g", '{"y":2}')]],
    "no index, in one delta": [
        [piece(None, "a", "f", '{"x":1}'), piece(None, "b", "g", '{"y":2}')]
    ],
    "no index, in pieces": [
        [piece(None, "a", "f", '{"x"')],
        [piece(None, said=":1}")],
        [piece(None, "b", "g")],
        [piece(None, said='{"y":2}')],
    ],
    "the same index for all": [[piece(0, "a", "f", '{"x":1}')], [piece(0, "b", "g", '{"y":2}')]],
    "id and name repeated": [
        [piece(0, "a", "f", '{"x"')],
        [piece(0, "a", "f", ":1}")],
        [piece(1, "b", "g", '{"y":')],
        [piece(1, "b", "g", "2}")],
    ],
    "repeated, no index": [
        [piece(None, "a", "f", '{"x"')],
        [piece(None, "a", "f", ":1}")],
        [piece(None, "b", "g", '{"y":2}')],
    ],
    "a new id in each piece": [
        [piece(0, "a", "f", '{"x"')],
        [piece(0, "zz", None, ":1}")],
        [piece(1, "b", "g", '{"y":2}')],
    ],
    "arguments as objects": [[piece(0, "a", "f", {"x": 1})], [piece(1, "b", "g", {"y": 2})]],
    "name after arguments": [
        [piece(0, "a", None, '{"x"')],
        [piece(0, None, "f", ":1}")],
        [piece(1, "b", "g", '{"y":2}')],
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_gives_the_same_calls(shape: str) -> None:
    """Numbered from 0 in the order in which they begin; no argument is lost."""
    assert calls(*SHAPES[shape]) == {0: A, 1: B}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_piece_of_a_call_has_its_id_and_name(shape: str) -> None:
    """And only the first."""
    events = decoder().feed(sse(*[chunk({"tool_calls": found}) for found in SHAPES[shape]]))
    found = [event for event in events if isinstance(event, ToolCall)]

    assert [(e.index, e.id, e.name) for e in found if e.id or e.name] == [
        (0, "a", "f"),
        (1, "b", "g"),
    ]


@pytest.mark.parametrize("said", [None, "", {}])
def test_no_arguments_are_an_empty_object(said: Any) -> None:
    """So that who parses them finds JSON."""
    assert calls([piece(0, "a", "f", said)])[0].arguments == "{}"


def test_arguments_only_in_a_closing_message() -> None:
    """Some announce a call and say it all at the end."""
    message = {"tool_calls": [piece(None, "a", "f", '{"x":1}'), piece(None, "b", "g", '{"y":2}')]}
    end = {**chunk(), "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    for announced in ([], [piece(0, "a", "f", "")], [piece(1, "a", "f", '{"x":1}')]):
        events = decoder().feed(sse(chunk({"tool_calls": announced}), end))
        assert fold(events).choices[0].calls == {0: A, 1: B}


def test_a_closing_message_does_not_say_it_twice() -> None:
    """What was streamed is not repeated."""
    message = {"content": "hi", "tool_calls": [piece(0, "a", "f", '{"x":1}')]}
    end = {**chunk(), "choices": [{"index": 0, "delta": {}, "message": message}]}
    answer = fold(decoder().feed(sse(chunk(message), end)))

    assert (answer.choices[0].text, answer.choices[0].calls) == ("hi", {0: A})


def test_text_and_a_call_in_one_delta_both_survive() -> None:
    """Name included."""
    events = decoder().feed(
        sse(chunk({"content": "hi", "tool_calls": [piece(0, "a", "f", '{"x":1}')]}))
    )

    assert events[1:3] == [
        Text(text="hi"),
        ToolCall(index=0, id="a", name="f", arguments='{"x":1}'),
    ]


def test_the_first_way_to_call_is_understood() -> None:
    """`function_call`, from before there were tools."""
    said = [
        {"function_call": {"name": "f", "arguments": '{"x"'}},
        {"function_call": {"arguments": ":1}"}},
    ]
    call = fold(decoder().feed(sse(*map(chunk, said)))).choices[0].calls[0]

    assert (call.name, call.arguments) == ("f", '{"x":1}')
    assert call.id


def test_calls_of_several_choices_are_apart() -> None:
    """Each choice counts its own."""
    said = [chunk({"tool_calls": [piece(0, "a", "f", '{"x":1}')]}, index=n) for n in (1, 0)]
    answer = fold(decoder().feed(sse(*said)))

    assert answer.choices[0].calls == answer.choices[1].calls == {0: A}


@pytest.mark.parametrize("found", [5, "x", {}, [5], [{}], [{"function": 5}], [{"index": "0"}]])
def test_nonsense_is_no_reason_to_fall(found: Any) -> None:
    """What is no call is none, or one that says nothing."""
    events = decoder().feed(sse(chunk({"tool_calls": found})))

    assert all(event.arguments == "" for event in events if isinstance(event, ToolCall))
