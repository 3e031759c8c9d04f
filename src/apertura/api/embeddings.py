"""POST /v1/embeddings and /v1/rerank.

What it is not: the formats (`wire.embeddings`, `wire.rerank`). The rule that keeps it honest: they
enter as every call does.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from apertura.api.calls import answer
from apertura.api.parts import Parts
from apertura.relay.exchange import Exchange
from apertura.relay.vector_questions import EmbeddingQuestion, RerankQuestion
from apertura.wire import embeddings, rerank


def embed(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/embeddings."""
    return answer(parts, exchange, "embeddings", _read_embeddings)


def rank(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/rerank."""
    return answer(parts, exchange, "rerank", _read_rerank)


def _read_embeddings(exchange: Exchange) -> EmbeddingQuestion:
    return EmbeddingQuestion(embeddings.parse(exchange.body))


def _read_rerank(exchange: Exchange) -> RerankQuestion:
    return RerankQuestion(rerank.parse(exchange.body))
