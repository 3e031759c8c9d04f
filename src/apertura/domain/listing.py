"""A model as public lists show it: its price, and what kind of thing it is.

Prices are shown in dollars per 1,000 tokens, as exact decimals; of several offers the one that is
tried first. What it is not: what a call costs (`pricing`), or who may see a model.

The rule that keeps it honest: a price that is shown is an offer's own, never a mean or a guess.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from apertura.domain.catalog import Catalog, Model, Offer
from apertura.domain.money import Nano, usd
from apertura.domain.pricing import Price, is_free

CATEGORIES: Final = {
    "chat": "chat",
    "embeddings": "embedding",
    "rerank": "rerank",
    "images": "image",
    "speech": "voice",
    "transcription": "voice",
}
LONG_CONTEXT = 200_000
"""Input tokens from which on a model is for long contexts."""
NOTHING = Decimal(0)


def first_offer(catalog: Catalog, model: str, kind: str = "") -> Offer | None:
    """The offer that is tried first, of one kind or any: it has a price and a weight."""
    for offer in catalog.offers.get(model, ()):
        if offer.price is not None and offer.weight > 0 and kind in ("", offer.kind):
            return offer
    return None


def per_million(amount: int) -> Decimal:
    """Dollars, of a price in nano-dollars."""
    return usd(Nano(amount)).normalize() if amount else NOTHING


def listed(catalog: Catalog, model: Model, today: str) -> dict[str, object]:
    """The row of a model in the priced list."""
    offer = first_offer(catalog, model.id)
    price = offer.price if offer is not None else None
    return {
        "model_id": model.id,
        "display_name": model.title or model.id,
        "provider": model.owned_by,
        "category": category(model),
        "description": model.description or describe(model),
        "context_length": model.context_length,
        "max_output_tokens": model.max_output,
        "input_modalities": sorted(model.input_modalities),
        "output_modalities": sorted(model.output_modalities),
        "features": sorted(model.capabilities),
        "tasks": tasks(model),
        "created": model.created,
        "knowledge_cutoff": model.knowledge or None,
        "is_enabled": price is not None,
        "is_deprecated": bool(model.deprecated) and model.deprecated <= today,
        "deprecation_date": model.deprecated or None,
        "badge": None,
        **_prices(price),
    }


def _prices(price: Price | None) -> dict[str, object]:
    if price is None:
        return {"charge_type": None, "input_price": None, "output_price": None, "price_table": []}
    shown: dict[str, object] = {"charge_type": charge_type(price), **_by_token(price)}
    shown["price_table"] = (
        [{"spec": "default", "price": per_million(price.per_call)}] if price.per_call else []
    )
    shown["price_tiers"] = [
        {"above_input_tokens": tier.above, **_by_token(tier.price)} for tier in price.tiers
    ]
    return shown


def _by_token(price: Price) -> dict[str, object]:
    amounts = {
        "input_price": price.input,
        "output_price": price.output,
        "cache_read_price": price.cache_read,
        "cache_write_price": price.cache_write,
    }
    return {
        name: None if amount is None else per_thousand(amount) for name, amount in amounts.items()
    }


def per_thousand(amount: int) -> Decimal:
    """Dollars per 1,000 tokens, of a price per million in nano-dollars."""
    return per_million(amount).scaleb(-3) if amount else NOTHING


def charge_type(price: Price) -> str:
    """How a model is paid for, in the contract's words."""
    if is_free(price):
        return "Free"
    by_call = price.per_call and not price.input and not price.output
    return "Pay Per Request" if by_call else "Pay As You Go"


def category(model: Model) -> str:
    """What a model is first of all."""
    return next(CATEGORIES[kind] for kind in CATEGORIES if kind in model.kinds)


def tasks(model: Model) -> list[str]:
    """What a model is good for, as far as its data tell."""
    found = sorted(model.kinds)
    found += [name for name in ("reasoning", "vision") if name in model.capabilities]
    if model.context_length is not None and model.context_length >= LONG_CONTEXT:
        found.append("long-context")
    return found


def describe(model: Model) -> str:
    """One sentence from its data."""
    text = f"{category(model).capitalize()} model by {model.owned_by}"
    if model.context_length is not None:
        text += f", {model.context_length:,} tokens of context"
    able = [name.replace("_", " ") for name in sorted(model.capabilities)]
    return f"{text}; {', '.join(able)}." if able else f"{text}."
