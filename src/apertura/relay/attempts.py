"""Which offer comes after one that failed, and what a reply says of the model that answered.

Two kinds of step: to another offer of the same model, after what that may mend; and to the next of
the models that may stand in, after whatever its provider did, and never after a fault of the
request or the caller's own limits. What it is not: the attempts themselves (`relay`).

The rule that keeps it honest: after the first content, or when the call's time is up, none comes.
"""

from __future__ import annotations

from urllib.parse import quote

from apertura.domain.catalog import Offer
from apertura.domain.routing import Route
from apertura.errors import (
    AperturaError,
    AuthenticationFailed,
    BudgetSpent,
    Forbidden,
    PaymentRequired,
)
from apertura.relay.call import Call
from apertura.relay.exchange import Head
from apertura.relay.question import Question

_OURS = (AuthenticationFailed, BudgetSpent, Forbidden, PaymentRequired)
"""Errors that no other model mends; what providers fail with is never one of these."""


def place_after(route: Route, number: int, call: Call, error: AperturaError, now: float) -> int:
    """The place on the route of what is tried after the offer there failed. Raises: that error,
    where nothing is.
    """
    offers = route.offers
    following = number + 1
    if call.content or now >= call.deadline:
        raise error
    if error.retryable and now < call.patience_ends and following < len(offers):
        return following
    if not _is_mended(route, number, call, error):
        raise error
    model = offers[number].model
    for place in range(following, len(offers)):
        if offers[place].model != model:
            return place
    raise error


def _is_mended(route: Route, number: int, call: Call, error: AperturaError) -> bool:
    """Whether another model may do better. What the first one cannot be told the caller must mend;
    what one that stands in cannot be told, the next may be.
    """
    if not route.names or isinstance(error, _OURS):
        return False
    return error.retryable or call.sent or not _is_asked(route, route.offers[number])


def enter_model(route: Route, number: int, call: Call, question: Question, now: float) -> Head:
    """Before each attempt where models may stand in: a model's time begins with its first offer,
    and replies name the model. Returns what the reply must say of it.
    """
    offers = route.offers
    offer = offers[number]
    if number == 0 or offers[number - 1].model != offer.model:
        if route.patience:
            call.patience_ends = now + route.patience
        if not _is_asked(route, offer):
            question.name_model(offer.model)
    return lines(route, offer)


def lines(route: Route, offer: Offer) -> Head:
    """The headers that say which model answered."""
    served = quote(offer.model, safe="/:@.,+-_~() ").encode()
    if _is_asked(route, offer):
        return b"x-fallback-used: false\r\nx-actual-model: %b\r\n" % served
    return (
        b"x-fallback-used: true\r\nx-fallback-from: %b\r\nx-actual-model: %b\r\n"
        b"x-fallback-reason: primary_model_failed\r\n"
        % (quote(route.asked, safe="/:@.,+-_~() ").encode(), served)
    )


def _is_asked(route: Route, offer: Offer) -> bool:
    return route.names.get(offer.model) == route.asked
