"""Behaviour of plans as they stand in files."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from apertura.domain.catalog import Catalog, OfferRow, ProviderRow, assemble
from apertura.domain.money import parse_usd
from apertura.domain.plan_rows import BandRow, PlanError, PlanRow, parse_multiplier
from apertura.domain.plan_rows import assemble as assemble_plans
from apertura.domain.plans import Plan

ACME = ProviderRow(name="acme", base_url="https://acme.test")
OTHER = ProviderRow(name="other", base_url="https://other.test")


def offer(model: str, output: str | None, provider: str = "acme", **fields: Any) -> OfferRow:
    if output is not None:
        fields |= {"input_usd_per_million": "0", "output_usd_per_million": output}
    return OfferRow(model=model, provider=provider, **fields)


CATALOG = assemble(
    [ACME, OTHER],
    [
        offer("cheap", "0.5", aliases=["cheapest"]),
        offer("middle", "2"),
        offer("middle", "1", "other"),
        offer("dear", "20", aliases=["org/dear"]),
        offer("gift", "0"),
        offer("half-gift", "0"),
        offer("half-gift", "3", "other"),
        offer("unpriced", None),
        offer("embed", None, kind="embeddings", input_usd_per_million="0.02"),
    ],
)
LOW: dict[str, Any] = {
    "id": "low",
    "title": "Low",
    "usd_per_month": "10",
    "allowance": 100,
    "calls_per_minute": 5,
}
HIGH: dict[str, Any] = {**LOW, "id": "high", "title": "High", "usd_per_month": "20"}


def made(*rows: dict[str, Any], catalog: Catalog = CATALOG) -> dict[str, Plan]:
    return assemble_plans([msgspec.convert(row, PlanRow) for row in rows], catalog)


def bands(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"up_to_usd": up_to, "multiplier": multiplier} for up_to, multiplier in pairs]


def test_a_row_is_a_plan() -> None:
    """Amounts in nano-dollars, credits in thousandths; the cheapest first."""
    discounts = {"quarterly_discount": 10, "yearly_discount": 20, "on_sale": False}
    high, low = {**HIGH, **discounts}, {**LOW, "usd_per_month": "9.99"}

    plans = made(high, low)

    assert list(plans) == ["low", "high"]
    assert plans["high"] == Plan(
        id="high",
        title="High",
        monthly=parse_usd("20"),
        allowance=100_000,
        per_model=5,
        quarterly_discount=10,
        yearly_discount=20,
        on_sale=False,
        multipliers={"gift": 0},
        tiers={"gift": "free"},
    )
    assert plans["low"].monthly == parse_usd("9.99")
    assert plans["low"].on_sale
    assert (plans["low"].quarterly_discount, plans["low"].yearly_discount) == (0, 0)


def test_a_band_has_the_models_up_to_its_price() -> None:
    """Of chat, by the dearest offer; the first band that reaches it; none above the last."""
    plan = made({**LOW, "bands": bands(("0.5", "0.25"), ("2", "1"), ("3", "1.5"))})["low"]

    assert {name: plan.multiplier(name) for name in CATALOG.models} == {
        "cheap": 250,
        "middle": 1000,
        "dear": None,
        "gift": 0,
        "half-gift": 1500,
        "unpriced": None,
        "embed": None,
    }
    assert plan.multiplier("cheapest") == 250
    assert plan.tiers == {"cheap": "low", "middle": "low", "half-gift": "low", "gift": "free"}


def test_a_plan_has_the_models_of_those_below_it() -> None:
    """For what it says of them itself, else for what they say: by name first, then by price."""
    low = {**LOW, "multipliers": {"middle": "3", "embed": "0.001"}, "bands": bands(("1", "2"))}
    high = {**HIGH, "bands": bands(("20", "5"))}

    plans = made(low, high)

    assert [plan.multiplier("cheap") for plan in plans.values()] == [2000, 5000]
    assert [plan.multiplier("middle") for plan in plans.values()] == [3000, 3000]
    assert [plan.multiplier("dear") for plan in plans.values()] == [None, 5000]
    assert [plan.multiplier("embed") for plan in plans.values()] == [1, 1]
    for plan in plans.values():
        assert plan.tiers["dear"] == "high"
        assert plan.tiers["middle"] == plan.tiers["embed"] == "low"
    lone = made(low, HIGH)["high"]
    assert lone.multiplier("cheap") == 2000


def test_a_model_that_is_named_takes_what_is_said() -> None:
    """By any of its names; nothing, or nothing at all; whatever its price."""
    low = {**LOW, "multipliers": {"org/dear": "0", "cheap": "none", "gift": "2"}}
    high = {**HIGH, "multipliers": {"dear": "0.5"}, "bands": bands(("1", "4"))}

    plans = made({**low, "bands": bands(("1", "1"))}, high)

    assert [plan.multiplier("dear") for plan in plans.values()] == [0, 500]
    assert [plan.multiplier("org/dear") for plan in plans.values()] == [0, 500]
    assert [plan.multiplier("cheap") for plan in plans.values()] == [None, 4000]
    assert [plan.multiplier("gift") for plan in plans.values()] == [2000, 2000]
    tiers = plans["high"].tiers
    assert (tiers["dear"], tiers["cheap"], tiers["gift"]) == ("free", "high", "low")


def test_a_variant_for_coding_may_take_something_else() -> None:
    """By each name of its model; the model itself need not be in the plan."""
    low = {**LOW, "multipliers": {"code:org/dear": "10"}}

    plans = made(low, {**HIGH, "multipliers": {"dear": "2"}})

    assert [plan.multiplier("code:dear") for plan in plans.values()] == [10_000, 10_000]
    assert [plan.multiplier("code:org/dear") for plan in plans.values()] == [10_000, 10_000]
    assert [plan.multiplier("dear") for plan in plans.values()] == [None, 2000]


def test_what_the_catalogue_does_not_have_may_be_named() -> None:
    """The catalogue differs with the keys that are set; the plans do not."""
    plan = made({**LOW, "multipliers": {"later": "1.5"}})["low"]

    assert plan.multiplier("later") == 1500


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "free"}, "plan 'free': id:"),
        ({"id": "A plan"}, "plan 'A plan': id:"),
        ({"id": ""}, "plan '': id:"),
        ({"title": " "}, "plan 'low': title:"),
        ({"allowance": 0}, "plan 'low': allowance: 0 is not 1 to"),
        ({"allowance": 1_000_000_001}, "plan 'low': allowance:"),
        ({"calls_per_minute": 0}, "plan 'low': calls_per_minute:"),
        ({"quarterly_discount": 100}, "plan 'low': quarterly_discount: 100 is not 0 to 99"),
        ({"yearly_discount": -1}, "plan 'low': yearly_discount:"),
        ({"usd_per_month": "0"}, "plan 'low': usd_per_month:"),
        ({"usd_per_month": "-5"}, "plan 'low': usd_per_month:"),
        ({"usd_per_month": "1.005"}, "plan 'low': usd_per_month: '1.005' is no price"),
        ({"usd_per_month": "1000000.01"}, "plan 'low': usd_per_month:"),
        ({"usd_per_month": "ten"}, "plan 'low': usd_per_month: 'ten' is not an amount"),
        ({"multipliers": {"m": "x"}}, "plan 'low': multipliers: 'm': 'x' is no number"),
        ({"multipliers": {"m": "-1"}}, "plan 'low': multipliers: 'm': '-1' is not 0 to 10000"),
        ({"bands": bands(("2", "1"), ("2", "2"))}, "plan 'low': bands: up_to_usd must rise"),
        ({"bands": bands(("-0.000000001", "1"))}, "plan 'low': bands: up_to_usd must rise"),
        ({"bands": bands(("x", "1"))}, "plan 'low': bands: up_to_usd: 'x' is not an amount"),
        ({"bands": bands(("1", "x"))}, "plan 'low': bands: multiplier: 'x' is no number"),
    ],
)
def test_bad_data_are_refused_where_they_stand(fields: dict[str, Any], words: str) -> None:
    """With the plan and the field at fault."""
    with pytest.raises(PlanError) as raised:
        made({**LOW, **fields})

    assert words in raised.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"usd_per_month": "1000000"},
        {"allowance": 1_000_000_000},
        {"bands": bands(("0", "1"), ("0.000000001", "1"))},
    ],
)
def test_the_bounds_are_allowed(fields: dict[str, Any]) -> None:
    """They are large enough for anybody."""
    assert made({**LOW, **fields})


def test_two_plans_differ() -> None:
    """In their id; and in their price, which says which of them includes the other."""
    with pytest.raises(PlanError, match="plan 'low': there are two of this id"):
        made(LOW, LOW)
    with pytest.raises(PlanError, match="usd_per_month: 'low' costs the same"):
        made(LOW, {**HIGH, "usd_per_month": "10"})


@pytest.mark.parametrize(
    ("text", "thousandths"), [("0", 0), ("1", 1000), ("0.77", 770), ("0.001", 1), ("10000", 10**7)]
)
def test_a_multiplier_is_thousandths_of_a_credit(text: str, thousandths: int) -> None:
    """Exactly."""
    assert parse_multiplier(text, "here") == thousandths


@pytest.mark.parametrize("text", ["0.0001", "10000.001", "-0.001", "nan", "inf", "", "1,5"])
def test_a_multiplier_that_is_none_is_refused(text: str) -> None:
    """With its place."""
    with pytest.raises(PlanError, match=r"^here: "):
        parse_multiplier(text, "here")


def test_a_row_knows_no_other_fields() -> None:
    """A slip of the pen is found."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**LOW, "price": "1"}, PlanRow)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"up_to_usd": "1", "multiplier": "1", "tier": "x"}, BandRow)
