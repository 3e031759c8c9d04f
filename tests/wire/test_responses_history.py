"""Behaviour of requests that go on from a kept response, and of what is kept of one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from apertura.errors import BadRequest, Garbled
from apertura.wire.chat import ChatRequest
from apertura.wire.openai_responses import parse, render, understand
from apertura.wire.responses_history import (
    kept_items,
    listed,
    previous_id,
    references,
    wants_keeping,
    with_history,
)
from tests.wire.responses_said import body, message

REPLY = {"id": "resp_1", "object": "response", "store": False, "output": [message("b")]}


def asked(**members: Any) -> ChatRequest:
    return parse(body(**members))


def raws(*items: dict[str, Any]) -> list[Raw]:
    return [Raw(json.dumps(item).encode()) for item in items]


def test_nothing_is_kept_unasked() -> None:
    """Only `store: true` asks."""
    assert wants_keeping(asked(store=True))
    for members in ({}, {"store": False}, {"store": None}):
        assert not wants_keeping(asked(**members))


def test_what_a_request_goes_on_from() -> None:
    """A response, items of one, or nothing."""
    items = [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_2"}]
    request = asked(previous_response_id="resp_1", input=items)

    assert ("resp_1", ("msg_1", "msg_2")) == (previous_id(request), references(request))
    assert (None, ()) == (previous_id(asked()), references(asked()))


def test_history_comes_before_what_is_said_now() -> None:
    """The request then stands for itself: any provider can be given it."""
    before = raws({"role": "user", "content": "a"}, message("b"))
    request = with_history(asked(previous_response_id="resp_1", instructions="c"), before)

    sent = json.loads(render(request, model="m"))
    now = {"type": "message", "role": "user", "content": "hi"}
    assert [{"role": "user", "content": "a"}, message("b"), now] == sent["input"]
    assert "previous_response_id" not in sent and "c" == sent["instructions"]
    assert ["user", "assistant", "user"] == [turn.role for turn in understand(request).turns]


def test_needs_and_size_count_the_history() -> None:
    """An image of an earlier turn still needs a model that can see."""
    image = {"type": "input_image", "image_url": "https://a.example/b"}
    request = asked(previous_response_id="resp_1", tools=[{"type": "function", "name": "f"}])
    grown = with_history(request, raws({"role": "user", "content": [image]}))

    assert {"tools", "vision"} == grown.needs
    assert grown.size > request.size + len(json.dumps(image))


def test_references_become_what_they_name() -> None:
    """In their places; what stands in the history already is not said twice."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    items = [{"type": "item_reference", "id": "msg_1"}, {"id": "fc_1"}]
    request = with_history(asked(input=items), raws(message("b")), {"fc_1": raws(call)[0]})

    assert [message("b"), call] == json.loads(render(request, model="m"))["input"]


def test_a_reference_to_nothing_is_refused() -> None:
    """By its place."""
    items = [{"role": "user", "content": "a"}, {"type": "item_reference", "id": "msg_9"}]

    with pytest.raises(BadRequest) as found:
        with_history(asked(input=items), raws(message("b")))
    assert "input[1].id" == found.value.param


def test_what_is_kept_is_the_requests_own() -> None:
    """Its own items, not those before it; the response says that it is kept."""
    kept = kept_items(asked(store=True, previous_response_id="resp_0"), json.dumps(REPLY).encode())

    assert ("resp_1", "m", "resp_0") == (kept.id, kept.model, kept.previous_id)
    own = {"type": "message", "role": "user", "content": "hi"}
    assert [own] == json.loads(kept.input)
    expected = {**REPLY, "store": True, "previous_response_id": "resp_0"}
    assert expected == json.loads(kept.response)


def test_references_are_kept_as_what_they_name() -> None:
    """So that a history has no names to look up; those of the history itself are left out."""
    items = [
        {"id": "fc_1"},
        {"type": "item_reference", "id": "msg_1"},
        {"role": "user", "content": "a"},
    ]
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    kept = kept_items(asked(input=items), json.dumps(REPLY).encode(), {"fc_1": raws(call)[0]})

    assert [call, {"role": "user", "content": "a"}] == json.loads(kept.input)


@pytest.mark.parametrize("reply", [b"", b"{}", b"[]", b'{"id": null}', b'{"id": ""}', b"\xff"])
def test_a_response_without_an_id_cannot_be_kept(reply: bytes) -> None:
    """Also where nothing came that is a response."""
    with pytest.raises(Garbled):
        kept_items(asked(), reply)


def test_kept_input_is_listed_in_the_formats_own_form() -> None:
    """Each item with an id and a type, content as parts."""
    items = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"type": "function_call_output", "call_id": "c", "output": "d"},
        message("e"),
    ]
    found = json.loads(listed(json.dumps(items).encode(), "resp_1"))

    data = found.pop("data")
    ids = ["msg_resp_1_0", "msg_resp_1_1", "fco_resp_1_2", "msg_1"]
    assert ids == [item["id"] for item in data]
    assert [{"type": "input_text", "text": "a"}] == data[0]["content"]
    assert "output_text" == data[1]["content"][0]["type"]
    assert {
        "object": "list",
        "first_id": ids[0],
        "last_id": ids[-1],
        "has_more": False,
    } == found


def test_a_kept_item_with_a_number_that_python_cannot_hold_can_be_listed() -> None:
    """As the nearest that it can."""
    item = b'{"type":"message","role":"user","content":"a","x":%b}' % (b"7" * 5_000)

    [found] = json.loads(listed(b"[%b]" % item, "resp_1"))["data"]

    assert found["x"] > 1e308
