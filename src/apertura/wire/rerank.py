"""Reranking: a query and documents in, the documents' order by relevance out.

There is no standard, but most providers take and give nearly the same; where they differ, `Shape`
says how a request looks, and a reply is read by what it holds. What it is not: a chat dialect;
there is no stream and there are no events.

The rule that keeps it honest: of a reply we take places and scores, checked against what was asked.
Order, number and documents that a caller gets are our own doing, so that they are the same whoever
answered, and no document can come back that was not sent.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from apertura.domain.usage import Usage, tidy
from apertura.errors import Garbled
from apertura.wire import faults
from apertura.wire.estimate import tokens_in
from apertura.wire.openai_chunks import any_json
from apertura.wire.openai_errors import render_error
from apertura.wire.openai_request import model_name
from apertura.wire.openai_shapes import Name, decode_members
from apertura.wire.provider_errors import error_within, is_error, read_error

__all__ = [
    "RerankFacts",
    "RerankRequest",
    "Shape",
    "check_reply",
    "input_tokens",
    "parse",
    "read_error",
    "render",
    "render_error",
]

DOCUMENTS_MAX = 10_000
"""Documents of one request: the most that any provider takes."""

Shape = Literal["usual", "bare", "top_k", "pairs"]
"""How a provider wants to be asked. `usual`: query, documents, top_n, return_documents (Jina,
SiliconFlow, Together, vLLM). `bare`: without return_documents, which is unknown there (Cohere since
its version 2). `top_k`: top_n has that name (Voyage). `pairs`: a query for each document, at an
address that names the model (DeepInfra)."""

_OWN = ("documents", "model", "query", "return_documents", "top_n")


class RerankRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One request. `size` in bytes of the caller's body; `members` hold what we do not act on."""

    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int
    """How many results are asked for: at most one for each document."""
    return_documents: bool = False
    members: dict[str, Raw] = {}
    size: int = 0


class RerankFacts(Struct, frozen=True, kw_only=True, gc=False):
    """What a reply says; `body` is what the caller gets."""

    body: bytes
    usage: Usage | None = None
    search_units: int | None = None
    """What a provider charges that counts searches: one for up to a hundred documents."""


class _Document(Struct, gc=False):
    text: str


class _Body(Struct, gc=False):
    model: Name
    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | _Document], Meta(min_length=1, max_length=DOCUMENTS_MAX)]
    top_n: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    return_documents: bool | None = None
    max_chunks_per_doc: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    rank_fields: Raw | UnsetType = UNSET


class _Row(Struct, gc=False):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _Reply(Struct, gc=False):
    results: list[_Row] | None = None
    data: list[_Row] | None = None
    scores: list[float] | None = None
    usage: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET
    tokens: Raw | UnsetType = UNSET
    input_tokens: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> RerankRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    typed = faults.read(body, _decode_body)
    if typed.rank_fields is not UNSET and bytes(typed.rank_fields) not in (b"null", b'["text"]'):
        raise faults.invalid("rank_fields", "is not offered: documents are ranked by their text")
    documents = tuple(each if isinstance(each, str) else each.text for each in typed.documents)
    members = faults.read(body, decode_members)
    return RerankRequest(
        model=model_name(typed.model),
        query=typed.query,
        documents=documents,
        top_n=min(typed.top_n or len(documents), len(documents)),
        return_documents=typed.return_documents is True,
        members={k: v for k, v in members.items() if k not in (*_OWN, "rank_fields")},
        size=len(body),
    )


def render(request: RerankRequest, *, model: str, shape: Shape = "usual") -> bytes:
    """The body for a provider that calls the model `model`. Its documents are never asked back."""
    members: dict[str, object] = {**request.members, "documents": request.documents}
    if shape == "pairs":
        return _encode({**members, "queries": [request.query] * len(request.documents)})
    members |= {"model": model, "query": request.query}
    if request.top_n < len(request.documents):
        members["top_k" if shape == "top_k" else "top_n"] = request.top_n
    if shape != "bare":
        members["return_documents"] = False
    return _encode(members)


def input_tokens(request: RerankRequest) -> int:
    """Tokens of a request, where nobody told us: the query is read with each document."""
    documents = sum(map(tokens_in, request.documents))
    return documents + tokens_in(request.query) * len(request.documents)


def check_reply(body: bytes, request: RerankRequest) -> RerankFacts:
    """A provider's reply, as the caller gets it. Raises: Garbled, or the error that it holds."""
    reply = _read(body)
    ranks = _ranks(reply, len(request.documents))
    ranks.sort(key=lambda rank: -rank[1])
    usage, units = _usage(reply)
    results: list[dict[str, object]] = [
        {"index": index, "relevance_score": score} for index, score in ranks[: request.top_n]
    ]
    if request.return_documents:
        for result, (index, _) in zip(results, ranks, strict=False):
            result["document"] = request.documents[index]
    total = input_tokens(request) if usage is None else usage.input
    said = {
        "object": "list",
        "model": request.model,
        "results": results,
        "usage": {"total_tokens": total},
    }
    return RerankFacts(body=_encode(said), usage=usage, search_units=units)


def _read(body: bytes) -> _Reply:
    try:
        reply = _decode_reply(body)
    except faults.NOT_READ:
        raise Garbled("The provider sent something that is not a list of scores.") from None
    if reply.error is not UNSET and is_error(error := any_json(reply.error)[0]):
        raise error_within(error)
    return reply


def _ranks(reply: _Reply, asked: int) -> list[tuple[int, float]]:
    """Places and scores, as the provider ordered them. Raises: Garbled."""
    if reply.scores is not None:
        if len(reply.scores) != asked:
            raise Garbled("The provider sent another number of scores than of documents.")
        return list(enumerate(reply.scores))
    ranks: dict[int, float] = {}
    for row in reply.results or reply.data or ():
        score = row.score if row.relevance_score is None else row.relevance_score
        if score is None or row.index in ranks or not 0 <= row.index < asked:
            raise Garbled("The provider sent a score that belongs to no document.")
        ranks[row.index] = score
    if not ranks:
        raise Garbled("The provider sent a reply without scores.")
    return list(ranks.items())


def _usage(reply: _Reply) -> tuple[Usage | None, int | None]:
    """What the reply says that it consumed: in tokens, and in searches."""
    meta = _object(reply.meta)
    billed = meta.get("billed_units")
    units = billed.get("search_units") if isinstance(billed, dict) else None
    places = (_object(reply.usage), meta.get("tokens"), billed, _object(reply.tokens))
    found = [place for place in places if isinstance(place, dict)]
    found.append({"input_tokens": _value(reply.input_tokens)})
    for place in found:
        for name in ("total_tokens", "prompt_tokens", "input_tokens"):
            if count := _whole(place.get(name)):  # none at all cannot be: there is a query
                return tidy(Usage(input=count)), _whole(units)
    return None, _whole(units)


def _object(raw: Raw | UnsetType) -> dict[str, object]:
    value = _value(raw)
    return value if isinstance(value, dict) else {}


def _value(raw: Raw | UnsetType) -> object:
    if isinstance(raw, UnsetType):
        return None
    value: object = any_json(raw)[0]
    return value


def _whole(value: object) -> int | None:
    """A count, if it is one; some providers send 12.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(value)
