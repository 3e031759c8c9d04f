"""Counting input tokens, for nothing: POST /v1/messages/count_tokens and Gemini's `:countTokens`.

The count is made here, with a vocabulary of our own, whatever provider the model has. What it is
not: what a call will be charged; that is the provider's own count.

The rule that keeps it honest: it is free but not unlimited; a count is taken from the caller's
limits like a call, and from those of its model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Raw

from apertura.api.calls import check_request, reply_head
from apertura.api.choice import check_allowed
from apertura.api.parts import Parts
from apertura.api.reply import reply_json
from apertura.errors import AperturaError
from apertura.relay.exchange import Exchange
from apertura.wire import anthropic_messages, tokens

Read = Callable[[], tuple[str, Mapping[str, Raw]]]
"""The model that is asked for, and the members to be counted."""


async def count_message(parts: Parts, exchange: Exchange) -> None:
    """POST /v1/messages/count_tokens."""

    def read() -> tuple[str, Mapping[str, Raw]]:
        request = anthropic_messages.parse_count(exchange.body)
        return request.model, request.members

    await count(parts, exchange, read, "input_tokens")


async def count(parts: Parts, exchange: Exchange, read: Read, name: str) -> None:
    """Answer with the count, as the member `name`."""
    check_request(parts, exchange)
    caller, address = await parts.callers.identify(exchange)
    try:
        asked, members = read()
        routes = parts.current.routes
        route = routes.route(asked, "chat")
        check_allowed(routes.catalog, caller, asked, route.model.id)
    except AperturaError:
        parts.admission.admit(caller, address, "")
        raise
    standing = parts.admission.admit(caller, address, route.bucket)
    head = reply_head(exchange, standing)
    counted = await asyncio.to_thread(tokens.count_request, members, route.model.id)
    reply_json(exchange, {name: counted}, head)
