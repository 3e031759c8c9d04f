"""GET /v1/token/usage: what a key has used, current to the last completed call.

Two official clients read two shapes of it; one body carries both (contract: the command line reads
`data`, the tool server the top level). The rule that keeps it honest: what is settled is written to
the books before they are read, so that the difference of two readings is the cost between them.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs

from apertura.api.parts import Parts
from apertura.api.reply import enter, reply_json
from apertura.domain.identity import Caller
from apertura.domain.ledger import wallet
from apertura.domain.money import Nano, usd
from apertura.errors import BadRequest
from apertura.relay.exchange import Exchange
from apertura.store import ledger, usage
from apertura.store.usage import Totals

PERIODS = {"today": 1, "week": 7, "month": 30}
"""Days back, today included."""


async def show_usage(parts: Parts, exchange: Exchange) -> None:
    """GET /v1/token/usage[?period=today|week|month]."""
    caller, head = await enter(parts, exchange)
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


async def _data(parts: Parts, caller: Caller, total: Totals) -> dict[str, object]:
    used = Nano(total.cost)
    if caller.quota is not None:
        left = Nano(max(0, caller.quota - used))
    else:
        left = await ledger.balance(parts.database, wallet(caller.org_id))
    return {
        "token_name": caller.key_name,
        "is_unlimited": caller.quota is None,
        "total_tokens": total.input + total.output,
        "total_requests": total.calls,
        "used_quota_usd": usd(used),
        "remain_quota_usd": usd(left),
        "total_quota_usd": usd(Nano(used + left)),
    }


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
