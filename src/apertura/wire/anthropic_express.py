"""A canonical request, said to a provider in the Messages format.

Parameters are mapped, brought into range, given up and listed, or refused, as `FATES` and the notes
at each function say; the turns are put in order by `anthropic_turns`, reasoning by
`anthropic_thinking`. What it is not: a check of what one model can do; its provider says that.

The rule that keeps it honest: what a provider of this format would refuse outright is never sent,
and what is therefore left out is listed under the caller's own name for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from apertura.wire import anthropic_thinking as thoughts
from apertura.wire import fates, faults
from apertura.wire.anthropic_request import JSON_ONLY
from apertura.wire.anthropic_turns import (
    MARKS_MOST,
    Json,
    messages_of,
    text_block,
    thoughtless,
    with_mark,
    without_last_thoughts,
)
from apertura.wire.chat import Chat, Tool
from apertura.wire.dialect import Expressed, Target

FATES = fates.table(
    mapped="max_output temperature top_p top_k stop n format tools tool_choice parallel_tools"
    " reasoning modalities user",
    dropped="seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs verbosity"
    " metadata cache_key",
    refused="audio",
)
USER_MOST = 256
"""Characters of `metadata.user_id`."""
TOP_P_LEAST = 0.95
"""The least `top_p` that a model takes while it thinks."""

_EMPTY_SCHEMA: Json = {"type": "object", "properties": {}}
_SCHEMAS_BY_NAME = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
_SCHEMA_DEPTH = 64

_UNSAID: tuple[object, ...] = (None, {}, [])

_encode = msgspec.json.Encoder().encode


def express(chat: Chat, target: Target) -> Expressed:
    """The request for a provider. Raises: BadRequest, naming what must not be dropped."""
    lost = [*fates.dropped(chat, FATES, "Messages format")]
    _refuse(chat)
    messages, unsaid = messages_of(chat)
    tools, choice = _tools(chat), _tool_choice(chat)
    plan = _plan(chat, target, messages, choice)
    if not plan.on:
        without_last_thoughts(messages)
    if chat.reasoning is not None and plan.given_up:
        lost.append(fates.name_of(chat, "reasoning"))
    if chat.max_output is not None and plan.max_tokens != chat.max_output:
        lost.append(fates.name_of(chat, "max_output"))
    config, system = _output(chat, plan)
    parameters = {
        "thinking": plan.thinking,
        "output_config": config,
        "tools": tools,
        "tool_choice": choice,
        "stop_sequences": _stop(chat, lost),
        "metadata": _metadata(chat, lost),
        "stream": True if chat.stream else None,
        **_sampling(chat, target.model, plan, lost),
    }
    if _without_early_marks([*(tools or []), *system, *_blocks(messages)]):
        unsaid.append("cache_control")
    body: Json = {"model": target.model, "max_tokens": plan.max_tokens}
    if system:
        body["system"] = system
    body["messages"] = messages
    body |= {name: value for name, value in parameters.items() if value not in _UNSAID}
    return Expressed(body=_encode(body), dropped=tuple(dict.fromkeys([*lost, *unsaid])))


def _refuse(chat: Chat) -> None:
    """What would change the meaning or the price of an answer. Raises: BadRequest."""
    if chat.n is not None and chat.n > 1:
        raise faults.invalid(fates.name_of(chat, "n"), "must be 1 for this model")
    if any(modality != "text" for modality in chat.modalities or ()):
        what = "must be text alone for this model"
        raise faults.invalid(fates.name_of(chat, "modalities"), what)


def _plan(chat: Chat, target: Target, messages: list[Json], choice: Json | None) -> thoughts.Plan:
    """What is said of reasoning. A model cannot think where it is forced to call a tool, where it
    goes on with an answer, or (on a budget) amid calls that it began without its own thoughts.
    """
    limits = (target.model, chat.max_output, target.max_output)
    plan = thoughts.plan(chat.reasoning, *limits)
    if not plan.on:
        return plan
    adapts = thoughts.adapts(target.model)
    forced = choice is not None and choice["type"] in ("any", "tool")
    goes_on = messages[-1]["role"] == "assistant"
    if not forced and not goes_on and (adapts or not thoughtless(messages)):
        return plan
    plain = thoughts.plan(None, *limits)
    return msgspec.structs.replace(plain, effort=plan.effort, given_up=True)


def _output(chat: Chat, plan: thoughts.Plan) -> tuple[Json, list[Json]]:
    """`output_config` and the system prompt, which says that JSON is wanted where that cannot."""
    config: Json = {"effort": plan.effort} if plan.effort else {}
    system = [text_block(part.text, part.cache) for part in chat.system if part.text.strip()]
    wanted = chat.format
    if wanted is None or wanted.kind == "text":
        return config, system
    if wanted.kind == "json_schema" and wanted.schema is not None:
        schema = _closed(_decoded(wanted.schema))
        config["format"] = {"type": "json_schema", "schema": schema}
        return config, system
    return config, [*system, text_block(JSON_ONLY)]


def _decoded(raw: Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except faults.NOT_READ as found:
        raise faults.refusal(found) from None


def _closed(schema: object, depth: int = 0) -> object:
    """A schema whose objects allow no other members, unless they say: the format insists on it."""
    if not isinstance(schema, dict) or depth > _SCHEMA_DEPTH:
        return schema
    said = dict(schema)
    for name in _SCHEMAS_BY_NAME:
        if isinstance(found := said.get(name), dict):
            said[name] = {key: _closed(inner, depth + 1) for key, inner in found.items()}
    for name in _SCHEMA_LISTS:
        if isinstance(listed := said.get(name), list):
            said[name] = [_closed(inner, depth + 1) for inner in listed]
    if "items" in said:
        said["items"] = _closed(said["items"], depth + 1)
    if said.get("type") == "object" or "properties" in said:
        said.setdefault("additionalProperties", False)
    return said


def _tools(chat: Chat) -> list[Json] | None:
    return [_tool(tool) for tool in chat.tools] if chat.tools else None


def _tool(tool: Tool) -> Json:
    said: Json = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    said["input_schema"] = _input_schema(tool.parameters)
    if tool.strict:
        said["strict"] = True
    return with_mark(said, tool.cache)


def _input_schema(parameters: Raw | None) -> object:
    """A tool's schema as it came; one that does not say so is told to be of an object."""
    found = None if parameters is None else _decoded(parameters)
    if not isinstance(found, dict):
        return _EMPTY_SCHEMA
    return parameters if "type" in found else {"type": "object", **found}


def _tool_choice(chat: Chat) -> Json | None:
    """Which tools may be called; nothing is said where there are none."""
    if not chat.tools:
        return None
    one = {"disable_parallel_tool_use": True} if chat.parallel_tools is False else {}
    choice = chat.tool_choice
    if choice is None:
        return {"type": "auto", **one} if one else None
    if choice.mode == "none":
        return {"type": "none"}
    if choice.mode == "named":
        return {"type": "tool", "name": choice.name, **one}
    return {"type": "any" if choice.mode == "required" else "auto", **one}


def _stop(chat: Chat, lost: list[str]) -> list[str]:
    """Where to stop; a sequence of white space alone is not allowed."""
    kept = [text for text in chat.stop or () if text.strip()]
    if len(kept) < len(chat.stop or ()):
        lost.append(fates.name_of(chat, "stop"))
    return kept


def _metadata(chat: Chat, lost: list[str]) -> Json | None:
    if chat.user is None:
        return None
    if len(chat.user) > USER_MOST:
        lost.append(fates.name_of(chat, "user"))
        return None
    return {"user_id": chat.user}


def _sampling(chat: Chat, model: str, plan: thoughts.Plan, lost: list[str]) -> Json:
    """`temperature`, or else `top_p`: models take one of both; and `top_k`. A model that thinks
    takes hardly any, and the newest none at all.
    """
    free = thoughts.samples(model) and not plan.on
    said: Json = {}
    if chat.temperature is not None and chat.temperature != 1:
        if free:
            said["temperature"] = min(chat.temperature, 1)
        if said.get("temperature") != chat.temperature:
            lost.append(fates.name_of(chat, "temperature"))
    if chat.top_p is not None and chat.top_p != 1:
        least = TOP_P_LEAST if plan.on else 0
        if thoughts.samples(model) and "temperature" not in said and chat.top_p >= least:
            said["top_p"] = chat.top_p
        else:
            lost.append(fates.name_of(chat, "top_p"))
    if chat.top_k is not None and chat.top_k > 0:
        if free:
            said["top_k"] = chat.top_k
        else:
            lost.append(fates.name_of(chat, "top_k"))
    return said


def _blocks(messages: list[Json]) -> Iterator[Json]:
    """All blocks, those of tools' answers before the answer itself."""
    for message in messages:
        for block in message["content"]:
            if block["type"] == "tool_result":
                yield from block.get("content", ())
            yield block


def _without_early_marks(blocks: list[Json]) -> bool:
    """Keeps the last marks for the cache, as many as are allowed; whether others were taken out."""
    marked = [block for block in blocks if "cache_control" in block]
    for block in marked[:-MARKS_MOST]:
        del block["cache_control"]
    return len(marked) > MARKS_MOST
