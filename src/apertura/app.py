"""The composition root: settings in, a running application out.

`opened` makes the parts by hand, in order, and lets go of them in reverse; `Application` answers
ASGI and has the hot table for the fast lane. Here is also the one place that turns errors into
replies: whatever a handler raises ends in the caller's format, with a request id.

What it is not: any part's own work. The rule that keeps it honest: a part is handed what it needs
and finds nothing by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

import apertura
from apertura import urls
from apertura.api import documents
from apertura.api.caller import Callers
from apertura.api.parts import Current, Parts
from apertura.api.reply import failure
from apertura.domain import keys, secrets
from apertura.domain.catalog import Catalog, OfferRow, ProviderRow
from apertura.domain.limits import parse_limit
from apertura.domain.routing import Routes
from apertura.errors import (
    AperturaError,
    BadRequest,
    BudgetSpent,
    Internal,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
)
from apertura.jobs.audit import Auditor
from apertura.jobs.schedule import Job, Schedule
from apertura.jobs.table import Tools, jobs
from apertura.payments.chosen import processor_of
from apertura.providers.kinds import provider_of
from apertura.relay.admission import Admission
from apertura.relay.call import new_call_id
from apertura.relay.connection import Origin
from apertura.relay.exchange import Exchange, Receive, Scope, Send, asgi, head_lines
from apertura.relay.fastlane import LaneRules
from apertura.relay.idempotency import Replays, Rules
from apertura.relay.leases import Leases
from apertura.relay.purse import Purse
from apertura.relay.relay import JSON, Place, Relay
from apertura.relay.reply import Timers
from apertura.relay.settlement import Settlement
from apertura.relay.transport import Transport
from apertura.settings import Settings, database_url
from apertura.store import invoices
from apertura.store.catalog import read_catalog
from apertura.store.counters import Limits, MemoryCounters
from apertura.store.database import Database, open_database
from apertura.store.journal import Journal
from apertura.store.migrate import migrate
from apertura.store.plans import read_plans
from apertura.store.top_ups import read_rules
from apertura.telemetry import Meters, log, where
from apertura.wire import openai_chat
from apertura.wire.dialects import INBOUND

KEEP_ALIVE_SECONDS = 75.0


class Application:
    """What a server runs: ASGI, and the hot table for the fast lane."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        limit = parts.settings.max_body_mb << 20
        hot = {path: partial(h, parts) for path, h in urls.hot().items()}
        self.lane_rules = LaneRules(
            hot={path.encode(): (handler, path) for path, handler in hot.items()},
            body_limit=limit,
            patience=parts.settings.timeout_request,
            keep_alive=KEEP_ALIVE_SECONDS,
            refuse=refuse,
            render_refusal=render_refusal,
        )
        self._hot = {path: asgi(handler, refuse, body_limit=limit) for path, handler in hot.items()}
        self._cold = _cold(parts, limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._hot.get(scope["path"]) if scope["type"] == "http" else None
        await (application or self._cold)(scope, receive, send)


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    environment: Mapping[str, str],
    providers: Sequence[ProviderRow] = (),
    offers: Sequence[OfferRow] = (),
) -> AsyncIterator[Application]:
    """The application, with all of its parts open. `providers` and `offers` come besides those of
    the settings and the shipped catalogue (the local model's, say).

    Raises: AperturaError, where a part cannot be opened.
    """
    catalog = read_catalog(
        environment,
        own_providers=settings.providers,
        own_offers=settings.offers,
        more_providers=providers,
        more_offers=offers,
        markup_percent=settings.markup,
    )
    data = Path(settings.data)
    make_data_folder(settings)
    async with AsyncExitStack() as stack:
        database = await open_database(database_url(settings))
        stack.push_async_callback(database.close)
        await migrate(database)
        await invoices.keep_issuer(database, documents.issuer_of(settings))
        journal = Journal.open(data / "journal")
        stack.callback(journal.close)
        meters = Meters(version=apertura.__version__, lines=_call_log(settings))
        leases = Leases(database, _place(data))
        settlement = Settlement(database, journal, meters, leases)
        stack.push_async_callback(settlement.close)
        if recovered := await settlement.start():
            log("recovered", calls=recovered)
        transport = Transport(connect_seconds=settings.timeout_connect)
        stack.callback(transport.close)
        parts = _parts(settings, catalog, database, settlement, transport, meters)
        await parts.replays.start()
        stack.push_async_callback(parts.replays.close)
        if parts.payments is not None:
            stack.callback(parts.payments.close)
        schedule = Schedule(_jobs(parts))
        stack.push_async_callback(schedule.close)
        schedule.start()
        yield Application(parts)


def _jobs(parts: Parts) -> Sequence[Job]:
    """What happens by itself, and the gauges of the audit."""
    auditor = Auditor(parts.database)
    parts.meters.gauge("apertura_audit_findings", "What the last audit found.", auditor.findings)
    parts.meters.gauge("apertura_audit_checked", "What it looked at.", auditor.checked)
    parts.meters.gauge("apertura_audit_age_seconds", "Since it ended.", auditor.age_seconds)
    tools = Tools(
        settings=parts.settings,
        database=parts.database,
        worker=parts.settlement.leases.worker,
        plans=parts.plans,
        replays=parts.replays,
        auditor=auditor,
        payments=parts.payments,
    )
    return jobs(tools)


def make_data_folder(settings: Settings) -> None:
    """The data folder, closed to others."""
    Path(settings.data).mkdir(mode=0o700, parents=True, exist_ok=True)


def _place(data: Path) -> str:
    """The name of this place, the same across restarts: whose leases are to be returned."""
    file = data / "place"
    if not file.exists():
        file.write_text(os.urandom(8).hex())
    return file.read_text().strip()


def _parts(  # the parts that need no closing, and all of them together
    settings: Settings,
    catalog: Catalog,
    database: Database,
    settlement: Settlement,
    transport: Transport,
    meters: Meters,
) -> Parts:
    plans = read_plans(catalog, settings.plans, settings.grace_days)
    purse = Purse(settlement.leases, settings.output_held)
    admission = Admission(MemoryCounters(_limits(settings)), settlement)
    timers = Timers(
        first=settings.timeout_first, idle=settings.timeout_idle, total=settings.timeout_total
    )
    relay = Relay(transport, purse, settlement, timers, settings.max_reply_mb << 20)
    relay.places = _places(catalog)
    meters.gauge("apertura_calls_running", "Calls under way.", lambda: relay.running)
    meters.gauge("apertura_calls_refused", "Calls over a limit.", lambda: admission.refused)
    meters.gauge("apertura_held_nano", "Held by running calls.", purse.leases.held)
    meters.gauge("apertura_books_waiting", "Rows not yet in the books.", settlement.backlog)
    meters.gauge("apertura_connections_open", "To providers.", transport.open_count)
    pepper = secrets.derive(settings.secret, secrets.KEY_DIGEST)
    proxies = keys.parse_networks(settings.trusted_proxies)
    return Parts(
        settings=settings,
        database=database,
        callers=Callers(database, pepper, admission, proxies, plans),
        plans=plans,
        admission=admission,
        relay=relay,
        replays=_replays(settings, database, settlement, meters),
        settlement=settlement,
        current=Current(Routes(catalog)),
        meters=meters,
        clock=asyncio.get_running_loop().time,
        top_ups=read_rules(settings.top_ups),
        payments=processor_of(settings),
    )


def _replays(
    settings: Settings, database: Database, settlement: Settlement, meters: Meters
) -> Replays:
    """Replies that may be asked for again, in the name of the worker as it begins its life."""
    rules = Rules(
        secret=secrets.derive(settings.secret, secrets.IDEMPOTENCY),
        total=settings.replay_memory_mb << 20,
        each=settings.replay_reply_mb << 20,
        patience=settings.timeout_total,
        recognise=settings.recognise_retries,
    )
    replays = Replays(database, settlement.leases.worker, rules)
    meters.gauge("apertura_replies_kept_bytes", "For who asks again.", lambda: replays.bytes)
    meters.gauge("apertura_replies_awaited", "Callers who read such.", replays.waiting)
    meters.gauge("apertura_replies_replayed", "Replies given again.", lambda: replays.replayed)
    return replays


def _places(catalog: Catalog) -> dict[str, Place]:
    """Each provider that something is offered by, ready to be asked."""
    rows = {
        offer.provider.name: offer.provider for group in catalog.offers.values() for offer in group
    }
    return {
        name: Place(provider_of(row), Origin.of(row.base_url, keepalive=row.keepalive))
        for name, row in rows.items()
    }


def _limits(settings: Settings) -> Limits:
    return Limits(
        per_address=parse_limit(settings.limit_per_address),
        per_key=parse_limit(settings.limit_per_key),
        per_model=parse_limit(settings.limit_per_model),
        queries=parse_limit(settings.limit_queries),
    )


def _call_log(settings: Settings) -> BinaryIO | None:
    return sys.stdout.buffer if settings.call_log else None


# Errors into replies, in one place.


def refuse(exchange: Exchange, raised: BaseException) -> None:
    """The reply to whatever a handler raised: in the caller's format, with a request id."""
    if isinstance(raised, asyncio.CancelledError):
        error: AperturaError = Unavailable("The server is stopping.", headers={"Retry-After": "5"})
    elif isinstance(raised, AperturaError):
        error = raised
    else:
        log(
            "bug",
            request_id=exchange.id,
            path=exchange.path,
            error=type(raised).__name__,
            trace=where(raised),
        )
        error = Internal("Something went wrong here. The request id finds it.")
    if exchange.finished or exchange.closed:
        return
    if exchange.started:
        exchange.abort()
        return
    own = exchange.head or head_lines({"x-request-id": exchange.id})
    head = JSON + own + head_lines(error.headers)
    exchange.respond(error.status, head, _rendered(error, exchange.path, exchange.id))


def _rendered(error: AperturaError, path: str, call_id: str) -> bytes:
    """In the format of the caller at a path; under /api in that of its own envelope too."""
    body = INBOUND[urls.speaks(path)].render_error(error, call_id=call_id)
    return failure(error, body) if path.startswith("/api/") else body


def render_refusal(status: int, message: str) -> bytes:
    """What is not even HTTP is refused in the public API's envelope all the same."""
    kinds = {408: BudgetSpent, 413: TooLarge}
    return openai_chat.render_error(kinds.get(status, BadRequest)(message))


# What is not hot: Starlette's routing, and our handlers behind it.


def _cold(parts: Parts, limit: int) -> Starlette:
    def route(path: str, method: str, handler: urls.PartsHandler) -> Route:
        application = asgi(partial(handler, parts), refuse, body_limit=limit)
        return Route(path, _Endpoint(application), methods=[method])

    routes = [
        route(path, method, handler)
        for path, methods in urls.cold().items()
        for method, handler in methods.items()
    ]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _not_routed})
    starlette.router.redirect_slashes = False
    return starlette


class _Endpoint:
    """An ASGI application as a route's endpoint (Starlette takes instances for that)."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


async def _not_routed(request: Request, refusal: Exception) -> Response:
    """No such path, or not with this method."""
    status = getattr(refusal, "status_code", 500)
    error: AperturaError
    if status == 405:
        allowed = (getattr(refusal, "headers", None) or {}).get("Allow", "GET")
        error = MethodNotAllowed(
            f"{request.url.path} does not take {request.method}.", headers={"Allow": allowed}
        )
    else:
        error = NotFound(f"There is no endpoint {request.method} {request.url.path} here.")
    call_id = new_call_id()
    headers = {"x-request-id": call_id, **error.headers}
    body = _rendered(error, request.url.path, call_id)
    return Response(body, error.status, headers, media_type="application/json")
