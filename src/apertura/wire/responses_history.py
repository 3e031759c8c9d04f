"""What a caller asked to keep in OpenAI's Responses format, and a request that goes on from it.

Pure: what is kept comes and goes as values; `store.responses` keeps it. A request that names an
earlier response, or items of one, gets them in place of the names, and then needs no provider that
keeps anything. What it is not: the way that a response is read again over HTTP.

The rule that keeps it honest: instructions of earlier responses do not carry over, as the format
says; and a response is kept with what its own request said, so that a history has nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from apertura.errors import Garbled
from apertura.wire import faults
from apertura.wire.chat import ChatRequest
from apertura.wire.openai_chunks import any_json
from apertura.wire.openai_shapes import decode_members
from apertura.wire.responses_request import body_of, needs_of, references_of
from apertura.wire.responses_shapes import decode_kind

_encode = msgspec.json.Encoder().encode
_to_items = msgspec.json.Decoder(list[Raw]).decode

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
}


class KeptItems(msgspec.Struct, frozen=True, kw_only=True):
    """A response as it is to be kept: JSON throughout."""

    id: str
    model: str
    previous_id: str | None
    input: bytes
    response: bytes


def wants_keeping(request: ChatRequest) -> bool:
    """Whether the caller said `store: true`; nothing is kept unasked."""
    return _flag(request, "store")


def previous_id(request: ChatRequest) -> str | None:
    """The response that a request goes on from."""
    raw = request.members.get("previous_response_id")
    return None if raw is None else body_of(request).previous_response_id


def references(request: ChatRequest) -> tuple[str, ...]:
    """The ids of the items that a request refers to."""
    return tuple(item_id for _, item_id in references_of(body_of(request)))


def with_history(
    request: ChatRequest, items: Sequence[Raw], referred: Mapping[str, Raw] | None = None
) -> ChatRequest:
    """A request in which what it names stands itself: `items` of earlier responses first, and
    `referred` items in the places of their ids. Raises: BadRequest, for an id that is in neither.
    """
    known = {decode_kind(item).id for item in items}
    own = list(_own(request, referred or {}, known))
    members = dict(request.members)
    members.pop("previous_response_id", None)
    members["input"] = Raw(_encode([*items, *own]))
    grown = msgspec.structs.replace(request, members=members)
    size = request.size + len(members["input"]) - len(request.members["input"])
    return msgspec.structs.replace(grown, needs=needs_of(body_of(grown)), size=size)


def kept_items(
    request: ChatRequest, reply: bytes, referred: Mapping[str, Raw] | None = None
) -> KeptItems:
    """What to keep of a request, as `parse` gave it, and of the whole response to it.

    Raises: Garbled, for a response without an id.
    """
    try:
        response: dict[str, Any] = dict(decode_members(reply))
        named = msgspec.json.decode(response.get("id", Raw(b"null")))
    except faults.NOT_READ:
        named = None
    if not isinstance(named, str) or not named:
        raise Garbled("The provider sent a response without an id.")
    before = previous_id(request)
    # A provider keeps nothing for us, and says so; this response is kept here.
    response |= {"store": True, "previous_response_id": before}
    return KeptItems(
        id=named,
        model=request.model,
        previous_id=before,
        input=_encode(list(_own(request, referred or {}, None))),
        response=_encode(response),
    )


def listed(items: bytes, response_id: str) -> bytes:
    """Kept input as the list that callers read: each item with an id, content as parts."""
    data = [_listed(item, f"{response_id}_{place}") for place, item in enumerate(_to_items(items))]
    return _encode(
        {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else "",
            "last_id": data[-1]["id"] if data else "",
            "has_more": False,
        }
    )


def _own(
    request: ChatRequest, referred: Mapping[str, Raw], known: set[object] | None
) -> Iterator[object]:
    """A request's own items, in the format's form, what they refer to in their places.

    An item that is `known` already is not said twice; None means: leave out what is not here.
    """
    body = body_of(request)
    if isinstance(body.input, str):
        yield {"type": "message", "role": "user", "content": body.input}
        return
    named = dict(references_of(body))
    for number, raw in enumerate(body.input):
        item_id = named.get(f"input[{number}]")
        if item_id is None:
            yield raw
        elif item_id in referred and item_id not in (known or ()):
            yield referred[item_id]
        elif known is not None and item_id not in known:
            raise faults.invalid(f"input[{number}].id", "names an item that is not kept")


def _listed(raw: Raw, suffix: str) -> dict[str, Any]:
    item: dict[str, Any] = any_json(raw)[0]
    kind = item.get("type") or "message"
    name = item.get("id") or f"{_PREFIXES.get(kind, 'item')}_{suffix}"
    said = {**item, "type": kind, "id": name, "status": item.get("status") or "completed"}
    content = said.get("content")
    if isinstance(content, str):
        if said.get("role") == "assistant":
            part = {"type": "output_text", "text": content, "annotations": [], "logprobs": []}
        else:
            part = {"type": "input_text", "text": content}
        said["content"] = [part]
    return said


def _flag(request: ChatRequest, name: str) -> bool:
    raw = request.members.get(name)
    return raw is not None and bytes(raw) == b"true"
