"""Embeddings in OpenAI's format, which all providers of embeddings speak.

Texts or tokens in, vectors out; the vectors pass unread. What it is not: a chat dialect; there is
no stream and there are no events.

The rule that keeps it honest: the body that goes to a provider is rendered from the members that
were checked; what a reply says it consumed is read from it, and a reply without vectors is none.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from apertura.domain.usage import Usage
from apertura.errors import Garbled
from apertura.wire import faults
from apertura.wire.openai_chunks import NOT_READ, any_json
from apertura.wire.openai_errors import render_error
from apertura.wire.openai_request import model_name
from apertura.wire.openai_shapes import Name, decode_members
from apertura.wire.openai_usage import lenient_report, usage_of
from apertura.wire.provider_errors import error_within, is_error, read_error

__all__ = [
    "EmbeddingFacts",
    "EmbeddingRequest",
    "check_reply",
    "parse",
    "read_error",
    "render",
    "render_error",
]

INPUTS_MAX = 2048
"""Texts, or rows of tokens, of one request."""

TOKENS_MAX = 300_000
"""Tokens of one row that was tokenized by the caller."""

Tasks = Literal[
    "retrieval.query",
    "retrieval.passage",
    "separation",
    "classification",
    "text-matching",
    "none",
]
_Text = Annotated[str, Meta(min_length=1)]
_Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Item = _Text | _Token | Annotated[list[_Token], Meta(min_length=1, max_length=TOKENS_MAX)]
_Input = _Text | Annotated[list[_Item], Meta(min_length=1, max_length=TOKENS_MAX)]


class EmbeddingRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One request. `size` in bytes of the caller's body; `inputs` is how many vectors it asks."""

    model: str
    members: dict[str, Raw]
    inputs: int = 1
    size: int = 0


class EmbeddingFacts(Struct, frozen=True, kw_only=True, gc=False):
    """What a reply says about itself; `body` is what the caller gets."""

    body: bytes
    usage: Usage | None = None


class _Body(Struct, gc=False):
    model: Name
    input: _Input
    dimensions: Annotated[int, Meta(ge=1, le=2**20)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
    task: Tasks | None = None


class _Reply(Struct, gc=False):
    data: list[Raw] | None = None
    usage: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> EmbeddingRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    typed = faults.read(body, _decode_body)
    return EmbeddingRequest(
        model=model_name(typed.model),
        members=faults.read(body, decode_members),
        inputs=_count(typed.input),
        size=len(body),
    )


def render(request: EmbeddingRequest, *, model: str) -> bytes:
    """The body for a provider that calls the model `model`."""
    return _encode({**request.members, "model": model})


def check_reply(body: bytes) -> EmbeddingFacts:
    """A provider's reply that passes. Raises: Garbled, or the error that it holds."""
    try:
        body.isascii() or body.decode()
        reply = _decode_reply(body)
    except NOT_READ:
        raise Garbled("The provider sent something that is not a list of vectors.") from None
    if reply.error is not UNSET:
        error = any_json(reply.error)[0]
        if is_error(error):
            raise error_within(error)
        members = decode_members(body)
        del members["error"]
        body = _encode(members)
    if not reply.data:
        raise Garbled("The provider sent a reply without vectors.")
    report = None if reply.usage is UNSET else lenient_report(any_json(reply.usage)[0])
    return EmbeddingFacts(body=body, usage=usage_of(report))


def _count(value: str | list[str | int | list[int]]) -> int:
    """How many vectors are asked for. Raises: BadRequest, where kinds are mixed or too many."""
    if isinstance(value, str):
        return 1
    kinds = {type(item) for item in value}
    if len(kinds) > 1:
        raise faults.invalid("input", "must not mix texts, tokens and rows of tokens")
    if kinds == {int}:
        return 1
    if len(value) > INPUTS_MAX:
        raise faults.invalid("input", f"must have at most {INPUTS_MAX} items")
    return len(value)
