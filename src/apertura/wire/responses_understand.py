"""A caller's request in OpenAI's Responses format, understood: the whole of it in canonical form.

What it is not: the check of types, which `responses_request.parse` has done. What only this format
has and no other can say (tools that run at the provider, items of such tools) is refused by name.

The rule that keeps it honest: every member of the request is mapped, acted on by the gateway, or
stands in `others`, so that the caller hears of what is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from apertura.wire import faults, responses_media, state
from apertura.wire.chat import (
    CallPart,
    Chat,
    ChatRequest,
    Citation,
    Format,
    MediaPart,
    Part,
    ReasoningPart,
    ReasoningWish,
    RefusalPart,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
    Turn,
)
from apertura.wire.responses_mend import ENCRYPTED, text_format
from apertura.wire.responses_request import body_of, items_of, limit_of, refuse_unresolved
from apertura.wire.responses_shapes import (
    VERBOSITY,
    Body,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    ReasoningItem,
)
from apertura.wire.responses_shapes import Part as Said
from apertura.wire.responses_shapes import Tool as AskedTool

_encode = msgspec.json.Encoder().encode

_MAPPED = frozenset(
    {
        "input",
        "instructions",
        "max_output_tokens",
        "max_tokens",
        "metadata",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "response_format",
        "stream",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)
_OURS = frozenset({"background", "conversation", "previous_response_id", "prompt", "store"})
"""Members that the gateway acts on itself, or has refused."""


def understand(request: ChatRequest) -> Chat:
    """The whole of a request. Raises: BadRequest, for what no other format can say."""
    body = body_of(request)
    refuse_unresolved(body)
    system, turns = _conversation(body)
    tools, choice = _tools(body)
    plain = request.members
    return Chat(
        system=system,
        turns=turns,
        stream=request.stream,
        max_output=limit_of(body),
        temperature=body.temperature,
        top_p=body.top_p,
        format=_format(body),
        tools=tools,
        tool_choice=choice,
        parallel_tools=body.parallel_tool_calls,
        reasoning=_reasoning(body),
        verbosity=_verbosity(body),
        user=body.user if body.user is not None else body.safety_identifier,
        metadata=plain["metadata"] if body.metadata else None,
        cache_key=body.prompt_cache_key,
        others=_others(request, body),
        names=_names(body),
    )


def _names(body: Body) -> dict[str, str]:
    """The caller's names for our fields."""
    flat = body.text is not None and body.text.format is not None
    return {
        "turns": "input",
        "system": "instructions",
        "max_output": "max_tokens" if body.max_output_tokens is None else "max_output_tokens",
        "format": "text.format" if flat else "response_format",
        "parallel_tools": "parallel_tool_calls",
        "verbosity": "text.verbosity",
        "user": "user" if body.user is not None else "safety_identifier",
        "cache_key": "prompt_cache_key",
    }


def _others(request: ChatRequest, body: Body) -> dict[str, Raw]:
    """The members that have no place in the canonical request."""
    known = _MAPPED | _OURS
    if body.user is None:
        known |= {"safety_identifier"}
    if body.service_tier is not None:  # "auto" or "default": what every other format does
        known |= {"service_tier"}
    if body.truncation == "disabled":
        known |= {"truncation"}
    if set(body.include or ()) <= {ENCRYPTED}:  # our encoder shows state unasked
        known |= {"include"}
    if body.stream_options is None or not body.stream_options.include_obfuscation:
        known |= {"stream_options"}
    if not body.top_logprobs:
        known |= {"top_logprobs"}
    return {
        name: raw
        for name, raw in request.members.items()
        if name not in known and bytes(raw) != b"null"
    }


def _format(body: Body) -> Format | None:
    said: dict[str, Any] | None = text_format(body)
    if said is None or said["type"] != "json_schema":
        return None if said is None else Format(kind=said["type"])
    return Format(
        kind="json_schema",
        name=said["name"],
        description=said.get("description", ""),
        schema=Raw(_encode(said["schema"])),
        strict=said.get("strict"),
    )


def _reasoning(body: Body) -> ReasoningWish | None:
    asked = body.reasoning
    if asked is None:
        return None
    off = asked.effort == "none" or asked.enabled is False
    return ReasoningWish(
        enabled=False if off else asked.enabled,
        effort="" if off else asked.effort or "",
        show=asked.summary or asked.generate_summary or "",
    )


def _verbosity(body: Body) -> str | None:
    asked = body.text.verbosity if body.text is not None else None
    return None if asked is None else VERBOSITY.get(asked, asked)


def _tools(body: Body) -> tuple[tuple[Tool, ...] | None, ToolChoice | None]:
    """The tools, and which of them the model may or must call."""
    tools = None
    if body.tools is not None:
        tools = tuple(_tool(tool, number) for number, tool in enumerate(body.tools))
    asked = body.tool_choice
    if asked is None or isinstance(asked, str):
        return tools, None if asked is None else ToolChoice(mode=asked)
    if asked.type == "allowed_tools":
        allowed = {_encode(one.get("name")) for one in asked.tools or ()}
        tools = tuple(tool for tool in tools or () if _encode(tool.name) in allowed)
        return tools, ToolChoice(mode=asked.mode or "auto")
    if asked.type != "function":
        raise faults.invalid("tool_choice", "names a tool that this model does not have")
    name = asked.function.name if asked.function is not None else asked.name
    return tools, ToolChoice(mode="named", name=name or "")


def _tool(tool: AskedTool, number: int) -> Tool:
    if tool.type != "function":
        raise faults.invalid(f"tools[{number}]", "is a tool that this model does not have")
    function = tool.function
    source = tool if function is None else function
    return Tool(
        name=source.name or "",
        description=source.description or "",
        parameters=None if source.parameters is None else Raw(_encode(source.parameters)),
        strict=source.strict,
    )


def _conversation(body: Body) -> tuple[tuple[TextPart, ...], tuple[Turn, ...]]:
    """Instructions that come before all else, and the turns."""
    system = [TextPart(text=body.instructions)] if body.instructions else []
    turns = _Turns()
    if isinstance(body.input, str):
        turns.add("user", [TextPart(text=body.input)])
    for place, item in items_of(body):
        if isinstance(item, Message) and item.role in ("system", "developer"):
            words = list(_instructed(item, place))
            if turns.begun:
                turns.add("system", list(words))
            else:
                system += words
        else:
            turns.take(item, place)
    return tuple(part for part in system if part.text), turns.all()


class _Turns:
    """Items put together into turns: an answer's items are one, and so are results side by side."""

    def __init__(self) -> None:
        self._turns: list[tuple[str, list[Part]]] = []
        self._names: dict[str, str] = {}

    @property
    def begun(self) -> bool:
        """Whether anyone has said anything."""
        return bool(self._turns)

    def all(self) -> tuple[Turn, ...]:
        """The turns; a tool's result knows the tool."""
        return tuple(Turn(role=_ROLES[role], parts=tuple(parts)) for role, parts in self._turns)

    def add(self, role: str, parts: list[Part]) -> None:
        """A turn of its own, if anything is in it."""
        if parts:
            self._turns.append((role, parts))

    def take(self, item: Item | None, place: str) -> None:
        """One item. Raises: BadRequest, for one that no other format can say."""
        match item:
            case Message(role="assistant"):
                self._answer(list(_answered(item, place)))
            case Message():
                self.add("user", list(_heard(item, place)))
            case FunctionCall(call_id=call_id, name=name, arguments=arguments):
                self._names[call_id] = name
                self._go_on("assistant", [CallPart(id=call_id, name=name, arguments=arguments)])
            case FunctionCallOutput():
                self._go_on("results", [self._result(item, place)])
            case ReasoningItem():
                self._go_on("assistant", _thought(item))
            case _:
                raise faults.invalid(place, "is an item that this model cannot be given")

    def _answer(self, said: list[Part]) -> None:
        """A message of the model's: a turn of its own, if the last one ended in words already."""
        last = self._turns[-1] if self._turns else None
        if said and last is not None and last[0] == "assistant" and isinstance(last[1][-1], _WORDS):
            self.add("assistant", said)
        else:
            self._go_on("assistant", said)

    def _go_on(self, role: str, parts: list[Part]) -> None:
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].extend(parts)
        else:
            self.add(role, parts)

    def _result(self, item: FunctionCallOutput, place: str) -> ResultPart:
        name = self._names.get(item.call_id, "")
        if isinstance(item.output, str):
            text = TextPart(text=item.output)
            return ResultPart(call_id=item.call_id, parts=(text,), name=name)
        parts = tuple(_parts(item.output, f"{place}.output"))
        return ResultPart(call_id=item.call_id, parts=parts, name=name)


_WORDS = (TextPart, RefusalPart)
_ROLES: dict[str, Any] = {
    "user": "user",
    "results": "user",
    "assistant": "assistant",
    "system": "system",
}


def _parts(parts: list[Said], place: str) -> Iterator[TextPart | MediaPart]:
    for number, part in enumerate(parts):
        where = f"{place}[{number}]"
        found = responses_media.read(part, where)
        if found is None:
            raise faults.invalid(where, "is a part that this model cannot be given")
        yield found


def _heard(item: Message, place: str) -> Iterator[TextPart | MediaPart]:
    """What the caller's side said."""
    if isinstance(item.content, str):
        yield TextPart(text=item.content)
    else:
        yield from _parts(item.content, f"{place}.content")


def _instructed(item: Message, place: str) -> Iterator[TextPart]:
    """What the caller's application says; other formats have words alone for it."""
    for part in _heard(item, place):
        if not isinstance(part, TextPart):
            raise faults.invalid(f"{place}.content", "must be text alone for this model")
        yield part


def _answered(item: Message, place: str) -> Iterator[Part]:
    """What the model said."""
    if isinstance(item.content, str):
        yield TextPart(text=item.content)
        return
    for number, part in enumerate(item.content):
        if part.type == "refusal":
            yield RefusalPart(text=part.refusal or "")
            continue
        [found] = _parts([part], f"{place}.content[{number}]")
        if isinstance(found, TextPart):
            yield TextPart(text=found.text, cited=tuple(_cited(part)))
        else:
            yield found


def _cited(part: Said) -> Iterator[Citation]:
    """The web pages of a part; what else its annotations say stays behind."""
    for annotation in part.annotations or ():
        said: dict[str, Any] = faults.read(_encode(annotation), msgspec.json.decode)
        url, title = said.get("url"), said.get("title")
        start, end = said.get("start_index"), said.get("end_index")
        if isinstance(url, str):
            yield Citation(
                url=url,
                title=title if isinstance(title, str) else "",
                start=start if isinstance(start, int) else 0,
                end=end if isinstance(end, int) else 0,
            )


def _thought(item: ReasoningItem) -> list[Part]:
    """What the model thought, with whosever state it carries."""
    shown = item.summary or item.content or []
    text = "\n\n".join(part.text for part in shown if part.text)
    sealed = item.encrypted_content
    if not sealed:
        return [ReasoningPart(text=text)] if text else []
    origin, opaque = state.unwrap(sealed) or (state.OPENAI, f"{item.id or ''}:{sealed}")
    return [ReasoningPart(text=text, state=opaque, origin=origin)]
