"""Behaviour of requests of any format, said in Gemini's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import fates
from apertura.wire.chat import (
    PARAMETERS,
    Chat,
    Format,
    MediaPart,
    Part,
    ReasoningWish,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.dialect import Target
from apertura.wire.gemini import express
from apertura.wire.gemini_express import BUDGETS, FATES

TARGET = Target(model="m-1")
HI = Turn(role="user", parts=(TextPart(text="hi"),))
SCHEMA = Raw(b'{"type":"object","additionalProperties":false}')


def expressed(*turns: Turn, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    said = express(Chat(turns=turns or (HI,), **fields), TARGET)
    return json.loads(said.body), said.dropped


def config(**fields: Any) -> dict[str, Any]:
    """The `generationConfig` for these fields, none of which is listed as dropped."""
    body, dropped = expressed(**fields)
    assert () == dropped
    found: dict[str, Any] = body.get("generationConfig", {})
    return found


def contents(*turns: Turn) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = expressed(*turns)[0]["contents"]
    return found


def model(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def user(*parts: Part) -> Turn:
    return Turn(role="user", parts=parts)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_output": 9}, {"maxOutputTokens": 9}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"top_p": 0.5}, {"topP": 0.5}),
        ({"top_k": 5}, {"topK": 5}),
        ({"top_k": -1}, {}),
        ({"stop": ("a", "")}, {"stopSequences": ["a"]}),
        ({"n": 2}, {"candidateCount": 2}),
        ({"n": 1}, {}),
        ({"seed": 4}, {"seed": 4}),
        ({"presence_penalty": 1.5}, {"presencePenalty": 1.5}),
        ({"frequency_penalty": -2.0}, {"frequencyPenalty": -2.0}),
        ({"modalities": ("text",)}, {}),
        ({"modalities": ("text", "image")}, {"responseModalities": ["TEXT", "IMAGE"]}),
        ({"format": Format(kind="text")}, {}),
        ({"format": Format(kind="json_object")}, {"responseMimeType": "application/json"}),
        (
            {"format": Format(kind="json_schema", name="x", schema=SCHEMA)},
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object", "additionalProperties": False},
            },
        ),
        ({"parallel_tools": True}, {}),
    ],
)
def test_parameters_are_said(fields: dict[str, Any], said: dict[str, Any]) -> None:
    assert said == config(**fields)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (ReasoningWish(effort="none"), {"thinkingBudget": 0}),
        (ReasoningWish(enabled=False), {"thinkingBudget": 0}),
        (ReasoningWish(budget=77), {"includeThoughts": True, "thinkingBudget": 77}),
        (ReasoningWish(enabled=True), {"includeThoughts": True, "thinkingBudget": -1}),
        (
            ReasoningWish(effort="low", show="none"),
            {"includeThoughts": False, "thinkingBudget": 1_024},
        ),
        *(
            (ReasoningWish(effort=effort), {"includeThoughts": True, "thinkingBudget": budget})
            for effort, budget in BUDGETS.items()
            if budget
        ),
    ],
)
def test_thinking_is_a_budget(wish: ReasoningWish, said: dict[str, Any]) -> None:
    assert {"thinkingConfig": said} == config(reasoning=wish)


def test_a_model_that_nobody_asked_to_think_is_not_told_to() -> None:
    """Models that cannot would refuse."""
    assert {} == config(reasoning=ReasoningWish()) == config()


@pytest.mark.parametrize(
    ("fields", "name", "said"),
    [
        ({"temperature": 2.5}, "temperature", {"temperature": 2}),
        ({"stop": tuple("abcdef")}, "stop", {"stopSequences": list("abcde")}),
        ({"seed": 2**40}, "seed", {"seed": 2**31 - 1}),
        ({"presence_penalty": 2.0}, "presence_penalty", {"presencePenalty": 1.99}),
        ({"parallel_tools": False}, "parallel_tools", {}),
        ({"logit_bias": Raw(b"{}")}, "logit_bias", {}),
        ({"logprobs": True}, "logprobs", {}),
        ({"user": "u"}, "user", {}),
        ({"others": {"store": Raw(b"true")}}, "store", {}),
    ],
)
def test_what_only_shades_is_given_up_and_listed(
    fields: dict[str, Any], name: str, said: dict[str, Any]
) -> None:
    body, dropped = expressed(**fields)

    assert (name,) == dropped
    assert said == body.get("generationConfig", {})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": Raw(b"{}")}, "audio"),
        ({"modalities": ("text", "audio")}, "modalities"),
        ({"n": 9}, "n"),
    ],
)
def test_what_changes_meaning_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        expressed(**fields)

    assert param == refused.value.param


def test_errors_and_lists_speak_the_callers_language() -> None:
    names = {"temperature": "sampling.t", "turns": "input"}
    image = user(MediaPart(kind="image", url="https://a.example/x.png"))

    assert ("sampling.t",) == expressed(temperature=3.0, names=names)[1]
    with pytest.raises(BadRequest, match="data URI") as refused:
        expressed(image, names=names)
    assert "input" == refused.value.param


def test_each_parameter_has_a_fate() -> None:
    assert set(PARAMETERS) == FATES.keys()
    assert {"audio"} == {name for name, fate in FATES.items() if fate == "refused"}
    assert fates.name_of(Chat(turns=()), "n") == "n"


def test_marks_inside_are_listed_once() -> None:
    """Where a prefix shall be cached, how closely to look, how strict a tool is."""
    image = MediaPart(kind="image", data="AA==", mime="image/png", detail="high", cache="5m")
    _, dropped = expressed(
        user(image, TextPart(text="a", cache="1h")),
        tools=(Tool(name="f", strict=True, cache="5m"),),
    )

    assert ("tools.strict", "cache_control", "detail") == dropped


def test_tools() -> None:
    body, _ = expressed(
        tools=(Tool(name="f", description="d", parameters=SCHEMA), Tool(name="g")),
        tool_choice=ToolChoice(mode="named", name="f"),
    )

    assert [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parametersJsonSchema": {"type": "object", "additionalProperties": False},
                },
                {"name": "g", "description": ""},
            ]
        }
    ] == body["tools"]
    assert {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}} == (
        body["toolConfig"]
    )


@pytest.mark.parametrize(
    ("mode", "said"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")]
)
def test_tool_choices(mode: Any, said: str) -> None:
    choice = ToolChoice(mode=mode)
    body, _ = expressed(tools=(Tool(name="f"),), tool_choice=choice)

    assert {"mode": said} == body["toolConfig"]["functionCallingConfig"]
    assert "toolConfig" not in expressed(tool_choice=choice)[0]
