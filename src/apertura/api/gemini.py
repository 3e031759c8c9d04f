"""The paths of Gemini's API: POST /v1beta/models/{model}:{verb}, and the same under /v1.

Model and verb stand in the path, the key may stand in the query. What it is not: the format
(`wire.gemini`). The rule that keeps it honest: a verb leads to the same checks, limits and
settlement as the path of any other format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

from msgspec import Raw

from apertura.api.calls import answer, reply_head
from apertura.api.count import count
from apertura.api.parts import Parts
from apertura.errors import NotFound
from apertura.relay.exchange import Exchange
from apertura.relay.gemini_question import GeminiQuestion
from apertura.relay.vector_questions import GeminiEmbeddingQuestion
from apertura.wire import gemini


async def call(parts: Parts, exchange: Exchange) -> None:
    """POST /v1beta/models/{model}:{verb}."""
    model, _, verb = exchange.path.partition("/models/")[2].rpartition(":")
    handle = VERBS.get(verb)
    if handle is None or not model:
        reply_head(exchange, None)
        raise NotFound(f"There is no endpoint POST {exchange.path} here.")
    await handle(parts, exchange, model)


async def _generate(parts: Parts, exchange: Exchange, model: str) -> None:
    def read(exchange: Exchange) -> GeminiQuestion:
        request = gemini.parse(exchange.body, model=model)
        return GeminiQuestion(request, exchange.id, array=False)

    await answer(parts, exchange, "chat", read)


async def _stream(parts: Parts, exchange: Exchange, model: str) -> None:
    def read(exchange: Exchange) -> GeminiQuestion:
        request = gemini.parse(exchange.body, model=model, stream=True)
        wanted = parse_qs(exchange.query).get(b"alt", [b""])[0]
        return GeminiQuestion(request, exchange.id, array=wanted != b"sse")

    await answer(parts, exchange, "chat", read)


async def _count(parts: Parts, exchange: Exchange, model: str) -> None:
    def read() -> tuple[str, Mapping[str, Raw]]:
        request = gemini.parse_count(exchange.body, model=model)
        return request.model, request.members

    await count(parts, exchange, read, "totalTokens")


async def _embed(parts: Parts, exchange: Exchange, model: str) -> None:
    await answer(parts, exchange, "embeddings", _embedding(model, batch=False))


async def _embed_all(parts: Parts, exchange: Exchange, model: str) -> None:
    await answer(parts, exchange, "embeddings", _embedding(model, batch=True))


def _embedding(model: str, *, batch: bool) -> Callable[[Exchange], GeminiEmbeddingQuestion]:
    return lambda exchange: GeminiEmbeddingQuestion(exchange.body, model, batch=batch)


VERBS: dict[str, Callable[[Parts, Exchange, str], Awaitable[None]]] = {
    "generateContent": _generate,
    "streamGenerateContent": _stream,
    "countTokens": _count,
    "embedContent": _embed,
    "batchEmbedContents": _embed_all,
}
"""What may follow a model's name and a colon."""
