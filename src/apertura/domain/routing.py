"""From a request to the offers to try, in order.

Pure and explainable: the same catalogue and request give the same route, and each offer that was
left out is named with its reason, as is each model. What it is not: trying them (`relay`), or what
a caller may prefer (`preferences`).

The rule that keeps it honest: a model without a price is never routed to, and an offer is left out
for what it cannot do only where the catalogue says what it can: unknown is not no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from apertura.domain.catalog import Catalog, Model, Offer
from apertura.domain.model_ids import find_model
from apertura.domain.preferences import (
    NO_PREFERENCES,
    Observed,
    Preferences,
    arranged,
    check_providers,
    objection,
)
from apertura.errors import AperturaError, BadRequest, Forbidden, NotFound, Unavailable

CAPABILITIES = frozenset({"audio", "json_schema", "tools", "vision"})
"""What a request may need, and formats can tell that it does."""
BYTES_PER_TOKEN = 6
"""No text has more bytes to a token than this, as far as a refusal is concerned: most have four."""
ESTIMATED_BYTES = 4
"""What the estimate of a request's tokens takes for one."""
NO_BOUND = 1 << 62


class Dropped(msgspec.Struct, frozen=True):
    """An offer that will not be tried, and why. `cause`: what of the request it cannot meet."""

    offer: Offer
    reason: str
    cause: str = ""


class Skipped(msgspec.Struct, frozen=True):
    """A model that was asked for and is not on the route, and why."""

    name: str
    reason: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The offers to try, in order: all of the first model, then those of each that stands in."""

    model: Model
    """The first one."""
    asked: str
    """The name that the caller gave."""
    bucket: str
    """What the calls to it are counted by: variants of a model count as that model."""
    offers: tuple[Offer, ...]
    dropped: tuple[Dropped, ...] = ()
    lacks: frozenset[str] = frozenset()
    """Capabilities that some of the offers are known not to have."""
    fits: int = NO_BOUND
    """Bytes of a request up to which it surely fits into what each of them can read."""
    names: Mapping[str, str] = {}
    """Where models may stand in: each on the route by its id, as the caller names it."""
    patience: float = 0
    """Seconds that each of them may take to its first content; 0: no bound of theirs."""
    skipped: tuple[Skipped, ...] = ()


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one request asks of offers. Sizes in bytes, `tokens` estimates its input when asked."""

    needs: frozenset[str] = frozenset()
    size: int = 0
    tokens: Callable[[], int] = int
    preferences: Preferences = NO_PREFERENCES
    unsaid: Callable[[Offer], Sequence[str]] = lambda _: ()
    """What an offer could not be told of it, by the caller's names."""
    observed: Observed = {}


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Models that stand in for the one asked for, in order. `allow` raises what forbids its caller
    a model, given the name and the model's id.
    """

    models: tuple[str, ...] = ()
    patience: float = 0
    allow: Callable[[str, str], None] = lambda *_: None


class Routes:
    """The routes of one catalogue. Those that depend on nothing but the model are made once each:
    there are only so many names that lead to a model, so what is kept is bounded by the catalogue.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._made: dict[tuple[str, str], Route] = {}
        self.providers = frozenset(
            offer.provider.name for offers in catalog.offers.values() for offer in offers
        )

    def route(self, model: str, kind: str) -> Route:
        """Raises: NotFound, BadRequest or Unavailable, naming the model."""
        made = self._made.get((model, kind))
        if made is None:
            made = self._made[model, kind] = route(model, kind, self.catalog)
        return made

    def choose(self, model: str, kind: str, demand: Demand, chain: Chain | None = None) -> Route:
        """The route of one request, over the models that may stand in as well (`chain`).

        Raises:
            NotFound, Unavailable: none of the models is there.
            Forbidden: the caller may not use the first one.
            BadRequest: the request's own fault, or no offer can meet it.
        """
        if chain is None:
            check_providers(demand.preferences, self.providers)
            made = narrowed(self.route(model, kind), demand)
            if not made.offers:
                raise unmet([made])
            return made
        found, skipped, first = self.find(model, kind, demand, chain)
        usable = [made for made in found if made.offers]
        if not usable:
            raise first or unmet(found)
        nothing = "none of its offers can serve this request"
        skipped += [Skipped(made.asked, nothing) for made in found if not made.offers]
        bucket = (usable[0] if first is not None else found[0]).bucket
        return joined(model, bucket, found, chain.patience, tuple(skipped))

    def find(
        self, model: str, kind: str, demand: Demand, chain: Chain
    ) -> tuple[list[Route], list[Skipped], AperturaError | None]:
        """The route of each model, perhaps without offers; the models that are not to be found;
        and why the first one is not. Raises: Forbidden or BadRequest, as `choose` does.
        """
        check_providers(demand.preferences, self.providers)
        found: list[Route] = []
        skipped: list[Skipped] = []
        first: AperturaError | None = None
        for name in (model, *chain.models):
            is_first = not found and not skipped
            try:
                made = self.route(name, kind)
                chain.allow(name, made.model.id)
            except (BadRequest, Forbidden) as error:
                if is_first:
                    raise
                skipped.append(Skipped(name, error.message))
            except (NotFound, Unavailable) as error:
                first = error if is_first else first
                skipped.append(Skipped(name, error.message))
            else:
                if all(made.model.id != other.model.id for other in found):
                    found.append(narrowed(made, demand))
        return found, skipped, first


def route(model: str, kind: str, catalog: Catalog) -> Route:
    """The route to a model for one kind of call.

    Raises:
        NotFound: no such model.
        BadRequest: the model is of another kind, or the variant of it is not offered.
        Unavailable: nobody offers it at a price.
    """
    found = find_model(model, catalog)
    entry = found.model
    if kind not in entry.kinds:
        raise BadRequest(
            f"The model {model!r} is for {' and '.join(sorted(entry.kinds))}, not for {kind}.",
            code="invalid_parameter",
            param="model",
        )
    usable, dropped = [], []
    for offer in catalog.offers[entry.id]:
        if offer.kind != kind:
            dropped.append(Dropped(offer, f"it is for {offer.kind}"))
        elif offer.price is None:
            dropped.append(Dropped(offer, "it has no price"))
        elif offer.weight == 0:
            dropped.append(Dropped(offer, "its weight is 0"))
        else:
            usable.append(offer)
    if not usable:
        raise Unavailable(
            f"The model {model!r} cannot be served now: no offer of it has a price and a weight.",
            headers={"Retry-After": "60"},
        )
    return _with_bounds(
        Route(
            model=entry,
            asked=model,
            bucket=found.bucket,
            offers=tuple(usable),
            dropped=tuple(dropped),
        )
    )


def is_met(route: Route, needs: frozenset[str], size: int) -> bool:
    """Whether each offer of a route can surely serve a request of this size with these needs."""
    return size <= route.fits and needs.isdisjoint(route.lacks)


def narrowed(route: Route, demand: Demand) -> Route:
    """What of a route can meet a request, as its caller prefers it; perhaps no offer at all."""
    kept: list[Offer] = []
    dropped = list(route.dropped)
    tokens = demand.tokens() if demand.size > route.fits else 0
    for offer in route.offers:
        found = _lacking(offer, demand.needs, tokens) or _unwanted(offer, demand)
        if found is None:
            kept.append(offer)
        else:
            dropped.append(found)
    wanted = demand.preferences
    kept = list(arranged(kept, wanted, demand.observed))
    if not wanted.allow_fallbacks and not wanted.order:
        reason = "provider.allow_fallbacks is false, and another offer comes first"
        dropped += [Dropped(offer, reason, "provider") for offer in kept[1:]]
        del kept[1:]
    return msgspec.structs.replace(route, offers=tuple(kept), dropped=tuple(dropped))


def joined(
    asked: str,
    bucket: str,
    routes: Sequence[Route],
    patience: float,
    skipped: tuple[Skipped, ...],
) -> Route:
    """One route from those of several models, each of which may have no offers left."""
    usable = [each for each in routes if each.offers]
    return Route(
        model=usable[0].model,
        asked=asked,
        bucket=bucket,
        offers=tuple(offer for each in usable for offer in each.offers),
        dropped=tuple(dropped for each in routes for dropped in each.dropped),
        names={each.model.id: each.asked for each in usable},
        patience=patience if len(usable) > 1 else 0,
        skipped=skipped,
    )


def unmet(routes: Sequence[Route]) -> BadRequest:
    """The error of a request that no offer can serve, naming what is missing."""
    dropped = [each for made in routes for each in made.dropped if each.cause]
    causes = {each.cause for each in dropped}
    name = routes[0].asked
    if "provider" in causes:
        reasons = sorted({each.reason for each in dropped if each.cause == "provider"})
        return BadRequest(
            f"No offer of the model {name!r} is left by `provider`: {'; '.join(reasons)}.",
            code="invalid_parameter",
            param="provider",
        )
    if "context" in causes:
        return BadRequest(
            f"The request is longer than the model {name!r} can read at once. Shorten it, or ask "
            "a model with a larger context_length (GET /v1/models shows it).",
            code="context_length_exceeded",
        )
    missing = ", ".join(sorted(causes))
    return BadRequest(
        f"The model {name!r} cannot be asked for what this request needs: {missing}. "
        "GET /api/models shows the features of each model.",
        code="invalid_parameter",
        param="model",
    )


def _with_bounds(route: Route) -> Route:
    """With what is known of its offers, so that most requests need no look at each."""
    lacks = frozenset().union(*(_known_lacks(offer) for offer in route.offers))
    lengths = [_context(offer) for offer in route.offers]
    fits = min(min(lengths) * BYTES_PER_TOKEN, NO_BOUND)
    return msgspec.structs.replace(route, lacks=lacks, fits=fits)


def _known_lacks(offer: Offer) -> frozenset[str]:
    return CAPABILITIES - offer.capabilities if offer.capabilities else frozenset()


def _context(offer: Offer) -> int:
    """Tokens that an offer can read. What is asked for numbers may be many texts, of which each
    has its own bound; those are left to the provider.
    """
    if offer.kind != "chat" or offer.context_length is None:
        return NO_BOUND
    return offer.context_length


def _lacking(offer: Offer, needs: frozenset[str], tokens: int) -> Dropped | None:
    missing = sorted(needs & _known_lacks(offer))
    if missing:
        listed = ", ".join(missing)
        return Dropped(offer, f"its capabilities are without {listed}", listed)
    if tokens * ESTIMATED_BYTES > _context(offer) * BYTES_PER_TOKEN:
        length = f"{offer.context_length:,}"
        return Dropped(offer, f"the request is longer than its context of {length}", "context")
    return None


def _unwanted(offer: Offer, demand: Demand) -> Dropped | None:
    reason = objection(offer, demand.preferences)
    if not reason and demand.preferences.require_parameters:
        unsaid = demand.unsaid(offer)
        if unsaid:
            reason = f"it cannot be told {', '.join(unsaid)}, and provider.require_parameters is on"
    return Dropped(offer, reason, "provider") if reason else None
