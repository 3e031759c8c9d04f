"""A chat request in OpenAI's format: read from a caller, written to a provider.

The body is decoded twice, once into `openai_shapes.Body`, which checks every parameter that we
know, once into raw members, which is what travels on. What it is not: a filter; a member that we do
not know passes unread, because SDKs and vendors add their own.

The rule that keeps it honest: everything that is passed on was in the body that was checked; what
`extra_body` adds is merged first and checked again, and it can neither replace a member nor bring
one that changes what a call costs.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from apertura.domain.preferences import Wish
from apertura.wire import faults, route_wish
from apertura.wire.chat import ChatRequest
from apertura.wire.openai_shapes import (
    Body,
    Message,
    UsageWish,
    decode_body,
    decode_members,
)

_encode = msgspec.json.Encoder().encode

_OWN = frozenset(
    {
        "compression",
        "extra_body",
        "usage",
        "web_content_length",
        "web_results_count",
        "web_search_options",
        *route_wish.OWN,
    }
)
"""Members that speak to the gateway; no provider sees them."""

_RARE = _OWN | {"audio", "functions", "modalities", "response_format", "tools"}
"""Members that need a second look; most requests have none of them."""

_PROTECTED = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "stream",
        "stream_options",
    }
)
"""Members that `extra_body` may not bring: they decide where a call goes and what it costs."""

_USAGE = Raw(b'{"include_usage":true}')
_SENSES = {"image_url": "vision", "video_url": "vision", "input_audio": "audio"}
_NOTHING: frozenset[str] = frozenset()


def parse(body: bytes) -> ChatRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    try:
        body.isascii() or body.decode()
        typed = decode_body(body)
        members = decode_members(body)
    except faults.NOT_READ as found:
        raise faults.refusal(found) from None
    needs, wish = _NOTHING, None
    if not _RARE.isdisjoint(members):
        typed, members, wish = _without_own(typed, members)
        needs = _needs(typed)
    for message in typed.messages:
        if message.content.__class__ is list:
            needs |= _needs_of(message)
    model = typed.model
    if not model.isprintable() or model.startswith("apertis/"):
        model = model_name(model)
    limit = typed.max_tokens
    if typed.max_completion_tokens is not None:
        limit = max(typed.max_completion_tokens, limit or 0)
    options = typed.stream_options
    costs = False
    if typed.usage is not None or (options is not None and options.include_cost is not UNSET):
        told = UNSET if options is None else options.include_cost
        costs, members = cost_wish(members, typed.usage, told)
    return ChatRequest(
        model=model,
        members=members,
        stream=typed.stream is True,
        include_usage=options is not None and options.include_usage is True,
        include_cost=costs,
        max_output=limit,
        choices=typed.n or 1,
        needs=needs,
        wish=wish,
        size=len(body),
        as_named=model is typed.model,
    )


def render(request: ChatRequest, *, model: str, ask_usage: bool = True) -> bytes:
    """The body for a provider that calls the model `model`; its streams always report usage.

    With `ask_usage` false it does so unasked, and takes no `stream_options`.
    """
    if not request.stream and request.as_named and model == request.model:
        return _encode(request.members)
    members: dict[str, object] = {**request.members, "model": model}
    if request.stream:
        members.pop("stream_options", None)
        if ask_usage:
            asked = request.members.get("stream_options")
            members["stream_options"] = _USAGE if asked is None else _with_usage(asked)
    return _encode(members)


def model_name(name: str) -> str:
    """The model that is meant: without the namespace that some editors need. Raises: BadRequest."""
    name = name.removeprefix("apertis/")
    if not name or not name.isprintable():
        raise faults.invalid("model", "must be a model's name, without control characters")
    return name


def cost_wish(
    members: dict[str, Raw], usage: UsageWish | None, told: bool | UnsetType | None = UNSET
) -> tuple[bool, dict[str, Raw]]:
    """Whether a reply shall say what it cost, by `usage` or (`told`) by a member of
    `stream_options`; and the request's members without that wish, which is for the gateway alone.
    """
    wanted = usage is not None and usage.include is True
    if told is UNSET and "usage" not in members:
        return wanted, members
    rest = {name: value for name, value in members.items() if name != "usage"}
    if told is not UNSET:
        wanted = wanted or told is True
        others = decode_members(rest.pop("stream_options"))
        del others["include_cost"]
        if others:
            rest["stream_options"] = Raw(_encode(others))
    return wanted, rest


def _needs(body: Body) -> frozenset[str]:
    """Capabilities that the parameters ask for."""
    needs = set()
    if body.tools or body.functions:
        needs.add("tools")
    if body.audio is not None or (body.modalities and "audio" in body.modalities):
        needs.add("audio")
    if body.response_format is not None and body.response_format.type == "json_schema":
        needs.add("json_schema")
    return frozenset(needs)


def _needs_of(message: Message) -> frozenset[str]:
    """Capabilities that the parts of a message ask for."""
    parts = message.content if isinstance(message.content, list) else []
    return frozenset(_SENSES[part.type] for part in parts if part.type in _SENSES)


def _with_usage(options: Raw) -> Raw:
    """Stream options that also ask for usage."""
    members = decode_members(options) if bytes(options) != b"null" else {}
    members["include_usage"] = Raw(b"true")
    return Raw(_encode(members))


def _without_own(typed: Body, members: dict[str, Raw]) -> tuple[Body, dict[str, Raw], Wish | None]:
    """The request with `extra_body` merged and the gateway's own members acted on and taken out."""
    if typed.extra_body:
        for name in typed.extra_body:
            if name in _PROTECTED:
                param = f"extra_body.{name}"
                raise faults.invalid(param, "must be given beside `extra_body`, not within it")
        members = {**typed.extra_body, **members}
        typed = faults.read(_encode(members), decode_body)
    if (refused := _not_offered(typed)) is not None:
        sentence = f"asks for {refused[1]}, which this installation does not offer yet"
        raise faults.invalid(refused[0], sentence)
    wish = route_wish.wish_of(typed, members)
    return typed, {name: value for name, value in members.items() if name not in _OWN}, wish


def _not_offered(body: Body) -> tuple[str, str] | None:
    """The first parameter that asks for something that is not built, and what that is."""
    if body.service_tier not in (None, "auto", "default"):  # it would have another price
        return "service_tier", "another tier of service"
    for name in ("web_results_count", "web_content_length", "web_search_options"):
        if getattr(body, name) is not None:
            return name, "web search"
    if body.compression is not None and body.compression.enabled:
        return "compression", "context compression"
    return None
