"""Behaviour of requests of any format, said to Bedrock's Converse API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from apertura.errors import BadRequest
from apertura.wire import state
from apertura.wire.bedrock_converse import express, parse_reply
from apertura.wire.chat import (
    PARAMETERS,
    CallPart,
    Chat,
    Format,
    MediaPart,
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
from apertura.wire.events import fold
from tests.wire.test_bedrock_reply import whole

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW_CLAUDE = "anthropic.claude-opus-4-7"
OTHER = "meta.llama4-maverick-17b-instruct-v1:0"
HI = Turn(role="user", parts=(TextPart(text="hi"),))
SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}')
TOOL = Tool(name="f", description="d", parameters=SCHEMA)


def expressed(
    *turns: Turn, model: str = CLAUDE, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    said = express(Chat(turns=turns or (HI,), **fields), Target(model=model))
    return json.loads(said.body), said.dropped


def messages(*turns: Turn, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = expressed(*turns, **fields)[0]["messages"]
    return found


def user(*parts: Part) -> Turn:
    return Turn(role="user", parts=parts)


def model_said(*parts: Part) -> Turn:
    return Turn(role="assistant", parts=parts)


def test_the_smallest_request() -> None:
    """The URL names the model; a limit that nobody set is left to it."""
    body, dropped = expressed()

    assert {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {},
    } == body
    assert () == dropped


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_output": 9}, {"maxTokens": 9}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"top_p": 0.5}, {"topP": 0.5}),
        ({"stop": ("a", "b")}, {"stopSequences": ["a", "b"]}),
        ({"n": 1}, {}),
    ],
)
def test_parameters_are_said(fields: dict[str, Any], said: dict[str, Any]) -> None:
    for model in (CLAUDE, OTHER):
        body, dropped = expressed(model=model, **fields)
        assert (said, ()) == (body["inferenceConfig"], dropped)


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_parameter_is_said_listed_or_refused(name: str) -> None:
    """Whatever the family of the model: never lost in silence."""
    tools = {} if name == "tools" else {"tools": (TOOL,)}
    for model in (CLAUDE, NEW_CLAUDE, OTHER):
        plain, _ = expressed(model=model, **tools)
        if name in REFUSED:
            with pytest.raises(BadRequest) as refused:
                expressed(model=model, **tools, **{name: SAMPLES[name]})
            assert name == refused.value.param
        else:
            body, dropped = expressed(model=model, **tools, **{name: SAMPLES[name]})
            assert (body != plain) != bool(dropped)
            assert dropped in ((), (name,))


REFUSED = ("audio", "modalities", "n")
SAMPLES: dict[str, Any] = {
    "max_output": 9,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "stop": ("a",),
    "n": 2,
    "seed": 5,
    "presence_penalty": 1.0,
    "frequency_penalty": 1.0,
    "logit_bias": Raw(b"{}"),
    "logprobs": True,
    "top_logprobs": 2,
    "format": Format(kind="json_schema", schema=SCHEMA),
    "tools": (TOOL,),
    "tool_choice": ToolChoice(mode="required"),
    "parallel_tools": False,
    "reasoning": ReasoningWish(effort="high"),
    "verbosity": "low",
    "modalities": ("text", "image"),
    "audio": Raw(b"{}"),
    "user": "u",
    "metadata": Raw(b"{}"),
    "cache_key": "k",
}


def test_thinking_is_for_models_that_take_it() -> None:
    """In the words of the Messages format, with a limit above the budget; or as an effort."""
    body, _ = expressed(reasoning=ReasoningWish(budget=2_000), max_output=5_000)
    newer, _ = expressed(reasoning=ReasoningWish(effort="high"), model=NEW_CLAUDE)
    other, dropped = expressed(reasoning=ReasoningWish(effort="high"), top_k=4, model=OTHER)

    assert {"thinking": {"type": "enabled", "budget_tokens": 2_000}} == (
        body["additionalModelRequestFields"]
    )
    assert 5_000 == body["inferenceConfig"]["maxTokens"]
    assert {"type": "adaptive"} == newer["additionalModelRequestFields"]["thinking"]
    assert {"effort": "high"} == newer["outputConfig"]
    assert "additionalModelRequestFields" not in other
    assert ("reasoning", "top_k") == dropped


def test_top_k_is_an_additional_field() -> None:
    body, dropped = expressed(top_k=7)

    assert ({"top_k": 7}, ()) == (body["additionalModelRequestFields"], dropped)


def test_a_schema_for_the_answer_is_said_as_text() -> None:
    body, _ = expressed(format=Format(kind="json_schema", schema=SCHEMA))
    form = body["outputConfig"]["textFormat"]

    assert "json_schema" == form["type"]
    assert {"a"} == json.loads(form["structure"]["jsonSchema"]["schema"])["properties"].keys()


def test_tools() -> None:
    body, _ = expressed(tools=(TOOL, Tool(name="g", strict=True)))

    assert {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "d",
                    "inputSchema": {"json": json.loads(bytes(SCHEMA))},
                }
            },
            {
                "toolSpec": {
                    "name": "g",
                    "inputSchema": {"json": {"type": "object", "properties": {}}},
                    "strict": True,
                }
            },
        ]
    } == body["toolConfig"]


CALL = CallPart(id="c1", name="f", arguments='{"a":"x"}')
RESULT = ResultPart(call_id="c1", parts=(TextPart(text="ok"),))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice(mode="auto"), {"auto": {}}),
        (ToolChoice(mode="required"), {"any": {}}),
        (ToolChoice(mode="named", name="f"), {"tool": {"name": "f"}}),
    ],
)
def test_tool_choices(choice: ToolChoice, said: dict[str, Any]) -> None:
    body, _ = expressed(tools=(TOOL,), tool_choice=choice)

    assert said == body["toolConfig"]["toolChoice"]


def test_no_tools_are_said_by_having_none() -> None:
    """Unless the conversation has used some: then the format insists on them."""
    none = ToolChoice(mode="none")
    fresh, dropped = expressed(tools=(TOOL,), tool_choice=none)
    used, lost = expressed(HI, model_said(CALL), user(RESULT), tools=(TOOL,), tool_choice=none)

    assert ("toolConfig" not in fresh, dropped) == (True, ())
    assert (["toolSpec"], ("tool_choice",)) == ([*used["toolConfig"]["tools"][0]], lost)


def test_a_conversation_that_used_tools_has_tools() -> None:
    """Those that it used, where the caller no longer says which they are."""
    body, dropped = expressed(HI, model_said(CALL), user(RESULT))

    assert ("f",) == tuple(tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"])
    assert () == dropped


def test_turns_and_parts() -> None:
    image = MediaPart(kind="image", data="AA==", mime="image/png")
    failed = ResultPart(call_id="c1", parts=(TextPart(text="no"), image), is_error=True)
    found = messages(HI, model_said(CALL), user(TextPart(text="then"), failed), system=())

    assert {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": "x"}}} == (
        found[1]["content"][0]
    )
    assert [
        {
            "toolResult": {
                "toolUseId": "c1",
                "content": [
                    {"text": "no"},
                    {"image": {"format": "png", "source": {"bytes": "AA=="}}},
                ],
                "status": "error",
            }
        },
        {"text": "then"},
    ] == found[2]["content"]


def test_an_answer_without_words_is_not_empty() -> None:
    found = messages(HI, model_said(CALL), user(ResultPart(call_id="c1")))

    assert [{"json": {}}] == found[2]["content"][0]["toolResult"]["content"]


def test_documents_have_names_of_their_own() -> None:
    """Of the characters that the format allows; and words beside them."""
    pdf = MediaPart(kind="document", data="AA==", mime="application/pdf", name="a/b: c.pdf")
    text = MediaPart(kind="document", data="aGk=", mime="text/plain")
    content = messages(user(pdf, text))[0]["content"]

    assert [
        {"document": {"name": "a b c pdf 1", "format": "pdf", "source": {"bytes": "AA=="}}},
        {"document": {"name": "document 2", "format": "txt", "source": {"bytes": "aGk="}}},
        {"text": "a b c pdf 1"},
    ] == content


@pytest.mark.parametrize(
    "part",
    [
        MediaPart(kind="image", url="https://a.example/x.png"),
        MediaPart(kind="document", url="https://a.example/x.pdf"),
        MediaPart(kind="image", data="AA==", mime="image/tiff"),
        MediaPart(kind="audio", data="AA==", mime="audio/wav"),
    ],
)
def test_media_that_cannot_be_said_is_refused(part: MediaPart) -> None:
    with pytest.raises(BadRequest) as refused:
        expressed(user(part))

    assert (refused.value.param or "").startswith(("turns", "messages"))


def test_marks_become_cache_points() -> None:
    """Behind what they mark; for models that take them, else they are listed."""
    fields: dict[str, Any] = {
        "system": (TextPart(text="s", cache="1h"),),
        "tools": (Tool(name="f", cache="5m"),),
    }
    turn = user(TextPart(text="a", cache="5m"), TextPart(text="b"))
    body, dropped = expressed(turn, **fields)
    other, lost = expressed(turn, model=OTHER, **fields)
    point = {"cachePoint": {"type": "default"}}

    assert [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}] == body["system"]
    assert point == body["toolConfig"]["tools"][1]
    assert [{"text": "a"}, point, {"text": "b"}] == body["messages"][0]["content"]
    assert () == dropped
    assert ("cachePoint" not in json.dumps(other), lost) == (True, ("cache_control",))


def test_state_survives_two_turns() -> None:
    """Claude's own, byte for byte, in its places; nobody else's is shown."""
    parts = fold(parse_reply(whole("written-tools"))).choices[0].parts
    foreign = (
        ReasoningPart(text="g", state="sig", origin=state.GEMINI),
        ReasoningPart(text="o", state="rs_1:x", origin=state.OPENAI),
    )
    results = [
        ResultPart(call_id=part.id, parts=(TextPart(text="x"),))
        for part in parts
        if isinstance(part, CallPart)
    ]
    found = messages(
        HI, model_said(*foreign, *parts), user(*results), reasoning=ReasoningWish(effort="low")
    )

    thought = {"text": "The user wants weather.", "signature": "ErcBCkgIBBABGgwQ=="}
    assert [
        {"reasoningContent": {"reasoningText": thought}},
        {"reasoningContent": {"redactedContent": "RW13S0Fo"}},
    ] == found[1]["content"][:2]
    assert "sig" not in json.dumps(found).replace("signature", "")


@given(st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=6))
def test_any_order_of_turns_becomes_legal(roles: list[Any]) -> None:
    found = messages(*(Turn(role=role, parts=(TextPart(text="x"),)) for role in roles))
    sides = [message["role"] for message in found]

    assert sides == [("user", "assistant")[n % 2] for n in range(len(sides))]


@pytest.mark.parametrize("odd", ["1e999", "7" * 5_000])
def test_what_python_cannot_hold_is_refused(odd: str) -> None:
    """In the schema of a tool, or a call of one: no other format has to look into them."""
    tool = Tool(name="f", parameters=Raw(f'{{"type":"object","x":{odd}}}'.encode()))
    call = CallPart(id="c", name="f", arguments=f'{{"x":{odd}}}')

    for fields in ({"tools": (tool,)}, {"turns": (HI, model_said(call))}):
        with pytest.raises(BadRequest):
            express(Chat(**{"turns": (HI,), **fields}), Target(model=CLAUDE))
