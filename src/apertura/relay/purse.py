"""May this call start, as far as money goes: a hold over every fund that it concerns.

The height of a hold is the most that the call may cost at the dearest of its offers: input as
estimated from above, output as the caller limits it, or else as a setting does. Usually it comes
from leases in memory, without a question to the database. Where the funds do not cover it, but do
cover something useful, the provider is asked for less, and a header says so.

What it is not: the arithmetic (`domain.ceiling`, `domain.funds`), the leases, or the charge
(`settlement`). The rule that keeps it honest: no call that may cost something reaches a provider
without a hold, and a call has one hold at most, which settlement ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from apertura.domain import payers
from apertura.domain.catalog import Offer
from apertura.domain.ceiling import ceiling, largest_output, output_limit
from apertura.domain.funds import Hold, Short, refusal
from apertura.domain.payers import Way
from apertura.domain.pricing import Price
from apertura.domain.routing import Route
from apertura.errors import PaymentRequired
from apertura.relay.call import Call
from apertura.relay.exchange import Head
from apertura.relay.leases import Leases
from apertura.relay.question import Question

PLAIN_MOST = 64 * 1024
"""Bytes of a body up to which its input is bounded by them alone, without a look into it."""
MARGIN = 64
"""Tokens of what formats add around a request."""
GROWTH = 4
"""A stream without a limit that outgrows its hold is given as much again, by this part of it."""


class Purse:
    """Holds for calls. `output_held`: tokens held for where a caller states no limit."""

    def __init__(self, leases: Leases, output_held: int) -> None:
        self.leases, self._output_held = leases, output_held

    async def hold(self, call: Call, question: Question, route: Route) -> Head:
        """Take the call's hold; returns what the reply must say of it.

        Raises: PaymentRequired, Forbidden (a plan without the model), RateLimited (what is left is
            tied up), Unavailable.
        """
        tokens = input_bound(question)
        wanted = max(self._output(question, offer) for offer in route.offers)
        height = _height(route, tokens, wanted)
        shorts: list[Short] = []
        names = tuple(route.names.values()) or (route.asked,)
        ways = payers.ways(call.caller, names[0], call.started_ms, names[1:])
        for way in ways:
            amount = height if way.credits is None else way.credits
            if not amount:
                call.payer, call.credits = way.payer, way.credits
                return b""
            hold = self.leases.take(way.funds, amount) or await self.leases.hold(way.funds, amount)
            if isinstance(hold, Hold):
                _give(call, question, way, hold, wanted)
                if route.names and way.credits is not None:
                    call.rates = payers.rates(call.caller, route.names, call.started_ms)
                return b""
            shorts.append(hold)
        return await self._less(_Wish(call, question, route, tokens, wanted), ways, shorts)

    async def extend(self, call: Call) -> None:
        """A stream has outgrown its hold: hold more. Raises: PaymentRequired, Unavailable."""
        hold, offer = call.hold, call.offer
        if hold is None or offer is None or offer.price is None:
            return
        more = max(1, call.output_held // GROWTH)
        amount = ceiling(offer.price, 0, more)
        if not await self.leases.extend(hold, amount):
            raise PaymentRequired(
                "The balance does not cover the rest of this answer.", code="insufficient_balance"
            )
        call.output_held += more

    def _output(self, question: Question, offer: Offer) -> int:
        return output_limit(question.max_output, offer.max_output, self._output_held) * (
            question.choices
        )

    async def _less(self, wish: _Wish, ways: Sequence[Way], shorts: Sequence[Short]) -> Head:
        """A hold for less output than was wanted, if that is of use: by the last way, as those
        before it are for what is left of something.
        """
        question, route = wish.question, wish.route
        way, short = ways[-1], shorts[-1]
        sizes = [_largest(offer, wish.tokens, short.covers, wish.output) for offer in route.offers]
        each = min(size or 0 for size in sizes) // question.choices
        name = route.offers[0].provider.limit
        usable = way.credits is None and short.empty and each > 0
        if not usable or not question.lower_output(each, name):
            raise refusal(_to_name(shorts))
        output = each * question.choices
        hold = await self.leases.hold(way.funds, _height(route, wish.tokens, output))
        if not isinstance(hold, Hold):
            raise refusal(hold)
        _give(wish.call, question, way, hold, output)
        return b"x-output-limit: %d\r\n" % each


class _Wish(NamedTuple):
    """A call that its funds do not cover as it is."""

    call: Call
    question: Question
    route: Route
    tokens: int
    output: int


def _to_name(shorts: Sequence[Short]) -> Short:
    """Of the ways that do not cover a call, the one to name: what is only tied up comes back, so
    that waiting helps; else the last, which is the one that can be filled.
    """
    return next((short for short in shorts if not short.empty), shorts[-1])


def input_bound(question: Question) -> int:
    """Input tokens from above. A token of text has two bytes or more, but for numbers of tokens,
    which have two with their comma; a large body may hold images, whose bytes are no words.
    """
    if question.size <= PLAIN_MOST:
        return question.size // 2 + MARGIN
    return min(question.size // 2, 2 * question.estimate_input()) + MARGIN


def _height(route: Route, tokens: int, output: int) -> int:
    return max(ceiling(_price(offer), tokens, output) for offer in route.offers)


def _largest(offer: Offer, tokens: int, covers: int, wanted: int) -> int | None:
    return largest_output(_price(offer), tokens, covers, wanted)


def _price(offer: Offer) -> Price:
    if offer.price is None:
        raise AssertionError(f"offer {offer.id} was routed without a price")
    return offer.price


def _give(call: Call, question: Question, way: Way, hold: Hold, output: int) -> None:
    call.hold, call.funds = hold, way.funds
    call.payer, call.credits = way.payer, way.credits
    unlimited = question.max_output is None and way.credits is None
    call.output_held = output if unlimited else -1
