"""What a caller prefers among the offers of a model, and which models may stand in for it.

    {"order": ["acme"], "allow_fallbacks": false, "max_price": {"prompt": 1}}

`objection` says why an offer is out of the question, `arranged` puts the rest in order. What it is
not: what an offer can do at all (`routing`), or how a request says any of this (`wire`).

The rule that keeps it honest: an offer is left out only with a reason that names the preference at
fault, and where nothing is known of an offer's speed nothing is made up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec

from apertura.domain.catalog import Offer
from apertura.domain.pricing import Price, cost
from apertura.domain.usage import Usage
from apertura.errors import BadRequest

Sort = Literal["", "price", "latency", "throughput"]
SORTS = ("price", "latency", "throughput")
PATIENCE_MS = 15_000
"""How long a model may take to its first content before the next one is asked."""
PATIENCE_BOUNDS_MS = (5_000, 300_000)
MODELS_MOST = 5
"""Models that may stand in for one."""
NAMED_MOST = 5
TYPICAL = Usage(input=3_000, output=1_000)
"""By what a call of this size costs, offers are put in the order of their prices."""


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """Which offers may serve a call, and in what order. Providers are named as the catalogue names
    them, in any case; prices in nano-dollars per million tokens.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    """Whether another provider may be tried when the preferred one fails."""
    sort: Sort = ""
    max_prompt: int | None = None
    max_completion: int | None = None
    require_parameters: bool = False
    """Only offers that can be told everything that the request says."""


NO_PREFERENCES = Preferences()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about its route. `patience_ms` is for each model on it."""

    preferences: Preferences = NO_PREFERENCES
    models: tuple[str, ...] = ()
    """The models that stand in, in order."""
    patience_ms: int = PATIENCE_MS


class Figures(msgspec.Struct, frozen=True):
    """What was observed of an offer: ms to the first content, and tokens in a second after it."""

    first_ms: int
    per_second: int


Observed = Mapping[str, Figures]
"""By the offer's id; an offer that is not in it was not observed enough."""


def check_providers(preferences: Preferences, known: Collection[str]) -> None:
    """Raises: BadRequest, naming the providers in `only` or `order` that there are not."""
    names = {name.casefold() for name in known}
    for member, given in (("only", preferences.only), ("order", preferences.order)):
        unknown = [name for name in given if name.casefold() not in names]
        if unknown:
            listed = ", ".join(map(repr, unknown[:NAMED_MOST]))
            raise BadRequest(
                f"`provider.{member}` names what is no provider here: {listed}. "
                "The names are those of the catalogue.",
                code="invalid_parameter",
                param=f"provider.{member}",
            )


def objection(offer: Offer, preferences: Preferences) -> str:
    """The preference that an offer offends, in words; "" if it offends none."""
    name = offer.provider.name
    if _is_in(name, preferences.ignore):
        return "its provider is in provider.ignore"
    if preferences.only and not _is_in(name, preferences.only):
        return "its provider is not in provider.only"
    ordered, strict = preferences.order, not preferences.allow_fallbacks
    if ordered and strict and not _is_in(name, ordered):
        return "its provider is not in provider.order, and provider.allow_fallbacks is false"
    return _too_dear(offer.price, preferences)


def arranged(
    offers: Iterable[Offer], preferences: Preferences, observed: Observed
) -> tuple[Offer, ...]:
    """The offers in the order that is preferred; among equals, in the order that they come in."""
    found = list(offers)
    if preferences.sort:
        found.sort(key=lambda offer: _rank(offer, preferences.sort, observed))
    if preferences.order:
        last = len(preferences.order)
        place: dict[str, int] = {}
        for number, name in enumerate(preferences.order):
            place.setdefault(name.casefold(), number)
        found.sort(key=lambda offer: place.get(offer.provider.name.casefold(), last))
    return tuple(found)


def typical_cost(offer: Offer) -> int:
    """What a typical call costs at an offer with a price, in nano-dollars."""
    if offer.price is None:
        raise ValueError(f"offer {offer.id} has no price")
    return cost(TYPICAL, offer.price)


def _is_in(name: str, listed: tuple[str, ...]) -> bool:
    return name.casefold() in (each.casefold() for each in listed)


def _too_dear(price: Price | None, preferences: Preferences) -> str:
    """Prices with tiers count by the dearest, as a call may come to be priced by it."""
    if price is None:
        return ""
    tiers = (price, *(tier.price for tier in price.tiers))
    for member, amount, most in (
        ("prompt", max(each.input for each in tiers), preferences.max_prompt),
        ("completion", max(each.output for each in tiers), preferences.max_completion),
    ):
        if most is not None and amount > most:
            return f"its price is above provider.max_price.{member}"
    return ""


def _rank(offer: Offer, sort: Sort, observed: Observed) -> tuple[int, int]:
    """Those that were observed come first; the others by price."""
    figures = observed.get(offer.id)
    if sort == "price" or figures is None:
        return 1, typical_cost(offer)
    return 0, figures.first_ms if sort == "latency" else -figures.per_second
