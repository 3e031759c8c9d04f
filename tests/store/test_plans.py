"""The plans that are shipped, and those that an installation puts over them."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

from apertura.domain.catalog import Catalog
from apertura.domain.money import parse_usd
from apertura.domain.plan_rows import PlanError
from apertura.domain.plans import CREDIT, MS_PER_DAY
from apertura.store.catalog import read_catalog, shipped_hosts
from apertura.store.plans import PLANS, read_plans, shipped_plans

NOTHING = Catalog(models={}, offers={})


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """All that is shipped, as if each key was set."""
    environment = {}
    for host in shipped_hosts():
        environment[host["env"]] = "key"
        if "base_url_env" in host:
            environment[host["base_url_env"]] = "https://place.test"
    return read_catalog(environment)


def shipped_rows() -> list[dict[str, Any]]:
    text = (files("apertura") / "catalogue" / PLANS).read_text()
    return list(tomllib.loads(text)["plans"])


@pytest.mark.parametrize(
    ("name", "title", "usd", "credits_", "per_minute"),
    [
        ("lite", "Lite", "12", 600, 15),
        ("pro", "Pro", "25", 900, 20),
        ("plus", "Plus", "60", 1500, 25),
        ("max", "Max", "200", 5000, 30),
    ],
)
def test_the_shipped_plans(name: str, title: str, usd: str, credits_: int, per_minute: int) -> None:
    """As the contract has them."""
    plan = shipped_plans().plans[name]

    assert (plan.title, plan.monthly, plan.on_sale) == (title, parse_usd(usd), True)
    assert (plan.allowance, plan.per_model) == (credits_ * CREDIT, per_minute)
    assert (plan.quarterly_discount, plan.yearly_discount) == (10, 20)
    assert shipped_plans().grace_ms == 7 * MS_PER_DAY


@pytest.mark.parametrize(
    ("name", "multipliers"),
    [
        ("glm-5.1", [1500, 1500, 1000, 1000]),
        ("claude-opus-4-6", [2000, 1500, 1500, 1500]),
        ("code:claude-opus-4-6", [10000, 1500, 1500, 1500]),
        ("code:claude-opus-4.6", [10000, 1500, 1500, 1500]),
        ("gemini-3-flash-preview", [200, 200, 200, 200]),
        ("gemini-3.1-pro-preview", [770, 770, 770, 770]),
        ("gpt-5.4", [None, 1000, 800, 800]),
        ("claude-opus-4-7", [None, None, 4000, 4000]),
        ("glm-4.7-flash", [0, 0, 0, 0]),
        ("glm-4.5-flash", [0, 0, 0, 0]),
        ("voyage-4", [None, None, None, None]),
    ],
)
def test_what_models_take(catalog: Catalog, name: str, multipliers: list[int | None]) -> None:
    """The sample figures of the contract; for nothing where nobody asks anything."""
    plans = read_plans(catalog).plans.values()

    assert [plan.multiplier(name) for plan in plans] == multipliers


def test_the_models_that_are_named_are_there(catalog: Catalog) -> None:
    """In the whole catalogue."""
    for row in shipped_rows():
        for name in row.get("multipliers", {}):
            base = name.removeprefix("code:")
            assert base in catalog.models or base in catalog.aliases


def test_a_larger_plan_never_takes_more(catalog: Catalog) -> None:
    """And has all models of the smaller ones."""
    plans = list(read_plans(catalog).plans.values())

    for low, high in pairwise(plans):
        for name, multiplier in low.multipliers.items():
            other = high.multiplier(name)
            assert other is not None, (high.id, name)
            assert other <= multiplier, (high.id, name)


def test_a_call_of_a_band_costs_no_more_than_its_credits_bring_in() -> None:
    """At the band's upper end: 6,000 tokens in at a quarter of the price, and 600 out."""
    for row in shipped_rows():
        credit = Decimal(row["usd_per_month"]) / row["allowance"]
        for band in row["bands"]:
            price = Decimal(band["up_to_usd"]) / 1_000_000
            assert 6_000 * price / 4 + 600 * price <= Decimal(band["multiplier"]) * credit


def test_each_model_has_a_tier_of_its_lowest_plan(catalog: Catalog) -> None:
    """Or is free."""
    plans = list(read_plans(catalog).plans.values())

    for name, tier in plans[0].tiers.items():
        having = [plan.id for plan in plans if plan.multiplier(name) is not None]
        free = plans[0].multiplier(name) == 0
        assert tier == ("free" if free else having[0])


def test_an_own_row_changes_what_it_states() -> None:
    """And nothing else; multipliers one by one."""
    own = {"id": "lite", "usd_per_month": "9", "multipliers": {"glm-5.1": "none", "mine": "3"}}

    plan = read_plans(NOTHING, [own], grace_days=3).plans["lite"]

    assert (plan.monthly, plan.allowance) == (parse_usd("9"), 600_000)
    assert plan.multiplier("glm-5.1") is None
    assert plan.multiplier("mine") == 3000
    assert plan.multiplier("claude-opus-4-6") == 2000
    assert read_plans(NOTHING, grace_days=3).grace_ms == 3 * MS_PER_DAY


def test_an_own_plan_is_added() -> None:
    """Where its price puts it, with the models of those below."""
    own = {
        "id": "team",
        "title": "Team",
        "usd_per_month": "100",
        "allowance": 9000,
        "calls_per_minute": 60,
    }

    plans = read_plans(NOTHING, [own]).plans

    assert list(plans) == ["lite", "pro", "plus", "team", "max"]
    assert plans["team"].multiplier("gpt-5.4") == 800


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"id": "lite", "allowance": "many"}, "plan 'lite': Expected `int`"),
        ({"id": "lite", "usd_per_month": 9.5}, "plan 'lite': Expected `str`"),
        ({"id": "lite", "multipliers": {"m": 1.5}}, "plan 'lite': Expected `str`"),
        ({"id": "lite", "multipliers": "m"}, "plan 'lite': Expected `object`"),
        ({"id": "lite", "price": "1"}, "plan 'lite': Object contains unknown field `price`"),
        ({"id": "team"}, "plan 'team': Object missing required field"),
        ({"title": "Nameless"}, "plan '?': Object missing required field `id`"),
        ({"id": 5}, "plan 5: Expected `str`"),
    ],
)
def test_bad_rows_are_refused(own: dict[str, Any], words: str) -> None:
    """Naming the entry and the field."""
    with pytest.raises(PlanError) as raised:
        read_plans(NOTHING, [own])

    assert words in raised.value.message
