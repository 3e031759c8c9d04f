"""The whole of a request in the Messages format, put into the canonical form.

Reads the turns, blocks, tools and parameters of a request that `anthropic_request.parse` accepted,
so that it can be said in another format. What it is not: needed where the provider speaks this
format too; such requests pass.

The rule that keeps it honest: what only this format's own providers can do (tools that they run,
files that they keep) is refused with its place, and a member without a place here is named in
`others`; nothing is passed over in silence.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from apertura.wire import anthropic_shapes as shapes
from apertura.wire import faults
from apertura.wire.anthropic_shapes import BLOCKS, Block, Body, CacheControl, Message, Source
from apertura.wire.anthropic_state import redacted_part, thinking_part
from apertura.wire.chat import (
    CacheLife,
    CallPart,
    Chat,
    ChatRequest,
    Citation,
    Format,
    MediaPart,
    Part,
    ReasoningWish,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)

_encode = msgspec.json.Encoder().encode

_OTHERS_KNOWN = frozenset(shapes.Body.__struct_fields__) - {"service_tier"}
_NOT_ELSEWHERE = "is {}, which this model cannot be given"


def understand(request: ChatRequest) -> Chat:
    """The canonical request. Raises: BadRequest, for what no other format can say."""
    body = faults.read(_encode(request.members), shapes.decode_body)
    if body.mcp_servers:
        raise faults.invalid("mcp_servers", "cannot be asked of this model")
    turns = _Turns().read(body.messages)
    if body.cache_control is not None:
        turns = _with_last_mark(turns, _life(body.cache_control))
    first = next((n for n, turn in enumerate(turns) if turn.role != "system"), len(turns))
    return Chat(
        system=(*_system(body), *_instructions(turns[:first])),
        turns=turns[first:],
        stream=request.stream,
        max_output=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=_stop(body),
        n=body.n,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias=_raw(request, "logit_bias") if body.logit_bias else None,
        format=_format(body),
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        parallel_tools=_parallel(body),
        reasoning=_reasoning(body),
        user=_user(body),
        others=_others(request, body),
        names=_names(body),
    )


def _raw(request: ChatRequest, name: str) -> Raw:
    return request.members[name]


def _stop(body: Body) -> tuple[str, ...] | None:
    extra = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if body.stop_sequences is None and body.stop is None:
        return None
    return (*(body.stop_sequences or ()), *extra)


def _user(body: Body) -> str | None:
    own = body.metadata.user_id if body.metadata is not None else None
    return own if own is not None else body.user


def _names(body: Body) -> dict[str, str]:
    """The caller's names of our fields, where they differ."""
    own_user = body.metadata is not None and body.metadata.user_id is not None
    names = {
        "turns": "messages",
        "max_output": "max_tokens",
        "stop": "stop" if body.stop_sequences is None and body.stop is not None else "",
        "user": "metadata.user_id" if own_user else "",
        "parallel_tools": "tool_choice.disable_parallel_tool_use",
        "reasoning": "thinking" if body.thinking is not None else "output_config.effort",
        "format": "response_format" if body.response_format is not None else "output_config.format",
    }
    names["stop"] = names["stop"] or "stop_sequences"
    return {field: name for field, name in names.items() if name}


def _others(request: ChatRequest, body: Body) -> dict[str, Raw]:
    """Members without a place here that say anything."""
    others = {
        name: value
        for name, value in request.members.items()
        if name not in _OTHERS_KNOWN and bytes(value) != b"null"
    }
    if body.service_tier != "standard_only":  # the others ask for nothing
        others.pop("service_tier", None)
    if any(_asks_to_cite(message) for message in body.messages):
        others["messages.citations"] = Raw(b"true")
    return others


def _asks_to_cite(message: Message) -> bool:
    """Whether answers shall quote a document of this turn, which only this format's models do."""
    blocks = message.content if isinstance(message.content, list) else []
    asked = [block.citations for block in blocks if block.type in ("document", "search_result")]
    return any(isinstance(one, dict) and bytes(one.get("enabled", b"")) == b"true" for one in asked)


def _system(body: Body) -> tuple[TextPart, ...]:
    if body.system is None or isinstance(body.system, str):
        return (TextPart(text=body.system),) if body.system else ()
    return tuple(
        TextPart(text=block.text, cache=_life(block.cache_control))
        for block in body.system
        if block.text
    )


def _instructions(turns: tuple[Turn, ...]) -> tuple[TextPart, ...]:
    return tuple(part for turn in turns for part in turn.parts if isinstance(part, TextPart))


def _life(mark: CacheControl | None) -> CacheLife:
    return "" if mark is None else mark.ttl or "5m"


def _with_last_mark(turns: tuple[Turn, ...], life: CacheLife) -> tuple[Turn, ...]:
    """The turns with a mark on the last part that can bear one: what `cache_control` asks for."""
    for number in range(len(turns) - 1, -1, -1):
        parts = list(turns[number].parts)
        for place in range(len(parts) - 1, -1, -1):
            part = parts[place]
            if isinstance(part, TextPart | MediaPart | CallPart | ResultPart):
                parts[place] = msgspec.structs.replace(part, cache=life)
                marked = msgspec.structs.replace(turns[number], parts=tuple(parts))
                return (*turns[:number], marked, *turns[number + 1 :])
    return turns


def _format(body: Body) -> Format | None:
    config = body.output_config
    own = (config.format if config is not None else None) or body.output_format
    if own is not None:
        return Format(kind="json_schema", schema=Raw(_encode(own.schema)))
    asked = body.response_format
    if asked is None:
        return None
    found = asked.json_schema
    if asked.type != "json_schema" or found is None:
        return Format(kind=asked.type)
    schema = None if found.schema is None else Raw(_encode(found.schema))
    return Format(kind="json_schema", name=found.name, schema=schema, strict=found.strict)


def _tools(body: Body) -> tuple[Tool, ...] | None:
    if body.tools is None:
        return None
    tools: list[Tool] = []
    for place, tool in enumerate(body.tools):
        if tool.type not in (None, "custom"):
            what = _NOT_ELSEWHERE.format("a tool of this format's own providers")
            raise faults.invalid(f"tools[{place}]", what)
        tools.append(
            Tool(
                name=tool.name or "",
                description=tool.description or "",
                parameters=Raw(_encode(tool.input_schema)),
                strict=tool.strict,
                cache=_life(tool.cache_control),
            )
        )
    return tuple(tools)


def _tool_choice(body: Body) -> ToolChoice | None:
    match body.tool_choice:
        case None:
            return None
        case shapes.ToolChoice(type="any"):
            return ToolChoice(mode="required")
        case shapes.ToolChoice(type="tool", name=name):
            return ToolChoice(mode="named", name=name or "")
        case shapes.ToolChoice(type="none"):
            return ToolChoice(mode="none")
        case _:
            return ToolChoice(mode="auto")


def _parallel(body: Body) -> bool | None:
    one = body.tool_choice.disable_parallel_tool_use if body.tool_choice is not None else None
    return None if one is None else not one


def _reasoning(body: Body) -> ReasoningWish | None:
    effort = (body.output_config.effort if body.output_config is not None else None) or ""
    thinking = body.thinking
    if thinking is None:
        return ReasoningWish(effort=effort) if effort else None
    show = thinking.display or ""
    if thinking.type == "disabled":
        return ReasoningWish(enabled=False)
    budget = thinking.budget_tokens if thinking.type == "enabled" else None
    return ReasoningWish(enabled=True, effort=effort, budget=budget, show=show)


class _Turns:
    """Reads the messages; knows the names of the tools that were called."""

    def __init__(self) -> None:
        self._called: dict[str, str] = {}

    def read(self, messages: list[Message]) -> tuple[Turn, ...]:
        """All turns, also those that say nothing."""
        return tuple(
            Turn(role=message.role, parts=self._parts(message.content, f"messages[{place}]"))
            for place, message in enumerate(messages)
        )

    def _parts(self, content: str | list[Block], where: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (TextPart(text=content),) if content else ()
        parts: list[Part] = []
        for place, block in enumerate(content):
            parts += self._part(block, f"{where}.content[{place}]")
        return tuple(parts)

    def _part(self, block: Block, where: str) -> list[Part]:
        match block.type:
            case "thinking":
                return [thinking_part(block.thinking or "", block.signature or "")]
            case "redacted_thinking":
                return [redacted_part(block.data or "")]
            case "tool_use":
                self._called[block.id or ""] = block.name or ""
                return [
                    CallPart(
                        id=block.id or "",
                        name=block.name or "",
                        arguments=_encode(block.input).decode(),
                        cache=_life(block.cache_control),
                    )
                ]
            case "tool_result":
                return [self._result(block, where)]
            case _:
                return [*_shown(block, where)]

    def _result(self, block: Block, where: str) -> ResultPart:
        parts: list[TextPart | MediaPart] = []
        if isinstance(block.content, str):
            parts += [TextPart(text=block.content)] if block.content else []
        elif isinstance(block.content, list):
            for place, inner in enumerate(block.content):
                parts += _shown(inner, f"{where}.content[{place}]")
        call_id = block.tool_use_id or ""
        return ResultPart(
            call_id=call_id,
            parts=tuple(parts),
            name=self._called.get(call_id, ""),
            is_error=block.is_error is True,
            cache=_life(block.cache_control),
        )


def _shown(block: Block, where: str) -> list[TextPart | MediaPart]:
    """A block that can stand in a turn and in a tool's answer. Raises: BadRequest."""
    life = _life(block.cache_control)
    match block.type:
        case "text":
            text = block.text or ""
            return [TextPart(text=text, cache=life, cited=_cited(block))] if text else []
        case "image":
            return [_media(block, "image", where)]
        case "document":
            return _document(block, where)
        case "search_result":
            lines = [line for line in (block.title, block.source) if isinstance(line, str) and line]
            texts = [part.text for part in _texts(block.content, where)]
            return [TextPart(text="\n".join([*lines, *texts]), cache=life)]
        case _:
            kind = f"a `{block.type}` block" if block.type in BLOCKS else "a block of its own kind"
            raise faults.invalid(where, _NOT_ELSEWHERE.format(kind))


def _texts(content: object, where: str) -> list[TextPart]:
    if isinstance(content, str):
        return [TextPart(text=content)]
    blocks = content if isinstance(content, list) else []
    parts = [part for block in blocks for part in _shown(block, where)]
    return [part for part in parts if isinstance(part, TextPart)]


def _cited(block: Block) -> tuple[Citation, ...]:
    """The web pages that a text rests on, as a whole: this format says so of each block."""
    found = block.citations if isinstance(block.citations, list) else []
    end = len(block.text or "")
    return tuple(
        Citation(url=cite.url, title=cite.title or "", end=end) for cite in found if cite.url
    )


def _media(block: Block, kind: str, where: str) -> MediaPart:
    """An image or a document by address or as data. Raises: BadRequest, for a file kept there."""
    source = block.source
    if isinstance(source, Source) and source.type in ("base64", "url"):
        return MediaPart(
            kind="image" if kind == "image" else "document",
            url=source.url or "" if source.type == "url" else "",
            data=source.data or "" if source.type == "base64" else "",
            mime=source.media_type or "",
            name=block.title or "",
            cache=_life(block.cache_control),
        )
    what = _NOT_ELSEWHERE.format("kept by another provider")
    raise faults.invalid(f"{where}.source", what)


def _document(block: Block, where: str) -> list[TextPart | MediaPart]:
    """A document; one that comes as text is text, under its title."""
    source = block.source
    if not isinstance(source, Source) or source.type not in ("text", "content"):
        context = [TextPart(text=block.context)] if block.context else []
        return [*context, _media(block, "document", where)]
    lines = [line for line in (block.title, block.context) if line]
    inner: list[TextPart | MediaPart] = []
    if source.type == "text":
        lines.append(source.data or "")
    elif isinstance(source.content, str):
        lines.append(source.content)
    else:
        for place, found in enumerate(source.content or []):
            inner += _shown(found, f"{where}.source.content[{place}]")
    head = [TextPart(text="\n".join(lines), cache=_life(block.cache_control))] if lines else []
    return [*head, *inner]
