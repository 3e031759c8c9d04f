"""POST /v1/chat/completions and /v1/embeddings: the hot paths.

Each is the contract's order of checks and then the relay: who calls, what they ask, may the key ask
that, does the model exist, do the limits allow it. What it is not: any of those decisions.

The rule that keeps it honest: a request that is refused for what it says still counts against its
limits, so that nonsense cannot be sent faster than sense.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from apertura.api.parts import Parts
from apertura.domain import keys, limits
from apertura.domain.identity import Caller
from apertura.domain.limits import Standing
from apertura.domain.routing import Route
from apertura.errors import AperturaError, BadRequest, MethodNotAllowed, TooLarge
from apertura.providers.base import Operation
from apertura.relay.call import Call
from apertura.relay.exchange import Exchange, Head
from apertura.relay.questions import ChatQuestion, EmbeddingQuestion
from apertura.wire import embeddings, openai_chat

TIMEOUT_MS = (5_000, 300_000)
"""The contract's bounds of X-Timeout; what lies outside counts as the bound."""


def complete(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/chat/completions."""
    return _answer(parts, exchange, "chat", _read_chat)


def embed(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/embeddings."""
    return _answer(parts, exchange, "embeddings", _read_embeddings)


def _read_chat(body: bytes) -> ChatQuestion:
    return ChatQuestion(openai_chat.parse(body))


def _read_embeddings(body: bytes) -> EmbeddingQuestion:
    return EmbeddingQuestion(embeddings.parse(body))


async def _answer(
    parts: Parts,
    exchange: Exchange,
    operation: Operation,
    read: Callable[[bytes], ChatQuestion | EmbeddingQuestion],
) -> None:
    started = parts.clock()
    _check_request(parts, exchange)
    caller, address = await parts.callers.identify(exchange)
    try:
        question = read(exchange.body)
        call, route = _call(parts, exchange, caller, operation, question, started)
    except AperturaError:
        parts.admission.admit(caller, address, "")
        raise
    standing = parts.admission.admit(caller, address, call.model)
    await parts.relay.run(call, question, route, exchange, reply_head(exchange, standing))


def _call(
    parts: Parts,
    exchange: Exchange,
    caller: Caller,
    operation: Operation,
    question: ChatQuestion | EmbeddingQuestion,
    started: float,
) -> tuple[Call, Route]:
    """The call that a question amounts to, and the route it may take."""
    model = question.request.model
    keys.check_model(caller.policy, model)
    route = parts.current.routes.route(model, operation)
    budget = _budget(exchange, parts.settings.timeout_call)
    call = Call(exchange.id, caller, operation, model, question.stream, started, budget)
    return call, route


def reply_head(exchange: Exchange, standing: Standing | None) -> Head:
    """What every reply to an admitted call carries."""
    head = b"x-request-id: %b\r\n" % exchange.id.encode()
    if standing is not None:
        head += limits.header_lines(standing, time.time())
    exchange.head = head
    return head


def _check_request(parts: Parts, exchange: Exchange) -> None:
    if exchange.method != "POST":
        raise MethodNotAllowed(
            f"{exchange.path} takes POST, not {exchange.method}.", headers={"Allow": "POST"}
        )
    if exchange.oversized:
        raise TooLarge(
            f"The request's body is larger than {parts.settings.max_body_mb} MiB, "
            "the most that this installation accepts."
        )


def _budget(exchange: Exchange, default: float) -> float:
    """Seconds that the call may take until its (first) answer."""
    text = exchange.headers.get(b"x-timeout")
    if text is None:
        return default
    if not text.strip().isdigit():
        raise BadRequest(
            "X-Timeout must be a whole number of milliseconds.",
            code="invalid_parameter",
            param="X-Timeout",
        )
    low, high = TIMEOUT_MS
    return max(low, min(int(text[:12]), high)) / 1000
