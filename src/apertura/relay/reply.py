"""Passing a provider's stream to the caller, piece by piece, and knowing how it ended.

`Passage` is one stream on its way: the transport pushes reads in, the tap looks at each event and
says what of it the caller gets, the exchange sends it. One read, one send; no task runs in between.
Nothing is sent before the first content, so that until then the call can still become another offer
or a proper HTTP error; from then on an error goes inside the stream.

What it is not: the choice of the offer (`relay`) or the price (`settlement`). The rule that keeps
it honest: the success marker is sent only after `finish`, which the relay calls once the call is
settled.
"""

from __future__ import annotations

import asyncio

import msgspec

from apertura.errors import AperturaError, Garbled, Internal, Stalled
from apertura.relay.call import Call
from apertura.relay.connection import Reply
from apertura.relay.exchange import Exchange, Head
from apertura.relay.purse import Purse
from apertura.relay.steps import Signal
from apertura.telemetry import log
from apertura.wire.dialect import Tap

HELD_MOST = 1 << 20
"""Bytes that may come before the first content."""
LETTERS = 2
"""Characters of an answer that count as a token of its hold: less than most tokens have, so that
more is held in time.
"""
DRAIN_SECONDS = 1.0
"""How long a provider that has said its end marker may take to end its HTTP reply as well; within
it the connection can be used again.
"""


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    """The four timers of an attempt, in seconds (the first is the transport's)."""

    first: float
    idle: float
    total: float


class Passage:
    """One stream from one offer to the caller."""

    _end = b""
    _paused = False

    def __init__(  # one place makes it, and for every stream
        self,
        call: Call,
        upstream: Reply,
        tap: Tap,
        exchange: Exchange,
        timers: Timers,
        purse: Purse,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._call, self._upstream, self._tap, self._exchange = call, upstream, tap, exchange
        self._idle = timers.idle
        self._until = call.started + timers.total
        self._heard = 0.0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._head: Head = b""
        self._done = Signal()
        self._error: AperturaError | None = None
        self._purse = purse
        self._growing: asyncio.Task[None] | None = None

    async def run(self, head: Head) -> None:
        """Pass the stream; returns when it is whole, but for its success marker.

        Raises: AperturaError; `exchange.started` tells whether the caller has seen any of it.
        """
        self._head = head
        exchange = self._exchange
        exchange.on_pause, exchange.on_resume = self._pause, self._resume
        try:
            self._upstream.pipe(self._take, self._ended)
            if exchange.paused:
                self._pause()
            await self._done
        finally:
            exchange.on_pause = exchange.on_resume = None
            if self._growing is not None:
                self._growing.cancel()
            if self._tap.ended and self._error is None:
                self._upstream.drain(self._clock() + DRAIN_SECONDS)
            else:
                self._upstream.abort()
        if self._error is not None:
            raise self._error

    def finish(self, last: bytes = b"") -> None:
        """Send the success marker, and what else was left for the end: the call is settled."""
        self._exchange.write(self._end + last)
        self._exchange.end()

    def _take(self, data: bytes) -> None:
        """One read of the provider's. Nothing may leave here but through `_fail`."""
        try:
            out = self._tap.feed(data)
        except AperturaError as error:
            self._salvage()
            self._fail(error)
            return
        except Exception as bug:  # noqa: BLE001  # the stream's own boundary
            log("bug", where="passage", call_id=self._call.id, error=type(bug).__name__)
            self._fail(Internal("The reply could not be read."))
            return
        exchange = self._exchange
        if not exchange.started:
            self._hold(out)
        elif out:
            exchange.write(out)
        self._heard = self._clock()
        if self._tap.ended:
            self._ended(None)
        elif 0 <= self._call.output_held * LETTERS < self._tap.chars and self._growing is None:
            self._growing = asyncio.get_running_loop().create_task(self._grow())

    async def _grow(self) -> None:
        """The answer is longer than what was held for it."""
        try:
            await self._purse.extend(self._call)
        except AperturaError as error:
            self._fail(error)
        finally:
            self._growing = None

    def _hold(self, out: bytes) -> None:
        """Before the first content nothing is sent."""
        if out:
            self._held.append(out)
            self._held_bytes += len(out)
        if self._tap.content:
            self._commit()
        elif self._held_bytes > HELD_MOST:
            self._fail(Garbled("The provider sent much, and no content."))

    def _commit(self) -> None:
        """The first content is here: this offer is the one that answers."""
        self._heard = self._call.first_at = self._clock()
        self._call.content = True
        self._exchange.start(200, self._head)
        self._exchange.write(b"".join(self._held))
        self._held = []
        if not self._paused:
            self._watch()

    def _watch(self) -> None:
        """Look again when the silence since the last read would be too long."""
        self._upstream.expect(min(self._heard + self._idle, self._until), self._quiet)

    def _quiet(self) -> AperturaError | None:
        """Time to look: was there silence? (So a read costs one clock reading, and no timer.)"""
        now = self._clock()
        if now >= self._until:
            return _took_too_long()
        if now >= self._heard + self._idle:
            return Stalled("The provider stopped in the middle of its answer.")
        self._watch()
        return None

    def _ended(self, error: AperturaError | None) -> None:
        """No more will come."""
        if self._done.fired:
            return
        if error is None:
            try:
                self._end = self._tap.close()
            except AperturaError as cut:
                self._salvage()
                error = cut
        if error is not None:
            self._fail(error)
            return
        if not self._exchange.started:  # a whole answer without content is an answer all the same
            self._exchange.start(200, self._head)
            self._exchange.write(b"".join(self._held))
        self._done.fire()

    def _salvage(self) -> None:
        """What came whole before the fault, if the caller is to see any of it."""
        if not self._exchange.started:
            self._hold(self._tap.salvage)
        elif self._tap.salvage:
            self._exchange.write(self._tap.salvage)

    def _fail(self, error: AperturaError) -> None:
        if not self._done.fired:
            self._error = error
            self._upstream.abort()
            self._done.fire()

    def _pause(self) -> None:
        """A slow caller: stop reading, and stop counting the provider's silence."""
        self._paused = True
        self._upstream.pause()
        self._upstream.expect(self._until, _took_too_long)

    def _resume(self) -> None:
        self._paused = False
        self._heard = self._clock()
        self._watch()
        self._upstream.resume()


def _took_too_long() -> AperturaError:
    return Stalled("The answer took longer than this installation allows.")
