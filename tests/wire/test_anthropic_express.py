"""Behaviour of requests that are said in the Messages format: parameters and reasoning."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire.anthropic_express import FATES
from apertura.wire.anthropic_messages import express, parse
from apertura.wire.anthropic_request import JSON_ONLY
from apertura.wire.anthropic_thinking import adapts, generation, samples
from apertura.wire.chat import (
    PARAMETERS,
    CallPart,
    Chat,
    Format,
    Part,
    ReasoningPart,
    ReasoningWish,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.dialect import Target
from apertura.wire.state import ANTHROPIC, GEMINI

OLD = Target(model="claude-sonnet-4-5-20250929")
MIDDLE = Target(model="claude-opus-4-6")
NEW = Target(model="claude-opus-4-7")
HI = Turn(role="user", parts=(TextPart(text="hi"),))
F = Tool(name="f", parameters=Raw(b'{"type":"object"}'))
CALL = CallPart(id="a", name="f", arguments="{}")
RESULT = Turn(role="user", parts=(ResultPart(call_id="a"),))
OWN = ReasoningPart(text="…", state="Eq==", origin=ANTHROPIC)
FOREIGN = ReasoningPart(text="…", state="x", origin=GEMINI)


def model_said(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def said(target: Target = OLD, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body for a provider, and what was dropped. Bodies that we send, we accept."""
    expressed = express(Chat(**{"turns": (HI,), **fields}), target)
    parse(expressed.body)
    return json.loads(expressed.body), expressed.dropped


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


# --- Reasoning -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "limit", "budget", "tokens"),
    [
        (ReasoningWish(effort="minimal"), None, 1024, 5120),
        (ReasoningWish(effort="low"), None, 1024, 5120),
        (ReasoningWish(effort="medium"), None, 4096, 8192),
        (ReasoningWish(effort="high"), None, 16_384, 20_480),
        (ReasoningWish(effort="xhigh"), None, 24_576, 28_672),
        (ReasoningWish(effort="max"), None, 32_000, 36_096),
        (ReasoningWish(enabled=True), None, 4096, 8192),
        (ReasoningWish(effort="high"), 4000, 2000, 4000),
        (ReasoningWish(effort="low"), 1500, 1024, 1500),
        (ReasoningWish(effort="low"), 1024, 1024, 2048),
        (ReasoningWish(effort="low"), 10, 1024, 1034),
        (ReasoningWish(budget=3000), 4000, 3000, 4000),
        (ReasoningWish(budget=4000), 4000, 2000, 4000),
        (ReasoningWish(budget=5), 4000, 1024, 4000),
        (ReasoningWish(budget=-1), 100_000, 4096, 100_000),
    ],
)
def test_older_models_think_on_a_budget(
    wish: ReasoningWish, limit: int | None, budget: int, tokens: int
) -> None:
    """At least 1,024 tokens and less than the limit, which is raised only where it must be."""
    body, lost = said(reasoning=wish, max_output=limit)

    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == tokens
    assert lost == (() if limit in (None, tokens) else ("max_output",))


def test_a_model_that_cannot_answer_so_long_does_not_think() -> None:
    """Its own limit stands."""
    target = msgspec.structs.replace(OLD, max_output=1000)
    body, lost = said(target, reasoning=ReasoningWish(effort="low"), max_output=900)

    assert "thinking" not in body
    assert lost == ("reasoning",)
    assert body["max_tokens"] == 900


@pytest.mark.parametrize(
    ("target", "wish", "effort"),
    [
        (MIDDLE, ReasoningWish(enabled=True), None),
        (MIDDLE, ReasoningWish(effort="minimal"), "low"),
        (MIDDLE, ReasoningWish(effort="medium"), "medium"),
        (MIDDLE, ReasoningWish(effort="xhigh"), "high"),
        (NEW, ReasoningWish(effort="xhigh"), "xhigh"),
        (NEW, ReasoningWish(effort="max"), "max"),
        (NEW, ReasoningWish(budget=1024), "low"),
        (NEW, ReasoningWish(budget=5000), "medium"),
        (NEW, ReasoningWish(budget=20_000), "high"),
        (NEW, ReasoningWish(enabled=True, budget=-1), None),
    ],
)
def test_newer_models_adapt(target: Target, wish: ReasoningWish, effort: str | None) -> None:
    """Under an effort; a budget is put into words."""
    body, lost = said(target, reasoning=wish)

    assert body["thinking"] == {"type": "adaptive"}
    assert body.get("output_config") == (None if effort is None else {"effort": effort})
    assert lost == ()


@pytest.mark.parametrize("target", [OLD, NEW])
@pytest.mark.parametrize(
    "wish",
    [ReasoningWish(enabled=False), ReasoningWish(effort="none"), ReasoningWish(budget=0)],
)
def test_thinking_can_be_switched_off(target: Target, wish: ReasoningWish) -> None:
    """Said outright, as newer models think unasked."""
    assert said(target, reasoning=wish)[0]["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize(
    ("show", "display"),
    [("", None), ("omitted", "omitted"), ("summarized", "summarized"), ("detailed", "summarized")],
)
def test_how_thoughts_are_shown(show: str, display: str | None) -> None:
    """In this format's words."""
    wish = ReasoningWish(effort="low", show=show)

    assert said(reasoning=wish)[0]["thinking"].get("display") == display


def test_a_wish_to_see_alone_is_listed() -> None:
    """It is none to think."""
    assert said(reasoning=ReasoningWish(show="auto")) == (said()[0], ("reasoning",))


@pytest.mark.parametrize(
    ("turns", "more", "thinks"),
    [
        ((HI,), {"tool_choice": ToolChoice(mode="required")}, False),
        ((HI,), {"tool_choice": ToolChoice(mode="named", name="f")}, False),
        ((HI,), {"tool_choice": ToolChoice(mode="auto")}, True),
        ((HI, model_said(TextPart(text="The"))), {}, False),
        ((HI, model_said(OWN, CALL), RESULT), {}, True),
        ((HI, model_said(CALL), RESULT), {}, False),
        ((HI, model_said(FOREIGN, CALL), RESULT), {}, False),
        ((HI, model_said(OWN, CALL), RESULT, model_said(CALL), RESULT), {}, True),
        ((HI, model_said(CALL), RESULT, model_said(OWN, CALL), RESULT), {}, False),
        ((HI, model_said(CALL), RESULT, model_said(TextPart(text="x")), HI), {}, True),
        ((HI, model_said(CALL), RESULT, HI), {}, False),
    ],
)
def test_thinking_is_given_up_where_it_would_be_refused(
    turns: tuple[Turn, ...], more: dict[str, Any], thinks: bool
) -> None:
    """Forced calls, an answer to go on with, calls that were begun without own thoughts."""
    wish = ReasoningWish(effort="high")
    body, lost = said(turns=turns, tools=(F,), reasoning=wish, max_output=500, **more)

    assert ("thinking" in body) == thinks
    assert lost == (("max_output",) if thinks else ("reasoning",))
    assert body["max_tokens"] == (1524 if thinks else 500)


def test_newer_models_may_go_on_thinking_amid_calls() -> None:
    """They do not ask for thoughts before them."""
    turns = (HI, model_said(CALL), RESULT)

    assert (
        "thinking" in said(NEW, turns=turns, tools=(F,), reasoning=ReasoningWish(effort="low"))[0]
    )


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-sonnet-4-5-20250929", (4, 5)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-3-7-sonnet-20250219", (0, 0)),
        ("claude-3-5-haiku-latest", (0, 0)),
        ("anthropic.claude-opus-4-7-v1:0", (4, 7)),
        ("claude-opus-4-6@20260205", (4, 6)),
        ("anthropic/claude-sonnet-4.6", (4, 6)),
        ("claude-sonnet-5", (5, 0)),
        ("kimi-k2-thinking", (0, 0)),
    ],
)
def test_a_model_s_version_is_in_its_name(model: str, version: tuple[int, int]) -> None:
    """What has no such name is spoken to as an older model."""
    assert generation(model) == version
    assert adapts(model) == (version >= (4, 6))
    assert samples(model) == (version < (4, 7))
