"""GET /api/usage: what an organization has used, by day, model or key, for its admin keys.

The figures come from sums by day that are kept with the calls, so that a year of many calls is
answered as fast as a day of few. What it is not: single calls (`log`).

The rule that keeps it honest: the totals are those of all groups together, and every group is
there.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import get_args

from apertura.api import manage
from apertura.api.amounts import credits_of, dollars
from apertura.api.manage import query_of, read_value, reply_data
from apertura.api.parts import Parts
from apertura.errors import BadRequest
from apertura.relay.exchange import Exchange
from apertura.store import standing
from apertura.store.standing import Group, Sum
from apertura.store.usage import day_of

DAYS = 30
DAYS_MOST = 400
"""Of one question: a year, and the month before it to compare with."""


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /api/usage?from=&to=&group=day|model|key&key=; both days are included."""
    caller, head = await manage.enter(parts, exchange, query=True)
    query = query_of(exchange, ("from", "to", "group", "key"))
    a_day: Group = "day"
    group = read_value(query, "group", a_day, _group, f"one of {', '.join(get_args(Group))}")
    span = _span(query, date.fromisoformat(day_of(manage.now_ms())))
    await parts.settlement.flush()
    sums = await standing.sums(parts.database, caller.org_id, group, span, query.get("key"))
    data = {
        "from": span[0],
        "to": span[1],
        "group": group,
        "total": _figures(total(sums)),
        "items": [{group: one.name, **_figures(one)} for one in sums],
    }
    reply_data(exchange, data, head)


def total(sums: list[Sum]) -> Sum:
    """All of them together."""
    names = Sum.__struct_fields__[1:]
    return Sum(name="", **{name: sum(getattr(one, name) for one in sums) for name in names})


def _figures(one: Sum) -> dict[str, object]:
    """Averages and rates are of calls, null where there were none to take them of."""
    went_well = one.calls - one.failed
    return {
        "calls": one.calls,
        "failed": one.failed,
        "error_rate": _ratio(one.failed, one.calls),
        "average_ms": None if not went_well else one.took_ms // went_well,
        "input_tokens": one.input,
        "output_tokens": one.output,
        "tokens": one.input + one.output,
        "cost_usd": dollars(one.cost),
        "credits": credits_of(one.credits),
    }


def _ratio(part: int, whole: int) -> Decimal | None:
    return None if not whole else (Decimal(part) / whole).quantize(Decimal("0.0001"))


def _span(query: dict[str, str], today: date) -> tuple[str, str]:
    """First and last day. Raises: BadRequest."""
    wants = "a day such as 2026-01-31"
    last = read_value(query, "to", today, date.fromisoformat, wants)
    first = read_value(query, "from", last - timedelta(days=DAYS - 1), date.fromisoformat, wants)
    if not 0 <= (last - first).days < DAYS_MOST:
        raise BadRequest(
            f"from must not be after to, and at most {DAYS_MOST - 1} days before it.",
            code="invalid_parameter",
            param="from",
        )
    return first.isoformat(), last.isoformat()


def _group(text: str) -> Group:
    for known in get_args(Group):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(text)
