"""Behaviour of where the catalogue comes from: shipped files, the installation's, secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apertura.domain.catalog import CatalogError, OfferRow, ProviderRow
from apertura.store.catalog import read_catalog, shipped_hosts

ACME: dict[str, Any] = {"name": "acme", "base_url": "http://x.example/v1"}
SMALL: dict[str, Any] = {
    "model": "small",
    "provider": "acme",
    "input_usd_per_million": "1",
    "output_usd_per_million": "2",
}


def key_of(text: str, environment: dict[str, str] | None = None) -> str:
    """The secret that a provider's `api_key` is resolved to."""
    catalog = read_catalog(
        environment or {}, own_providers=[{**ACME, "api_key": text}], own_offers=[SMALL]
    )
    return catalog.offers["small"][0].provider.api_key


def test_without_keys_nothing_is_offered() -> None:
    """A shipped provider is on when its key is in the environment."""
    assert read_catalog({}).models == {}


def test_a_key_in_the_environment_turns_its_provider_on() -> None:
    """That one, with that key."""
    host = shipped_hosts()[0]

    catalog = read_catalog({host["env"]: "secret"})

    providers = {offer.provider for group in catalog.offers.values() for offer in group}
    assert {(p.name, p.api_key) for p in providers} == {(host["name"], "secret")}


def test_a_place_that_is_everyones_own_comes_from_the_environment() -> None:
    """A provider without one is off, key or no key."""
    host = next(host for host in shipped_hosts() if "base_url_env" in host)
    key = {host["env"]: "secret"}

    offers = read_catalog({**key, host["base_url_env"]: "https://mine.example/"}).offers

    assert {o.provider.base_url for group in offers.values() for o in group} == {
        "https://mine.example/"
    }
    assert read_catalog(key).offers == {}


def test_a_region_comes_from_the_environment() -> None:
    """Into the address; without one, the row's own."""
    host = next(host for host in shipped_hosts() if "region_env" in host)

    def place(environment: dict[str, str]) -> tuple[str, str]:
        offers = read_catalog({host["env"]: "secret", **environment}).offers
        (provider,) = {offer.provider for group in offers.values() for offer in group}
        return provider.region, provider.base_url

    assert place({host["region_env"]: "eu-west-1"}) == (
        "eu-west-1",
        host["base_url"].replace("{region}", "eu-west-1"),
    )
    assert place({}) == (host["region"], host["base_url"].replace("{region}", host["region"]))
    with pytest.raises(CatalogError, match="base_url"):
        place({host["region_env"]: "eu west"})


def test_a_shipped_provider_may_be_stated_by_the_installation() -> None:
    """With a key from elsewhere: what is shipped of its offers holds for it."""
    host = shipped_hosts()[0]
    own = {"name": host["name"], "base_url": "https://proxy.example/v1", "api_key": "mine"}

    offers = read_catalog({}, own_providers=[own]).offers

    assert {o.provider.api_key for group in offers.values() for o in group} == {"mine"}


@pytest.mark.parametrize("name", ["../providers/hosts", "_recommended", "nobody", ""])
def test_a_providers_name_is_no_path(name: str) -> None:
    """A name brings the offers of that name, if any are shipped, and nothing else."""
    assert read_catalog({}, own_providers=[{**ACME, "name": name}]).offers == {}


def test_tiers_are_read_from_a_file() -> None:
    """As tables of an offer; what is wrong with one names the offer."""
    tier = {"above_input_tokens": 10, "input_usd_per_million": "9"}

    (offer,) = read_catalog(
        {}, own_providers=[ACME], own_offers=[{**SMALL, "tiers": [tier]}]
    ).offers["small"]

    assert offer.price is not None
    assert offer.price.tiers[0].price.input == 9_000_000_000
    for broken in ({"above_input_tokens": "many"}, {**tier, "colour": "1"}, {}):
        with pytest.raises(CatalogError, match=r"offer .small.: .*tiers"):
            read_catalog({}, own_providers=[ACME], own_offers=[{**SMALL, "tiers": [broken]}])


def test_an_installation_replaces_a_shipped_price() -> None:
    """Its row comes after, and wins."""
    host = shipped_hosts()[0]
    environment = {host["env"]: "secret"}
    model = next(iter(read_catalog(environment).models))
    own = {**SMALL, "model": model, "provider": host["name"], "input_usd_per_million": "77"}

    (offer,) = read_catalog(environment, own_offers=[own]).offers[model]

    assert offer.price.input == 77_000_000_000


def test_rows_of_the_process_come_last() -> None:
    """Those of the local model."""
    catalog = read_catalog(
        {},
        own_providers=[ACME],
        own_offers=[SMALL],
        more_providers=[ProviderRow(name="near", base_url="http://127.0.0.1:1")],
        more_offers=[OfferRow(**{**SMALL, "provider": "near", "weight": 200})],
    )

    assert [offer.id for offer in catalog.offers["small"]] == ["near/small", "acme/small"]


def test_a_secret_comes_from_where_it_is_said(tmp_path: Path) -> None:
    """From the environment, from a file without its last line's end, or as it stands."""
    path = tmp_path / "key"
    path.write_text("from a file\n")

    assert key_of("env:ACME_KEY", {"ACME_KEY": "from there"}) == "from there"
    assert key_of(f"file:{path}") == "from a file"
    assert key_of("sk-literal") == "sk-literal"
    assert key_of("other:thing") == "other:thing"
    assert key_of("") == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"hunter2\xff", "no text"), (b"hunter2\nsecond line\n", "one line")],
)
def test_a_secret_file_that_will_not_do_names_its_entry(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """And shows nothing of what is in it."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CatalogError, match="provider 'acme': api_key") as refused:
        key_of(f"file:{path}")

    assert reason in refused.value.message
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("environment", [{}, {"ACME_KEY": ""}])
def test_a_variable_that_is_missing_names_its_entry(environment: dict[str, str]) -> None:
    """And the variable."""
    with pytest.raises(CatalogError, match="provider 'acme': api_key: the environment has no ACME"):
        key_of("env:ACME_KEY", environment)


@pytest.mark.parametrize(
    ("provider", "offer", "message"),
    [
        ({"colour": "red"}, {}, "provider 'acme': .*colour"),
        ({"base_url": 5}, {}, r"provider 'acme': .*base_url"),
        ({"keepalive": "no"}, {}, r"provider 'acme': .*keepalive"),
        ({"base_url": "acme"}, {}, "provider 'acme': base_url"),
        ({}, {"colour": "red"}, "offer 'small': .*colour"),
        ({}, {"input_usd_per_million": 2.5}, r"offer 'small': .*input_usd_per_million"),
        ({}, {"output_usd_per_million": "x"}, "offer 'small': output_usd_per_million"),
        ({}, {"weight": "heavy"}, "offer 'small': .*weight"),
        ({}, {"provider": "nobody"}, "offer 'small': there is no provider 'nobody'"),
    ],
)
def test_a_bad_row_names_its_entry_and_field(
    provider: dict[str, Any], offer: dict[str, Any], message: str
) -> None:
    """A number for a price is refused too: it would have passed through a float."""
    with pytest.raises(CatalogError, match=message):
        read_catalog({}, own_providers=[{**ACME, **provider}], own_offers=[{**SMALL, **offer}])


@pytest.mark.parametrize("row", [{}, {"name": "acme"}, {"base_url": "http://x.example"}])
def test_a_provider_that_lacks_a_field_is_refused(row: dict[str, Any]) -> None:
    """With the field's name."""
    with pytest.raises(CatalogError, match="missing required field"):
        read_catalog({}, own_providers=[row])
