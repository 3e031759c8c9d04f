"""The page docs/reference/dialects.md: what becomes of a caller's parameter in another format.

What the caller calls a parameter, and what becomes of it, is found by doing it: a request that sets
it (`BODIES`) is read in the caller's format and said in the provider's. The rule that keeps it
honest: `tests/wire/test_pairs.py` holds what happens against the tables of fates in the code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from apertura.errors import BadRequest
from apertura.wire import gemini
from apertura.wire.chat import PARAMETERS, Chat
from apertura.wire.dialect import Inbound, Outbound, Target
from apertura.wire.dialects import INBOUND, OUTBOUND
from apertura.wire.fates import Fates, name_of

TITLES = {
    "anthropic_messages": "Anthropic Messages",
    "bedrock_converse": "Bedrock Converse",
    "gemini": "Gemini",
    "openai_chat": "OpenAI chat",
    "openai_completions": "OpenAI completions",
    "openai_responses": "OpenAI Responses",
}

_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
_STRICT = {**_SCHEMA, "additionalProperties": False}
_HI = [{"role": "user", "content": "hi"}]
_CHAT_TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}]}
_MESSAGES_TOOLS = {"tools": [{"name": "f", "input_schema": _SCHEMA}]}
_RESPONSES_TOOLS = {"tools": [{"type": "function", "name": "f", "parameters": _SCHEMA}]}
_GEMINI_TOOLS = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": _SCHEMA}]}]}
_JSON = {"type": "json_schema", "json_schema": {"name": "x", "schema": _STRICT}}

Body = dict[str, Any]
TARGET = Target(model="claude", max_output=8_192)
"""The model that everybody asks, whose answers are at most so long."""

BASES: Mapping[str, Body] = {
    "anthropic_messages": {"model": "m", "max_tokens": 4_096, "messages": _HI},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "openai_chat": {"model": "m", "messages": _HI},
    "openai_completions": {"model": "m", "prompt": "hi"},
    "openai_responses": {"model": "m", "input": "hi"},
}
"""The smallest request of each format that callers speak."""

_OPENAI_SAMPLING: dict[str, Body] = {
    "max_output": {"max_tokens": 99},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 5},
    "stop": {"stop": ["x"]},
    "n": {"n": 2},
    "seed": {"seed": 7},
    "presence_penalty": {"presence_penalty": 0.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "logit_bias": {"logit_bias": {"5": 1}},
    "user": {"user": "u"},
}

BODIES: Mapping[str, Mapping[str, Body]] = {
    "anthropic_messages": {
        "max_output": {"max_tokens": 99},
        "temperature": {"temperature": 0.5},
        "top_p": {"top_p": 0.5},
        "top_k": {"top_k": 5},
        "stop": {"stop_sequences": ["x"]},
        "seed": {"seed": 7},
        "presence_penalty": {"presence_penalty": 0.5},
        "frequency_penalty": {"frequency_penalty": 0.5},
        "logit_bias": {"logit_bias": {"5": 1}},
        "format": {"output_config": {"format": {"type": "json_schema", "schema": _STRICT}}},
        "tools": _MESSAGES_TOOLS,
        "tool_choice": {**_MESSAGES_TOOLS, "tool_choice": {"type": "any"}},
        "parallel_tools": {
            **_MESSAGES_TOOLS,
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        },
        "reasoning": {"thinking": {"type": "enabled", "budget_tokens": 2_048}},
        "user": {"metadata": {"user_id": "u"}},
    },
    "gemini": {
        "max_output": {"generationConfig": {"maxOutputTokens": 99}},
        "temperature": {"generationConfig": {"temperature": 0.5}},
        "top_p": {"generationConfig": {"topP": 0.5}},
        "top_k": {"generationConfig": {"topK": 5}},
        "stop": {"generationConfig": {"stopSequences": ["x"]}},
        "n": {"generationConfig": {"candidateCount": 2}},
        "seed": {"generationConfig": {"seed": 7}},
        "presence_penalty": {"generationConfig": {"presencePenalty": 0.5}},
        "frequency_penalty": {"generationConfig": {"frequencyPenalty": 0.5}},
        "logprobs": {"generationConfig": {"responseLogprobs": True}},
        "top_logprobs": {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
        "format": {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": _STRICT,
            }
        },
        "tools": _GEMINI_TOOLS,
        "tool_choice": {
            **_GEMINI_TOOLS,
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        },
        "reasoning": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 2_048}}},
    },
    "openai_chat": {
        **_OPENAI_SAMPLING,
        "logprobs": {"logprobs": True},
        "top_logprobs": {"logprobs": True, "top_logprobs": 2},
        "format": {"response_format": _JSON},
        "tools": _CHAT_TOOLS,
        "tool_choice": {**_CHAT_TOOLS, "tool_choice": "required"},
        "parallel_tools": {**_CHAT_TOOLS, "parallel_tool_calls": False},
        "reasoning": {"reasoning_effort": "low"},
        "verbosity": {"verbosity": "low"},
        "modalities": {"modalities": ["text", "image"]},
        "audio": {"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}},
        "metadata": {"metadata": {"a": "b"}},
        "cache_key": {"prompt_cache_key": "k"},
    },
    "openai_completions": {**_OPENAI_SAMPLING, "logprobs": {"logprobs": 2}},
    "openai_responses": {
        "max_output": {"max_output_tokens": 99},
        "temperature": {"temperature": 0.5},
        "top_p": {"top_p": 0.5},
        "format": {"text": {"format": {"type": "json_schema", "name": "x", "schema": _STRICT}}},
        "tools": _RESPONSES_TOOLS,
        "tool_choice": {**_RESPONSES_TOOLS, "tool_choice": "required"},
        "parallel_tools": {**_RESPONSES_TOOLS, "parallel_tool_calls": False},
        "reasoning": {"reasoning": {"effort": "low"}},
        "verbosity": {"text": {"verbosity": "low"}},
        "user": {"user": "u"},
        "metadata": {"metadata": {"a": "b"}},
        "cache_key": {"prompt_cache_key": "k"},
    },
}
"""For each format that callers speak: what sets a field of `chat.Chat`."""


def understood(dialect: str, members: Body) -> Chat:
    """A request of a caller's, in canonical form."""
    inbound: Inbound = INBOUND[dialect]
    body = json.dumps({**BASES[dialect], **members}).encode()
    request = gemini.parse(body, model="m") if dialect == "gemini" else inbound.parse(body)
    return inbound.understand(request)


def fates_of(dialect: str) -> Fates:
    """The fates that a provider's format gives to all fields."""
    outbound: Outbound = OUTBOUND[dialect]
    module = sys.modules[outbound.express.__module__]
    if not hasattr(module, "FATES"):  # Converse is said by way of the Messages format
        module = module.anthropic_express
    table: Fates = module.FATES
    return table


def outcome(chat: Chat, field: str, provider: str) -> str:
    """What becomes of a field in a provider's format. Raises: ValueError, for another's refusal."""
    name = name_of(chat, field)
    try:
        said = OUTBOUND[provider].express(chat, TARGET)
    except BadRequest as error:
        if error.param != name:
            raise ValueError(f"{provider} refuses {error.param} where {name} was sent") from error
        return "refused"
    return "dropped" if name in said.dropped else "mapped"


def page() -> str:
    """The whole page."""
    providers = sorted(OUTBOUND)
    lines = [
        "# Formats and their parameters",
        "",
        "A call whose caller and provider speak the same format passes as it is. Where they speak",
        "different ones, the request is translated. What the provider's format has no place for is",
        "*dropped* where it only shades the answer, and then named in the header",
        "`X-Dropped-Params`; it is *refused* with status 400 where leaving it out would change",
        "what the request means or costs. Members that only the caller's format knows are dropped.",
        "",
        "By `usage.include` and `stream_options.include_cost` callers of OpenAI's formats ask for",
        "the cost of a call. They are for the gateway alone: no provider sees them, and they are",
        "not listed as dropped.",
        "",
        "What stands here of Bedrock Converse is true of Claude; other models of that API take",
        "neither reasoning nor `top_k`.",
    ]
    for caller in sorted(BODIES):
        others = [provider for provider in providers if provider != caller]
        titles = " | ".join(TITLES[provider] for provider in others)
        lines += ["", f"## Callers of {TITLES[caller]}", ""]
        lines += [f"| Parameter | {titles} |", "|---" * (len(others) + 1) + "|"]
        for field in PARAMETERS:
            if field in BODIES[caller]:
                chat = understood(caller, BODIES[caller][field])
                cells = " | ".join(outcome(chat, field, provider) for provider in others)
                lines.append(f"| `{name_of(chat, field)}` | {cells} |")
    return "\n".join(lines) + "\n"
