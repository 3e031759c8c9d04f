"""The catalogue: which models there are, and who serves them at what price.

A `Model` is the name that a caller asks for; an `Offer` is that model at one provider under one
price and credential. `Catalog` is an immutable snapshot: a change makes a new one and swaps the
reference, and a running call keeps the one that it started with. What it is not: where the data
come from (the shipped TOML, the installation's file, the database), what an amount in a row means
(`tariffs`), what a name that a caller gives stands for (`model_ids`) or which offer to try
(`routing`).

The rule that keeps it honest: `assemble` refuses bad data with the entry at fault, and never
guesses a price: an offer without one is kept, and is not routable for those who pay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from apertura.domain.pricing import Price
from apertura.domain.tariffs import PRICE_MAX, Tariff, TierRow, price_id, raised, read_price
from apertura.errors import AperturaError

__all__ = ["PRICE_MAX", "TierRow"]

DIALECTS = (
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
    "bedrock_converse",
)
"""What a provider may speak; see the `wire` package."""
AUTHS = ("bearer", "x-api-key", "api-key", "x-goog-api-key", "none")
"""How a provider may be authenticated to; see `providers.base.authorization`."""
PROVIDER_KINDS = ("compatible", "openai", "anthropic", "gemini", "azure", "bedrock")
"""Which class of `providers` builds its requests."""
KINDS = ("chat", "embeddings", "rerank", "images", "speech", "transcription")
"""What a model can be asked for."""
MODALITIES = ("text", "image", "audio", "video", "file", "embeddings", "scores")
_SEEN_BY = {"vision": "image", "audio": "audio", "video": "video", "pdf": "file"}
"""The input that a capability is about."""
_OUTPUT = {
    "chat": "text",
    "embeddings": "embeddings",
    "rerank": "scores",
    "images": "image",
    "speech": "audio",
    "transcription": "text",
}


class CatalogError(AperturaError):
    """The catalogue's data are wrong; the message names the entry and the field."""


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider as data. `api_key` is already resolved to the secret itself, or empty."""

    name: str
    dialect: str = "openai_chat"
    also_dialects: tuple[str, ...] = ()
    """Others that it speaks at the same place, for each offer that does not name its own."""
    kind: str = "compatible"
    base_url: str
    api_key: str = ""
    keepalive: bool = True
    auth: str = "bearer"
    ask_usage: bool = True
    """Its streams report usage only when asked (`stream_options`); else it refuses to be asked."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What it calls the most tokens of an answer, in OpenAI's chat format."""
    unknown: tuple[str, ...] = ()
    """Parameters of its format that it refuses to be sent, by the format's names."""
    rerank: Literal["usual", "bare", "top_k", "pairs"] = "usual"
    """How it wants to be asked for ranks; see `wire.rerank`."""
    region: str = ""
    api_version: str = ""
    title: str = ""
    """How pages and `owned_by` show the provider; the name if empty."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What callers ask for. Lengths in tokens; `created` in seconds since 1970."""

    id: str
    owned_by: str
    kinds: frozenset[str] = frozenset({"chat"})
    created: int = 0
    context_length: int | None = None
    max_output: int | None = None
    capabilities: frozenset[str] = frozenset()
    title: str = ""
    """How pages show it; the id if empty."""
    description: str = ""
    input_modalities: frozenset[str] = frozenset({"text"})
    output_modalities: frozenset[str] = frozenset({"text"})
    knowledge: str = ""
    """Until when its training data reach, as year and month."""
    deprecated: str = ""
    """The day on which it is switched off, where that is announced."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one provider."""

    id: str
    model: str
    provider: ProviderRow
    upstream_model: str
    kind: str
    price: Price | None
    """What its callers pay."""
    price_id: str
    upstream_price: Price | None = None
    """What its provider takes, where that is not the same."""
    dialect: str = "openai_chat"
    """What is spoken to it, unless the caller's own is among the following."""
    dialects: tuple[str, ...] = ("openai_chat",)
    priority: int = 0
    weight: int = 100
    max_output: int | None = None
    context_length: int | None = None
    capabilities: frozenset[str] = frozenset()
    """What it is known to be able to; empty: nothing is known."""


class OfferRow(Tariff, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An offer as it stands in TOML; for the amounts see `tariffs`."""

    model: str
    aliases: Sequence[str] = ()
    """Other names of the model, for callers."""
    provider: str
    upstream_model: str = ""
    dialect: str = ""
    """Where it differs from the provider's."""
    kind: str = "chat"
    title: str = ""
    description: str = ""
    owned_by: str = ""
    created: int = 0
    context_length: int | None = None
    max_output: int | None = None
    capabilities: Sequence[str] = ()
    input_modalities: Sequence[str] = ()
    """If empty: text, and what the capabilities imply."""
    output_modalities: Sequence[str] = ()
    """If empty: what the kind implies."""
    knowledge: str = ""
    deprecated: str = ""
    priority: int = 0
    """Offers of a higher one are tried before all others; among equals the weight decides."""
    weight: int = 100
    tiers: Sequence[TierRow] = ()
    markup_percent: int = 0
    """What callers pay beside these amounts, which are then what the provider takes."""
    provider_price: Tariff | None = None
    """What the provider takes, where it is not these amounts."""
    source: str = ""
    checked: str = ""


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot: models by id, their offers, best first, and other names of models."""

    models: Mapping[str, Model]
    offers: Mapping[str, tuple[Offer, ...]]
    aliases: Mapping[str, str] = {}


def assemble(providers: Iterable[ProviderRow], offers: Iterable[OfferRow]) -> Catalog:
    """One snapshot from rows. Of rows for the same use of a model at a provider the last one holds;
    offers of providers that are not present are left out; an alias yields to a model of that name.
    Raises: CatalogError.
    """
    present = {row.name: _checked(row) for row in providers}
    chosen: dict[tuple[str, str, str], Offer] = {}
    models: dict[str, Model] = {}
    aliases: dict[str, str] = {}
    for row in offers:
        if row.provider in present:
            chosen[row.model, row.provider, row.kind] = _offer(row, present[row.provider])
            models[row.model] = _model(row, present[row.provider], models.get(row.model))
            aliases.update(dict.fromkeys(row.aliases, row.model))
    by_model: dict[str, list[Offer]] = {}
    for offer in chosen.values():
        by_model.setdefault(offer.model, []).append(offer)
    ordered = {name: tuple(sorted(group, key=_by_priority)) for name, group in by_model.items()}
    return Catalog(
        models=dict(sorted(models.items())),
        offers=ordered,
        aliases={alias: name for alias, name in aliases.items() if alias not in models},
    )


def _by_priority(offer: Offer) -> tuple[int, int, str]:
    return -offer.priority, -offer.weight, offer.id


def _checked(row: ProviderRow) -> ProviderRow:
    place = f"provider {row.name!r}"
    for dialect in (row.dialect, *row.also_dialects):
        _one_of(place, "dialect", dialect, DIALECTS)
    if not row.base_url.startswith(("http://", "https://")):
        raise CatalogError(f"{place}: base_url must begin with http:// or https://")
    if not _names_a_place(row.base_url):
        raise CatalogError(f"{place}: base_url: {row.base_url!r} names no place")
    _one_of(place, "auth", row.auth, AUTHS)
    _one_of(place, "kind", row.kind, PROVIDER_KINDS)
    if not row.api_key.isprintable():
        raise CatalogError(f"{place}: api_key must be one line of plain characters")
    return row


def _one_of(place: str, field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise CatalogError(f"{place}: {field} {value!r} is none of {', '.join(known)}")


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
    capabilities = frozenset(row.capabilities)
    inputs, outputs = _modalities(row)
    if earlier is not None:
        return msgspec.structs.replace(
            earlier,
            kinds=earlier.kinds | {row.kind},
            capabilities=earlier.capabilities | capabilities,
            input_modalities=earlier.input_modalities | inputs,
            output_modalities=earlier.output_modalities | outputs,
        )
    return Model(
        id=row.model,
        owned_by=row.owned_by or provider.title or provider.name,
        kinds=frozenset({row.kind}),
        created=row.created,
        context_length=row.context_length,
        max_output=row.max_output,
        capabilities=capabilities,
        title=row.title or row.model,
        description=row.description,
        input_modalities=inputs,
        output_modalities=outputs,
        knowledge=row.knowledge,
        deprecated=row.deprecated,
    )


def _modalities(row: OfferRow) -> tuple[frozenset[str], frozenset[str]]:
    """What goes in and what comes out, as the row says or as its capabilities and kind imply."""
    for field in ("input_modalities", "output_modalities"):
        for name in getattr(row, field):
            _one_of(f"offer {row.model!r}", field, name, MODALITIES)
    implied = {_SEEN_BY[name] for name in row.capabilities if name in _SEEN_BY}
    implied.add("audio" if row.kind == "transcription" else "text")
    return (
        frozenset(row.input_modalities or implied),
        frozenset(row.output_modalities or [_OUTPUT[row.kind]]),
    )


def _offer(row: OfferRow, provider: ProviderRow) -> Offer:
    place = f"offer {row.model!r}"
    _one_of(place, "kind", row.kind, KINDS)
    if row.dialect:
        _one_of(place, "dialect", row.dialect, DIALECTS)
    if row.weight < 0:
        raise CatalogError(f"{place}: weight must not be negative")
    try:
        price, upstream_price = _prices(row)
    except ValueError as error:
        raise CatalogError(f"{place}: {error}") from None
    upstream = row.upstream_model or row.model
    dialects = (row.dialect,) if row.dialect else (provider.dialect, *provider.also_dialects)
    return Offer(
        id=f"{row.provider}/{upstream}",
        model=row.model,
        provider=provider,
        upstream_model=upstream,
        kind=row.kind,
        price=price,
        price_id=_price_id(row) if price else "",
        upstream_price=upstream_price,
        dialect=dialects[0],
        dialects=dialects,
        priority=row.priority,
        weight=row.weight,
        max_output=row.max_output,
        context_length=row.context_length,
        capabilities=frozenset(row.capabilities),
    )


def _prices(row: OfferRow) -> tuple[Price | None, Price | None]:
    """What callers pay, and what the provider takes if that differs. Raises: ValueError."""
    stated = read_price(row, row.tiers, needs_output=row.kind == "chat")
    if row.provider_price is not None and row.markup_percent:
        raise ValueError("markup_percent: it does not go with provider_price")
    if row.provider_price is not None:
        return stated, read_price(row.provider_price, (), needs_output=row.kind == "chat")
    if stated is None or not row.markup_percent:
        return stated, None
    return raised(stated, row.markup_percent), stated


def _price_id(row: OfferRow) -> str:
    name = price_id(row.provider, row, row.tiers, row.checked)
    return f"{name}+{row.markup_percent}%" if row.markup_percent else name
