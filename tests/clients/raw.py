"""The four ways to ask, by plain HTTP: what a client sends before any SDK has had its say."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.clients.gateway import Gateway
from tests.clients.matrix import ABOUT, ARGUMENTS, TOOL

ENOUGH = 2_000
FORMATS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")


@dataclass
class Reply:
    """What came back, whole: a body, or the events of a stream."""

    status: int
    headers: dict[str, str]
    body: Any
    events: list[Any]
    marker: bool
    """Whether a stream ended with `[DONE]`."""


def ask(
    gateway: Gateway,
    dialect: str,
    model: str,
    words: str,
    *,
    stream: bool = False,
    tools: bool = False,
    think: bool = False,
    few: bool = False,
    cost: bool = False,
    key: str | None = None,
) -> Reply:
    """One question in the given format; an answer of a few words may do, and it may be asked to
    say its cost.
    """
    path, body = _QUESTIONS[dialect](model, words, tools, think)
    if few:
        body |= _FEW[dialect]
    if dialect == "gemini":
        path += ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    else:
        body["stream"] = stream
        if stream and dialect == "openai_chat":
            body["stream_options"] = {"include_usage": True}
    return post(gateway, path, body, key, **({"X-Include-Cost": "true"} if cost else {}))


def post(
    gateway: Gateway, path: str, body: object, key: str | None = None, **headers: str
) -> Reply:
    """One POST below the root, with a bearer key."""
    headers |= {
        "Authorization": f"Bearer {key or gateway.key}",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(gateway.root + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return _read(reply.status, dict(reply.headers.items()), reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return _read(error.code, dict(error.headers.items()), error.read())


def _read(status: int, headers: dict[str, str], data: bytes) -> Reply:
    lower = {name.lower(): value for name, value in headers.items()}
    if not lower.get("content-type", "").startswith("text/event-stream"):
        return Reply(status, lower, json.loads(data), [], marker=False)
    lines = [line[5:].strip() for line in data.decode().splitlines() if line.startswith("data:")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    return Reply(status, lower, None, events, marker=lines[-1:] == ["[DONE]"])


def _chat(model: str, words: str, tools: bool, think: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": words}]}
    if tools:
        function = {"name": TOOL, "description": ABOUT, "parameters": ARGUMENTS}
        body["tools"] = [{"type": "function", "function": function}]
    if think:
        body["reasoning_effort"] = "low"
    return "/v1/chat/completions", body


def _responses(model: str, words: str, tools: bool, think: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": model, "input": words}
    if tools:
        tool = {"type": "function", "name": TOOL, "description": ABOUT, "parameters": ARGUMENTS}
        body["tools"] = [tool]
    if think:
        body["reasoning"] = {"effort": "low", "summary": "auto"}
    return "/v1/responses", body


def _messages(model: str, words: str, tools: bool, think: bool) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": words}]
    body: dict[str, Any] = {"model": model, "max_tokens": ENOUGH, "messages": messages}
    if tools:
        body["tools"] = [{"name": TOOL, "description": ABOUT, "input_schema": ARGUMENTS}]
    if think:
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return "/v1/messages", body


def _gemini(model: str, words: str, tools: bool, think: bool) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": words}]}]}
    if tools:
        function = {"name": TOOL, "description": ABOUT, "parametersJsonSchema": ARGUMENTS}
        body["tools"] = [{"functionDeclarations": [function]}]
    if think:
        thinking = {"includeThoughts": True, "thinkingBudget": 1024}
        body["generationConfig"] = {"thinkingConfig": thinking}
    return f"/v1beta/models/{model}", body


_FEW: dict[str, dict[str, Any]] = {
    "openai_chat": {"max_tokens": 8},
    "openai_responses": {"max_output_tokens": 16},
    "anthropic_messages": {"max_tokens": 8},
    "gemini": {"generationConfig": {"maxOutputTokens": 8}},
}
_QUESTIONS = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
    "gemini": _gemini,
}
