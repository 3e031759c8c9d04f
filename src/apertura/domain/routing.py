"""From a request to the offers to try, in order.

Pure and explainable: the same catalogue and request give the same route, and each offer that was
left out is named with its reason. What it is not: trying them (`relay`).

The rule that keeps it honest: a model without a price is never routed to.
"""

from __future__ import annotations

import msgspec

from apertura.domain.catalog import Catalog, Model, Offer
from apertura.domain.model_ids import find_model
from apertura.errors import BadRequest, Unavailable


class Dropped(msgspec.Struct, frozen=True):
    """An offer that will not be tried, and why."""

    offer: Offer
    reason: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The offers to try, in order."""

    model: Model
    asked: str
    """The name of it that the caller gave."""
    bucket: str
    """What the calls to it are counted by: variants of a model count as that model."""
    offers: tuple[Offer, ...]
    dropped: tuple[Dropped, ...] = ()


class Routes:
    """The routes of one catalogue, each made once: a route depends on nothing but the model yet.

    There are only so many names that lead to a model, so what is kept is bounded by the catalogue.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._made: dict[tuple[str, str], Route] = {}

    def route(self, model: str, kind: str) -> Route:
        """Raises: NotFound, BadRequest or Unavailable, naming the model."""
        made = self._made.get((model, kind))
        if made is None:
            made = self._made[model, kind] = route(model, kind, self.catalog)
        return made


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
    return Route(
        model=entry,
        asked=model,
        bucket=found.bucket,
        offers=tuple(usable),
        dropped=tuple(dropped),
    )
