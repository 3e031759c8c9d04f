"""Plans and subscriptions for tests, as they are shipped but without models."""

from __future__ import annotations

from typing import Any

import msgspec

from apertura.domain.cycles import cycle_start
from apertura.domain.money import parse_usd
from apertura.domain.plans import MS_PER_DAY, Period, Plan, begin

ANCHOR = 1_769_817_600_000  # 2026-01-31
GRACE = 7 * MS_PER_DAY
LITE = Plan(
    id="lite",
    title="Lite",
    monthly=parse_usd("12"),
    allowance=600_000,
    per_model=15,
    quarterly_discount=10,
    yearly_discount=20,
)
PRO = msgspec.structs.replace(
    LITE, id="pro", title="Pro", monthly=parse_usd("25"), allowance=900_000, per_model=20
)
MAX = msgspec.structs.replace(
    LITE, id="max", title="Max", monthly=parse_usd("200"), allowance=5_000_000, per_model=30
)


def start(number: int) -> int:
    return cycle_start(ANCHOR, number)


def bought(plan: Plan = LITE, period: Period = "monthly", *, paid: int = 1, **fields: Any) -> Any:
    """A subscription of which so many cycles are paid."""
    made = begin(plan, period, sub_id="sub_1", org_id="o", key_id="k", now_ms=ANCHOR)
    return msgspec.structs.replace(made, paid_until_ms=start(paid), status="active", **fields)
