"""A chat request in OpenAI's format, understood in full, to be said in another format.

What it is not: the path of most calls, whose provider speaks this format too; their bodies travel
on unread (`openai_request.render`).

The rule that keeps it honest: each member of the body becomes a field of `Chat`, or stays in
`others` under its own name so that the caller is told if it is given up, or is refused by name;
`_SETTLED` lists the few that need neither.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from apertura.wire import faults
from apertura.wire.chat import Chat, ChatRequest, Format, ReasoningWish, Tool, ToolChoice
from apertura.wire.openai_media import CacheControl, life
from apertura.wire.openai_messages import ABSENT, Message, turns


class _Function(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class _Tool(Struct, gc=False):
    type: str = "function"
    function: _Function | None = None
    cache_control: CacheControl | None = None


class _Named(Struct, gc=False):
    name: str


class _Choice(Struct, gc=False):
    type: str = "function"
    function: _Named | None = None


class _Schema(Struct, gc=False):
    name: str = ""
    description: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None


class _ResponseFormat(Struct, gc=False):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _Reasoning(Struct, gc=False):
    enabled: bool | None = None
    effort: str | None = None
    summary: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None


class _Thinking(Struct, gc=False):
    type: str
    budget_tokens: int | None = None


class _ThinkingConfig(Struct, gc=False):
    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None


class _Google(Struct, gc=False, forbid_unknown_fields=True):
    thinking_config: _ThinkingConfig | None = None


class _Asked(Struct, gc=False):
    """What is understood of a body; all of it was within its bounds when it was parsed."""

    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Raw = ABSENT
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: _ResponseFormat | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    functions: list[_Function] | None = None
    function_call: str | _Named | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    reasoning: _Reasoning | None = None
    thinking: _Thinking | None = None
    enable_thinking: bool | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: Raw = ABSENT
    user: str | None = None
    safety_identifier: str | None = None
    metadata: Raw = ABSENT
    prompt_cache_key: str | None = None


_READ = frozenset(_Asked.__struct_fields__)
_SETTLED = frozenset({"model", "stream", "stream_options", "service_tier"})
"""Members that are acted on elsewhere, or whose only allowed value asks for nothing."""
_NULL = b"null"
_FALSE = Raw(b"false")
_SAME = {
    name: name
    for name in (
        *("temperature", "top_p", "top_k", "stop", "n", "seed", "presence_penalty"),
        *("frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "verbosity"),
        *("modalities", "audio", "metadata"),
    )
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Asked).decode
_decode_google = msgspec.json.Decoder(_Google).decode


def understand(request: ChatRequest) -> Chat:
    """The whole of a request that `parse` accepted. Raises: BadRequest, naming the parameter."""
    members = {name: raw for name, raw in request.members.items() if bytes(raw) != _NULL}
    asked = faults.read(_encode({k: v for k, v in members.items() if k in _READ}), _decode)
    others = {k: v for k, v in members.items() if k not in _READ and k not in _SETTLED}
    google = _google(others)
    if others.get("store") == _FALSE:
        del others["store"]
    system, said = turns(asked.messages)
    wish, wished_as = _wish(asked, google)
    tools, tools_name = _tools(asked)
    choice, choice_name = _tool_choice(asked)
    return Chat(
        system=system,
        turns=said,
        stream=request.stream,
        max_output=request.max_output,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=_stops(asked.stop),
        n=asked.n,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logit_bias=_given(asked.logit_bias),
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        format=_format(asked.response_format),
        tools=tools,
        tool_choice=choice,
        parallel_tools=asked.parallel_tool_calls,
        reasoning=wish,
        verbosity=asked.verbosity,
        modalities=None if asked.modalities is None else tuple(asked.modalities),
        audio=_given(asked.audio),
        user=asked.safety_identifier or asked.user,
        metadata=_given(asked.metadata),
        cache_key=asked.prompt_cache_key,
        others={**others, **_unsayable(asked.messages)},
        names={
            **_SAME,
            "system": "messages",
            "turns": "messages",
            "max_output": _first(asked, "max_completion_tokens", "max_tokens"),
            "format": "response_format",
            "tools": tools_name,
            "tool_choice": choice_name,
            "parallel_tools": "parallel_tool_calls",
            "reasoning": wished_as,
            "user": _first(asked, "safety_identifier", "user"),
            "cache_key": "prompt_cache_key",
        },
    )


def _first(asked: _Asked, *names: str) -> str:
    """The first of these members that was given; else the last."""
    return next((name for name in names if getattr(asked, name) is not None), names[-1])


def _given(raw: Raw) -> Raw | None:
    return None if bytes(raw) == _NULL else raw


def _stops(stop: str | list[str] | None) -> tuple[str, ...] | None:
    if stop is None:
        return None
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _format(asked: _ResponseFormat | None) -> Format | None:
    if asked is None:
        return None
    schema = asked.json_schema or _Schema()
    return Format(
        kind=asked.type,
        name=schema.name,
        description=schema.description or "",
        schema=_given(schema.schema),
        strict=schema.strict,
    )


def _tools(asked: _Asked) -> tuple[tuple[Tool, ...] | None, str]:
    """The caller's tools, and what they call them. Raises: BadRequest, for other kinds of tools."""
    if asked.tools is None:
        if asked.functions is None:
            return None, "tools"
        return tuple(_tool(function) for function in asked.functions), "functions"
    tools: list[Tool] = []
    for index, tool in enumerate(asked.tools):
        if tool.function is None or tool.type != "function":
            raise faults.invalid(
                f"tools[{index}]", "is not a function, and this model takes no other tools"
            )
        tools.append(_tool(tool.function, tool.cache_control))
    return tuple(tools), "tools"


def _tool(function: _Function, mark: CacheControl | None = None) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=_given(function.parameters),
        strict=function.strict,
        cache=life(mark),
    )


def _tool_choice(asked: _Asked) -> tuple[ToolChoice | None, str]:
    """What the caller allows, and what they call it. Raises: BadRequest."""
    param = "tool_choice" if asked.tool_choice is not None else "function_call"
    found = asked.tool_choice if asked.tool_choice is not None else asked.function_call
    if found is None:
        return None, "tool_choice"
    named = found.function if isinstance(found, _Choice) else found
    if isinstance(named, _Named):
        return ToolChoice(mode="named", name=named.name), param
    for mode in _MODES:
        if named == mode:
            return ToolChoice(mode=mode), param
    raise faults.invalid(param, "asks for what this model cannot do")


_MODES: tuple[Literal["auto", "none", "required"], ...] = ("auto", "none", "required")


def _google(others: dict[str, Raw]) -> _ThinkingConfig:
    """How much Google's edition of this format lets a model think; taken out of `others`."""
    raw = others.get("google")
    try:
        found = _decode_google(raw).thinking_config if raw is not None else None
    except faults.NOT_READ:
        found = None
    if found is None:
        return _ThinkingConfig()
    del others["google"]
    return found


def _wish(asked: _Asked, google: _ThinkingConfig) -> tuple[ReasoningWish | None, str]:
    """How much the model shall think, from the many ways to say so; the plainest one names it."""
    reasoning = asked.reasoning or _Reasoning()
    thinking = asked.thinking
    effort = asked.reasoning_effort or reasoning.effort or google.thinking_level or ""
    effort = effort.lower()
    budgets = (
        None if thinking is None else thinking.budget_tokens,
        reasoning.max_tokens,
        google.thinking_budget,
    )
    budget = next((said for said in budgets if said is not None), None)
    enabled = None if thinking is None else thinking.type != "disabled"
    for said in (reasoning.enabled, asked.enable_thinking):
        enabled = said if enabled is None else enabled
    if effort == "none" or budget == 0:
        enabled = False
    show = reasoning.summary or ("auto" if google.include_thoughts else "")
    if reasoning.exclude or google.include_thoughts is False:
        show = "none"
    wish = ReasoningWish(
        enabled=enabled,
        effort="" if effort == "none" else effort,
        budget=budget if budget is None or budget > 0 else None,
        show=show,
    )
    name = next((name for name in _WISHES if getattr(asked, name) is not None), "google")
    return (wish, name) if wish != _NO_WISH else (None, _WISHES[0])


_WISHES = ("reasoning_effort", "reasoning", "thinking", "enable_thinking")
_NO_WISH = ReasoningWish()


def _unsayable(messages: list[Message]) -> dict[str, Raw]:
    """Members of messages that no other format has, by a name that tells where they stand."""
    named = any(message.name and message.role != "function" for message in messages)
    return {"messages.name": Raw(b"true")} if named else {}
