"""Behaviour of the catalogue's snapshot."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from apertura.domain.catalog import CatalogError, OfferRow, ProviderRow, TierRow, assemble
from apertura.domain.pricing import Price, Tier

ACME = ProviderRow(name="acme", base_url="https://api.acme.example/v1", title="Acme")
OTHER = ProviderRow(name="other", base_url="http://127.0.0.1:9/v1")


def row(model: str = "small", provider: str = "acme", **fields) -> OfferRow:
    prices = {"input_usd_per_million": "2.50", "output_usd_per_million": "10"}
    return OfferRow(model=model, provider=provider, **{**prices, **fields})


def tier(above: int, amount: str | None) -> TierRow:
    return TierRow(above_input_tokens=above, input_usd_per_million=amount)


def test_an_offer_is_read_with_its_price() -> None:
    """Dollars per million tokens become nano-dollars per million, each class in its place."""
    full = row(
        cache_read_usd_per_million="1.25",
        cache_write_usd_per_million="3",
        cache_write_1h_usd_per_million="4",
        audio_input_usd_per_million="5",
        audio_output_usd_per_million="6",
        image_output_usd_per_million="30",
        usd_per_call="0.000001",
        upstream_model="small-2026",
        checked="2026-01-31",
    )

    (offer,) = assemble([ACME], [full]).offers["small"]

    assert (offer.id, offer.upstream_model) == ("acme/small-2026", "small-2026")
    assert offer.price_id == "acme:2.50/10@2026-01-31"
    assert offer.price == Price(
        input=2_500_000_000,
        output=10_000_000_000,
        cache_read=1_250_000_000,
        cache_write=3_000_000_000,
        cache_write_1h=4_000_000_000,
        audio_input=5_000_000_000,
        audio_output=6_000_000_000,
        image_output=30_000_000_000,
        per_call=1_000,
    )


def test_tiers_are_read_with_their_prices() -> None:
    """From bound to bound; a class that a tier does not state keeps the price it had below."""
    tiers = [
        TierRow(above_input_tokens=200_000, input_usd_per_million="5"),
        TierRow(above_input_tokens=500_000, output_usd_per_million="30"),
    ]

    (offer,) = assemble([ACME], [row(usd_per_call="1", tiers=tiers)]).offers["small"]

    base = {"cache_read": None, "per_call": 10**9}
    assert offer.price is not None
    assert offer.price.tiers == (
        Tier(200_000, Price(input=5 * 10**9, output=10 * 10**9, **base)),
        Tier(500_000, Price(input=5 * 10**9, output=30 * 10**9, **base)),
    )
    assert offer.price_id == "acme:2.50/10>200000:5/0>500000:0/30@local"


def test_an_offer_without_a_price_is_kept_without_one() -> None:
    """No price is guessed."""
    unpriced = row(input_usd_per_million=None, output_usd_per_million=None)

    (offer,) = assemble([ACME], [unpriced]).offers["small"]

    assert (offer.price, offer.price_id) == (None, "")


def test_the_last_row_of_an_offer_wins() -> None:
    """An installation's row replaces the shipped one of the same model, provider and kind."""
    catalog = assemble([ACME], [row(), row(input_usd_per_million="7"), row(kind="embeddings")])

    prices = {offer.kind: offer.price.input for offer in catalog.offers["small"]}
    assert prices == {"chat": 7_000_000_000, "embeddings": 2_500_000_000}


def test_the_last_row_of_a_provider_wins() -> None:
    """With its key and its address."""
    mine = ProviderRow(name="acme", base_url="http://localhost:1/v1", api_key="mine")

    (offer,) = assemble([ACME, mine], [row()]).offers["small"]

    assert offer.provider is mine


def test_offers_stand_by_weight_and_then_by_name() -> None:
    """Whatever the order of the rows."""
    rows = [row(weight=10), row(provider="other", weight=90), row(kind="embeddings", weight=10)]

    for shuffled in permutations(rows):
        offers = assemble([ACME, OTHER], shuffled).offers["small"]
        assert [offer.id for offer in offers] == ["other/small", "acme/small", "acme/small"]


def test_offers_of_absent_providers_are_left_out() -> None:
    """And so are models that nobody else has; what they say is not even read."""
    broken = row("large", "nobody", input_usd_per_million="free")

    catalog = assemble([ACME], [row(), broken])

    assert list(catalog.models) == ["small"]


def test_a_model_gathers_what_its_offers_can() -> None:
    """Kinds and capabilities of all, the rest from the first; models stand by name."""
    rows = [
        row("zoo"),
        row(context_length=8000, capabilities=["tools"]),
        row(provider="other", kind="embeddings", capabilities=["vision"], context_length=1),
    ]

    catalog = assemble([ACME, OTHER], rows)

    assert list(catalog.models) == ["small", "zoo"]
    small = catalog.models["small"]
    assert small.owned_by == "Acme"
    assert small.kinds == {"chat", "embeddings"}
    assert small.capabilities == {"tools", "vision"}
    assert small.context_length == 8000


def test_an_offer_speaks_what_its_provider_speaks_or_its_own() -> None:
    """A row's own dialect is then its only one."""
    both = ProviderRow(
        name="acme", base_url="https://x.example/v1", also_dialects=("openai_responses",)
    )
    rows = [row(), row("pro", dialect="openai_responses"), row("odd", "other", dialect="gemini")]

    offers = assemble([both, OTHER], rows).offers

    assert {name: group[0].dialects for name, group in offers.items()} == {
        "small": ("openai_chat", "openai_responses"),
        "pro": ("openai_responses",),
        "odd": ("gemini",),
    }
    assert {name: group[0].dialect for name, group in offers.items()} == {
        "small": "openai_chat",
        "pro": "openai_responses",
        "odd": "gemini",
    }


def test_an_alias_yields_to_a_model_of_that_name() -> None:
    """The last row to claim an alias has it, as with everything else."""
    rows = [row(aliases=["tiny", "large"]), row("zoo", aliases=["tiny"]), row("large")]

    assert assemble([ACME], rows).aliases == {"tiny": "zoo"}
    assert assemble([ACME], rows[:1]).aliases == {"tiny": "small", "large": "small"}


def test_modalities_follow_from_what_a_row_says() -> None:
    """From its capabilities and its kind, unless it states them."""
    rows = [
        row("seer", capabilities=["vision", "pdf", "tools", "audio", "video"]),
        row("vector", kind="embeddings"),
        row("judge", kind="rerank"),
        row("ear", kind="transcription"),
        row("mouth", kind="speech"),
        row("painter", kind="images"),
        row("both", output_modalities=["text", "image"], input_modalities=["image"]),
    ]

    shown = {
        name: (sorted(model.input_modalities), sorted(model.output_modalities))
        for name, model in assemble([ACME], rows).models.items()
    }

    assert shown == {
        "seer": (["audio", "file", "image", "text", "video"], ["text"]),
        "vector": (["text"], ["embeddings"]),
        "judge": (["text"], ["scores"]),
        "ear": (["audio"], ["text"]),
        "mouth": (["text"], ["audio"]),
        "painter": (["text"], ["image"]),
        "both": (["image"], ["image", "text"]),
    }


def test_a_model_has_what_listings_need() -> None:
    """From the first of its rows."""
    facts = {
        "title": "Small",
        "description": "A small model.",
        "knowledge": "2026-01",
        "deprecated": "2027-01-31",
    }

    catalog = assemble(
        [ACME, OTHER], [row(**facts), row(provider="other", title="Else"), row("zoo")]
    )

    small = catalog.models["small"]
    assert {name: getattr(small, name) for name in facts} == facts
    assert catalog.models["zoo"].title == "zoo"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input_usd_per_million": "free"}, "input_usd_per_million"),
        ({"input_usd_per_million": "-1"}, "input_usd_per_million"),
        ({"input_usd_per_million": None}, "input_usd_per_million"),
        ({"output_usd_per_million": None}, "output_usd_per_million"),
        ({"output_usd_per_million": "0.0000000001"}, "output_usd_per_million"),
        ({"output_usd_per_million": "1000000"}, "output_usd_per_million"),
        ({"cache_read_usd_per_million": "x"}, "cache_read_usd_per_million"),
        ({"audio_output_usd_per_million": "-0.5"}, "audio_output_usd_per_million"),
        ({"usd_per_call": "1e400"}, "usd_per_call"),
        ({"kind": "video"}, "kind"),
        ({"kind": "images", "dialect": "smoke"}, "dialect"),
        ({"weight": -1}, "weight"),
        ({"input_modalities": ["smell"]}, "input_modalities"),
        ({"output_modalities": ["text", "smell"]}, "output_modalities"),
        ({"tiers": [tier(0, "1")]}, "tiers: above_input_tokens"),
        ({"tiers": [tier(9, "1"), tier(9, "2")]}, "tiers: above_input_tokens"),
        ({"tiers": [tier(9, "1"), tier(8, "2")]}, "tiers: above_input_tokens"),
        ({"tiers": [tier(9, None)]}, "tiers: the tier above 9"),
        ({"tiers": [tier(9, "free")]}, "input_usd_per_million"),
        (
            {
                "input_usd_per_million": None,
                "output_usd_per_million": None,
                "tiers": [tier(9, "1")],
            },
            "input_usd_per_million",
        ),
        (
            {
                "kind": "rerank",
                "input_usd_per_million": None,
                "output_usd_per_million": None,
                "usd_per_call": "1",
            },
            "input_usd_per_million",
        ),
    ],
)
def test_a_bad_offer_is_named_with_its_field(fields: dict[str, object], field: str) -> None:
    """So that whoever wrote it finds it."""
    with pytest.raises(CatalogError, match=f"offer 'broken': {field}") as refused:
        assemble([ACME], [row(), row("broken", **fields)])

    assert refused.value.message == str(refused.value)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"dialect": "smoke"}, "dialect"),
        ({"base_url": "ftp://api.acme.example"}, "base_url"),
        ({"base_url": "api.acme.example"}, "base_url"),
        ({"base_url": "http://"}, "base_url"),
        ({"base_url": "http://acme.example:port/v1"}, "base_url"),
        ({"base_url": "http://acme.example/a b"}, "base_url"),
        ({"base_url": "http://acme.example/v1\r\nx-evil: 1"}, "base_url"),
        ({"auth": "handshake"}, "auth"),
        ({"also_dialects": ("openai_chat", "smoke")}, "dialect"),
        ({"kind": "smoke"}, "kind"),
        ({"api_key": "secret\r\nx-evil: 1"}, "api_key"),
        ({"api_key": "secret\nsecond line"}, "api_key"),
    ],
)
def test_a_bad_provider_is_named_with_its_field(fields: dict[str, str], field: str) -> None:
    """And its secret is not in the message."""
    broken = ProviderRow(**{"name": "broken", "base_url": "http://x.example/v1", **fields})

    with pytest.raises(CatalogError, match=re.escape(f"provider 'broken': {field}")) as refused:
        assemble([ACME, broken], [row()])

    assert "secret" not in refused.value.message
