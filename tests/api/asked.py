"""A handler asked by itself: an exchange that keeps what is answered.

    answer = await asked(recommend.show, parts, "/v1/recommend?task=coding", key=key)

What a handler raises comes through. What it is not: the way of a request through the application
(`tests.api.client`).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from apertura.api.parts import Parts
from apertura.relay.exchange import Exchange, Head
from apertura.urls import PartsHandler


class Kept(Exchange):
    """Keeps the reply."""

    id = "req_test"

    def respond(self, status: int, head: Head, body: bytes) -> None:
        self.status, self.body, self.finished = status, body, True


async def asked(
    handler: PartsHandler, parts: Parts, target: str, *, key: str = "", peer: str = "203.0.113.9"
) -> Any:
    """The JSON of a reply, its numbers as exact decimals. Raises: what the handler raises."""
    path, _, query = target.partition("?")
    headers = {b"authorization": f"Bearer {key}".encode()} if key else {}
    exchange = Kept("GET", path, query.encode(), headers, b"", peer)
    await handler(parts, exchange)
    assert exchange.status == 200
    return json.loads(exchange.body, parse_float=Decimal)
