"""The catalogue: which models there are, and who serves them at what price.

A `Model` is the name that a caller asks for; an `Offer` is that model at one provider under one
price and credential. `Catalog` is an immutable snapshot: a change makes a new one and swaps the
reference, and a running call keeps the one that it started with. What it is not: where the data
come from (the shipped TOML, the installation's file, the database) or which offer to try
(`routing`).

The rule that keeps it honest: `assemble` refuses bad data with the entry at fault, and never
guesses a price: an offer without one is kept, and is not routable for those who pay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from apertura.domain.money import NANO_PER_USD, parse_usd
from apertura.domain.pricing import Price
from apertura.errors import AperturaError

DIALECTS = ("openai_chat",)
"""What a provider may speak; grows with the `wire` package."""
AUTHS = ("bearer", "x-api-key", "api-key", "none")
"""How a provider may be authenticated to; see `providers.base.authorization`."""
PRICE_MAX = 2_000 * NANO_PER_USD
"""The highest price that is believed, per million tokens or per call: several times any known one,
and low enough that the cost of the largest usage (`domain.usage`) fits 64 bits."""


class CatalogError(AperturaError):
    """The catalogue's data are wrong; the message names the entry and the field."""


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider as data. `api_key` is already resolved to the secret itself, or empty."""

    name: str
    dialect: str = "openai_chat"
    base_url: str
    api_key: str = ""
    keepalive: bool = True
    auth: str = "bearer"
    ask_usage: bool = True
    """Its streams report usage only when asked (`stream_options`); else it refuses to be asked."""
    title: str = ""
    """How pages and `owned_by` show the provider; the name if empty."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What callers ask for. Lengths in tokens; `created` in seconds since 1970."""

    id: str
    owned_by: str
    kinds: frozenset[str] = frozenset({"chat"})
    """What it can be asked for: chat, embeddings."""
    created: int = 0
    context_length: int | None = None
    max_output: int | None = None
    capabilities: frozenset[str] = frozenset()


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one provider."""

    id: str
    model: str
    provider: ProviderRow
    upstream_model: str
    kind: str
    price: Price | None
    price_id: str
    weight: int = 100
    max_output: int | None = None


class OfferRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An offer as it stands in TOML; amounts are strings of dollars per million tokens."""

    model: str
    provider: str
    upstream_model: str = ""
    kind: str = "chat"
    owned_by: str = ""
    created: int = 0
    context_length: int | None = None
    max_output: int | None = None
    capabilities: list[str] = []
    weight: int = 100
    input_usd_per_million: str | None = None
    output_usd_per_million: str | None = None
    cache_read_usd_per_million: str | None = None
    cache_write_usd_per_million: str | None = None
    cache_write_1h_usd_per_million: str | None = None
    audio_input_usd_per_million: str | None = None
    audio_output_usd_per_million: str | None = None
    usd_per_call: str | None = None
    source: str = ""
    checked: str = ""


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot: models by id, and their offers, best weight first."""

    models: Mapping[str, Model]
    offers: Mapping[str, tuple[Offer, ...]]


def assemble(providers: Iterable[ProviderRow], offers: Iterable[OfferRow]) -> Catalog:
    """One snapshot from rows. Of rows for the same use of a model at a provider the last one holds;
    offers of providers that are not present are left out. Raises: CatalogError.
    """
    present = {row.name: _checked(row) for row in providers}
    chosen: dict[tuple[str, str, str], Offer] = {}
    models: dict[str, Model] = {}
    for row in offers:
        if row.provider in present:
            chosen[row.model, row.provider, row.kind] = _offer(row, present[row.provider])
            models[row.model] = _model(row, present[row.provider], models.get(row.model))
    by_model: dict[str, list[Offer]] = {}
    for offer in chosen.values():
        by_model.setdefault(offer.model, []).append(offer)
    ordered = {
        name: tuple(sorted(group, key=lambda offer: (-offer.weight, offer.id)))
        for name, group in by_model.items()
    }
    return Catalog(models=dict(sorted(models.items())), offers=ordered)


def _checked(row: ProviderRow) -> ProviderRow:
    if row.dialect not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise CatalogError(f"provider {row.name!r}: dialect {row.dialect!r} is none of {known}")
    if not row.base_url.startswith(("http://", "https://")):
        raise CatalogError(f"provider {row.name!r}: base_url must begin with http:// or https://")
    if not _names_a_place(row.base_url):
        raise CatalogError(f"provider {row.name!r}: base_url: {row.base_url!r} names no place")
    if row.auth not in AUTHS:
        known = ", ".join(AUTHS)
        raise CatalogError(f"provider {row.name!r}: auth {row.auth!r} is none of {known}")
    if not row.api_key.isprintable():
        raise CatalogError(f"provider {row.name!r}: api_key must be one line of plain characters")
    return row


def _names_a_place(url: str) -> bool:
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # what stands after the colon is no port
        return False


def _model(row: OfferRow, provider: ProviderRow, earlier: Model | None) -> Model:
    """The model of an offer; a further offer of it only adds what it can be asked for."""
    if earlier is not None:
        return msgspec.structs.replace(
            earlier,
            kinds=earlier.kinds | {row.kind},
            capabilities=earlier.capabilities | frozenset(row.capabilities),
        )
    return Model(
        id=row.model,
        owned_by=row.owned_by or provider.title or provider.name,
        kinds=frozenset({row.kind}),
        created=row.created,
        context_length=row.context_length,
        max_output=row.max_output,
        capabilities=frozenset(row.capabilities),
    )


def _offer(row: OfferRow, provider: ProviderRow) -> Offer:
    if row.kind not in ("chat", "embeddings"):
        raise CatalogError(f"offer {row.model!r}: kind {row.kind!r} is neither chat nor embeddings")
    if row.weight < 0:
        raise CatalogError(f"offer {row.model!r}: weight must not be negative")
    price = _price(row)
    upstream = row.upstream_model or row.model
    return Offer(
        id=f"{row.provider}/{upstream}",
        model=row.model,
        provider=provider,
        upstream_model=upstream,
        kind=row.kind,
        price=price,
        price_id=_price_id(row) if price else "",
        weight=row.weight,
        max_output=row.max_output,
    )


def _price(row: OfferRow) -> Price | None:
    if row.input_usd_per_million is None:
        if row.output_usd_per_million is not None:
            raise CatalogError(f"offer {row.model!r}: input_usd_per_million is missing")
        return None
    if row.output_usd_per_million is None and row.kind == "chat":
        raise CatalogError(f"offer {row.model!r}: output_usd_per_million is missing")
    return Price(
        input=_amount(row, "input_usd_per_million") or 0,
        output=_amount(row, "output_usd_per_million") or 0,
        cache_read=_amount(row, "cache_read_usd_per_million"),
        cache_write=_amount(row, "cache_write_usd_per_million"),
        cache_write_1h=_amount(row, "cache_write_1h_usd_per_million"),
        audio_input=_amount(row, "audio_input_usd_per_million"),
        audio_output=_amount(row, "audio_output_usd_per_million"),
        per_call=_amount(row, "usd_per_call") or 0,
    )


def _amount(row: OfferRow, field: str) -> int | None:
    text = getattr(row, field)
    if text is None:
        return None
    try:
        amount = parse_usd(text)
    except ValueError as error:
        raise CatalogError(f"offer {row.model!r}: {field}: {error}") from None
    if amount < 0:
        raise CatalogError(f"offer {row.model!r}: {field}: a price must not be negative")
    if amount > PRICE_MAX:
        most = PRICE_MAX // NANO_PER_USD
        raise CatalogError(f"offer {row.model!r}: {field}: {text} is more than {most} dollars")
    return amount


def _price_id(row: OfferRow) -> str:
    """Names the price that a usage row was charged under: its figures and the date checked."""
    figures = [row.input_usd_per_million, row.output_usd_per_million]
    return f"{row.provider}:{'/'.join(f or '0' for f in figures)}@{row.checked or 'local'}"
