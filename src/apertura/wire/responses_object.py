"""The response object of OpenAI's Responses format: what it repeats of the request.

Every member that the published schema requires is there, with what was asked or the format's
default. What it is not: the output, which `responses_encoder` writes.

The rule that keeps it honest: what is repeated is what the caller sent, not what a provider was
sent; and `created_at` is a whole number, which not every client checks and some insist on.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from apertura.wire.chat import ChatRequest
from apertura.wire.dialect import CallFacts
from apertura.wire.events import FinishReason, Started
from apertura.wire.responses_mend import flat, text_format
from apertura.wire.responses_request import body_of, limit_of
from apertura.wire.responses_shapes import VERBOSITY, Body, ToolChoice

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[Raw]).decode

_SAID_ONLY = ("user", "prompt_cache_key", "safety_identifier")
"""Members that are repeated where they were given, and are absent otherwise."""
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def identity(call: CallFacts, started: Started) -> dict[str, object]:
    """What names the answer, and what it repeats of the request."""
    return {
        "id": response_id(call.id),
        "object": "response",
        "created_at": started.created or call.created,
        "model": started.model or call.model,
        "background": False,
        "error": None,
        **(_defaults() if call.request is None else _asked(call.request)),
    }


def response_id(call_id: str) -> str:
    """The id under which a call's response can be kept."""
    return f"resp_{call_id}"


def status(reason: FinishReason | None) -> dict[str, object]:
    """How far the answer is; None while it goes on."""
    if reason is None:
        return {"status": "in_progress", "incomplete_details": None}
    why = _REASONS.get(reason)
    if why is None:
        return {"status": "completed", "incomplete_details": None}
    return {"status": "incomplete", "incomplete_details": {"reason": why}}


def _defaults() -> dict[str, object]:
    return {
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
    }


def _asked(request: ChatRequest) -> dict[str, object]:
    """The request's members, in the format's own form."""
    body = body_of(request)
    said = _defaults()
    for name in said:
        raw = request.members.get(name)
        if raw is not None and bytes(raw) != b"null":
            said[name] = raw
    for name in _SAID_ONLY:
        if getattr(body, name) is not None:
            said[name] = request.members[name]
    said["service_tier"] = "default"
    said["max_output_tokens"] = limit_of(body)
    said["tools"] = _tools(request.members, body)
    if isinstance(body.tool_choice, ToolChoice):
        said["tool_choice"] = _choice(request.members["tool_choice"], body.tool_choice)
    if body.reasoning is not None:
        shown = body.reasoning.summary or body.reasoning.generate_summary
        said["reasoning"] = {"effort": body.reasoning.effort, "summary": shown}
    said["text"] = _text(body)
    return said


def _tools(members: Mapping[str, Raw], body: Body) -> list[object]:
    """Functions in their flat form, whose members the schema all requires."""
    if not body.tools:
        return []
    raws = _decode_items(members["tools"])
    return [
        flat(tool) if tool.type == "function" else raw
        for tool, raw in zip(body.tools, raws, strict=True)
    ]


def _choice(raw: Raw, choice: ToolChoice) -> object:
    if choice.function is not None:
        return {"type": "function", "name": choice.function.name}
    return raw


def _text(body: Body) -> dict[str, object]:
    said: dict[str, object] = {"format": text_format(body) or {"type": "text"}}
    asked = body.text.verbosity if body.text is not None else None
    if asked is not None:
        said["verbosity"] = VERBOSITY.get(asked, asked)
    return said
