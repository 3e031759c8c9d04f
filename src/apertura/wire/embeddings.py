"""Embeddings in OpenAI's format, which all providers of embeddings speak.

Texts or tokens in, vectors out. A reply that is what was asked for passes as it came, its vectors
unread; one that is not is mended where that is exact (`vectors`). What it is not: a chat dialect;
there is no stream and there are no events.

The rule that keeps it honest: the body that goes to a provider is rendered from the members that
were checked; what a reply says it consumed is read from it, and a caller gets as many vectors as
asked, in the order of the inputs, or an error.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from apertura.domain.usage import Usage, tidy
from apertura.errors import Garbled
from apertura.wire import estimate, faults, vectors
from apertura.wire.openai_chunks import NOT_READ, any_json
from apertura.wire.openai_errors import render_error
from apertura.wire.openai_request import cost_wish, model_name
from apertura.wire.openai_shapes import Name, UsageWish, decode_members
from apertura.wire.openai_usage import Report, lenient_report, usage_of
from apertura.wire.provider_errors import error_within, is_error, read_error

__all__ = [
    "EmbeddingFacts",
    "EmbeddingRequest",
    "check_reply",
    "input_tokens",
    "parse",
    "read_error",
    "render",
    "render_error",
]

INPUTS_MAX = 2048
"""Texts, or rows of tokens, of one request."""

TOKENS_MAX = 300_000
"""Tokens of one row that was tokenized by the caller."""

DIMENSIONS_MAX = 2**20
"""Numbers of one vector."""

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
    dimensions: int | None = None
    base64: bool = False
    """Vectors shall come as base64 of their 32-bit numbers, not as lists."""
    include_cost: bool = False
    """The caller asked for the cost, within the reply's usage."""
    size: int = 0


class EmbeddingFacts(Struct, frozen=True, kw_only=True, gc=False):
    """What a reply says about itself; `body` is what the caller gets."""

    body: bytes
    usage: Usage | None = None


class _Body(Struct, gc=False):
    model: Name
    input: _Input
    dimensions: Annotated[int, Meta(ge=1, le=DIMENSIONS_MAX)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
    task: Tasks | None = None
    usage: UsageWish | None = None


class _Reply(Struct, gc=False):
    data: list[vectors.Row] | None = None
    usage: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> EmbeddingRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    typed = faults.read(body, _decode_body)
    costs, members = cost_wish(faults.read(body, decode_members), typed.usage)
    return EmbeddingRequest(
        model=model_name(typed.model),
        members=members,
        include_cost=costs,
        inputs=_count(typed.input),
        dimensions=typed.dimensions,
        base64=typed.encoding_format == "base64",
        size=len(body),
    )


def render(
    request: EmbeddingRequest, *, model: str, takes_format: bool = True, takes_task: bool = True
) -> bytes:
    """The body for a provider that calls the model `model`. With `takes_format` or `takes_task`
    false it refuses `encoding_format` (its reply is mended) or `task`.
    """
    members: dict[str, object] = {**request.members, "model": model}
    if not takes_format:
        members.pop("encoding_format", None)
    if not takes_task:
        members.pop("task", None)
    return _encode(members)


def input_tokens(request: EmbeddingRequest) -> int:
    """Tokens of a request, where nobody told us."""
    return estimate.input_tokens(request.members, ("input",))


def check_reply(body: bytes, request: EmbeddingRequest | None = None) -> EmbeddingFacts:
    """A provider's reply that passes, mended if it must. Raises: Garbled, or the error that it
    holds.
    """
    reply = _read(body)
    rows = reply.data or []
    request = request or _as_it_came(rows)
    if len(rows) != request.inputs or not rows:
        raise Garbled("The provider sent another number of vectors than was asked for.")
    if request.dimensions is not None:
        vectors.check_dimensions(rows, request.dimensions)
    report = None if reply.usage is UNSET else lenient_report(any_json(reply.usage)[0])
    usage = _told(report)
    plain = vectors.are_plain(rows, request.base64)
    whole = report is not None and bool(report.prompt_tokens and report.total_tokens)
    if not plain or reply.error is not UNSET or not whole:
        tokens = input_tokens(request) if usage is None else usage.input
        body = _mended(body, request, [] if plain else rows, None if whole else tokens)
    return EmbeddingFacts(body=body, usage=usage)


def _read(body: bytes) -> _Reply:
    try:
        body.isascii() or body.decode()
        reply = _decode_reply(body)
    except NOT_READ:
        raise Garbled("The provider sent something that is not a list of vectors.") from None
    if reply.error is not UNSET and is_error(error := any_json(reply.error)[0]):
        raise error_within(error)
    return reply


def _told(report: Report | None) -> Usage | None:
    """What the reply says that it consumed; some providers send the total alone. None at all cannot
    be, because there is an input: then it says nothing.
    """
    if report is None:
        return None
    if not report.prompt_tokens and report.total_tokens:
        return tidy(Usage(input=report.total_tokens))
    return usage_of(report) if report.prompt_tokens else None


def _mended(
    body: bytes, request: EmbeddingRequest, rows: list[vectors.Row], tokens: int | None
) -> bytes:
    """The reply with its vectors as asked (those of `rows`, if there are any), without an empty
    error, and with its usage, if it shall get another.
    """
    raw = decode_members(body)
    members: dict[str, object] = {name: raw[name] for name in raw if name != "error"}
    if rows:
        members["data"] = vectors.mended(rows, raw["data"], base64=request.base64)
    if tokens is not None:
        members["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _encode(members)


def _as_it_came(rows: list[vectors.Row]) -> EmbeddingRequest:
    """The request that a reply would answer, for those who do not know it."""
    base64 = bool(rows) and bytes(rows[0].embedding).startswith(b'"')
    return EmbeddingRequest(model="", members={}, inputs=len(rows), base64=base64)


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
