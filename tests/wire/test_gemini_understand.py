"""Behaviour of requests in Gemini's format, understood to be said in another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.errors import BadRequest
from apertura.wire.chat import (
    CallPart,
    Format,
    MediaPart,
    ReasoningPart,
    ResultPart,
    TextPart,
)
from apertura.wire.gemini import (
    render,
    understand,
)
from apertura.wire.gemini_state import SKIP, sign
from apertura.wire.state import ANTHROPIC, GEMINI
from tests.wire.test_gemini_request import asked, configured, said, understood


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"topP": 0.5}, {"top_p": 0.5}),
        ({"topK": 5}, {"top_k": 5}),
        ({"candidateCount": 2}, {"n": 2}),
        ({"maxOutputTokens": 9}, {"max_output": 9}),
        ({"stopSequences": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"seed": 4}, {"seed": 4}),
        ({"presencePenalty": 1}, {"presence_penalty": 1}),
        ({"frequencyPenalty": 1}, {"frequency_penalty": 1}),
        ({"responseLogprobs": True, "logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"responseModalities": ["TEXT", "IMAGE"]}, {"modalities": ("text", "image")}),
        ({"responseModalities": ["TEXT"]}, {"modalities": None}),
    ],
)
def test_parameters_have_their_place(config: dict[str, Any], fields: dict[str, Any]) -> None:
    chat = configured(**config)

    assert fields == {name: getattr(chat, name) for name in fields}
    assert {} == chat.others


def test_members_without_a_place_are_kept_for_the_list() -> None:
    chat = understood(
        safetySettings=[{"category": "X", "threshold": "OFF"}],
        labels={"a": "b"},
        store=None,
        toolConfig={"retrievalConfig": {"latLng": {}}},
        generationConfig={"mediaResolution": "MEDIA_RESOLUTION_LOW", "seed": 1},
    )

    assert {
        "safetySettings",
        "labels",
        "toolConfig.retrievalConfig",
        "generationConfig.mediaResolution",
    } == chat.others.keys()
    assert "generationConfig.seed" == chat.names["seed"]


@pytest.mark.parametrize(
    ("config", "wish"),
    [
        ({"thinkingBudget": 0}, (False, "", None, "")),
        ({"thinkingBudget": -1, "includeThoughts": True}, (True, "", None, "auto")),
        ({"thinkingBudget": 99}, (True, "", 99, "")),
        ({"thinkingLevel": "HIGH", "includeThoughts": False}, (None, "high", None, "none")),
        ({"thinkingLevel": "low"}, (None, "low", None, "")),
    ],
)
def test_thinking(config: dict[str, Any], wish: tuple[object, ...]) -> None:
    found = configured(thinkingConfig=config).reasoning

    assert found is not None
    assert wish == (found.enabled, found.effort, found.budget, found.show)


def test_a_schema_in_googles_notation_becomes_a_json_schema() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True},
            "list": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
            "one": {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "example": 1},
            "sort": {"type": "STRING", "enum": ["a"], "nullable": True},
        },
        "propertyOrdering": ["type"],
        "required": ["type"],
    }
    found = configured(responseMimeType="application/json", responseSchema=schema).format

    assert found is not None and found.schema is not None and "json_schema" == found.kind
    assert {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"]},
            "list": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "one": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            "sort": {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
        },
        "required": ["type"],
    } == json.loads(bytes(found.schema))


def test_json_schemas_stay_as_they_are() -> None:
    schema = {"type": "object", "$defs": {"a": {}}, "propertyOrdering": []}
    found = configured(responseJsonSchema=schema).format

    assert found is not None and found.schema is not None
    assert schema == json.loads(bytes(found.schema))
    assert Format(kind="json_object") == configured(responseMimeType="application/json").format


def test_a_schema_that_is_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(150):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(BadRequest, match="deep"):
        configured(responseSchema=schema)


def test_a_form_that_no_other_format_has_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        configured(responseMimeType="text/x.enum", responseSchema={"type": "STRING"})

    assert "generationConfig.responseMimeType" == refused.value.param


@pytest.mark.parametrize(
    "name", ["googleSearch", "codeExecution", "urlContext", "googleMaps", "computerUse"]
)
def test_tools_that_run_at_google_pass_but_are_not_translated(name: str) -> None:
    request = asked(tools=[{"functionDeclarations": [{"name": "f"}]}, {name: {}}])

    assert name in json.loads(render(request, model="m"))["tools"][1]
    with pytest.raises(BadRequest, match=name) as refused:
        understand(request)
    assert "tools[1]" == refused.value.param


@pytest.mark.parametrize(
    ("config", "choice", "tools"),
    [
        ({"mode": "AUTO"}, ("auto", ""), ["f", "g"]),
        ({"mode": "NONE"}, ("none", ""), ["f", "g"]),
        ({"mode": "ANY"}, ("required", ""), ["f", "g"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g"]}, ("named", "g"), ["g"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g", "f"]}, ("required", ""), ["f", "g"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ("auto", ""), ["f"]),
        ({}, None, ["f", "g"]),
    ],
)
def test_which_tools_may_be_called(
    config: dict[str, Any], choice: tuple[str, str] | None, tools: list[str]
) -> None:
    chat = understood(
        tools=[{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
        toolConfig={"functionCallingConfig": config},
    )
    found = chat.tool_choice

    assert choice == (found and (found.mode, found.name))
    assert tools == [tool.name for tool in chat.tools or ()]


def test_turns_and_parts() -> None:
    chat = understood(
        systemInstruction={"parts": [{"text": "a"}, {"text": "b"}]},
        contents=[
            {"parts": {"text": "no role"}},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "yes"}]},
            {"role": "user", "parts": [{"text": ""}]},
        ],
    )

    assert (TextPart(text="a"), TextPart(text="b")) == chat.system
    assert ["user", "assistant"] == [turn.role for turn in chat.turns]
    assert (ReasoningPart(text="hm", origin=GEMINI), TextPart(text="yes")) == chat.turns[1].parts


def test_state_comes_back_with_the_thoughts_before_it() -> None:
    """Google's own as it was, others' unwrapped, the made up one not at all."""
    wrapped = sign(ANTHROPIC, "sig==")
    call = {"functionCall": {"name": "f", "id": "1"}}
    parts = said(
        {"text": "hm", "thought": True},
        {**call, "thoughtSignature": wrapped},
        {"text": "", "thoughtSignature": "native"},
        {**call, "thoughtSignature": SKIP},
        role="model",
    )

    assert (
        ReasoningPart(text="hm", state="sig==", origin=ANTHROPIC),
        CallPart(id="1", name="f", arguments="{}"),
        ReasoningPart(state="native", origin=GEMINI),
        CallPart(id="1", name="f", arguments="{}"),
    ) == parts


def test_calls_without_ids_meet_their_answers() -> None:
    """By name, the first one first; with ids by those."""
    calls = [{"functionCall": {"name": name}} for name in ("f", "g", "f")]
    results = [
        {"functionResponse": {"name": name, "response": {"output": text}}}
        for name, text in (("g", "2"), ("f", "1"), ("f", "3"))
    ]
    chat = understood(contents=[{"role": "model", "parts": calls}, {"parts": results}])
    ids = [part.id for part in chat.turns[0].parts if isinstance(part, CallPart)]
    answers = {
        part.call_id: part.parts for part in chat.turns[1].parts if isinstance(part, ResultPart)
    }

    assert 3 == len(set(ids))
    assert ["1", "2", "3"] == [answers[call_id][0].text for call_id in ids]  # type: ignore[union-attr]


def test_an_answer_to_no_call_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        said({"functionResponse": {"name": "f", "response": {}}})

    assert "contents[0].parts[0].functionResponse" == refused.value.param


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "sunny"}, "sunny", False),
        ({"error": "no such city"}, "no such city", True),
        ({"output": {"a": 1}}, '{"a": 1}', False),
        ({"result": "x"}, '{"result":"x"}', False),
        ({"a": 1, "error": "x"}, '{"a":1,"error":"x"}', False),
        ({}, None, False),
    ],
)
def test_answers_of_tools(response: dict[str, Any], text: str | None, is_error: bool) -> None:
    (part,) = said({"functionResponse": {"id": "1", "name": "f", "response": response}})

    assert (TextPart(text=text),) * (text is not None) == part.parts
    assert is_error == part.is_error


def test_a_picture_in_an_answer_of_a_tool() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    (part,) = said(
        {
            "functionResponse": {
                "id": "1",
                "name": "f",
                "response": {"output": "x"},
                "parts": [image],
            }
        }
    )

    assert MediaPart(kind="image", data="AA==", mime="image/png") == part.parts[1]


def test_what_ran_at_google_is_not_translated() -> None:
    with pytest.raises(BadRequest) as refused:
        said({"executableCode": {"language": "PYTHON", "code": "1"}}, role="model")

    assert "contents[0].parts[0]" == refused.value.param
