"""Plans as they stand in files, and what they say of each model of a catalogue.

A plan has the models of the plans below it (those that cost less a month). What a call takes is, in
this order: the multiplier that the plan names for the model; the one that the nearest plan below
names; nothing, if nobody asks money for the model; the one of the plan's first band that reaches
the model's price; what it takes in the plan below. A model that none of these is about is not in
the plan. Bands go by the price of a million output tokens at the dearest offer, and concern models
that chat.

What it is not: where the files are (`store.plans`), or what a plan is worth (`plans`). The rule
that keeps it honest: data that mean nothing are refused with the entry and the field at fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise

import msgspec

from apertura.domain.catalog import Catalog
from apertura.domain.model_ids import CODE
from apertura.domain.money import Nano, parse_usd
from apertura.domain.plans import CENT, CREDIT, FREE_TIER, Plan
from apertura.domain.pricing import Price, is_free
from apertura.errors import AperturaError

NONE = "none"
"""The multiplier of a model that a plan leaves out."""
MULTIPLIER_MAX = 10_000 * CREDIT
ALLOWANCE_MAX = 1_000_000_000
_ID = re.compile(r"[a-z][a-z0-9-]*")


class PlanError(AperturaError):
    """The data of a plan are wrong; the message names the plan and the field."""


class BandRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What models take that cost no more."""

    up_to_usd: str
    """Per million output tokens."""
    multiplier: str


class PlanRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan as it stands in a file. Amounts and multipliers are strings of decimals."""

    id: str
    title: str
    usd_per_month: str
    allowance: int
    """Whole credits a cycle."""
    calls_per_minute: int
    """To one model."""
    quarterly_discount: int = 0
    """Percent."""
    yearly_discount: int = 0
    on_sale: bool = True
    """Whether it can be bought; those who have it keep it."""
    multipliers: Mapping[str, str] = {}
    """By the name of a model; "none" leaves it out."""
    bands: Sequence[BandRow] = ()


class _Rates(msgspec.Struct, frozen=True):
    """What a row says of models: None for one that it leaves out."""

    named: Mapping[str, int | None]
    bands: tuple[tuple[int, int], ...]


def assemble(rows: Iterable[PlanRow], catalog: Catalog) -> dict[str, Plan]:
    """Plans by id, the cheapest first. Raises: PlanError."""
    plans: dict[str, Plan] = {}
    for row in rows:
        if row.id in plans:
            raise PlanError(f"plan {row.id!r}: there are two of this id")
        plans[row.id] = _plan(row)
    rates = {row.id: _rates(row, catalog) for row in rows}
    ordered = sorted(plans.values(), key=lambda plan: plan.monthly)
    for low, high in pairwise(ordered):
        if low.monthly == high.monthly:
            raise PlanError(
                f"plan {high.id!r}: usd_per_month: {low.id!r} costs the same, and of two plans "
                "one has to include the other"
            )
    return _with_models(ordered, rates, catalog)


def _with_models(
    plans: Sequence[Plan], rates: Mapping[str, _Rates], catalog: Catalog
) -> dict[str, Plan]:
    prices = {name: _dearest(name, catalog) for name in catalog.models}
    free = {name for name in catalog.models if _costs_nothing(name, catalog)}
    made: dict[str, Plan] = {}
    tiers: dict[str, str] = {}
    named: dict[str, int | None] = {}
    below: dict[str, int] = {}
    for plan in plans:
        own = rates[plan.id]
        named = {**_kept(named), **own.named}
        here: dict[str, int] = {}
        for name in catalog.models.keys() | named.keys():
            found = _multiplier(name, named, free, prices.get(name), own.bands, below)
            if found is not None:
                here[name] = found
        for name, found in here.items():
            tiers.setdefault(name, FREE_TIER if not made and not found else plan.id)
        made[plan.id] = msgspec.structs.replace(plan, multipliers=_by_all_names(here, catalog))
        below = here
    return {name: msgspec.structs.replace(plan, tiers=dict(tiers)) for name, plan in made.items()}


def _kept(named: Mapping[str, int | None]) -> dict[str, int | None]:
    """What a plan above takes over: what is named, and not what is left out."""
    return {name: found for name, found in named.items() if found is not None}


def _multiplier(  # the order of the module's first paragraph
    name: str,
    named: Mapping[str, int | None],
    free: set[str],
    price: int | None,
    bands: Sequence[tuple[int, int]],
    below: Mapping[str, int],
) -> int | None:
    if name in named:
        return named[name]
    if name in free:
        return 0
    for up_to, multiplier in bands:
        if price is not None and price <= up_to:
            return multiplier
    return below.get(name)


def _by_all_names(multipliers: Mapping[str, int], catalog: Catalog) -> dict[str, int]:
    """Also by the other names of models, and those of their variants for coding."""
    names = dict(multipliers)
    for alias, model in catalog.aliases.items():
        for mark in ("", CODE):
            if mark + model in multipliers:
                names.setdefault(mark + alias, multipliers[mark + model])
    return names


def _prices(name: str, catalog: Catalog, kind: str | None = None) -> list[Price]:
    return [
        offer.price
        for offer in catalog.offers[name]
        if offer.price is not None and kind in (None, offer.kind)
    ]


def _dearest(name: str, catalog: Catalog) -> int | None:
    return max((price.output for price in _prices(name, catalog, "chat")), default=None)


def _costs_nothing(name: str, catalog: Catalog) -> bool:
    prices = _prices(name, catalog)
    return bool(prices) and all(map(is_free, prices))


# One row.


def _plan(row: PlanRow) -> Plan:
    place = f"plan {row.id!r}"
    if not _ID.fullmatch(row.id) or row.id == FREE_TIER:
        raise PlanError(f"{place}: id: write small letters, digits and hyphens, and not 'free'")
    if not row.title.strip():
        raise PlanError(f"{place}: title: it is empty")
    for field, low, high in (
        ("allowance", 1, ALLOWANCE_MAX),
        ("calls_per_minute", 1, ALLOWANCE_MAX),
        ("quarterly_discount", 0, 99),
        ("yearly_discount", 0, 99),
    ):
        if not low <= getattr(row, field) <= high:
            raise PlanError(f"{place}: {field}: {getattr(row, field)} is not {low} to {high}")
    return Plan(
        id=row.id,
        title=row.title,
        monthly=_monthly(row.usd_per_month, place),
        allowance=row.allowance * CREDIT,
        per_model=row.calls_per_minute,
        quarterly_discount=row.quarterly_discount,
        yearly_discount=row.yearly_discount,
        on_sale=row.on_sale,
    )


def _monthly(text: str, place: str) -> Nano:
    amount = _usd(text, f"{place}: usd_per_month")
    if amount <= 0 or amount % CENT or amount > 1_000_000 * 100 * CENT:
        raise PlanError(f"{place}: usd_per_month: {text!r} is no price in whole cents")
    return amount


def _usd(text: str, place: str) -> Nano:
    try:
        return parse_usd(text)
    except ValueError as error:
        raise PlanError(f"{place}: {error}") from None


def _rates(row: PlanRow, catalog: Catalog) -> _Rates:
    place = f"plan {row.id!r}"
    named = {
        _model_of(name, catalog): None
        if text == NONE
        else parse_multiplier(text, f"{place}: multipliers: {name!r}")
        for name, text in row.multipliers.items()
    }
    bands: list[tuple[int, int]] = []
    for band in row.bands:
        up_to = _usd(band.up_to_usd, f"{place}: bands: up_to_usd")
        if up_to <= (bands[-1][0] if bands else -1):
            raise PlanError(f"{place}: bands: up_to_usd must rise from band to band, from 0")
        bands.append((up_to, parse_multiplier(band.multiplier, f"{place}: bands: multiplier")))
    return _Rates(named, tuple(bands))


def _model_of(name: str, catalog: Catalog) -> str:
    """The model's own name; a variant for coding keeps its mark."""
    base = name.removeprefix(CODE)
    return name.removesuffix(base) + catalog.aliases.get(base, base)


def parse_multiplier(text: str, place: str) -> int:
    """Thousandths of a credit, from a decimal such as "0.77". Raises: PlanError."""
    try:
        amount = Decimal(text) * CREDIT
    except InvalidOperation:
        raise PlanError(f"{place}: {text!r} is no number of credits") from None
    if not amount.is_finite() or not 0 <= amount <= MULTIPLIER_MAX:
        raise PlanError(f"{place}: {text!r} is not 0 to {MULTIPLIER_MAX // CREDIT} credits")
    if amount != amount.to_integral_value():
        raise PlanError(f"{place}: {text!r} is finer than a thousandth of a credit")
    return int(amount)
