"""The shipped catalogue: every row of every file, held to what a row must be."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Any

import pytest

from apertura.domain.catalog import Catalog, Offer
from apertura.domain.money import parse_usd
from apertura.domain.pricing import is_free
from apertura.store.catalog import read_catalog, recommended, shipped_hosts

CAPABILITIES = {
    "tools",
    "vision",
    "audio",
    "video",
    "pdf",
    "json_schema",
    "reasoning",
    "prompt_cache",
}
HOSTS = shipped_hosts()
FILES = sorted(
    (
        entry
        for entry in (files("apertura") / "catalogue").iterdir()
        if entry.name.endswith(".toml") and not entry.name.startswith("_")
    ),
    key=lambda entry: entry.name,
)
CONTENT = {file.name: tomllib.loads(file.read_text()) for file in FILES}
ROWS: list[dict[str, Any]] = [
    {**content["common"], **row} for content in CONTENT.values() for row in content["offers"]
]
CHAT = [row for row in ROWS if row.get("kind", "chat") == "chat"]


def name_of(row: dict[str, Any]) -> str:
    return f"{row['model']}@{row['provider']}"


def keys(*hosts: dict[str, Any]) -> dict[str, str]:
    """An environment that turns these on."""
    names = [host["env"] for host in hosts] + [
        host.get("base_url_env", "NOTHING") for host in hosts
    ]
    return dict.fromkeys(names, "https://place.example/v1")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return read_catalog(keys(*HOSTS))


@pytest.fixture(scope="module")
def offers(catalog: Catalog) -> list[Offer]:
    return [offer for group in catalog.offers.values() for offer in group]


def test_every_row_loads(offers: list[Offer]) -> None:
    """With all keys set, every row of every file is an offer."""
    assert Counter(name_of(row) for row in ROWS) == Counter(
        f"{offer.model}@{offer.provider.name}" for offer in offers
    )


def test_there_is_something_for_everyone(catalog: Catalog) -> None:
    """Models by the hundred, of many makers, most of them for chat; and others."""
    kinds = Counter(kind for model in catalog.models.values() for kind in model.kinds)

    assert len(catalog.models) >= 430
    assert kinds["chat"] >= 430
    assert kinds["embeddings"] >= 20
    assert kinds["rerank"] >= 5
    assert len({model.owned_by for model in catalog.models.values()}) >= 25


@pytest.mark.parametrize(
    "name",
    [
        "gpt-5.2",
        "gpt-4o-mini",
        "claude-sonnet-4-5",
        "claude-sonnet-4.5",
        "claude-sonnet-4-5-20250929",
        "gemini-2.5-pro",
        "deepseek-v3.2",
        "deepseek-ai/DeepSeek-V3.2",
        "llama-3.3-70b-instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
        "BAAI/bge-reranker-v2-m3",
        "text-embedding-3-small",
    ],
)
def test_names_that_callers_know_are_there(catalog: Catalog, name: str) -> None:
    """As they are said elsewhere, with their maker or without."""
    assert catalog.aliases.get(name, name) in catalog.models


def test_an_alias_stands_for_one_model() -> None:
    """Whatever providers are on; and is no model's own name."""
    claims: dict[str, set[str]] = {}
    for row in ROWS:
        for alias in row.get("aliases", ()):
            claims.setdefault(alias, set()).add(row["model"])

    assert {alias: names for alias, names in claims.items() if len(names) > 1} == {}
    assert not claims.keys() & {row["model"] for row in ROWS}


def test_without_keys_nothing_is_on() -> None:
    """A shipped provider is on by its key alone."""
    assert not read_catalog({}).offers


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host["name"])
def test_a_host_alone_brings_only_its_own_offers(host: dict[str, Any]) -> None:
    """One key in the environment turns on the providers of that key."""
    catalog = read_catalog(keys(host))
    brought = {offer.provider.name for group in catalog.offers.values() for offer in group}
    assert brought <= {other["name"] for other in HOSTS if other["env"] == host["env"]}


def test_hosts_are_complete_and_unlike() -> None:
    """Names, titles and places are each used once; a place is https and has no last slash."""
    for field in ("name", "title", "base_url", "base_url_env"):
        assert max(Counter(host[field] for host in HOSTS if field in host).values()) == 1, field
    for host in HOSTS:
        assert ("base_url" in host) != ("base_url_env" in host)
        assert re.fullmatch(r"https://[a-z0-9./{}-]+[a-z0-9]", host.get("base_url", "https://x.y"))
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", host["env"])
        assert host["source"].startswith("https://")
        assert date.fromisoformat(host["checked"])
    assert sum(host.get("kind", "compatible") == "compatible" for host in HOSTS) >= 25


def test_a_file_holds_the_offers_of_the_provider_it_is_named_after() -> None:
    """A row is found by the name of its provider, and the provider is a shipped one."""
    known = {host["name"] for host in HOSTS}
    for name, content in CONTENT.items():
        provider = name.removesuffix(".toml")
        assert provider in known
        assert content["common"]["provider"] == provider
        assert not any("provider" in row for row in content["offers"])


def test_an_offer_is_there_once(offers: list[Offer]) -> None:
    """No model twice at one provider, no name of the provider's twice."""
    assert max(Counter(name_of(row) for row in ROWS).values()) == 1
    assert max(Counter(offer.id for offer in offers).values()) == 1


def test_a_row_says_where_its_price_is_from() -> None:
    """Every row has a source, the day it was checked, an owner and known capabilities only."""
    for row in ROWS:
        assert row["source"].startswith("https://"), name_of(row)
        assert date.fromisoformat(row["checked"])
        assert row["owned_by"]
        assert row["title"]
        assert CAPABILITIES.issuperset(row["capabilities"]), name_of(row)
        assert len(set(row["capabilities"])) == len(row["capabilities"])


def test_an_amount_is_an_exact_decimal_within_reason() -> None:
    """Amounts are plain decimals, finer than no nano-dollar, and below 1000 dollars a million."""
    for row in ROWS:
        for amounts in (row, *row.get("tiers", ())):
            for field, text in amounts.items():
                if field.endswith("_usd_per_million") or field == "usd_per_call":
                    assert re.fullmatch(r"\d+\.\d{2,}", text), (name_of(row), field)
                    assert 0 <= parse_usd(text) < parse_usd("1000"), (name_of(row), field)


def test_prices_are_sane(offers: list[Offer]) -> None:
    """Chat: output costs as input or more, a cache read less. Else: input or calls only."""
    for offer in offers:
        price = offer.price
        assert price is not None, offer.id
        if offer.kind != "chat":
            assert price.output == 0 < price.input + price.per_call, offer.id
            continue
        for at in (price, *(tier.price for tier in price.tiers)):
            assert is_free(at) or 0 < at.input <= at.output <= 25 * at.input, offer.id
            assert at.cache_read is None or 0 < at.cache_read <= at.input, offer.id
            assert at.cache_write is None or at.cache_write >= at.input, offer.id


def test_tiers_cost_more_and_cover_all_classes(offers: list[Offer]) -> None:
    """More input never makes a class cheaper, and no class is priced below only."""
    for offer in offers:
        price = offer.price
        assert price is not None
        for tier in price.tiers:
            for field in ("input", "output", "cache_read", "cache_write"):
                below, above = getattr(price, field), getattr(tier.price, field)
                assert (below is None) == (above is None), (offer.id, field)
                assert below is None or below <= above, (offer.id, field)


def test_offers_of_one_model_are_about_one_model() -> None:
    """Rows that share a model agree on its kind, owner, title and date, and cost much the same."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in ROWS:
        groups.setdefault(row["model"], []).append(row)
    for model, group in groups.items():
        for field in ("kind", "owned_by", "created", "title", "knowledge"):
            assert len({row.get(field) for row in group}) == 1, (model, field)
        costs = [cost for row in group if (cost := parse_usd(row["input_usd_per_million"]))]
        assert not costs or max(costs) <= 15 * min(costs), model


def test_lengths_are_possible() -> None:
    """The longest reply is shorter than the context, and an embedding has none."""
    for row in ROWS:
        context = row.get("context_length")
        assert context is None or 512 <= context <= 10_500_000, name_of(row)
        assert "max_output" not in row or 0 < row["max_output"] < context, name_of(row)
        assert row in CHAT or "max_output" not in row, name_of(row)
    assert sum("context_length" in row for row in ROWS) >= 0.97 * len(ROWS)


def test_a_date_of_release_is_one() -> None:
    """Between the first embedding models and the day the row was checked."""
    for row in ROWS:
        if "created" in row:
            day = datetime.fromtimestamp(row["created"], UTC).date()
            assert date(2022, 1, 1) < day <= date.fromisoformat(row["checked"]), name_of(row)


def test_nothing_is_offered_that_is_switched_off() -> None:
    """On the day that it was checked."""
    for row in ROWS:
        assert row.get("deprecated", "9") > row["checked"], name_of(row)


def test_what_only_answers_responses_is_asked_so(catalog: Catalog) -> None:
    """And what answers both formats says both, but where it does not."""
    dialects = {
        offer.model: offer.dialects
        for group in catalog.offers.values()
        for offer in group
        if offer.provider.kind == "openai"
    }
    assert dialects["gpt-5.2"] == ("openai_chat", "openai_responses")
    assert dialects["gpt-5-pro"] == ("openai_responses",)
    assert dialects["gpt-audio-1.5"] == ("openai_chat",)


def test_what_is_recommended_is_offered(catalog: Catalog) -> None:
    """Every model of the table, to be chatted with."""
    named = {entry.model for entries in recommended().values() for entry in entries}

    assert (
        named - {name for name, model in catalog.models.items() if "chat" in model.kinds} == set()
    )
