"""The way into a call: the contract's order of checks, and then the relay.

Who calls, what they ask, does the model exist, may the key ask it, do the limits allow it. What it
is not: any of those decisions, or the formats; an endpoint hands in how its body is read.

The rule that keeps it honest: a request that is refused for what it says still counts against its
limits, so that nonsense cannot be sent faster than sense.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from apertura.api.choice import choose_route
from apertura.api.parts import Parts
from apertura.domain import limits
from apertura.domain.identity import Caller
from apertura.domain.limits import Standing
from apertura.domain.routing import Route
from apertura.errors import AperturaError, BadRequest, MethodNotAllowed, TooLarge
from apertura.providers.base import Operation
from apertura.relay.call import Call
from apertura.relay.exchange import Exchange, Head
from apertura.relay.idempotency import KEY, RETRY_COUNT
from apertura.relay.questions import ChatQuestion
from apertura.relay.vector_questions import EmbeddingQuestion, RerankQuestion

Asked = ChatQuestion | EmbeddingQuestion | RerankQuestion
Q = TypeVar("Q", bound=Asked)
Prepare = Callable[[Parts, Call, Q], Awaitable[None]]

TIMEOUT_MS = (5_000, 300_000)
"""The contract's bounds of X-Timeout; what lies outside counts as the bound."""


async def answer(
    parts: Parts,
    exchange: Exchange,
    operation: Operation,
    read: Callable[[Exchange], Q],
    prepare: Prepare[Q] | None = None,
) -> None:
    """Answer one call. `prepare` is awaited before it runs, and not for a reply given again."""
    call, question, route, head = await enter_call(parts, exchange, operation, read)
    headers = exchange.headers
    if KEY in headers or (parts.replays.recognise and RETRY_COUNT in headers):
        start = partial(_run, parts, (call, question, route, b""), prepare)
        await parts.replays.answer(call, exchange, head, start)
        return
    if prepare is not None:
        await prepare(parts, call, question)
    await parts.relay.run(call, question, route, exchange, head)


async def _run(
    parts: Parts,
    entered: tuple[Call, Q, Route, Head],
    prepare: Prepare[Q] | None,
    reply: Exchange,
) -> None:
    """Run a call whose reply may have several readers, who each have head lines of their own."""
    call, question, route, head = entered
    if prepare is not None:
        await prepare(parts, call, question)
    await parts.relay.run(call, question, route, reply, head)


async def enter_call(
    parts: Parts, exchange: Exchange, operation: Operation, read: Callable[[Exchange], Q]
) -> tuple[Call, Q, Route, Head]:
    """Everything that the relay needs for a call that may start. Raises: AperturaError."""
    started = parts.clock()
    check_request(parts, exchange)
    caller, address = await parts.callers.identify(exchange)
    try:
        question = read(exchange)
        call, route = _call(parts, exchange, caller, operation, question, started)
    except AperturaError:
        parts.admission.admit(caller, address, "")
        raise
    standing = parts.admission.admit(caller, address, route.bucket)
    return call, question, route, reply_head(exchange, standing)


def _call(
    parts: Parts,
    exchange: Exchange,
    caller: Caller,
    operation: Operation,
    question: Asked,
    started: float,
) -> tuple[Call, Route]:
    """The call that a question amounts to, and the route it may take."""
    asked = question.request.model
    route = choose_route(parts.current.routes, caller, asked, operation, question)
    budget = _budget(exchange, parts.settings.timeout_call)
    call = Call(exchange.id, caller, operation, route.model.id, question.stream, started, budget)
    return call, route


def reply_head(exchange: Exchange, standing: Standing | None) -> Head:
    """What every reply to an admitted call carries."""
    head = b"x-request-id: %b\r\n" % exchange.id.encode()
    if b"anthropic-version" in exchange.headers:  # where its clients look for the same
        head += b"request-id: %b\r\n" % exchange.id.encode()
    if standing is not None:
        head += limits.header_lines(standing, time.time())
    exchange.head = head
    return head


def check_request(parts: Parts, exchange: Exchange) -> None:
    """Is this a POST with a body that we take? Raises: MethodNotAllowed, TooLarge."""
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
