"""What statements are made from: an organization's month, read in one query.

`account_days` and `charge_days` hold the sums by day that triggers keep, `usage_days` those of the
calls; only movements that are not of calls are read one by one. So the time that a statement takes
depends on days and models, not on how many calls there were.

The rule that keeps it honest: one query, so everything in a statement is of one moment, while calls
are being booked.
"""

from __future__ import annotations

from datetime import date

from apertura.domain.ledger import natural
from apertura.domain.statements import (
    MS_PER_DAY,
    DaySum,
    Found,
    Item,
    ModelUse,
    Month,
    Statement,
    days_of,
    months_between,
    statement,
)
from apertura.store.database import Database, Row

_DAY_ZERO = date(1970, 1, 1).toordinal()
# What a row is, three texts, four numbers.
_MONTH = f"""
SELECT 'opening' AS part, account_id AS a, '' AS b, '' AS c,
    CAST(SUM(amount) AS BIGINT) AS n, 0 AS o, 0 AS p, 0 AS q
FROM account_days WHERE org_id = ? AND day < ? GROUP BY account_id
UNION ALL
SELECT 'sum', account_id, kind, '', amount, day, entries, 0
FROM account_days WHERE org_id = ? AND day >= ? AND day < ?
UNION ALL
SELECT 'item', entries.account_id, transactions.kind, reference, entries.amount, at, 0, 0
FROM account_days
JOIN transactions ON transactions.kind = account_days.kind
    AND at >= day * {MS_PER_DAY} AND at < (day + 1) * {MS_PER_DAY}
    AND transactions.kind NOT IN ('usage', 'cost')
JOIN entries ON entries.transaction_id = transactions.id
    AND entries.account_id = account_days.account_id
WHERE org_id = ? AND day >= ? AND day < ? AND account_days.kind <> 'usage'
UNION ALL
SELECT 'calls', model, '', '', CAST(SUM(calls) AS BIGINT),
    CAST(SUM(input) AS BIGINT), CAST(SUM(output) AS BIGINT), 0
FROM usage_days WHERE org_id = ? AND day >= ? AND day < ? GROUP BY model
UNION ALL
SELECT 'charge', model, '', '', CAST(SUM(cost) AS BIGINT), CAST(SUM(written_off) AS BIGINT),
    CAST(SUM(credits) AS BIGINT), CAST(SUM(credits_lost) AS BIGINT)
FROM charge_days WHERE org_id = ? AND day >= ? AND day < ? GROUP BY model
"""


async def find(db: Database, org_id: str, month: Month, *, now_ms: int) -> Statement:
    """The statement of a month: whole, or so far if it has not ended by `now_ms`."""
    first, end = days_of(month)
    dates = (_date(first), _date(end))
    span = (org_id, first, end)
    rows = await db.read(_MONTH, (org_id, first, *span, *span, org_id, *dates, *span))
    return statement(org_id, month, _found(rows), now_ms=now_ms)


async def months(db: Database, org_id: str, *, now_ms: int) -> list[Month]:
    """The months of an organization, from the first one in which anything happened to the present
    one, the last first; empty for one that does not exist.
    """
    (row,) = await db.read(
        "SELECT (SELECT created_at FROM organizations WHERE id = ?), "
        "(SELECT MIN(day) FROM account_days WHERE org_id = ?), "
        "(SELECT MIN(day) FROM charge_days WHERE org_id = ?)",
        (org_id, org_id, org_id),
    )
    created, *days = row
    starts = [day * MS_PER_DAY for day in days if day is not None]
    if created is not None:
        starts.append(created)
    return months_between(min(starts), now_ms) if starts else []


def _date(day: int) -> str:
    return date.fromordinal(_DAY_ZERO + day).isoformat()


def _found(rows: list[Row]) -> Found:
    opening: dict[str, int] = {}
    sums: list[DaySum] = []
    items: list[Item] = []
    models: dict[str, dict[str, int]] = {}
    for part, name, kind, reference, *numbers in rows:
        amount, second, third, _ = numbers
        if part == "opening":
            opening[name] = natural(name, amount)
        elif part == "sum":
            sums.append(DaySum(name, second, kind, third, natural(name, amount)))
        elif part == "item":
            items.append(Item(name, second, kind, reference, natural(name, amount)))
        else:
            fields = dict(zip(_FIELDS[part], numbers, strict=False))
            models.setdefault(name, {}).update(fields)
    uses = [ModelUse(model=name, **fields) for name, fields in models.items()]
    return Found(opening=opening, sums=sums, items=items, models=uses)


_FIELDS = {
    "calls": ("calls", "input", "output"),
    "charge": ("cost", "written_off", "credits", "credits_lost"),
}
