"""Where the catalogue's data come from: the shipped TOML, the installation's own, the environment.

The shipped files name providers and offers; a shipped provider is on when its key is in the
environment (`OPENAI_API_KEY` and the like), and only the files of providers that are on are read.
What the installation's file says comes after and wins. What it is not: what the data mean
(`domain.catalog`).

The rule that keeps it honest: a secret is resolved here and nowhere else, and an error names the
entry, never the secret.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from apertura.domain.catalog import Catalog, CatalogError, OfferRow, ProviderRow, assemble
from apertura.domain.recommend import Entry

T = TypeVar("T")
RECOMMENDED = "_recommended.toml"


def read_catalog(
    environment: Mapping[str, str],
    *,
    own_providers: Sequence[Mapping[str, Any]] = (),
    own_offers: Sequence[Mapping[str, Any]] = (),
    more_providers: Iterable[ProviderRow] = (),
    more_offers: Iterable[OfferRow] = (),
    markup_percent: int = 0,
) -> Catalog:
    """The snapshot: what is shipped, then what the installation's file says, then the rest.
    `markup_percent` is what callers pay beside the shipped prices, which are the providers' own.

    Raises: CatalogError, naming the entry at fault.
    """
    providers = [
        *_shipped_providers(environment),
        *(_provider(row, environment) for row in own_providers),
        *more_providers,
    ]
    names = {row.name for row in providers}
    shipped = _shipped_offers(names, markup_percent)
    offers = [*shipped, *(_converted(row, OfferRow, "offer") for row in own_offers)]
    for offer in offers[len(offers) - len(own_offers) :]:
        if offer.provider not in names:
            raise CatalogError(
                f"offer {offer.model!r}: there is no provider {offer.provider!r}; add it as "
                "[[providers]], or set its key in the environment if it is a shipped one"
            )
    return assemble(providers, [*offers, *more_offers])


def shipped_hosts() -> list[dict[str, Any]]:
    """The rows of `hosts.toml`, all of them, whether their keys are set or not."""
    rows: list[dict[str, Any]] = _toml(files("apertura.providers") / "hosts.toml")["providers"]
    return rows


@cache
def recommended() -> Mapping[str, tuple[Entry, ...]]:
    """The curated table of recommendations, by task; see `domain.recommend`."""
    content = _toml(files("apertura") / "catalogue" / RECOMMENDED)
    return msgspec.convert(content, dict[str, tuple[Entry, ...]])


def _shipped_providers(environment: Mapping[str, str]) -> Iterable[ProviderRow]:
    """Those whose key is in the environment; and whose place is, where it is everyone's own."""
    for row in shipped_hosts():
        fields = dict(row)
        key = environment.get(fields.pop("env"))
        for note in ("source", "checked"):
            fields.pop(note, None)
        place = fields.pop("base_url_env", None)
        if place is not None:
            fields["base_url"] = environment.get(place, "")
        region = fields.pop("region_env", None)
        if region is not None:
            fields["region"] = environment.get(region) or fields["region"]
            fields["base_url"] = fields["base_url"].replace("{region}", fields["region"])
        if key and fields["base_url"]:
            yield _converted({**fields, "api_key": key}, ProviderRow, "provider")


def _shipped_offers(providers: Collection[str], markup_percent: int) -> Iterable[OfferRow]:
    """The rows of these providers' files, each with what its file says of all of them."""
    folder = files("apertura") / "catalogue"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.removesuffix(".toml") in providers:
            content = _toml(file)
            common = {"markup_percent": markup_percent, **content.get("common", {})}
            for row in content.get("offers", []):
                yield _converted({**common, **row}, OfferRow, "offer")


def _provider(row: Mapping[str, Any], environment: Mapping[str, str]) -> ProviderRow:
    name = row.get("name", "?")
    fields = dict(row)
    fields["api_key"] = _secret(str(row.get("api_key", "")), environment, f"provider {name!r}")
    return _converted(fields, ProviderRow, "provider")


def _secret(text: str, environment: Mapping[str, str], place: str) -> str:
    """`env:NAME`, `file:PATH`, or the secret itself."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "env":
        if not environment.get(rest):
            raise CatalogError(f"{place}: api_key: the environment has no {rest}")
        return environment[rest]
    if colon and kind == "file":
        try:
            return Path(rest).read_text().strip()
        except OSError as error:
            raise CatalogError(f"{place}: api_key: {rest}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CatalogError(f"{place}: api_key: {rest} is no text") from None
    return text


def _converted(row: Mapping[str, Any], kind: type[T], noun: str) -> T:
    name = row.get("name") or row.get("model") or "?"
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise CatalogError(f"{noun} {name!r}: {error}") from None


def _toml(file: Traversable) -> dict[str, Any]:
    return tomllib.loads(file.read_text())
