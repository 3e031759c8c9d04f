"""What clients ask of the account of a key: /v1/token/usage, /v1/token/info, /v1/token/keys.

Two official clients read two shapes of the first; one body carries both (contract: the command line
reads `data`, the tool server the top level). What it is not: the management of keys (`keys`); a key
may make others, which can do no more than it can itself.

The rule that keeps it honest: what is settled is written to the books before they are read, so that
the difference of two readings is the cost between them.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs

import msgspec

from apertura.api import keys as keys_api
from apertura.api import manage, summaries
from apertura.api.amounts import credits_of, units_left
from apertura.api.manage import moment, read_body, reply_data
from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain import keys
from apertura.domain.identity import Caller
from apertura.domain.money import NANO_PER_QUOTA_UNIT, Nano, usd
from apertura.errors import BadRequest, Forbidden
from apertura.relay.exchange import Exchange
from apertura.store import keys as key_store
from apertura.store import standing, usage
from apertura.store.database import Conflict
from apertura.store.keys import KeyRecord
from apertura.store.standing import KeyUse
from apertura.store.usage import Totals

PERIODS = {"today": 1, "week": 7, "month": 30}
"""Days back, today included."""
KEYS_MOST = 10_000
"""Keys of an organization beyond which keys make no more of themselves."""
UNITS_MOST = 500_000_000_000_000
"""A quota in units: a billion dollars."""


class NewKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/token/keys. `quota` in units of which 500,000 are a dollar."""

    name: str
    quota: int | None = None


async def show_usage(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/token/usage[?period=today|week|month]."""
    caller, head = await enter(parts, exchange, any_key=True)
    period, first, last = _period(exchange, datetime.fromtimestamp(time.time(), UTC).date())
    await parts.settlement.flush()
    total = await usage.totals(parts.database, caller.key_id)
    models = await usage.by_model(parts.database, caller.key_id, first, last)
    days = await usage.by_day(parts.database, caller.key_id, first, last)
    body = {
        "success": True,
        "data": await _data(parts, caller, total),
        "period": period,
        "total_tokens": sum(part.input + part.output for part in models),
        "total_requests": sum(part.calls for part in models),
        "total_cost": usd(Nano(sum(part.cost for part in models))),
        "models": [{"model": part.name, **_part(part)} for part in models],
        "daily_breakdown": [{"date": part.name, **_part(part)} for part in days],
    }
    reply_json(exchange, body, head)


async def show_info(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/token/info: what the key is called, what is left for it, and whose it is."""
    caller, head = await enter(parts, exchange, any_key=True)
    await parts.settlement.flush()
    use = await standing.key_use(parts.database, caller.key_id)
    contact = await standing.contact(parts.database, caller.org_id, caller.key_id)
    plan = await summaries.plan_of(parts, caller.org_id, manage.now_ms())
    data = {
        "id": caller.key_id,
        "name": caller.key_name,
        "kind": caller.kind,
        "is_unlimited": caller.quota is None,
        "remain_quota_usd": usd(await _left(parts, caller, use.cost)),
        "owner": {"username": contact.username, "email": contact.email},
        "subscription": None if plan is None else plan.as_info(),
    }
    reply_data(exchange, data, head)


async def list_keys(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/token/keys: those of the organization that make calls; quotas in units."""
    caller, head = await enter(parts, exchange, any_key=True)
    await parts.settlement.flush()
    records = await key_store.listing(parts.database, caller.org_id)
    uses = await standing.key_uses(parts.database, caller.org_id)
    data = [
        _shown(record, uses.get(record.id, KeyUse()))
        for record in records
        if record.kind != "admin"
    ]
    reply_data(exchange, data, head)


async def create_key(parts: Parts, exchange: Exchange) -> None:
    """POST /v1/token/keys: a key that may do what the caller may, at most."""
    caller, head = await enter(parts, exchange, any_key=True)
    body = read_body(parts, exchange, NewKey)
    quota = None if body.quota is None else _quota(body.quota)
    _check_may_create(caller, quota)
    if await key_store.count(parts.database, caller.org_id) >= KEYS_MOST:
        raise Forbidden("The organization has as many keys as can be made this way. Delete some.")
    policy = caller.policy
    key, record = keys_api.mint(
        parts,
        org_id=caller.org_id,
        name=keys_api.read_name(body.name),
        models=tuple(sorted(policy.models)),
        addresses=tuple(map(str, policy.networks)),
        quota_nano=quota,
        expires_at=policy.expires_at,
        created_at=manage.now_ms(),
    )
    await parts.settlement.flush()
    await _keep(parts, caller, record)
    data = {**_shown(record, KeyUse()), "key": key}
    reply_data(exchange, data, head, status=201)


def _check_may_create(caller: Caller, quota: int | None) -> None:
    """Raises: Forbidden, BadRequest: a key that could do more than the caller."""
    if caller.kind != "standard":
        raise Forbidden(
            "Only a standard key makes keys here. With an admin key use POST /api/keys."
        )
    if caller.caps.key_reset is not None:
        raise Forbidden(
            "This API key has a monthly budget, which keys made by it would not be under. "
            "Use an admin key and POST /api/keys."
        )
    if caller.quota is not None and quota is None:
        raise BadRequest(
            "quota is required: this API key has one, and a new key's is taken out of it.",
            code="missing_parameter",
            param="quota",
        )


async def _keep(parts: Parts, caller: Caller, record: KeyRecord) -> None:
    """Raises: BadRequest: there is not as much left of the caller's quota."""
    if caller.quota is None:
        await key_store.create(parts.database, record)
        return
    try:
        await key_store.create_out_of(parts.database, record, caller.key_id)
        parts.callers.forget()  # the caller's quota is another one
    except Conflict:
        raise BadRequest(
            "quota is more than what is left of this API key's own, without what running calls "
            "hold of it.",
            code="invalid_parameter",
            param="quota",
        ) from None


def _quota(units: int) -> int:
    if not 1 <= units <= UNITS_MOST:
        raise BadRequest(
            f"quota must be from 1 to {UNITS_MOST} units, of which 500,000 are a dollar.",
            code="invalid_parameter",
            param="quota",
        )
    return units * NANO_PER_QUOTA_UNIT


def _shown(record: KeyRecord, use: KeyUse) -> dict[str, object]:
    """As the tool server reads it: without a quota there is none, not a zero."""
    quota = record.quota_nano
    return {
        "id": record.id,
        "name": record.name,
        "key": keys.masked(record.kind, record.id, record.last4),
        "status": record.status,
        "remaining_quota": None if quota is None else units_left(max(0, quota - use.cost)),
        "total_quota": None if quota is None else units_left(quota),
        "created_at": moment(record.created_at),
        "last_used": use.last_day or None,
    }


async def _data(parts: Parts, caller: Caller, total: Totals) -> dict[str, object]:
    used = Nano(total.cost)
    left = await _left(parts, caller, used)
    plan = await summaries.plan_of(parts, caller.org_id, manage.now_ms())
    shown: dict[str, object] = {
        "token_name": caller.key_name,
        "is_unlimited": caller.quota is None,
        "total_tokens": total.input + total.output,
        "total_requests": total.calls,
        "used_quota_usd": usd(used),
        "remain_quota_usd": usd(left),
        "total_quota_usd": usd(Nano(used + left)),
        "used_credits": credits_of(total.credits),
    }
    if plan is not None:
        shown["subscription"] = plan.as_info()
    return shown


async def _left(parts: Parts, caller: Caller, used: int) -> Nano:
    """What the key may still spend: of its quota, or else of what its organization has. Without a
    fallback a subscription's key spends none of that.
    """
    if caller.quota is not None:
        return Nano(max(0, caller.quota - used))
    if caller.plan is not None and not caller.plan.fallback:
        return Nano(0)
    money = await standing.money(parts.database, caller.org_id, manage.now_ms())
    return Nano(money.credit)


def _part(part: Totals) -> dict[str, object]:
    return {
        "tokens": part.input + part.output,
        "requests": part.calls,
        "cost": usd(Nano(part.cost)),
    }


def _period(exchange: Exchange, today: date) -> tuple[str, str, str]:
    """Its name, first and last day."""
    period = parse_qs(exchange.query.decode("latin-1")).get("period", ["month"])[0]
    if period not in PERIODS:
        raise BadRequest(
            f"period must be one of {', '.join(PERIODS)}.",
            code="invalid_parameter",
            param="period",
        )
    first = today - timedelta(days=PERIODS[period] - 1)
    return period, first.isoformat(), today.isoformat()
