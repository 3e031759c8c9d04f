"""Behaviour of the recommendation of a model."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from apertura.api import recommend
from apertura.api.parts import Current, Parts
from apertura.domain.catalog import OfferRow, ProviderRow, assemble
from apertura.domain.recommend import BUDGETS, TASKS
from apertura.domain.routing import Routes
from apertura.errors import AuthenticationFailed, BadRequest, Unavailable
from apertura.store.catalog import recommended
from tests.api.asked import asked
from tests.api.client import Served

ACME = ProviderRow(name="acme", base_url="https://api.acme.example/v1")


def offering(served: Served, **prices: str) -> Parts:
    """The parts of an application that offers these models of the table."""
    rows = [
        OfferRow(
            model=model.replace("_", "-"),
            provider="acme",
            aliases=[f"{model}-alias"],
            input_usd_per_million=price,
            output_usd_per_million=price,
        )
        for model, price in prices.items()
    ]
    current = Current(Routes(assemble([ACME], rows)))
    return msgspec.structs.replace(served.app.parts, current=current)


async def test_a_recommendation_has_the_shape_of_the_contract(served: Served) -> None:
    """The medium budget holds unasked; prices are exact, per million."""
    parts = offering(served, kimi_k3="3", **{"gpt-4o": "2.5"}, gpt_4o_mini="0.15")

    answer = await asked(recommend.show, parts, "/v1/recommend?task=vision", key=await served.key())

    assert answer == {
        "model": "gpt-4o",
        "task": "vision",
        "budget": "medium",
        "input_price_per_1m": Decimal("2.5"),
        "output_price_per_1m": Decimal("2.5"),
        "reason": "Chat model by acme.",
        "alternatives": [
            {
                "model": "gpt-4o-mini",
                "input_price_per_1m": Decimal("0.15"),
                "note": "Chat model by acme.",
            },
            {"model": "kimi-k3", "input_price_per_1m": 3, "note": "Chat model by acme."},
        ],
    }


async def test_a_key_is_recommended_what_it_may_use(served: Served) -> None:
    """Also where its list has another name of the model."""
    parts = offering(served, kimi_k3="3", gpt_4o_mini="0.15")
    key = await served.key(models=("kimi_k3-alias",))

    answer = await asked(recommend.show, parts, "/v1/recommend?task=vision&budget=low", key=key)

    assert (answer["model"], answer["alternatives"]) == ("kimi-k3", [])


async def test_what_cannot_be_recommended_says_why(served: Served) -> None:
    """400 for the question, 401 for the key, 503 if nothing is left."""
    key = await served.key()
    for query, param in (("", "task"), ("task=x", "task"), ("task=coding&budget=x", "budget")):
        with pytest.raises(BadRequest) as refused:
            await asked(recommend.show, served.app.parts, f"/v1/recommend?{query}", key=key)
        assert refused.value.param == param
    with pytest.raises(AuthenticationFailed):
        await asked(recommend.show, served.app.parts, "/v1/recommend?task=coding")
    with pytest.raises(Unavailable):
        await asked(recommend.show, served.app.parts, "/v1/recommend?task=coding", key=key)


def test_the_shipped_table_has_choices_for_every_task() -> None:
    """No model twice in one, and budgets that differ."""
    table = recommended()

    assert tuple(sorted(table)) == tuple(sorted(TASKS))
    for entries in table.values():
        assert len(entries) >= 10
        assert len({entry.model for entry in entries}) == len(entries)
        assert all(0 < entry.power <= 100 for entry in entries)
    assert BUDGETS == ("low", "medium", "high")
