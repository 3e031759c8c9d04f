"""The heart: walk the route until one offer answers, and pass on its answer.

For each offer: build the request, send it, read the reply; stop at the first that answers, or at an
error that another offer would not mend. Whatever happens, the call is settled exactly once, before
the last byte of a reply leaves.

What it is not: who may call (`admission`), bytes on the network (`transport`), the passing of a
stream (`reply`) or the price (`settlement`). The rule that keeps it honest: after the first content
there is no second offer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from apertura.domain.catalog import Offer
from apertura.domain.routing import Route
from apertura.domain.usage import NOTHING, Usage
from apertura.errors import AperturaError, Garbled, Stalled, Unavailable
from apertura.providers.base import Ask, Provider
from apertura.relay.attempts import enter_model, place_after
from apertura.relay.call import Call
from apertura.relay.connection import Expiry, Origin, Reply
from apertura.relay.exchange import Exchange, Head
from apertura.relay.purse import Purse
from apertura.relay.question import Question, cost_lines, dropped_line, note_wish
from apertura.relay.reply import Passage, Timers
from apertura.relay.settlement import Settlement, is_charged
from apertura.relay.transport import Transport
from apertura.wire.estimate import tokens_of

JSON: Head = b"content-type: application/json\r\n"
STREAM: Head = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"


class Place(msgspec.Struct, frozen=True):
    """A provider and where it listens."""

    provider: Provider
    origin: Origin


class Relay:
    """The data plane of one process."""

    def __init__(
        self,
        transport: Transport,
        purse: Purse,
        settlement: Settlement,
        timers: Timers,
        reply_limit: int,
    ) -> None:
        self._transport, self._purse, self._settlement = transport, purse, settlement
        self._timers, self._reply_limit = timers, reply_limit
        self._clock = asyncio.get_running_loop().time
        self.places: Mapping[str, Place] = {}
        """By the provider's name; swapped together with the catalogue."""
        self.running = 0

    async def run(
        self, call: Call, question: Question, route: Route, exchange: Exchange, head: Head
    ) -> None:
        """Answer one call.

        Raises: AperturaError, while the caller has seen nothing yet; later errors go into the
        stream, and the caller's hanging up ends in CancelledError as everywhere.
        """
        note_wish(question, exchange.headers)
        head += await self._purse.hold(call, question, route)
        self.running += 1
        attempt = self._stream if question.stream else self._whole
        number, told = 0, head
        try:
            while True:
                offer = route.offers[number]
                call.begin(offer)
                if route.names:
                    told = head + enter_model(route, number, call, question, self._clock())
                try:
                    await attempt(call, question, offer, exchange, told)
                except AperturaError as error:
                    call.failed(error)
                    if exchange.started:
                        self._fail_inside(call, error, question, exchange)
                        return
                    number = place_after(route, number, call, error, self._clock())
                else:
                    return
        except asyncio.CancelledError:
            self._cancelled(call, question, exchange)
            raise
        finally:
            self.running -= 1
            if not call.settled:
                self._settlement.settle(call)

    async def _whole(
        self, call: Call, question: Question, offer: Offer, exchange: Exchange, head: Head
    ) -> None:
        """One attempt at an answer that is sent at once."""
        place, request, expiry = self._request(call, question, offer, self._timers.total)
        upstream = await self._transport.send(
            place.origin, request, limit=self._reply_limit, expiry=expiry
        )
        body = await upstream.read()
        if upstream.status != 200:
            raise place.provider.read_error(upstream.status, upstream.headers, body)
        facts = question.check(body, offer)
        call.content = True  # no other offer mends what goes wrong from here on
        if question.keep is not None:
            await question.keep(facts.body)
        used = facts.usage or self._estimate(question, facts.chars, offer)
        bill = question.bill(facts.body, used) if question.include_cost else None
        call.answered(used)
        cost = self._settlement.settle(call)
        paid = call.credits
        if paid and not is_charged(call):
            paid = 0
        head += cost_lines(cost, paid)
        if question.dropped:
            head += dropped_line(question.dropped)
        exchange.respond(200, JSON + head, facts.body if bill is None else bill.at(cost))

    async def _stream(
        self, call: Call, question: Question, offer: Offer, exchange: Exchange, head: Head
    ) -> None:
        """One attempt at an answer that is passed on as it comes."""
        place, request, expiry = self._request(call, question, offer, self._timers.first)
        upstream = await self._transport.send(
            place.origin, request, limit=self._reply_limit, expiry=expiry
        )
        kind = upstream.headers.get(b"content-type", b"").lower()
        if upstream.status != 200 or not kind.startswith(place.provider.stream_type):
            raise self._no_stream(question, offer, upstream, await upstream.read())
        tap = question.listen(offer)
        if question.dropped:
            head += dropped_line(question.dropped)
        passage = Passage(call, upstream, tap, exchange, self._timers, self._purse)
        try:
            await passage.run(b"content-type: %b\r\n%b%b" % (question.stream_type, STREAM, head))
        except asyncio.CancelledError:
            if exchange.closed and call.content:
                call.cut(tap.usage or self._estimate(question, tap.chars, offer))
            raise
        used = tap.usage or self._estimate(question, tap.chars, offer)
        last = question.last(used) if question.include_cost else None
        call.answered(used)
        if question.keep is not None:
            await question.keep(question.streamed(tap))
        cost = self._settlement.settle(call)
        passage.finish(b"" if last is None else last(cost))

    def _request(
        self, call: Call, question: Question, offer: Offer, patience: float
    ) -> tuple[Place, list[bytes], Expiry]:
        """What to send where, and until when something must have come back."""
        place = self.places[offer.provider.name]
        body = question.render(offer)
        dialect = question.dialect(offer)
        ask = Ask(
            call.operation, dialect, offer.upstream_model, question.stream, body, question.extra
        )
        request = place.provider.build(ask)
        call.sent = True
        until = min(self._clock() + patience, call.patience_ends)
        if until < call.deadline:
            return place, request, (until, _too_slow)
        return place, request, (call.deadline, call.budget_spent)

    def _no_stream(
        self, question: Question, offer: Offer, upstream: Reply, body: bytes
    ) -> AperturaError:
        """What came in place of a stream: an error, or nothing that we can pass on."""
        if upstream.status != 200:
            return self.places[offer.provider.name].provider.read_error(
                upstream.status, upstream.headers, body
            )
        try:
            question.check(body, offer)
        except AperturaError as error:
            return error
        return Garbled("The provider answered at once where a stream was asked for.")

    def _cancelled(self, call: Call, question: Question, exchange: Exchange) -> None:
        """The caller hung up; or we are being stopped, which is no fault of the caller's."""
        if exchange.closed:
            if call.outcome == "failed":
                call.cut(NOTHING)
            return
        error = Unavailable("The server is stopping. Try again.", headers={"Retry-After": "5"})
        call.failed(error)
        if exchange.started:
            self._fail_inside(call, error, question, exchange)
        elif not exchange.finished:
            raise error

    def _fail_inside(
        self, call: Call, error: AperturaError, question: Question, exchange: Exchange
    ) -> None:
        """The caller has seen a part: the error goes into the stream, and ends it."""
        if not call.settled:
            self._settlement.settle(call)
        if exchange.finished:
            return
        exchange.write(question.render_stream_error(error))
        exchange.end()

    def _estimate(self, question: Question, chars: int, offer: Offer) -> Usage:
        output = tokens_of(chars)
        bounds = [b for b in (question.max_output, offer.max_output) if b is not None]
        return Usage(input=question.estimate_input(), output=min([output, *bounds]), estimated=True)


def _too_slow() -> AperturaError:
    return Stalled("The provider took too long to answer.")
