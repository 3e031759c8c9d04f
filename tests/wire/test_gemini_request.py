"""Behaviour of requests in Gemini's format: what is read of them, refused, and passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import BadRequest, Overloaded, RateLimited, UpstreamFailed
from apertura.wire.chat import (
    CallPart,
    Chat,
    ChatRequest,
    Format,
    MediaPart,
    ReasoningPart,
    ResultPart,
    TextPart,
)
from apertura.wire.gemini import (
    parse,
    parse_count,
    read_error,
    render,
    render_count,
    understand,
)
from apertura.wire.gemini_state import SKIP, sign
from apertura.wire.state import ANTHROPIC, GEMINI
from tests.wire.test_gemini_reply import HERE

HI = {"role": "user", "parts": [{"text": "hi"}]}


def body(**members: Any) -> bytes:
    """The smallest request, and these members."""
    return json.dumps({"contents": [HI], **members}).encode()


def asked(**members: Any) -> ChatRequest:
    return parse(body(**members), model="models/m-1")


def understood(**members: Any) -> Chat:
    return understand(asked(**members))


def configured(**config: Any) -> Chat:
    return understood(generationConfig=config)


def said(*parts: Any, role: str = "user") -> tuple[Any, ...]:
    """The parts of one turn, understood."""
    return understood(contents=[{"role": role, "parts": list(parts)}]).turns[0].parts


def test_the_url_names_the_model_and_the_verb() -> None:
    """A body that names another model does not get it."""
    request = parse(body(model="models/other"), model="models/m-1", stream=True)

    assert ("m-1", True, True) == (request.model, request.stream, request.include_usage)
    assert {"contents": [HI]} == json.loads(render(request, model="upstream-1"))


def test_unknown_members_pass() -> None:
    """New ones of Google's reach Google, as they came."""
    data = b'{"contents":[{"parts":[{"text":"x"}]}],"brandNew":{"a": [1.0,  2]}}'

    assert b'"brandNew":{"a": [1.0,  2]}' in render(parse(data, model="m"), model="m")


def test_what_we_act_on_is_read() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}
    request = asked(
        contents=[{"parts": [image, sound]}],
        generationConfig={
            "maxOutputTokens": 9,
            "candidateCount": 2,
            "responseSchema": {"type": "OBJECT"},
        },
        tools=[{"functionDeclarations": [{"name": "f"}]}],
    )

    assert (9, 2) == (request.max_output, request.choices)
    assert {"vision", "audio", "tools", "json_schema"} == request.needs


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({"generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        ({"generationConfig": {"candidateCount": 9}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"stopSequences": ["a"] * 6}}, "generationConfig.stopSequences"),
        ({"generation_config": {"top_p": 2}}, "generationConfig.topP"),
        ({"serviceTier": "priority"}, "serviceTier"),
        ({"service_tier": "flex"}, "serviceTier"),
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"cached_content": "cachedContents/1"}, "cachedContent"),
        ({"tools": [{"fileSearch": {}}]}, "tools[0].fileSearch"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked(**members)

    assert param == refused.value.param


@pytest.mark.parametrize(
    "uri",
    [
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "https://x@GenerativeLanguage.googleapis.com:443/v1beta/files/abc",
        "gs://bucket/file",
        "files/abc",
    ],
)
def test_files_kept_at_the_provider_are_refused(uri: str) -> None:
    """They belong to the operator's account, so perhaps to another tenant."""
    files = [
        {"fileData": {"fileUri": uri}},
        {"file_data": {"file_uri": uri}},
        {
            "functionResponse": {
                "name": "f",
                "response": {},
                "parts": [{"fileData": {"fileUri": uri}}],
            }
        },
    ]
    for part in files:
        with pytest.raises(BadRequest, match="kept at a provider"):
            asked(contents=[{"parts": [part]}])


def test_files_on_the_web_are_addresses() -> None:
    part = {"fileData": {"fileUri": "https://a.example/x.pdf", "mimeType": "application/pdf"}}

    assert (MediaPart(kind="document", url="https://a.example/x.pdf", mime="application/pdf"),) == (
        said(part)
    )


def test_both_names_of_a_member_are_the_same() -> None:
    """JSON of protocol buffers allows either; what is the caller's own is not touched."""
    snake = {
        "contents": [
            {
                "parts": [
                    {"inline_data": {"mime_type": "image/png", "data": "AA=="}},
                    {"function_call": {"name": "f", "args": {"file_data": 1}}},
                ]
            }
        ],
        "system_instruction": {"parts": {"text": "be brief"}},
        "generation_config": {
            "max_output_tokens": 5,
            "thinking_config": {"thinking_budget": 7},
            "response_json_schema": {"any_of": []},
        },
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
        "tools": {"function_declarations": {"name": "f", "parameters": {"min_items": "1"}}},
    }
    camel = {
        "contents": [
            {
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                    {"functionCall": {"name": "f", "args": {"file_data": 1}}},
                ]
            }
        ],
        "systemInstruction": {"parts": {"text": "be brief"}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "thinkingConfig": {"thinkingBudget": 7},
            "responseJsonSchema": {"any_of": []},
        },
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "tools": {"functionDeclarations": {"name": "f", "parameters": {"min_items": "1"}}},
    }
    one, other = (parse(json.dumps(found).encode(), model="m") for found in (snake, camel))

    assert json.loads(render(one, model="m")) == camel
    assert understand(one) == understand(other)


def test_a_member_under_both_names_is_refused() -> None:
    with pytest.raises(BadRequest, match="both of its names") as refused:
        asked(generationConfig={"candidateCount": 1, "candidate_count": 8})

    assert "generationConfig.candidateCount" == refused.value.param


def test_an_escaped_name_hides_nothing() -> None:
    """What we read is what Google reads."""
    start = rb'{"contents":[{"parts":[{"text":"x"}]}],'
    data = start + rb'"generation\u005fconfig":{"candidate\u005fcount":4}}'
    plain = start + rb'"service\u005ftier":"priority"}'

    assert 4 == parse(data, model="m").choices
    with pytest.raises(BadRequest):
        parse(plain, model="m")


def test_numbers_may_be_written_as_sdks_do() -> None:
    """A `topK` of 40.0; 0 asks for nothing."""
    assert 40 == configured(topK=40.0).top_k
    assert configured(topK=0).top_k is None


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "JSON"), (b"[]", "object"), (b'{"contents":[{"parts":[{"text":"\xff"}]}]}', "UTF-8")],
)
def test_what_is_no_body_is_refused(data: bytes, message: str) -> None:
    for read in (parse, parse_count):
        with pytest.raises(BadRequest, match=message):
            read(data, model="m")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    for read in (parse, parse_count):
        try:
            read(data, model="m")
        except BadRequest:
            continue


def test_tokens_are_counted_for_either_shape() -> None:
    """The contents alone, or a whole request within."""
    inner = {"model": "models/x", "contents": [HI], "systemInstruction": HI}

    assert {"contents"} == parse_count(body(), model="m").members.keys()
    whole = parse_count(json.dumps({"generateContentRequest": inner}).encode(), model="m")
    assert {"contents", "systemInstruction"} == whole.members.keys()
    assert b'{"totalTokens":7}' == render_count(7)


# Understood, to be said in another format


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


# A provider's errors


def test_a_bad_key_of_ours_is_not_the_callers_fault() -> None:
    """Google says 400 to it."""
    body = (HERE / "written-error-key.json").read_bytes()

    assert isinstance(read_error(400, body, {}), UpstreamFailed)
    place = b'{"error":{"code":400,"message":"User location","status":"FAILED_PRECONDITION"}}'
    assert isinstance(read_error(400, place, {}), UpstreamFailed)


def test_the_time_to_wait_stands_in_the_body() -> None:
    body = (HERE / "written-error-quota.json").read_bytes()
    limited = read_error(429, body, {})
    told = read_error(429, body, {"retry-after": "7"})

    assert isinstance(limited, RateLimited) and "35" == limited.headers["Retry-After"]
    assert "7" == told.headers["Retry-After"]


def test_other_errors_are_read_as_everywhere() -> None:
    long = (
        b"The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."
    )
    error = b'{"error":{"code":400,"message":"%b","status":"INVALID_ARGUMENT"}}' % long

    assert "context_length_exceeded" == read_error(400, error, {}).code
    assert "context_length_exceeded" == read_error(400, b"[" + error + b"]", {}).code
    assert isinstance(read_error(503, b"<html>", {}), Overloaded)
    assert isinstance(read_error(400, b"<html>", {}), BadRequest)
    assert isinstance(read_error(500, b'{"error":7}', {}), UpstreamFailed)
