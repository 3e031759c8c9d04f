"""The route that a call may take: by its model, what it needs, what it prefers, what its key may.

Most calls take a route that was made before. What it is not: the reasons for or against an offer
(`domain.routing`). The rule that keeps it honest: a model that stands in is one that the caller
could have asked for by its own name.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Protocol

from apertura.domain import keys, model_ids
from apertura.domain.catalog import Catalog
from apertura.domain.identity import Caller
from apertura.domain.preferences import NO_PREFERENCES, Wish
from apertura.domain.routing import Chain, Demand, Route, Routes, is_met
from apertura.errors import Forbidden
from apertura.relay.question import Question

MS_PER_SECOND = 1_000


class Wishing(Question, Protocol):
    """A question whose request may say something about its route."""

    @property
    def wish(self) -> Wish | None: ...


def choose_route(routes: Routes, caller: Caller, asked: str, kind: str, question: Wishing) -> Route:
    """Raises: NotFound, Forbidden, BadRequest or Unavailable, as the contract orders them."""
    wish = question.wish
    if wish is None or not wish.models:
        route = routes.route(asked, kind)
        if caller.policy.models:
            check_allowed(routes.catalog, caller, asked, route.model.id)
        if wish is None and is_met(route, question.needs, question.size):
            return route
        return routes.choose(asked, kind, _demand(question, wish))
    chain = _chain(routes.catalog, caller, asked, wish)
    return routes.choose(asked, kind, _demand(question, wish), chain)


def _demand(question: Wishing, wish: Wish | None) -> Demand:
    return Demand(
        needs=question.needs,
        size=question.size,
        tokens=cache(question.estimate_input),
        preferences=NO_PREFERENCES if wish is None else wish.preferences,
        unsaid=question.unsaid,
    )


def check_allowed(catalog: Catalog, caller: Caller, asked: str, model: str) -> None:
    """May the key ask for this model, by this name or another of it? Raises: Forbidden."""
    allowed = caller.policy.models
    if allowed and asked not in allowed and not model_ids.allows(allowed, model, catalog):
        keys.check_model(caller.policy, model)


def _chain(catalog: Catalog, caller: Caller, asked: str, wish: Wish) -> Chain:
    now_ms = time.time_ns() // 1_000_000

    def allow(name: str, model: str) -> None:
        check_allowed(catalog, caller, name, model)
        plan = caller.plan
        if name != asked and plan is not None and plan.multiplier(name, now_ms) is None:
            raise Forbidden("The plan of this API key does not include it.")

    return Chain(models=wish.models, patience=wish.patience_ms / MS_PER_SECOND, allow=allow)
