"""A request in the Messages format: read from a caller, and passed to a provider who speaks it too.

The body is decoded twice, once into `anthropic_shapes.Body`, which checks every parameter that we
know, once into raw members, which is what travels on. Callers may also use some parameters of
OpenAI's format; the list of those is closed, and a provider gets them in this format's own words
or not at all, since it refuses what it does not know. What it is not: a filter of anything else.

The rule that keeps it honest: everything that is passed on was in the body that was checked; and no
reasoning that another format's model did (`anthropic_state`) is passed on as if it were native.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from apertura.wire import faults, route_wish
from apertura.wire.anthropic_shapes import (
    Block,
    Body,
    decode_body,
    decode_members,
    decode_objects,
)
from apertura.wire.anthropic_state import is_ours
from apertura.wire.chat import ChatRequest
from apertura.wire.openai_request import model_name

JSON_ONLY = "Answer with one JSON object and nothing else: no other words, no code fence."
"""What a model is told where a caller wants JSON without a schema, which this format cannot say."""

_DROPPED = ("n", "seed", "presence_penalty", "frequency_penalty", "logit_bias")
_OWN = frozenset({"compression", *route_wish.OWN})
"""Members that speak to the gateway; no provider sees them."""
_EXTRAS = frozenset({*_DROPPED, *_OWN, "stop", "user", "response_format"})
"""The parameters of OpenAI's format that callers may use."""
_TIERS = (None, "auto", "standard_only", "default", "standard")
_MARKS = (b'"apertura.', b'"encrypted_index":""', b'"encrypted_index": ""')
"""What only blocks have that we wrote for a model of another format."""

_encode = msgspec.json.Encoder().encode
_decode_list = msgspec.json.Decoder(str | list[Raw]).decode
_NOTHING: frozenset[str] = frozenset()


def parse(body: bytes) -> ChatRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    return _parse(body, bounded=True)


def parse_count(body: bytes) -> ChatRequest:
    """What a caller wants counted (`/messages/count_tokens`): the same, without its `max_tokens`.

    Raises: BadRequest, naming the parameter.
    """
    return _parse(body, bounded=False)


def _parse(body: bytes, *, bounded: bool) -> ChatRequest:
    typed = faults.read(body, decode_body)
    members = faults.read(body, decode_members)
    if bounded and typed.max_tokens is None:
        raise faults.missing("max_tokens")
    _refuse(typed)
    wish = None
    if not _OWN.isdisjoint(members):
        wish = route_wish.wish_of(typed, members)
        members = {name: value for name, value in members.items() if name not in _OWN}
    model = typed.model
    if not model.isprintable() or model.startswith("apertis/"):
        model = model_name(model)
    return ChatRequest(
        model=model,
        members=members,
        stream=typed.stream is True,
        include_usage=True,
        max_output=typed.max_tokens,
        needs=_needs(typed),
        wish=wish,
        size=len(body),
        as_named=model is typed.model,
    )


def _refuse(typed: Body) -> None:
    """What would have another price, or is not built. Raises: BadRequest."""
    offered = "asks for {}, which this installation does not offer yet"
    if typed.service_tier not in _TIERS:
        raise faults.invalid("service_tier", offered.format("another tier of service"))
    if typed.speed not in (None, "standard"):
        raise faults.invalid("speed", offered.format("another tier of service"))
    if typed.inference_geo not in (None, "global"):
        raise faults.invalid("inference_geo", offered.format("a region of its own"))
    if typed.compression is not None and typed.compression.enabled:
        raise faults.invalid("compression", offered.format("context compression"))


def _needs(body: Body) -> frozenset[str]:
    """Capabilities that the parameters and the content ask for."""
    needs = set()
    if body.tools:
        needs.add("tools")
    config, asked = body.output_config, body.response_format
    if body.output_format is not None or (config is not None and config.format is not None):
        needs.add("json_schema")
    if asked is not None and asked.type == "json_schema":
        needs.add("json_schema")
    for message in body.messages:
        if isinstance(message.content, list) and _has_image(message.content):
            needs.add("vision")
            break
    return frozenset(needs) if needs else _NOTHING


def _has_image(blocks: list[Block]) -> bool:
    return any(
        block.type == "image" or (isinstance(block.content, list) and _has_image(block.content))
        for block in blocks
    )


def render(request: ChatRequest, *, model: str, ask_usage: bool = True) -> bytes:
    """The body for a provider that calls the model `model`. Its replies always report usage."""
    members = request.members
    extras = not _EXTRAS.isdisjoint(members)
    foreign = any(mark in bytes(members["messages"]) for mark in _MARKS)
    if not extras and not foreign and request.as_named and model == request.model:
        return _encode(members)
    said: dict[str, object] = {**members, "model": model}
    if extras:
        _say_extras(members, said)
    if foreign:
        _leave_out_foreign(members, said)
    return _encode(said)


def left_out(request: ChatRequest) -> tuple[str, ...]:
    """The parameters of a request that `render` does not pass on in any words."""
    members = request.members
    names = [name for name in _DROPPED if _is_said(members, name) and name != "n"]
    if any(mark in bytes(members["messages"]) for mark in _MARKS):
        said: dict[str, object] = dict(members)
        _leave_out_foreign(members, said)
        names += [name for name in members if name not in said]
    return tuple(names)


def _is_said(members: dict[str, Raw], name: str) -> bool:
    return name in members and bytes(members[name]) != b"null"


def _say_extras(members: dict[str, Raw], said: dict[str, object]) -> None:
    """Parameters of OpenAI's format in this format's words."""
    for name in _EXTRAS:
        said.pop(name, None)
    if stop := _list_of(members, "stop"):
        said["stop_sequences"] = [*_list_of(members, "stop_sequences"), *stop]
    if _is_said(members, "user"):
        said["metadata"] = {"user_id": members["user"], **_members_of(members, "metadata")}
    form = _members_of(members, "response_format")
    if bytes(form.get("type", b"")) in (b"", b'"text"'):
        return
    schema = _members_of(form, "json_schema").get("schema")
    if schema is not None and bytes(schema) != b"null":
        asked = {"type": "json_schema", "schema": schema}
        said["output_config"] = {"format": asked, **_members_of(members, "output_config")}
    else:
        said["system"] = [*_list_of(members, "system", _text_block), _text_block(JSON_ONLY)]


def _members_of(members: dict[str, Raw], name: str) -> dict[str, Raw]:
    """The members of an object, or none."""
    return decode_members(members[name]) if _is_said(members, name) else {}


def _list_of(
    members: dict[str, Raw], name: str, wrapped: Callable[[str], object] = str
) -> list[object]:
    """The items of a list; of a text, the text as the one item."""
    if not _is_said(members, name):
        return []
    found = _decode_list(members[name])
    if isinstance(found, str):
        return [wrapped(found)] if found else []
    return list(found)


def _text_block(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _leave_out_foreign(members: dict[str, Raw], said: dict[str, object]) -> None:
    """Takes out the reasoning of other formats' models, which a provider would refuse as forged.

    A turn that calls tools must then be asked to go on without thinking, if its own is gone.
    """
    messages: list[dict[str, Raw]] = []
    thoughtless = False
    for message in decode_objects(members["messages"]):
        if bytes(message["content"])[:1] == b"[":
            blocks = decode_objects(message["content"])
            kept = [_without_marks(block) for block in blocks if not _is_foreign(block)]
            lost = len(kept) < len(blocks) and _begins_with_call(kept)
            thoughtless = lost or (thoughtless and _goes_on(kept))
            if not kept and blocks:
                continue
            message = {**message, "content": Raw(_encode(kept))}
        else:
            thoughtless = False
        messages.append(message)
    said["messages"] = messages
    if thoughtless and b'"enabled"' in bytes(members.get("thinking", b"")):
        said.pop("thinking", None)


def _text_of(block: dict[str, Raw], name: str) -> str:
    """A member of a block that is text; "" for anything else."""
    raw = bytes(block.get(name, b""))
    return str(msgspec.json.decode(raw)) if raw[:1] == b'"' else ""


def _is_foreign(block: dict[str, Raw]) -> bool:
    kind = _text_of(block, "type")
    if kind == "thinking":
        return is_ours(_text_of(block, "signature"))
    return kind == "redacted_thinking" and is_ours(_text_of(block, "data"))


def _without_marks(block: dict[str, Raw]) -> dict[str, Raw]:
    """A text without citations that no provider of this format made."""
    raw = bytes(block.get("citations", b""))
    if any(mark in raw for mark in _MARKS[1:]):
        return {name: value for name, value in block.items() if name != "citations"}
    return block


def _goes_on(blocks: list[dict[str, Raw]]) -> bool:
    """Whether a turn is one of those in which tools are called and answer."""
    return any(_text_of(block, "type") in ("tool_use", "tool_result") for block in blocks)


def _begins_with_call(blocks: list[dict[str, Raw]]) -> bool:
    """Whether a turn calls tools, and no thinking of its own stands before."""
    kinds = [_text_of(block, "type") for block in blocks]
    return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")
