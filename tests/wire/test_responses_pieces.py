"""Behaviour of items that come in whatever pieces: from clones of the Responses format."""

from __future__ import annotations

from typing import Any

import pytest

from apertura.errors import Garbled
from apertura.wire.chat import CallPart, MediaPart
from apertura.wire.events import Failed
from tests.wire.responses_said import answered, call, completed, decoded, message, stream


@pytest.mark.parametrize(
    "events",
    [
        [completed(call(arguments='{"a":1}'))],
        [
            {"type": "response.output_item.done", "output_index": 0, "item": call("f", '{"a":1}')},
            completed(),
        ],
        [
            {"type": "response.output_item.added", "output_index": 0, "item": call("f", "")},
            {"type": "response.function_call_arguments.done", "output_index": 0}
            | {"arguments": '{"a":1}'},
            completed(call("f", '{"a":1}')),
        ],
        [
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '{"a"'},
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": ":1}"},
            completed(call("f", '{"a":1}')),
        ],
        [completed(call(arguments={"a": 1}))],
    ],
)
def test_arguments_arrive_however_late(events: list[dict[str, Any]]) -> None:
    """Only in a closing event, only in the whole response, or before the tool is named."""
    choice = answered(*events).choices[0]

    assert [CallPart(id="call_1", name="f", arguments='{"a":1}')] == list(choice.parts)
    assert "tool_calls" == choice.reason


def test_text_only_in_closing_events() -> None:
    """Once, whether one of them brings it or all do."""
    text_done = {"type": "response.output_text.done", "text": "Hi", "item_id": "msg_1"}
    item_done = {"type": "response.output_item.done", "item": message("Hi")}

    for events in ([text_done], [item_done], [text_done, item_done], []):
        assert "Hi" == answered(*events, completed(message("Hi"))).choices[0].text


def test_only_the_rest_of_a_text_is_added() -> None:
    """A clone whose deltas stop early, and then sends all."""
    delta = {"type": "response.output_text.delta", "delta": "He"}

    assert "Hello" == answered(delta, completed(message("Hello"))).choices[0].text


def test_calls_side_by_side_keep_their_pieces() -> None:
    """Interleaved deltas; ids that are new in each event do not matter where the index tells."""
    added = [
        {"type": "response.output_item.added", "output_index": n}
        | {"item": call(f"f{n}", "", id=f"x{n}", call_id=f"call_{n}")}
        for n in (0, 1)
    ]
    deltas = [
        {"type": "response.function_call_arguments.delta", "output_index": n}
        | {"item_id": f"new-{n}-{piece}", "delta": piece}
        for piece in ("{", "}")
        for n in (0, 1)
    ]

    calls = answered(*added, *deltas, completed()).choices[0].calls
    assert {0: ("call_0", "f0", "{}"), 1: ("call_1", "f1", "{}")} == {
        n: (one.id, one.name, one.arguments) for n, one in calls.items()
    }


def test_one_index_for_all_items() -> None:
    """A clone that gives each item the index 0."""
    events = [
        {"type": f"response.output_item.{event}", "output_index": 0}
        | {"item": call(name, "{}", id=f"fc_{name}", call_id=name)}
        for name in ("a", "b")
        for event in ("added", "done")
    ]

    calls = answered(*events, completed()).choices[0].calls.values()
    assert ["a", "b"] == [one.name for one in calls]


def test_reasoning_that_is_said_twice_is_heard_once() -> None:
    """Open models show the same as content and as a summary."""
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "content": [{"type": "reasoning_text", "text": "hm"}],
    }
    delta = {"type": "response.reasoning_text.delta", "item_id": "rs_1", "delta": "hm"}

    assert "hm" == answered(delta, completed(item)).choices[0].reasoning
    assert "hm" == answered(completed(item)).choices[0].reasoning


def test_a_picture_is_media() -> None:
    """The format's own tool for pictures."""
    item = {"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}
    done = {"type": "response.output_item.done", "item": item}

    assert (MediaPart(kind="image", data="AAAA", mime="image/png"),) == answered(
        done, completed(item)
    ).choices[0].parts


def test_memory_is_bounded() -> None:
    """Items, parts and nameless arguments have their most."""
    endless: list[list[dict[str, Any]]] = [
        [
            {"type": "response.output_item.added", "output_index": n, "item": call(id=f"f{n}")}
            for n in range(1100)
        ],
        [
            {"type": "response.output_text.delta", "content_index": n, "delta": "a"}
            for n in range(8200)
        ],
        [{"type": "response.function_call_arguments.delta", "delta": "a" * 300_000}] * 4,
    ]
    for events in endless:
        last = decoded(stream(*events))[-1]
        assert isinstance(last, Failed) and isinstance(last.error, Garbled)
