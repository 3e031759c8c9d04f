"""Behaviour of requests in Gemini's format: what is read of them, refused, and passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import BadRequest
from apertura.wire.chat import (
    Chat,
    ChatRequest,
    MediaPart,
)
from apertura.wire.gemini import (
    parse,
    parse_count,
    render,
    render_count,
    understand,
)

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
