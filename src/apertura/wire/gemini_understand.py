"""A request in Gemini's format, understood: as turns, tools and parameters of any format.

What it is not: a second check of the shapes; `gemini_shapes` has them, and `parse` has read them.

The rule that keeps it honest: each member of the request is either understood, refused by its name
because no other format can say it, or kept in `others` so that it is listed as dropped.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from apertura.wire import faults, gemini_shapes
from apertura.wire.chat import (
    Chat,
    ChatRequest,
    Format,
    ReasoningWish,
    TextPart,
    Tool,
    ToolChoice,
)
from apertura.wire.gemini_schema import json_schema
from apertura.wire.gemini_shapes import Body, CallingConfig, GenerationConfig
from apertura.wire.gemini_turns import Turns

_NAMES = {
    "system": "systemInstruction",
    "turns": "contents",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    **{
        field: f"generationConfig.{name}"
        for field, name in {
            "max_output": "maxOutputTokens",
            "temperature": "temperature",
            "top_p": "topP",
            "top_k": "topK",
            "stop": "stopSequences",
            "n": "candidateCount",
            "seed": "seed",
            "presence_penalty": "presencePenalty",
            "frequency_penalty": "frequencyPenalty",
            "logprobs": "responseLogprobs",
            "top_logprobs": "logprobs",
            "format": "responseSchema",
            "modalities": "responseModalities",
            "reasoning": "thinkingConfig",
        }.items()
    },
}
_BUILT_IN = {
    "google_search": "googleSearch",
    "google_search_retrieval": "googleSearchRetrieval",
    "code_execution": "codeExecution",
    "url_context": "urlContext",
    "google_maps": "googleMaps",
    "computer_use": "computerUse",
    "file_search": "fileSearch",
    "mcp_servers": "mcpServers",
}
_KNOWN = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"}
)
_UNSAID = (b"null", b"{}", b"[]", b'""')
_encode = msgspec.json.Encoder().encode


def understand(request: ChatRequest) -> Chat:
    """The whole of a request that `parse` has accepted.

    Raises: BadRequest, for what no other format can say.
    """
    body = faults.read(_encode(request.members), gemini_shapes.decode_body)
    config = body.generation_config or GenerationConfig()
    calling = _calling(body)
    turns = Turns()
    for index, content in enumerate(gemini_shapes.turns(body)):
        turns.add(content, f"contents[{index}]")
    return Chat(
        system=_system(body),
        turns=tuple(turns.said),
        stream=request.stream,
        max_output=config.max_output_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=int(config.top_k) if config.top_k else None,
        stop=tuple(config.stop_sequences) if config.stop_sequences else None,
        n=config.candidate_count,
        seed=config.seed,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        logprobs=config.response_logprobs,
        top_logprobs=config.logprobs if config.response_logprobs else None,
        format=_format(config),
        tools=_tools(body, calling),
        tool_choice=_tool_choice(calling),
        reasoning=_reasoning(config),
        modalities=_modalities(config),
        others=_others(request, config),
        names=_NAMES,
    )


def _system(body: Body) -> tuple[TextPart, ...]:
    texts: list[TextPart] = []
    for index, part in enumerate(gemini_shapes.parts(body.system_instruction)):
        if part.text is None:
            place = f"systemInstruction.parts[{index}]"
            raise faults.invalid(place, "must be text")
        if part.text:
            texts.append(TextPart(text=part.text))
    return tuple(texts)


def _format(config: GenerationConfig) -> Format | None:
    mime = (config.response_mime_type or "").lower()
    if config.response_json_schema is not None:
        schema = Raw(_encode(config.response_json_schema))
    elif config.response_schema is not None:
        schema = json_schema(config.response_schema, "generationConfig.responseSchema")
    elif mime == "application/json":
        return Format(kind="json_object")
    else:
        schema = None
    if mime not in ("", "text/plain", "application/json"):
        sentence = "asks for a form that cannot be asked of this model"
        raise faults.invalid("generationConfig.responseMimeType", sentence)
    if schema is None:
        return Format(kind="text") if mime else None
    return Format(kind="json_schema", name="response", schema=schema, strict=None)


def _calling(body: Body) -> CallingConfig:
    config = body.tool_config.function_calling_config if body.tool_config else None
    return config or CallingConfig()


def _tools(body: Body, calling: CallingConfig) -> tuple[Tool, ...] | None:
    """The caller's tools; where only some of them may be called, those."""
    tools: list[Tool] = []
    allowed = calling.allowed_function_names
    for index, group in enumerate(gemini_shapes.groups(body)):
        for field, name in _BUILT_IN.items():
            if getattr(group, field) is not None:
                sentence = f"asks for `{name}`, which this model's provider does not have"
                raise faults.invalid(f"tools[{index}]", sentence)
        for place, found in enumerate(gemini_shapes.declarations(group)):
            if not allowed or found.name in allowed:
                tools.append(_tool(found, f"tools[{index}].functionDeclarations[{place}]"))
    return tuple(tools) or None


def _tool(found: gemini_shapes.FunctionDeclaration, place: str) -> Tool:
    schema: Raw | None = None
    if found.parameters_json_schema is not None:
        schema = Raw(_encode(found.parameters_json_schema))
    elif found.parameters is not None:
        schema = json_schema(found.parameters, f"{place}.parameters")
    return Tool(name=found.name, description=found.description or "", parameters=schema)


def _tool_choice(calling: CallingConfig) -> ToolChoice | None:
    allowed = calling.allowed_function_names or []
    if calling.mode == "ANY" and len(allowed) == 1:
        return ToolChoice(mode="named", name=allowed[0])
    modes: dict[str, Literal["auto", "none", "required"]] = {
        "AUTO": "auto",
        "VALIDATED": "auto",
        "NONE": "none",
        "ANY": "required",
    }
    mode = modes.get(calling.mode or "")
    return ToolChoice(mode=mode) if mode else None


def _reasoning(config: GenerationConfig) -> ReasoningWish | None:
    wish = config.thinking_config
    if wish is None:
        return None
    level = (wish.thinking_level or "").lower()
    budget = wish.thinking_budget
    show = {None: "", True: "auto", False: "none"}[wish.include_thoughts]
    return ReasoningWish(
        enabled=None if budget is None else budget != 0,
        effort="" if level == "thinking_level_unspecified" else level,
        budget=budget if budget is not None and budget > 0 else None,
        show=show,
    )


def _modalities(config: GenerationConfig) -> tuple[str, ...] | None:
    kinds = tuple(kind.lower() for kind in config.response_modalities or ())
    return kinds if any(kind != "text" for kind in kinds) else None


def _others(request: ChatRequest, config: GenerationConfig) -> dict[str, Raw]:
    """Members that have no place in what all formats know."""
    others = {name: value for name, value in request.members.items() if name not in _KNOWN}
    known = {field.encode_name for field in msgspec.structs.fields(config)}
    nested: dict[str, frozenset[str] | set[str]] = {
        "generationConfig": known,
        "toolConfig": frozenset({"functionCallingConfig"}),
    }
    for name, inner in nested.items():
        for member, value in _members(request, name).items():
            if member not in inner:
                others[f"{name}.{member}"] = value
    return {name: value for name, value in others.items() if bytes(value) not in _UNSAID}


def _members(request: ChatRequest, name: str) -> dict[str, Any]:
    value = bytes(request.members.get(name, b"null"))
    return {} if value == b"null" else gemini_shapes.decode_members(value)
