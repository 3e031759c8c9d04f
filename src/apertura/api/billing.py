"""Money of an organization: the credits endpoint that clients know, and the overview and budgets of
its dashboard.

    GET /v1/dashboard/billing/credits   any key: what its organization has, and what the key may use
    GET /api/billing/overview           everything at a glance
    GET, PUT /api/billing/budget        the organization's monthly budget
    PUT /api/keys/{id}/budget           a key's

What it is not: paying in (`payments`), or what a call costs. The rule that keeps it honest: what is
settled is written to the books before they are read, so that every figure holds at its moment.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from apertura.api import manage, summaries
from apertura.api.amounts import dollars, dollars_or_none, read_usd
from apertura.api.manage import moment, read_body, reply_data
from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain.bands import band_of
from apertura.domain.funds import RESET_DAYS
from apertura.domain.identity import Caller
from apertura.errors import BadRequest, Forbidden
from apertura.relay.exchange import Exchange
from apertura.store import funds, standing
from apertura.store import keys as key_store
from apertura.store.database import Tx, bump_revision
from apertura.store.standing import Budget, Money


class BudgetBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`cap_usd` null takes the budget away; without `reset_day` the month begins on the first."""

    cap_usd: Decimal | None
    reset_day: int = 1


async def show_credits(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/dashboard/billing/credits."""
    caller, head = await enter(parts, exchange, any_key=True)
    await parts.settlement.flush()
    now_ms = manage.now_ms()
    money = await standing.money(parts.database, caller.org_id, now_ms)
    use = await standing.key_use(parts.database, caller.key_id)
    budget = await _budget_of(parts, caller, now_ms)
    body: dict[str, Any] = {
        "object": "billing_credits",
        "is_subscriber": False,
        "payg": _payg(caller, money, use.cost, budget),
    }
    plan = await summaries.plan_of(parts, caller.org_id, now_ms)
    if plan is not None:
        body |= {"is_subscriber": True, "subscription": plan.as_credits()}
    reply_json(exchange, body, head)


def _payg(caller: Caller, money: Money, used: int, budget: Budget | None) -> dict[str, object]:
    """The contract's fields, and those of its older version under their names."""
    unlimited = caller.quota is None
    left = None if caller.quota is None else max(0, caller.quota - used)
    total = None if left is None else left + used
    shown: dict[str, object] = {
        "account_credits": dollars(money.credit),
        "token_used": dollars(used),
        "token_total": "unlimited" if total is None else dollars(total),
        "token_remaining": "unlimited" if left is None else dollars(left),
        "token_is_unlimited": unlimited,
        "remaining_usd": dollars_or_none(left),
        "used_usd": dollars(used),
        "total_usd": dollars_or_none(total),
        "is_unlimited": unlimited,
    }
    if budget is not None:
        shown |= {
            "token_monthly_limit_usd": dollars(budget.cap),
            "token_monthly_used_usd": dollars(budget.used),
            "monthly_reset_day": budget.reset_day,
            "monthly_limit_usd": dollars(budget.cap),
            "monthly_used_usd": dollars(budget.used),
        }
    return shown


async def _budget_of(parts: Parts, caller: Caller, now_ms: int) -> Budget | None:
    """The budget that the caller reaches first: its key's or its organization's."""
    found = [
        await standing.budget(parts.database, "key", caller.key_id, now_ms),
        await standing.budget(parts.database, "org", caller.org_id, now_ms),
    ]
    return min((one for one in found if one), key=lambda one: one.cap - one.used, default=None)


async def show_overview(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/overview."""
    caller, head = await manage.enter(parts, exchange)
    await parts.settlement.flush()
    now_ms = manage.now_ms()
    money = await standing.money(parts.database, caller.org_id, now_ms)
    budget = await standing.budget(parts.database, "org", caller.org_id, now_ms)
    data: dict[str, object] = {
        "balance_usd": dollars(money.balance),
        "promo_usd": dollars(money.credit - money.balance),
        "held_usd": dollars(money.credit - money.available),
        "available_usd": dollars(money.available),
        "band": band_of(money.credit),
        "promos": [
            {
                "id": promo.id,
                "note": promo.note,
                "amount_usd": dollars(promo.amount),
                "left_usd": dollars(promo.left),
                "granted_at": moment(promo.granted_at),
                "expires_at": moment(promo.expires_at),
            }
            for promo in money.promos
        ],
        "budget": show(budget),
        **await summaries.of_organization(parts, caller.org_id, now_ms),
    }
    reply_data(exchange, data, head)


def show(budget: Budget | None) -> dict[str, object] | None:
    """A budget as JSON has it."""
    if budget is None:
        return None
    return {
        "cap_usd": dollars(budget.cap),
        "used_usd": dollars(budget.used),
        "left_usd": dollars(max(0, budget.cap - budget.used)),
        "reset_day": budget.reset_day,
        "resets_at": moment(budget.resets_at),
    }


async def show_budget(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/budget: null without one."""
    caller, head = await manage.enter(parts, exchange)
    await parts.settlement.flush()
    budget = await standing.budget(parts.database, "org", caller.org_id, manage.now_ms())
    reply_data(exchange, show(budget), head)


async def set_budget(parts: Parts, exchange: Exchange) -> None:
    """PUT /api/billing/budget."""
    caller, head = await manage.enter(parts, exchange, write=True)
    cap, reset_day = _read(parts, exchange)
    await parts.settlement.flush()
    now_ms = manage.now_ms()
    await parts.database.write(partial(_set, caller.org_id, cap, reset_day, now_ms))
    parts.callers.forget()
    budget = await standing.budget(parts.database, "org", caller.org_id, now_ms)
    reply_data(exchange, show(budget), head)


async def set_key_budget(parts: Parts, exchange: Exchange) -> None:
    """PUT /api/keys/{id}/budget."""
    caller, head = await manage.enter(parts, exchange, write=True)
    key_id = manage.last_part(exchange, "/api/keys/", "/budget")
    cap, reset_day = _read(parts, exchange)
    record = await key_store.find_by_id(parts.database, key_id)
    if record is None or record.org_id != caller.org_id:
        raise manage.not_found("key", key_id)
    if record.kind != "standard":
        raise Forbidden("Only keys that pay for their calls with money have a budget.")
    await parts.settlement.flush()
    now_ms = manage.now_ms()
    await parts.database.write(partial(_set, record.id, cap, reset_day, now_ms))
    parts.callers.forget()
    budget = await standing.budget(parts.database, "key", record.id, now_ms)
    reply_data(exchange, show(budget), head)


def _read(parts: Parts, exchange: Exchange) -> tuple[int | None, int]:
    """The cap in nano-dollars and the reset day of a body. Raises: BadRequest."""
    body = read_body(parts, exchange, BudgetBody)
    first, last = RESET_DAYS
    if not first <= body.reset_day <= last:
        raise BadRequest(
            f"reset_day must be a day from {first} to {last}, which every month has.",
            code="invalid_parameter",
            param="reset_day",
        )
    cap = None if body.cap_usd is None else read_usd(body.cap_usd, "cap_usd")
    return cap, body.reset_day


async def _set(owner: str, cap: int | None, reset_day: int, now_ms: int, tx: Tx) -> None:
    await funds.set_budget(tx, owner, cap, reset_day, now_ms)
    await bump_revision(tx)
