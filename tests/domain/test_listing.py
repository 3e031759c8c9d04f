"""Behaviour of public lists: a model's price and kind, as they are shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.catalog import Catalog, OfferRow, ProviderRow, TierRow, assemble
from apertura.domain.listing import charge_type, first_offer, listed, per_million, per_thousand
from apertura.domain.pricing import FREE, Price

ACME = ProviderRow(name="acme", base_url="https://api.acme.example/v1", title="Acme")
OTHER = ProviderRow(name="other", base_url="https://api.other.example/v1")
TODAY = "2026-11-22"


def row(model: str = "small", provider: str = "acme", **fields: Any) -> OfferRow:
    prices = {"input_usd_per_million": "2.50", "output_usd_per_million": "10"}
    return msgspec.convert({"model": model, "provider": provider, **prices, **fields}, OfferRow)


def shown(*rows: OfferRow, model: str = "small") -> dict[str, Any]:
    catalog = assemble([ACME, OTHER], rows)
    return listed(catalog, catalog.models[model], TODAY)


def test_a_row_has_what_the_contract_names() -> None:
    """Prices in dollars per 1,000 tokens, exactly; tiers and classes beside them."""
    tiers = [TierRow(above_input_tokens=200_000, input_usd_per_million="5")]

    found = shown(
        row(
            title="Small",
            context_length=400_000,
            max_output=1000,
            capabilities=["tools", "vision", "reasoning"],
            cache_read_usd_per_million="0.0125",
            tiers=[msgspec.to_builtins(tier) for tier in tiers],
            created=5,
            knowledge="2026-01",
        )
    )

    assert found == {
        "model_id": "small",
        "display_name": "Small",
        "provider": "Acme",
        "category": "chat",
        "description": "Chat model by Acme, 400,000 tokens of context; reasoning, tools, vision.",
        "context_length": 400_000,
        "max_output_tokens": 1000,
        "input_modalities": ["image", "text"],
        "output_modalities": ["text"],
        "features": ["reasoning", "tools", "vision"],
        "tasks": ["chat", "reasoning", "vision", "long-context"],
        "created": 5,
        "knowledge_cutoff": "2026-01",
        "is_enabled": True,
        "is_deprecated": False,
        "deprecation_date": None,
        "badge": None,
        "charge_type": "Pay As You Go",
        "input_price": Decimal("0.0025"),
        "output_price": Decimal("0.01"),
        "cache_read_price": Decimal("0.0000125"),
        "cache_write_price": None,
        "price_table": [],
        "price_tiers": [
            {
                "above_input_tokens": 200_000,
                "input_price": Decimal("0.005"),
                "output_price": Decimal("0.01"),
                "cache_read_price": Decimal("0.0000125"),
                "cache_write_price": None,
            }
        ],
    }


def test_the_price_is_that_of_the_offer_tried_first() -> None:
    """What has no price or no weight is passed over."""
    rows = [
        row(weight=0),
        row(provider="other", input_usd_per_million="3", weight=5),
        row(kind="embeddings", input_usd_per_million="7", weight=1),
    ]

    assert shown(*rows)["input_price"] == Decimal("0.003")
    catalog = assemble([ACME, OTHER], rows)
    offer = first_offer(catalog, "small", "embeddings")
    assert offer is not None
    assert offer.kind == "embeddings"
    assert first_offer(catalog, "small", "rerank") is None
    assert first_offer(catalog, "none") is None


def test_what_cannot_be_asked_for_is_not_enabled() -> None:
    """And shows no price."""
    found = shown(row(input_usd_per_million=None, output_usd_per_million=None))

    assert (found["is_enabled"], found["charge_type"], found["input_price"]) == (False, None, None)


def test_a_model_is_deprecated_from_its_day_on() -> None:
    """Not from when the day is announced."""
    assert shown(row(deprecated=TODAY))["is_deprecated"] is True
    assert shown(row(deprecated="2026-11-23"))["is_deprecated"] is False


@pytest.mark.parametrize(
    ("price", "kind"),
    [
        (FREE, "Free"),
        (Price(input=0, output=0, per_call=1), "Pay Per Request"),
        (Price(input=1, output=0, per_call=1), "Pay As You Go"),
        (Price(input=0, output=0, cache_write=1), "Pay As You Go"),
    ],
)
def test_the_way_to_pay_is_named(price: Price, kind: str) -> None:
    """In the contract's words."""
    assert charge_type(price) == kind


def test_a_price_per_call_stands_in_the_table() -> None:
    """In dollars per call."""
    found = shown(row(kind="rerank", input_usd_per_million="0", usd_per_call="0.002"))

    assert found["price_table"] == [{"spec": "default", "price": Decimal("0.002")}]
    assert (found["category"], found["output_modalities"]) == ("rerank", ["scores"])


@given(st.integers(0, 2**63 - 1))
def test_a_shown_price_is_exact(amount: int) -> None:
    """Digit for digit, and a number in JSON."""
    assert per_million(amount) * 10**9 == amount
    assert per_thousand(amount) * 10**12 == amount
    text = msgspec.json.Encoder(decimal_format="number").encode(per_thousand(amount)).decode()
    assert Decimal(text) * 10**12 == amount


@pytest.fixture
def empty() -> Catalog:
    return Catalog(models={}, offers={})


def test_an_empty_catalogue_has_no_first_offer(empty: Catalog) -> None:
    """Nothing is made up."""
    assert first_offer(empty, "small") is None
