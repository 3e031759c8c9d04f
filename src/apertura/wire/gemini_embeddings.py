"""Embeddings as Gemini's clients ask for them, answered by providers who speak OpenAI's format.

`Embeddings` is what both formats can say: texts, a length of vectors, and what they are for. It is
read from the body of `:embedContent` or `:batchEmbedContents`, becomes an `EmbeddingRequest`, and
the reply to that is written in the words of the client. What it is not: Gemini's own endpoint.

The rule that keeps it honest: a parameter is mapped, refused by name, or in `dropped`; vectors pass
from the one format to the other unread.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from apertura.errors import Garbled
from apertura.wire import faults
from apertura.wire.embeddings import DIMENSIONS_MAX, INPUTS_MAX, EmbeddingRequest
from apertura.wire.openai_usage import Report
from apertura.wire.vectors import Row

T = TypeVar("T")

TASKS = {
    "TASK_TYPE_UNSPECIFIED": None,
    "RETRIEVAL_QUERY": "retrieval.query",
    "RETRIEVAL_DOCUMENT": "retrieval.passage",
    "SEMANTIC_SIMILARITY": "text-matching",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "separation",
    "QUESTION_ANSWERING": "retrieval.query",
    "FACT_VERIFICATION": "retrieval.query",
    "CODE_RETRIEVAL_QUERY": "retrieval.query",
}
"""What vectors are for, in Gemini's words and in Jina's, which the public API uses."""

_NAMES = {
    "task_type": "taskType",
    "output_dimensionality": "outputDimensionality",
    "auto_truncate": "autoTruncate",
    "document_ocr": "documentOcr",
    "audio_track_extraction": "audioTrackExtraction",
    "embed_content_config": "embedContentConfig",
}
"""JSON of protocol buffers may use either."""
_LOST = {
    "title": "title",
    "auto_truncate": "autoTruncate",
    "document_ocr": "documentOcr",
    "audio_track_extraction": "audioTrackExtraction",
}
"""What OpenAI's format has no word for."""


class Embeddings(Struct, frozen=True, kw_only=True):
    """What is asked: one vector for each text."""

    inputs: tuple[str, ...]
    dimensions: int | None = None
    task: str | None = None
    """In Jina's words."""
    dropped: tuple[str, ...] = ()
    """Parameters that could not be mapped, as the caller named them."""


class _Part(Struct, gc=False):
    text: str


class _Content(Struct, gc=False):
    parts: Annotated[list[_Part], Meta(min_length=1)]


class _Config(Struct, gc=False, rename="camel"):
    task_type: (
        Literal[
            "TASK_TYPE_UNSPECIFIED",
            "RETRIEVAL_QUERY",
            "RETRIEVAL_DOCUMENT",
            "SEMANTIC_SIMILARITY",
            "CLASSIFICATION",
            "CLUSTERING",
            "QUESTION_ANSWERING",
            "FACT_VERIFICATION",
            "CODE_RETRIEVAL_QUERY",
        ]
        | None
    ) = None
    title: str | None = None
    output_dimensionality: Annotated[int, Meta(ge=1, le=DIMENSIONS_MAX)] | None = None
    auto_truncate: bool | None = None
    document_ocr: bool | None = None
    audio_track_extraction: bool | None = None


class _Single(_Config, gc=False, kw_only=True, rename="camel"):
    content: _Content
    model: str | None = None
    embed_content_config: _Config | None = None


class _Batch(Struct, gc=False):
    requests: Annotated[list[_Single], Meta(min_length=1, max_length=INPUTS_MAX)]


class _Reply(Struct, gc=False):
    data: list[Row]
    usage: Report


_decode_any = msgspec.json.Decoder(dict[str, object]).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_encode = msgspec.json.Encoder().encode


def parse_gemini(body: bytes, batch: bool) -> Embeddings:
    """What a client asks. Raises: BadRequest, naming the parameter."""
    members = faults.read(body, _decode_any)
    singles = _batch(members) if batch else [_read(_named(members), _Single)]
    first = _asked(singles[0])
    texts = []
    for place, single in enumerate(singles):
        if single.model != singles[0].model:
            raise faults.invalid(f"requests[{place}].model", "must be the same in all requests")
        if _asked(single) != first:
            sentence = "must ask for the same kind of vectors as all requests of a batch"
            raise faults.invalid(f"requests[{place}]", sentence)
        texts.append(_text(single, f"requests[{place}].content" if batch else "content"))
    return Embeddings(
        inputs=tuple(texts),
        dimensions=first.output_dimensionality,
        task=TASKS[first.task_type or "TASK_TYPE_UNSPECIFIED"],
        dropped=_dropped(singles),
    )


def request_of(asked: Embeddings, *, model: str, size: int = 0) -> EmbeddingRequest:
    """The same in OpenAI's format, of the model that the client's path names."""
    members: dict[str, object] = {"model": model, "input": asked.inputs}
    if asked.dimensions is not None:
        members["dimensions"] = asked.dimensions
    if asked.task is not None:
        members["task"] = asked.task
    return EmbeddingRequest(
        model=model,
        members={name: Raw(_encode(value)) for name, value in members.items()},
        inputs=len(asked.inputs),
        dimensions=asked.dimensions,
        size=size,
    )


def render_gemini_reply(body: bytes, batch: bool) -> bytes:
    """A reply that `embeddings.check_reply` let pass, as the client reads it. Raises: Garbled."""
    try:
        reply = _decode_reply(body)
    except faults.NOT_READ:
        raise Garbled("The provider sent something that is not a list of vectors.") from None
    found = [{"values": row.embedding} for row in reply.data]
    usage = {"promptTokenCount": reply.usage.prompt_tokens or 0}
    if batch:
        return _encode({"embeddings": found, "usageMetadata": usage})
    return _encode({"embedding": found[0], "usageMetadata": usage})


def _batch(members: dict[str, object]) -> list[_Single]:
    requests = members.get("requests")
    if isinstance(requests, list):
        requests = [_named(each) for each in requests]
    return _read({**members, "requests": requests} if requests else members, _Batch).requests


def _read(members: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as found:
        raise faults.refusal(found) from None


def _text(single: _Single, param: str) -> str:
    """The parts of one content, which together have one vector."""
    text = "\n".join(part.text for part in single.content.parts)
    if not text:
        raise faults.invalid(param, "must not be empty")
    return text


def _named(members: object) -> object:
    """One request with all names in their first spelling."""
    if not isinstance(members, dict):
        return members
    named = {_NAMES.get(name, name): value for name, value in members.items()}
    config = named.get("embedContentConfig")
    if isinstance(config, dict):
        named["embedContentConfig"] = {_NAMES.get(k, k): value for k, value in config.items()}
    return named


def _asked(single: _Single) -> _Config:
    """What kind of vectors: the later way to say it first."""
    later = single.embed_content_config or _Config()
    return _Config(
        task_type=later.task_type or single.task_type,
        output_dimensionality=later.output_dimensionality or single.output_dimensionality,
    )


def _dropped(singles: list[_Single]) -> tuple[str, ...]:
    """What any of the requests says that cannot be passed on."""
    configs = [config for each in singles if (config := each.embed_content_config) is not None]
    said: list[_Config] = [*singles, *configs]
    return tuple(
        name for field, name in _LOST.items() if any(getattr(each, field) for each in said)
    )
