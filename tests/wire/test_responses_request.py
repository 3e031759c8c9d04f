"""Behaviour of requests in the Responses format: read, and passed on to its providers."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import BadRequest
from apertura.wire import state
from apertura.wire.chat import ChatRequest
from apertura.wire.openai_responses import parse, render
from tests.wire.responses_said import PARAMETERS, body


def passed(**members: Any) -> dict[str, Any]:
    """What a provider of the same format gets."""
    found: dict[str, Any] = json.loads(render(parse(body(**members)), model="theirs"))
    return found


def refused(**members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as found:
        parse(body(**members))
    return found.value


def test_the_fields_that_the_gateway_acts_on() -> None:
    """The model without its namespace, the limit, the stream, what an offer must be able to do."""
    request = parse(
        body(
            model="apertis/m",
            stream=True,
            max_output_tokens=50,
            tools=[{"type": "function", "name": "f"}],
            text={"format": {"type": "json_schema", "name": "n", "schema": {}}},
            input=[
                {"role": "user", "content": [{"type": "input_image", "image_url": "https://a/b"}]}
            ],
        )
    )

    assert ("m", True, 50, 1) == (
        request.model,
        request.stream,
        request.max_output,
        request.choices,
    )
    assert request.include_usage and request.needs == {"tools", "json_schema", "vision"}


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_every_documented_parameter_is_accepted(name: str) -> None:
    """And passes as it came, but for the few that only we act on."""
    sent = passed(**{name: PARAMETERS[name]})

    if name not in ("store", "previous_response_id"):
        assert sent[name] == PARAMETERS[name]


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]},
        {"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example"}]},
        {"role": "user", "content": [{"type": "new_part", "of": {"any": "kind"}}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "function_call_output", "call_id": "c", "output": [
            {"type": "input_text", "text": "a"}
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": []},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"q": 1}},
        {"type": "new_item", "content": 7},
    ],
)  # fmt: skip
def test_items_pass_as_they_came(item: dict[str, Any]) -> None:
    """Known ones are checked; types that are not known are not looked at."""
    assert [item] == passed(input=[item])["input"]


def test_unknown_members_pass() -> None:
    """The format grows faster than we do."""
    assert {"new": [1]} == passed(brand_new={"new": [1]})["brand_new"]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": []}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "robot", "content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"text": "a"}]}]}, "input[0].content[0].type"),
        (
            {"input": ["a", {"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0]",
        ),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"metadata": {str(n): "a" for n in range(17)}}, "metadata"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
        ({"text": {"verbosity": "endless"}}, "text.verbosity"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format"),
        ({"truncation": "perhaps"}, "truncation"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"compression": {"enabled": True}}, "compression"),
        ({"fallback_models": ["m"] * 6}, "fallback_models"),
        ({"fallback_timeout": 4_999}, "fallback_timeout"),
    ],
)
def test_a_wrong_value_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    """The error names the place and repeats nothing that the caller wrote."""
    error = refused(**members)

    assert param == error.param and f"`{param}`" in error.message
    assert "robot" not in error.message and "heroic" not in error.message


def test_null_asks_for_nothing() -> None:
    """Clients send null for what they leave open."""
    request = parse(body(background=None, conversation=None, prompt=None, service_tier=None))

    assert "m" == request.model


@given(st.binary(max_size=200))
def test_any_body_is_understood_or_refused(data: bytes) -> None:
    """No other exception, whatever the bytes."""
    for sent in (data, b'{"model":"m","input":[' + data + b"]}"):
        with contextlib.suppress(BadRequest):
            parse(sent)


def test_the_provider_keeps_nothing() -> None:
    """`store` is false, whatever the caller said; the gateway's own members stay here."""
    sent = passed(store=True, compression={"enabled": False}, fallback_enabled=False)

    assert ("theirs", False) == (sent["model"], sent["store"])
    assert {"model", "input", "store"} == set(sent)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"input": [{"role": "user", "content": "a"}, {"id": "msg_1"}]}, "input[1].id"),
    ],
)
def test_ids_of_kept_things_reach_no_provider(members: dict[str, Any], param: str) -> None:
    """What they name was kept by us, or is another tenant's."""
    request = parse(body(**members))

    with pytest.raises(BadRequest) as found:
        render(request, model="theirs")
    assert param == found.value.param


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"max_tokens": 9}, {"max_output_tokens": 9}),
        ({"max_tokens": 9, "max_output_tokens": 5}, {"max_output_tokens": 9}),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}]},
            {
                "tools": [
                    {"type": "function", "name": "f", "parameters": {"a": 1}, "strict": False}
                ]
            },
        ),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "name": "f"}},
        ),
        ({"text": {"verbosity": "concise"}}, {"text": {"verbosity": "low"}}),
        (
            {"text": {"format": {"type": "json_schema", "json_schema": {"name": "n"}}}},
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}},
        ),
        ({"text": {"verbosity": "verbose", "new": 1}}, {"text": {"verbosity": "high", "new": 1}}),
        (
            {"response_format": {"type": "json_object"}},
            {"text": {"format": {"type": "json_object"}}},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True},
                }
            },
            {
                "text": {
                    "format": {
                        "type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True
                    }
                }
            },
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]},
        ),
        (
            {"input": [{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]},
            {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}]},
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"media_type": "image/gif", "data": "R0"}}
                        ],
                    }
                ]
            },
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "input_image",
                                "image_url": "data:image/gif;base64,R0",
                                "detail": "auto",
                            }
                        ],
                    }
                ]
            },
        ),
    ],
)  # fmt: skip
def test_other_ways_to_say_it_become_the_formats_own(
    said: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Providers know none of them."""
    found = passed(**said)

    assert sent == {name: found[name] for name in sent}
    assert found.keys().isdisjoint({"max_tokens", "response_format"})


def test_what_our_answers_add_does_not_go_to_a_provider() -> None:
    """The nested form of a citation is for callers; the flat one is the format's own."""
    flat = {"type": "url_citation", "url": "https://a", "start_index": 0, "end_index": 1}
    text = {"type": "output_text", "text": "a", "logprobs": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    both = {**flat, "url_citation": flat}

    sent = passed(input=[{**item, "content": [{**text, "annotations": [both]}]}])["input"]
    assert [{**item, "content": [{**text, "annotations": [flat]}]}] == sent


def test_state_is_asked_for_where_there_is_thought() -> None:
    """Models that do not reason refuse to be asked for it."""
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    wanted = ["reasoning.encrypted_content"]

    assert "include" not in passed()
    assert "include" not in passed(reasoning={"effort": "none"})
    assert wanted == passed(reasoning={"effort": "low"})["include"]
    assert wanted == passed(input=[sealed])["include"]
    asked = passed(reasoning={}, include=["message.output_text.logprobs"])["include"]
    assert ["message.output_text.logprobs", *wanted] == asked
    assert wanted == passed(reasoning={}, include=wanted)["include"]


def test_state_of_another_format_reaches_no_provider() -> None:
    """Nor does reasoning whose provider left nothing to give back; its own stays."""
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    foreign = {**own, "encrypted_content": state.wrap(state.ANTHROPIC, "sig")}
    shown = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]}
    user = {"role": "user", "content": "a"}

    assert [own, user] == passed(input=[own, foreign, shown, user])["input"]


def test_a_number_that_python_cannot_hold_is_refused_where_an_item_must_be_mended() -> None:
    """An item that is read again, because its parts have the names of another format."""
    item = b'{"role":"user","content":[{"type":"text","text":"a"}],"x":%b}' % (b"7" * 5_000)
    asked = parse(b'{"model":"m","input":[%b]}' % item)

    with pytest.raises(BadRequest):
        render(asked, model="theirs")


def test_what_could_just_be_read_is_refused_where_there_is_less_room() -> None:
    """How deep JSON may be depends on who reads it; that must not end in another exception."""
    asked = deepest()

    def further_down(levels: int) -> bytes:
        return further_down(levels - 1) if levels else render(asked, model="theirs")

    with pytest.raises(BadRequest):
        further_down(50)


def deepest() -> ChatRequest:
    """The deepest request that can be read here."""
    found: ChatRequest | None = None
    for depth in range(500, 2_000):
        tool = b'{"type":"function","name":"f","parameters":%b}' % (
            b'{"a":' * depth + b"1" + b"}" * depth
        )
        try:
            found = parse(b'{"model":"m","input":"hi","tools":[%b]}' % tool)
        except BadRequest:
            assert found is not None
            return found
    pytest.skip("this Python has room for all that depth")
