"""Where the plans come from: the shipped TOML, and the installation's own `[[plans]]` over it.

What it is not: what the data mean (`domain.plan_rows`), or who has bought what (`subscriptions`).

The rule that keeps it honest: a row of the installation's changes what it states and nothing else,
and what it states wrongly is refused before a server starts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from apertura.domain.catalog import Catalog
from apertura.domain.plan_rows import PlanError, PlanRow, assemble
from apertura.domain.plans import MS_PER_DAY, Plan

PLANS = "_plans.toml"
GRACE_DAYS = 7


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """The plans by id, the cheapest first, and for how long a late payment is waited for."""

    plans: Mapping[str, Plan]
    grace_ms: int = GRACE_DAYS * MS_PER_DAY


def read_plans(
    catalog: Catalog, own: Sequence[Mapping[str, Any]] = (), grace_days: int = GRACE_DAYS
) -> Plans:
    """The plans of an installation, with what they say of the models of its catalogue.

    Raises: PlanError, naming the plan and the field at fault.
    """
    rows = {str(row["id"]): dict(row) for row in _shipped()}
    for row in own:
        name = str(row.get("id", "?"))
        earlier = rows.get(name, {})
        merged = {**earlier, **row}
        named = row.get("multipliers", {})
        if isinstance(named, Mapping):
            merged["multipliers"] = {**earlier.get("multipliers", {}), **named}
        rows[name] = merged
    plans = assemble([_converted(row) for row in rows.values()], catalog)
    return Plans(plans=plans, grace_ms=grace_days * MS_PER_DAY)


@cache
def shipped_plans() -> Plans:
    """Those that are shipped, without a catalogue: what they cost and include, not of which models
    by their price.
    """
    return read_plans(Catalog(models={}, offers={}))


@cache
def _shipped() -> tuple[Mapping[str, Any], ...]:
    text = (files("apertura") / "catalogue" / PLANS).read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["plans"])


def _converted(row: Mapping[str, Any]) -> PlanRow:
    try:
        return msgspec.convert(row, PlanRow)
    except msgspec.ValidationError as error:
        raise PlanError(f"plan {row.get('id', '?')!r}: {error}") from None
