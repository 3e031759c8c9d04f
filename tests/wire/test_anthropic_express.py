"""Behaviour of requests that are said in the Messages format: its parameters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire.anthropic_express import FATES
from apertura.wire.anthropic_request import JSON_ONLY
from apertura.wire.chat import PARAMETERS, Format, ReasoningWish, TextPart, Tool, ToolChoice
from apertura.wire.dialect import Target
from tests.wire.anthropic_asked import MIDDLE, NEW, OLD, F, said


def refused(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        said(**fields)
    return caught.value


def test_the_smallest_request() -> None:
    """The model by the provider's name, a limit because the format insists, the turns."""
    assert said() == (
        {
            "model": "claude-sonnet-4-5-20250929",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        },
        (),
    )


PLAIN: dict[str, Any] = {
    "max_output": 500,
    "temperature": 0.0,
    "top_k": 5,
    "stop": ("a", "b"),
    "n": 1,
    "tools": (F,),
    "tool_choice": ToolChoice(mode="required"),
    "parallel_tools": False,
    "reasoning": ReasoningWish(enabled=False),
    "user": "u",
    "modalities": ("text",),
    "format": Format(kind="json_schema", schema=Raw(b'{"type":"string"}')),
}
EXPECTED: dict[str, Any] = {
    "max_tokens": 500,
    "temperature": 0.0,
    "top_k": 5,
    "stop_sequences": ["a", "b"],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "disabled"},
    "metadata": {"user_id": "u"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}},
}


def test_mapped_parameters_arrive() -> None:
    """Each in this format's words, and none is listed."""
    body, dropped = said(**PLAIN)

    assert {name: body[name] for name in EXPECTED} == EXPECTED
    assert set(body) == {*EXPECTED, "model", "messages"}
    assert dropped == ()
    assert said(top_p=0.5)[0]["top_p"] == 0.5


LOST: dict[str, Any] = {
    "seed": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": Raw(b"{}"),
    "logprobs": True,
    "top_logprobs": 3,
    "verbosity": "low",
    "metadata": Raw(b"{}"),
    "cache_key": "k",
}


@pytest.mark.parametrize("field", LOST)
def test_what_only_shades_is_dropped_and_listed(field: str) -> None:
    """By the caller's own name for it."""
    plain, _ = said()

    assert said(**{field: LOST[field]}, names={field: "theirs"}) == (plain, ("theirs",))


def test_members_without_a_place_are_listed() -> None:
    """By their names."""
    assert said(others={"x": Raw(b"1")})[1] == ("x",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("audio", Raw(b"{}")),
        ("modalities", ("text", "audio")),
        ("modalities", ("image",)),
    ],
)
def test_what_would_change_the_answer_is_refused(field: str, value: Any) -> None:
    """By the caller's name for it."""
    assert refused(**{field: value}, names={field: "theirs"}).param == "theirs"


def test_each_parameter_has_a_fate_and_a_test() -> None:
    """A field that is added must be added here."""
    assert set(FATES) == set(PARAMETERS) == {*PLAIN, *LOST, "top_p", "audio"}


@pytest.mark.parametrize(
    ("target", "fields", "kept", "dropped"),
    [
        (OLD, {"temperature": 1.6}, {"temperature": 1}, ("temperature",)),
        (OLD, {"temperature": 1.0}, {}, ()),
        (OLD, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        (OLD, {"temperature": 0.5, "top_p": 1.0}, {"temperature": 0.5}, ()),
        (OLD, {"top_k": -1}, {}, ()),
        (MIDDLE, {"temperature": 0.5}, {"temperature": 0.5}, ()),
        (NEW, {"temperature": 0.5, "top_k": 3}, {}, ("temperature", "top_k")),
        (NEW, {"temperature": 1.0, "top_p": 0.99}, {}, ("top_p",)),
    ],
)
def test_sampling_is_what_the_model_takes(
    target: Target, fields: dict[str, Any], kept: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    """In its range, one of temperature and top_p, and of the newest models nothing."""
    body, lost = said(target, **fields)

    assert {n: body[n] for n in ("temperature", "top_p", "top_k") if n in body} == kept
    assert lost == dropped


def test_thinking_leaves_hardly_any_sampling() -> None:
    """A temperature of 1, a high top_p."""
    thinks = {"reasoning": ReasoningWish(effort="low")}
    body, lost = said(**thinks, temperature=0.5, top_p=0.5, top_k=3)

    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert lost == ("temperature", "top_p", "top_k")
    assert said(**thinks, top_p=0.97)[0]["top_p"] == 0.97


def test_stop_sequences_have_letters() -> None:
    """Those of white space alone are refused by the format."""
    assert said(stop=("\n",)) == (said()[0], ("stop",))
    assert said(stop=())[0] == said()[0]


def test_a_long_user_is_dropped() -> None:
    """The format bounds it."""
    assert said(user="u" * 257, names={"user": "safety_identifier"})[1] == ("safety_identifier",)


@pytest.mark.parametrize(
    ("limit", "most", "expected", "dropped"),
    [
        (None, None, 4096, ()),
        (None, 8192, 8192, ()),
        (500, 8192, 500, ()),
        (9000, 8192, 8192, ("max_output",)),
        (9000, None, 9000, ()),
    ],
)
def test_a_limit_on_output_is_always_said(
    limit: int | None, most: int | None, expected: int, dropped: tuple[str, ...]
) -> None:
    """The caller's, within the model's own; else the model's; else a modest one."""
    target = msgspec.structs.replace(OLD, max_output=most)
    body, lost = said(target, max_output=limit)

    assert (body["max_tokens"], lost) == (expected, dropped)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="named", name="f"), None, {"type": "tool", "name": "f"}),
    ],
)
def test_which_tools_may_be_called(
    choice: ToolChoice | None, parallel: bool | None, expected: dict[str, Any] | None
) -> None:
    """Nothing is said of them where there are none."""
    fields = {"tool_choice": choice, "parallel_tools": parallel}

    assert said(**fields, tools=(F,))[0].get("tool_choice") == expected
    assert "tool_choice" not in said(**fields)[0]
    assert "tools" not in said(**fields, tools=())[0]


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        (None, {"type": "object", "properties": {}}),
        (Raw(b"null"), {"type": "object", "properties": {}}),
        (Raw(b'{"properties":{}}'), {"type": "object", "properties": {}}),
        (Raw(b'{"type":"object","x":1}'), {"type": "object", "x": 1}),
    ],
)
def test_a_tool_s_schema_is_of_an_object(parameters: Raw | None, schema: dict[str, Any]) -> None:
    """The format insists on it."""
    tool = Tool(name="f", description="d", parameters=parameters, strict=True)

    assert said(tools=(tool,))[0]["tools"] == [
        {"name": "f", "description": "d", "input_schema": schema, "strict": True}
    ]


def test_a_schema_for_the_answer_is_closed() -> None:
    """Objects allow no other members unless they say; members that are called so stay."""
    schema = {
        "type": "object",
        "properties": {
            "type": {"type": "array", "items": {"type": "object"}},
            "b": {
                "anyOf": [{"type": "object", "additionalProperties": True}, {"$ref": "#/$defs/x"}]
            },
        },
        "$defs": {"x": {"type": "object"}},
    }
    wanted = Format(kind="json_schema", name="n", schema=Raw(json.dumps(schema).encode()))
    shut = {"type": "object", "additionalProperties": False}

    assert said(format=wanted)[0]["output_config"]["format"]["schema"] == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "type": {"type": "array", "items": shut},
            "b": {
                "anyOf": [{"type": "object", "additionalProperties": True}, {"$ref": "#/$defs/x"}]
            },
        },
        "$defs": {"x": shut},
    }


def test_json_without_a_schema_is_asked_for_in_words() -> None:
    """After the system prompt; a text is asked for by saying nothing."""
    asked = {"type": "text", "text": JSON_ONLY}
    system = (TextPart(text="Be kind."), TextPart(text=" "))

    for form in (Format(kind="json_object"), Format(kind="json_schema")):
        assert said(format=form)[0]["system"] == [asked]
        assert said(format=form, system=system)[0]["system"] == [
            {"type": "text", "text": "Be kind."},
            asked,
        ]
    assert said(format=Format(kind="text")) == said()
