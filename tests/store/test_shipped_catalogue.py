from __future__ import annotations

import re
import tomllib
from collections import Counter
from datetime import UTC, date, datetime
from importlib.resources import files

import pytest

from apertura.domain.catalog import Catalog, Offer
from apertura.domain.money import parse_usd
from apertura.store.catalog import read_catalog, shipped_hosts

CAPABILITIES = {"tools", "vision", "audio", "json_schema", "reasoning"}
FILES = sorted(
    (entry for entry in (files("apertura") / "catalogue").iterdir() if entry.name[-5:] == ".toml"),
    key=lambda entry: entry.name,
)
ROWS = [row for file in FILES for row in tomllib.loads(file.read_text())["offers"]]


def name_of(row):
    return f"{row['model']}@{row['provider']}"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return read_catalog({host["env"]: "fake" for host in shipped_hosts()})


@pytest.fixture(scope="module")
def offers(catalog) -> list[Offer]:
    return [offer for group in catalog.offers.values() for offer in group]


def test_every_row_loads(offers):
    """With all keys set, every row of every file is an offer."""
    assert Counter(name_of(row) for row in ROWS) == Counter(
        f"{offer.model}@{offer.provider.name}" for offer in offers
    )
    assert len(offers) >= 60


def test_without_keys_nothing_is_on():
    """A shipped provider is on by its key alone."""
    assert not read_catalog({}).offers


@pytest.mark.parametrize("host", shipped_hosts(), ids=lambda host: host["name"])
def test_a_host_alone_brings_only_its_own_offers(host):
    """One key in the environment turns on one provider."""
    catalog = read_catalog({host["env"]: "fake"})
    brought = {offer.provider.name for group in catalog.offers.values() for offer in group}
    assert brought <= {host["name"]}


def test_hosts_are_complete_and_unlike():
    """Names, URLs and variables are each used once; a base URL is https and has no last slash."""
    hosts = shipped_hosts()
    for field in ("name", "title", "base_url", "env"):
        assert len({host[field] for host in hosts}) == len(hosts), field
    for host in hosts:
        assert re.fullmatch(r"https://[a-z0-9./]+[a-z0-9]", host["base_url"])
        assert re.fullmatch(r"[A-Z]+_API_KEY", host["env"])
        assert host["source"].startswith("https://")
        assert date.fromisoformat(host["checked"])


def test_a_file_holds_the_offers_of_the_provider_it_is_named_after():
    """A row is found by the name of its provider, and the provider is a shipped one."""
    known = {host["name"] for host in shipped_hosts()}
    for file in FILES:
        provider = file.name.removesuffix(".toml")
        assert provider in known
        assert {row["provider"] for row in tomllib.loads(file.read_text())["offers"]} == {provider}


def test_an_offer_is_there_once(offers):
    """No model twice at one provider, no name of the provider's twice."""
    assert max(Counter(name_of(row) for row in ROWS).values()) == 1
    assert max(Counter(offer.id for offer in offers).values()) == 1


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_row_says_where_its_price_is_from(row):
    """Every row has a source, the day it was checked, an owner and known capabilities only."""
    assert row["source"].startswith("https://")
    assert date.fromisoformat(row["checked"])
    assert row["owned_by"]
    assert CAPABILITIES.issuperset(row["capabilities"])
    assert len(set(row["capabilities"])) == len(row["capabilities"])


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_an_amount_is_an_exact_decimal_within_reason(row):
    """Amounts are plain decimals, finer than no nano-dollar, and below 1000 dollars a million."""
    for field, text in row.items():
        if field.endswith("_usd_per_million"):
            assert re.fullmatch(r"\d+\.\d{2,}", text), field
            assert 0 <= parse_usd(text) < parse_usd("1000"), field


def test_prices_are_sane(offers):
    """Chat: output costs as input or more, a cache read less. Embeddings: input only."""
    embeddings = {row["model"] for row in ROWS if row.get("kind") == "embeddings"}
    for offer in offers:
        price = offer.price
        assert price is not None, offer.id
        assert price.input > 0, offer.id
        if offer.model in embeddings:
            assert price.output == 0, offer.id
            continue
        assert price.input <= price.output <= 15 * price.input, offer.id
        assert price.cache_read is None or 0 < price.cache_read < price.input, offer.id
        assert price.cache_write is None or price.cache_write >= price.input, offer.id


def test_offers_of_one_model_are_about_one_model():
    """Rows that share a model agree on its kind, owner and date, and cost much the same."""
    for model in {row["model"] for row in ROWS}:
        group = [row for row in ROWS if row["model"] == model]
        for field in ("kind", "owned_by", "created"):
            assert len({row.get(field) for row in group}) == 1, (model, field)
        costs = [parse_usd(row["input_usd_per_million"]) for row in group]
        assert max(costs) <= 10 * min(costs), model


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_lengths_are_possible(row):
    """The longest reply is shorter than the context, and an embedding has none."""
    assert 512 <= row["context_length"] <= 2_000_000
    assert row.get("max_output", 1) < row["context_length"]
    assert not (row.get("kind") == "embeddings" and "max_output" in row)


def test_a_date_of_release_is_one():
    """Between the first embedding models and the day the row was checked."""
    for row in ROWS:
        if "created" in row:
            day = datetime.fromtimestamp(row["created"], UTC).date()
            assert date(2022, 1, 1) < day <= date.fromisoformat(row["checked"]), name_of(row)
