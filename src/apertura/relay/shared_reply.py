"""One reply with several readers: the caller who began the call, and those who asked for it again.

`SharedReply` is what the relay writes to, in place of a caller's exchange. What is written is kept,
and each `Reader` takes from it as fast as its own caller reads: who comes late gets at once what
was sent so far, and then what comes; who reads slowly holds up nobody.

Past a bound (`unkeep`) a reply is kept no more: then it is as without sharing. The oldest reader
sets the pace, by pausing the provider; other readers go along, or are cut when they fall behind;
nobody new may join.

What it is not: which calls share one (`idempotency`). The rule that keeps it honest: every reader
gets the same bytes in the same order, all of them or a broken connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apertura.relay.exchange import Exchange, Head
from apertura.relay.steps import Signal

PIECE = 64 * 1024
"""Bytes that a reader is given at once, before it is asked whether it is slow."""
REPLAYED: Head = b"idempotent-replayed: true\r\n"


class Reader:
    """One caller's part: how far it has read."""

    def __init__(self, reply: SharedReply, exchange: Exchange, head: Head, *, again: bool) -> None:
        self.exchange, self.done = exchange, Signal()
        self.error: BaseException | None = None
        """Why there is no reply; whoever waits for `done` raises it."""
        self.at = 0
        self._reply, self._head, self._again = reply, head, again
        self._timer: asyncio.TimerHandle | None = None
        exchange.on_pause, exchange.on_resume = reply.moved, self._resumed

    def lines(self) -> Head:
        """What its own reply says besides the call's lines: limits, and the first call's id."""
        if not self._again and not self._reply.replayed:
            return self._head
        return self._head.replace(self.exchange.id.encode(), self._reply.id.encode()) + REPLAYED

    def push(self) -> None:
        """Give the caller what there is, as far as it reads."""
        reply, exchange = self._reply, self.exchange
        if self.done.fired or not reply.started or exchange.closed:
            return
        if reply.whole is not None:
            exchange.respond(reply.status, reply.lines + self.lines(), reply.whole)
            self.leave()
            return
        if not exchange.started:
            exchange.start(reply.status, reply.lines + self.lines())
        sent = reply.sent
        while self.at < len(sent) and not exchange.paused:
            piece = bytes(sent[self.at : self.at + PIECE])
            self.at += len(piece)
            exchange.write(piece)
        if reply.finished and self.at == len(sent):
            exchange.end()
            self.leave()
        elif reply.finished and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(reply.patience, self.cut)

    def fail(self, error: BaseException) -> None:
        """There is no reply: `error` is to be raised where the caller's exchange is handled."""
        self.error = error
        self.leave()

    def cut(self) -> None:
        """Too slow: the caller must see that the reply is not whole."""
        if not self.done.fired:
            self.exchange.abort()
            self.leave()

    def leave(self) -> None:
        """It reads no more."""
        self.exchange.on_pause = self.exchange.on_resume = None
        if self._timer is not None:
            self._timer.cancel()
        if self in self._reply.readers:
            self._reply.readers.remove(self)
            self._reply.moved()
        self.done.fire()

    def name(self) -> None:
        """Before an error is made a reply: it is of the first call, too."""
        if self._again and not self.exchange.started:
            self.exchange.head, self.exchange.id = self.lines(), self._reply.id

    def _resumed(self) -> None:
        self.push()
        self._reply.moved()


class SharedReply(Exchange):
    """A reply as the relay writes it. `grew` is told of bytes that are kept; `patience` is in
    seconds: how long a reader may take after the end.
    """

    status = 0
    lines: Head = b""
    """The call's own header lines."""
    whole: bytes | None = None
    """The body of a reply that is no stream."""
    kept = True
    """All that was written is here."""
    replayed = False
    """It is an earlier call's, for all of its readers."""

    def __init__(self, first: Exchange, grew: Callable[[int], None], patience: float) -> None:
        super().__init__(first.method, first.path, first.query, first.headers, b"", first.peer)
        self.id = first.id
        self.sent = bytearray()
        self.readers: list[Reader] = []
        self.patience = patience
        self._grew = grew
        self._telling = False

    def attach(self, exchange: Exchange, head: Head, *, again: bool) -> Reader:
        """One more reader; `head` are the lines of its own. `again`: it did not begin the call."""
        reader = Reader(self, exchange, head, again=again)
        self.readers.append(reader)
        reader.push()
        return reader

    # What the relay calls.

    def respond(self, status: int, head: Head, body: bytes) -> None:
        self.started = self.finished = True
        self.status, self.lines, self.whole = status, head, body
        self._tell()
        self._grew(len(body))

    def start(self, status: int, head: Head) -> None:
        self.started = True
        self.status, self.lines = status, head
        self._tell()

    def write(self, data: bytes) -> None:
        self.sent += data
        self._tell()
        if self.kept:
            self._grew(len(data))
        else:
            self.moved()

    def end(self) -> None:
        self.finished = True
        self._tell()

    def abort(self) -> None:
        self.finished = True
        for reader in tuple(self.readers):
            reader.cut()

    def fail(self, error: BaseException) -> None:
        """The call ended, and has no (whole) reply."""
        for reader in tuple(self.readers):
            reader.fail(error)

    # Bounds.

    def forget_asking(self) -> None:
        """The call has ended: the reply may stay, its caller's headers have no business here."""
        self.headers, self.query = {}, b""

    def let_go(self) -> None:
        """Nobody counts its bytes any more."""
        self._grew = _ignore

    def unkeep(self) -> None:
        """Keep no more of it than its oldest reader still lacks."""
        self.kept = False
        self.moved()

    def moved(self) -> None:
        """Somebody has read on, paused or left. Matters only once the reply is not kept."""
        if self.kept or self.finished or self._telling:
            return
        self._telling = True
        for reader in self.readers[1:]:
            if reader.at < len(self.sent):
                reader.cut()
        self._telling = False
        first = self.readers[0] if self.readers else None
        if first is None or first.at == len(self.sent):
            self.sent.clear()
            for reader in self.readers:
                reader.at = 0
        self._pause(first is not None and (bool(self.sent) or first.exchange.paused))

    def _pause(self, paused: bool) -> None:
        if paused != self.paused:
            self.paused = paused
            notify = self.on_pause if paused else self.on_resume
            if notify is not None:
                notify()

    def _tell(self) -> None:
        self._telling = True  # until all of them have had their turn, none is behind
        for reader in tuple(self.readers):
            reader.push()
        self._telling = False


def _ignore(_: int) -> None:
    """What nobody counts."""
