"""Where the catalogue's data come from: the shipped TOML, the installation's own, the environment.

The shipped files name providers and offers; a shipped provider is on when its key is in the
environment (`OPENAI_API_KEY` and the like). What the installation's file says comes after and wins.
What it is not: what the data mean (`domain.catalog`).

The rule that keeps it honest: a secret is resolved here and nowhere else, and an error names the
entry, never the secret.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from apertura.domain.catalog import Catalog, CatalogError, OfferRow, ProviderRow, assemble

T = TypeVar("T")


def read_catalog(
    environment: Mapping[str, str],
    *,
    own_providers: Sequence[Mapping[str, Any]] = (),
    own_offers: Sequence[Mapping[str, Any]] = (),
    more_providers: Iterable[ProviderRow] = (),
    more_offers: Iterable[OfferRow] = (),
) -> Catalog:
    """The snapshot: what is shipped, then what the installation's file says, then the rest.

    Raises: CatalogError, naming the entry at fault.
    """
    providers = [
        *_shipped_providers(environment),
        *(_provider(row, environment) for row in own_providers),
        *more_providers,
    ]
    offers = [*_shipped_offers(), *(_converted(row, OfferRow, "offer") for row in own_offers)]
    names = {row.name for row in providers}
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


def _shipped_providers(environment: Mapping[str, str]) -> Iterable[ProviderRow]:
    """Those whose key is in the environment."""
    for row in shipped_hosts():
        fields = dict(row)
        variable = fields.pop("env")
        for note in ("source", "checked"):
            fields.pop(note, None)
        if environment.get(variable):
            yield _converted({**fields, "api_key": environment[variable]}, ProviderRow, "provider")


def _shipped_offers() -> Iterable[OfferRow]:
    folder = files("apertura") / "catalogue"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            for row in _toml(file).get("offers", []):
                yield _converted(row, OfferRow, "offer")


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
