"""Behaviour of requests of any format, said in Gemini's."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import fates
from apertura.wire.chat import (
    PARAMETERS,
    CallPart,
    Chat,
    Format,
    MediaPart,
    Part,
    ReasoningPart,
    ReasoningWish,
    RefusalPart,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.dialect import Target
from apertura.wire.events import Event, fold
from apertura.wire.gemini import express, parse, parse_reply, render_reply, understand
from apertura.wire.gemini_express import BUDGETS, FATES
from apertura.wire.gemini_state import SKIP
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED, GEMINI, OPENAI
from tests.wire.answers import FAMILIES, KINDS, answers
from tests.wire.test_gemini_encoder import CALL

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


def test_the_user_speaks_first_and_the_sides_take_turns() -> None:
    said = contents(
        model(TextPart(text="a")),
        model(TextPart(text=""), RefusalPart(text="no")),
        Turn(role="system", parts=(TextPart(text="be brief"),)),
        user(TextPart(text="b")),
        user(),
    )

    assert [
        {"role": "user", "parts": [{"text": " "}]},
        {"role": "model", "parts": [{"text": "a"}, {"text": "no"}]},
        {"role": "user", "parts": [{"text": "be brief"}, {"text": "b"}]},
    ] == said


def test_only_a_system_prompt() -> None:
    """Google wants contents."""
    body, _ = expressed(user(), system=(TextPart(text="a"), TextPart(text="")))

    assert {"parts": [{"text": "a"}]} == body["systemInstruction"]
    assert [{"role": "user", "parts": [{"text": " "}]}] == body["contents"]


def test_media() -> None:
    image = MediaPart(kind="image", data="AA==", mime="image/png")
    film = MediaPart(kind="video", data="BB==", mime="video/mp4")
    said = contents(user(image, film))[0]["parts"]

    assert [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"inlineData": {"mimeType": "video/mp4", "data": "BB=="}},
    ] == said


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("sunny", False, {"output": "sunny"}),
        ("", False, {"output": ""}),
        ('{"a": {"b":1}}', False, {"a": {"b": 1}}),
        ("[1]", False, {"output": "[1]"}),
        ("{broken", False, {"output": "{broken"}),
        ("gone", True, {"error": "gone"}),
        ('{"a":1}', True, {"error": '{"a":1}'}),
    ],
)
def test_answers_of_tools(text: str, is_error: bool, response: dict[str, Any]) -> None:
    """An object is the answer itself; words stand where Google wants words."""
    call = CallPart(id="c1", name="f", arguments='{"x":1}')
    result = ResultPart(call_id="c1", parts=(TextPart(text=text),), is_error=is_error)
    said = contents(HI, model(call), user(result))

    assert {"id": "c1", "name": "f", "args": {"x": 1}} == said[1]["parts"][0]["functionCall"]
    assert {"id": "c1", "name": "f", "response": response} == (
        said[2]["parts"][0]["functionResponse"]
    )


def test_a_picture_in_an_answer_of_a_tool() -> None:
    image = MediaPart(kind="image", data="AA==", mime="image/png")
    call = CallPart(id="c1", name="f")
    said = contents(HI, model(call), user(ResultPart(call_id="c1", parts=(image,))))

    assert [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}] == (
        said[2]["parts"][0]["functionResponse"]["parts"]
    )


@pytest.mark.parametrize(
    "turn",
    [
        user(ResultPart(call_id="nobody")),
        user(MediaPart(kind="image", data="AA==")),
    ],
)
def test_a_conversation_that_cannot_be_said_is_refused(turn: Turn) -> None:
    with pytest.raises(BadRequest) as refused:
        expressed(HI, turn)

    assert "turns" == refused.value.param


def test_arguments_that_are_no_object_are_said_as_they_are() -> None:
    """A model failed once; the conversation goes on."""
    said = contents(HI, model(CallPart(id="c", name="f", arguments='{"a": ')))

    assert {"INVALID_JSON": '{"a": '} == said[1]["parts"][0]["functionCall"]["args"]


def test_only_googles_state_reaches_google() -> None:
    """On the part after it; what others thought is left out, words and all."""
    said = contents(
        HI,
        model(
            ReasoningPart(text="secret", state="sig", origin=ANTHROPIC),
            ReasoningPart(state="blob", origin=ANTHROPIC_REDACTED),
            ReasoningPart(text="plan", state="rs_1:x", origin=OPENAI),
            ReasoningPart(text="shown"),
            ReasoningPart(text="hm", state="one==", origin=GEMINI),
            TextPart(text="a"),
            ReasoningPart(state="two", origin=GEMINI),
            ReasoningPart(state="three", origin=GEMINI),
            CallPart(id="c", name="f"),
            ReasoningPart(state="four", origin=GEMINI),
        ),
    )

    call = {"functionCall": {"id": "c", "name": "f", "args": {}}}
    assert [
        {"text": "a", "thoughtSignature": "one=="},
        {"text": "", "thoughtSignature": "two"},
        {**call, "thoughtSignature": "three"},
        {"text": "", "thoughtSignature": "four"},
    ] == said[1]["parts"]


def test_calls_without_a_signature_ask_not_to_be_checked() -> None:
    """The first of each step; those of one step are checked together."""
    calls = (CallPart(id="a", name="f"), CallPart(id="b", name="f"))
    results = tuple(ResultPart(call_id=call.id) for call in calls)
    said = contents(HI, model(*calls), user(*results), model(CallPart(id="c", name="f")))
    signatures = [[part.get("thoughtSignature") for part in said[turn]["parts"]] for turn in (1, 3)]

    assert [[SKIP, None], [SKIP]] == signatures


@given(answers(kinds=KINDS - {"refusal", "cited"}, families=(GEMINI,)))
def test_googles_state_survives_two_turns(events: list[Event]) -> None:
    """Answered to a caller of this format, sent back by them, said to Google again."""
    back = understood_again(events)

    # State belongs to its part; so a second way round changes nothing any more.
    assert said_again(back) == said_again(understood_turn(said_again(back)))
    assert [part["thoughtSignature"] for part in said_again(back) if own(part)] == [
        part.state for part in fold(events).choices[0].parts if is_state(part)
    ]


@given(answers(kinds=KINDS - {"refusal", "cited"}, families=tuple(filter(None, FAMILIES))))
def test_any_state_survives_a_caller_of_this_format(events: list[Event]) -> None:
    """Byte for byte, under its own origin, in its order."""
    given_out = [part for part in fold(events).choices[0].parts if is_state(part)]
    back = understood_again(events)

    assert [(part.origin, part.state) for part in given_out] == [  # type: ignore[union-attr]
        (part.origin, part.state)
        for part in back.parts
        if is_state(part)  # type: ignore[union-attr]
    ]


def is_state(part: Part) -> bool:
    return isinstance(part, ReasoningPart) and bool(part.state)


def own(part: dict[str, Any]) -> bool:
    return part.get("thoughtSignature", SKIP) != SKIP


def understood_again(events: list[Event]) -> Turn:
    """The turn that a caller sends back after this answer."""
    content = json.loads(render_reply(events, CALL))["candidates"][0]["content"]
    return understood_turn(content["parts"])


def understood_turn(parts: list[dict[str, Any]]) -> Turn:
    body = {"contents": [{"role": "model", "parts": parts}]}
    turns = understand(parse(json.dumps(body).encode(), model="m")).turns
    return turns[0] if turns else model()


def said_again(turn: Turn) -> list[dict[str, Any]]:
    """The parts that Google gets for it."""
    said = contents(HI, turn)
    return said[1]["parts"] if len(said) > 1 else []


@given(st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=6))
def test_any_order_of_turns_becomes_legal(roles: list[Any]) -> None:
    said = contents(*(Turn(role=role, parts=(TextPart(text="x"),)) for role in roles))
    sides = [content["role"] for content in said]

    assert "user" == sides[0]
    assert all(one != other for one, other in pairwise(sides))


def test_a_reply_of_ours_is_a_reply_of_googles() -> None:
    """The shape that clients check: role, parts, reason, counts as whole numbers."""
    body = json.loads(render_reply(parse_reply(render_reply([], CALL)), CALL))

    assert {"candidates", "modelVersion", "responseId", "createTime"} == body.keys()
    assert "model" == body["candidates"][0]["content"]["role"]
