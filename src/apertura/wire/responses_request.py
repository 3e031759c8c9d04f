"""A request in OpenAI's Responses format: read from a caller, written to a provider.

Read as in the chat format: once into types that check what we know, once into raw members that
travel on. The public API is wider than the format (tools in the nested form, `response_format`,
parts of older clients); providers get the format's own form. What it is not: the canonical request
(`responses_understand`, `responses_express`).

The rule that keeps it honest: nothing that a caller names reaches what a provider keeps for us all:
we alone keep responses, so `store` is false there, and ids of kept things are resolved by us before
or refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET, Raw

from apertura.errors import BadRequest
from apertura.wire import faults, route_wish
from apertura.wire.chat import ChatRequest
from apertura.wire.openai_request import cost_wish, model_name
from apertura.wire.openai_shapes import decode_members
from apertura.wire.responses_mend import mend
from apertura.wire.responses_shapes import (
    Body,
    FunctionCallOutput,
    Item,
    Kind,
    Message,
    Part,
    decode_body,
    decode_item,
    decode_kind,
)

_encode = msgspec.json.Encoder().encode

_OWN = frozenset({"compression", *route_wish.OWN})
"""Members that speak to the gateway; no provider sees them."""

_SENSES = {"input_image": "vision", "image": "vision", "input_audio": "audio"}


def parse(body: bytes) -> ChatRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    typed = faults.read(body, decode_body)
    members = faults.read(body, decode_members)
    _refuse(typed)
    needs = needs_of(typed)
    wish = None
    if not _OWN.isdisjoint(members):
        wish = route_wish.wish_of(typed, members)
        members = {name: value for name, value in members.items() if name not in _OWN}
    told = UNSET if typed.stream_options is None else typed.stream_options.include_cost
    costs, members = cost_wish(members, typed.usage, told)
    model = model_name(typed.model)
    return ChatRequest(
        model=model,
        members=members,
        stream=typed.stream is True,
        include_usage=True,
        include_cost=costs,
        max_output=limit_of(typed),
        needs=needs,
        wish=wish,
        size=len(body),
        as_named=model == typed.model,
    )


def render(request: ChatRequest, *, model: str, ask_usage: bool = True) -> bytes:
    """The body for a provider that calls the model `model`. Raises: BadRequest, for ids of kept
    things that were not resolved before (`responses_history`).
    """
    typed = body_of(request)
    refuse_unresolved(typed)
    return _encode({**mend(request.members, typed), "model": model, "store": False})


def body_of(request: ChatRequest) -> Body:
    """The typed view of a request that `parse` has accepted."""
    return faults.read(_encode(request.members), decode_body)


def needs_of(body: Body) -> frozenset[str]:
    """Capabilities that an offer must have. Raises: BadRequest, for an item that is wrong."""
    needs = set(_needs(body))
    for place, item in items_of(body):
        for number, part in enumerate(parts_of(item)):
            if part.file_id is not None:
                member = "output" if isinstance(item, FunctionCallOutput) else "content"
                param = f"{place}.{member}[{number}].file_id"
                raise faults.invalid(param, "names a file, and this installation keeps none")
            if part.type in _SENSES:
                needs.add(_SENSES[part.type])
    return frozenset(needs)


def limit_of(body: Body) -> int | None:
    """The output limit, by either of its names."""
    if body.max_output_tokens is None:
        return body.max_tokens
    return max(body.max_output_tokens, body.max_tokens or 0)


def items_of(body: Body) -> Iterator[tuple[str, Item | None]]:
    """The items of `input` with their places; None for a type that we do not know.

    Raises: BadRequest, naming the item's member.
    """
    if isinstance(body.input, str):
        return
    for number, raw in enumerate(body.input):
        place = f"input[{number}]"
        yield place, _item(raw, place)


def parts_of(item: Item | None) -> list[Part]:
    """The parts of an item that holds content."""
    content: object = None
    if isinstance(item, Message):
        content = item.content
    elif isinstance(item, FunctionCallOutput):
        content = item.output
    return content if isinstance(content, list) else []


def refuse_unresolved(body: Body) -> None:
    """Raises: BadRequest, for an id of a kept thing that is still there."""
    if body.previous_response_id is not None:
        raise faults.invalid("previous_response_id", "names a response that is not kept")
    for place, _ in references_of(body):
        raise faults.invalid(f"{place}.id", "names an item that is not kept")


def references_of(body: Body) -> Iterator[tuple[str, str]]:
    """The places and ids of items that are named only."""
    for number, raw in enumerate(() if isinstance(body.input, str) else body.input):
        kind = decode_kind(raw)
        if _type(kind) == "item_reference" and isinstance(kind.id, str):
            yield f"input[{number}]", kind.id


def _type(kind: Kind) -> str:
    """What an item is; messages and references may come without a type."""
    if kind.type is not None:
        return kind.type
    return "message" if kind.role is not None or kind.id is None else "item_reference"


def _item(raw: Raw, place: str) -> Item | None:
    try:
        decode = decode_item.get(_type(decode_kind(raw)))
        return None if decode is None else decode(raw)
    except faults.NOT_READ as found:
        raise _placed(faults.refusal(found), place) from None


def _placed(error: BadRequest, place: str) -> BadRequest:
    """An error within an item, with the item's place before the member's name."""
    if error.param is None:
        return faults.invalid(place, "must be an object")
    param = f"{place}.{error.param}"
    message = error.message.replace(f"`{error.param}`", f"`{param}`", 1)
    return BadRequest(message, code=error.code, param=param)


def _refuse(body: Body) -> None:
    """Raises: BadRequest, for the first parameter that asks for what is not built."""
    if body.service_tier not in (None, "auto", "default"):  # it would have another price
        refused, what = "service_tier", "another tier of service"
    elif body.background:
        refused, what = "background", "responses in the background"
    elif body.conversation is not None:
        refused, what = "conversation", "kept conversations"
    elif body.prompt is not None:
        refused, what = "prompt", "kept prompts"
    elif body.compression is not None and body.compression.enabled:
        refused, what = "compression", "context compression"
    else:
        return
    raise faults.invalid(refused, f"asks for {what}, which this installation does not offer yet")


def _needs(body: Body) -> Iterator[str]:
    """Capabilities that the parameters ask for."""
    if body.tools:
        yield "tools"
    flat = body.text.format if body.text is not None else None
    if (flat is not None and flat.type == "json_schema") or (
        body.response_format is not None and body.response_format.type == "json_schema"
    ):
        yield "json_schema"
