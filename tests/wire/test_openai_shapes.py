"""Behaviour of the bounds that chat requests are held to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.errors import BadRequest
from apertura.wire.openai_chat import parse, render
from tests.wire.said import HI, body, part

SECRET = "my-secret-prompt"


def refusal(said: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(said)
    return caught.value


def sent(said: bytes, model: str = "m") -> dict[str, Any]:
    """What a provider gets for this body."""
    found: dict[str, Any] = json.loads(render(parse(said), model=model))
    return found


GOOD: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 2.0},
    {"top_p": 1},
    {"top_k": 40},
    {"max_tokens": 1},
    {"max_completion_tokens": 16},
    {"n": 128},
    {"stop": "x"},
    {"stop": ["a", "b", "c", "d"]},
    {"presence_penalty": -2, "frequency_penalty": 2},
    {"logit_bias": {"50256": -100, "7": 100}},
    {"logprobs": True, "top_logprobs": 20},
    {"seed": -1},
    {"user": "u"},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"tools": [{"type": "of_a_provider", "x": 1}]},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
    {"parallel_tool_calls": False},
    {"reasoning_effort": "high"},
    {"reasoning": {"enabled": True, "effort": "low", "summary": "auto"}},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}, HI]},
    {"messages": [{"role": "developer", "content": "x"}, HI]},
    {"messages": [HI, {"role": "assistant", "content": None, "tool_calls": []}]},
    {"messages": [HI, {"role": "assistant", "reasoning_details": [{}]}]},
    {"messages": [HI, {"role": "tool", "tool_call_id": "c", "content": ""}]},
    {"messages": [HI, {"role": "function", "name": "f", "content": None}]},
    {"messages": [part("image_url", {"url": "data:x", "detail": "low"})]},
    {"messages": [part("video_url", {"url": "https://x"})]},
    {"messages": [part("input_audio", {"data": "AAAA", "format": "wav"})]},
    {"messages": [part("file", {"file_id": "f"})]},
    {"messages": [part("of_a_provider", 1)]},
    {"of_a_provider": {"anything": [1, None]}},
]


@pytest.mark.parametrize("members", GOOD, ids=json.dumps)
def test_what_the_api_documents_is_accepted_and_travels_on(members: dict[str, Any]) -> None:
    """Each parameter within its range, and each one that only a provider knows, arrives as is."""
    assert sent(body(**members)) == json.loads(body(**members))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 1.01}, "top_p"),
    ({"top_k": 0.5}, "top_k"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_tokens": 2**64 + 7}, "max_tokens"),
    ({"max_completion_tokens": 10**400}, "max_completion_tokens"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": 2**64 - 1}, "n"),
    ({"n": True}, "n"),
    ({"n": 1.5}, "n"),
    ({"stream": 1}, "stream"),
    ({"stream": "true"}, "stream"),
    ({"stream_options": []}, "stream_options"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": [1]}, "stop[0]"),
    ({"stop": 5}, "stop"),
    ({"presence_penalty": 2.5}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"logit_bias": {SECRET: 101}}, "logit_bias[...]"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"logprobs": 1}, "logprobs"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"seed": 2**63}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"user": 5}, "user"),
    ({"response_format": {"type": SECRET}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        "response_format.json_schema.name",
    ),
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0]"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
    ({"tool_choice": SECRET}, "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "tool_choice"),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ({"reasoning_effort": SECRET}, "reasoning_effort"),
    ({"reasoning": {"summary": SECRET}}, "reasoning.summary"),
    ({"thinking": {"type": SECRET}}, "thinking.type"),
    ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
    ({"modalities": [SECRET]}, "modalities[0]"),
    ({"audio": {"format": "wav"}}, "audio.voice"),
    ({"extra_body": SECRET}, "extra_body"),
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"model": "x" * 257}, "model"),
    ({"model": "a\nb"}, "model"),
    ({"model": "a\x00"}, "model"),
    ({"model": "apertis/"}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": SECRET}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": [SECRET]}, "messages[0]"),
    ({"messages": [HI, {"content": SECRET}]}, "messages[1].role"),
    ({"messages": [{"role": SECRET, "content": SECRET}]}, "messages[0].role"),
    ({"messages": [{"role": 5, "content": SECRET}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "tool", "content": SECRET}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "user", "content": [SECRET]}]}, "messages[0].content[0]"),
    (
        {"messages": [{"role": "user", "content": [{"text": SECRET}]}]},
        "messages[0].content[0].type",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
    ({"messages": [part("text", 5)]}, "messages[0].content[0].text"),
    ({"messages": [part("image_url", SECRET)]}, "messages[0].content[0].image_url"),
    ({"messages": [part("image_url", {"url": 5})]}, "messages[0].content[0].image_url.url"),
    (
        {"messages": [part("image_url", {"url": "x", "detail": SECRET})]},
        "messages[0].content[0].image_url.detail",
    ),
    (
        {"messages": [part("input_audio", {"data": "x", "format": SECRET})]},
        "messages[0].content[0].input_audio.format",
    ),
    ({"messages": [part("file", 5)]}, "messages[0].content[0].file"),
]


@pytest.mark.parametrize(
    ("members", "param"), BAD, ids=[f"{p} {i}" for i, (_, p) in enumerate(BAD)]
)
def test_what_is_out_of_bounds_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    """The parameter is named, in plain words, and nothing of the caller's content is repeated."""
    error = refusal(body(**members))

    assert error.param == param
    assert error.code in {"invalid_parameter", "missing_parameter"}
    assert error.message.startswith(f"`{param}` ") and error.message.endswith(".")
    assert SECRET not in error.message
    assert "Expected" not in error.message
