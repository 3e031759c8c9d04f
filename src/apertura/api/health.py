"""Whether this process lives, whether it can serve, and what it has counted.

The rule that keeps it honest: "ready" asks what a call would need (the database, room in the
books); "live" asks nothing, because a restart mends neither.
"""

from __future__ import annotations

from apertura.api.caller import client_address
from apertura.api.parts import Parts
from apertura.api.reply import reply_json
from apertura.domain import keys
from apertura.errors import AperturaError, Forbidden
from apertura.relay.exchange import Exchange, head_lines
from apertura.telemetry import CONTENT_TYPE


async def live(_: Parts, exchange: Exchange) -> None:
    """GET /health/live: the process answers."""
    reply_json(exchange, {"status": "live"})


async def ready(parts: Parts, exchange: Exchange) -> None:
    """GET /health/ready: a call could be served now; else 503 with what is missing."""
    missing = []
    try:
        await parts.database.read("SELECT 1")
    except AperturaError:
        missing.append("database")
    if parts.settlement.full:
        missing.append("books")
    if not parts.current.routes.catalog.models:
        missing.append("models")
    status = {"status": "not ready", "missing": missing} if missing else {"status": "ready"}
    reply_json(exchange, status, status=503 if missing else 200)


async def metrics(parts: Parts, exchange: Exchange) -> None:
    """GET /metrics, for the addresses of the setting `metrics_from`."""
    proxies = keys.parse_networks(parts.settings.trusted_proxies)
    address = client_address(exchange, proxies)
    if not keys.is_within(address, keys.parse_networks(parts.settings.metrics_from)):
        raise Forbidden("Metrics may not be read from this address; see APERTURA_METRICS_FROM.")
    head = head_lines({"content-type": CONTENT_TYPE, "x-request-id": exchange.id})
    exchange.respond(200, head, parts.meters.render())


async def front(parts: Parts, exchange: Exchange) -> None:
    """GET /: what this is."""
    name = parts.settings.name
    reply_json(exchange, {"name": name, "api": "/v1", "health": "/health/ready"})
