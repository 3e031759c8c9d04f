"""One connection to a provider, and one reply while it arrives.

A reply is pushed, not pulled: a `Reply` hands each read to its sink at once, as one piece, so that
a stream costs no task switch per chunk. Its deadline is an attribute, looked at by the transport's
sweep, so that it costs a call nothing.

What it is not: the pool (`transport`). The rule that keeps it honest: every byte of a provider is
bounded before it is kept, and a connection on which anything was odd is not used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import httptools
import msgspec

from apertura.errors import AperturaError, Cut, Garbled, Stalled
from apertura.relay.inflate import Inflater, inflater
from apertura.relay.steps import Signal

HEAD_BYTES_MOST = 64 * 1024
"""Of a head that is not whole yet; one read, of at most 256 KiB, is the bound of one that is."""
NEVER = float("inf")

Sink = Callable[[bytes], None]
Expired = Callable[[], AperturaError | None]
Expiry = tuple[float, Expired]
"""A deadline in the loop's time, and the error that passing it amounts to; None if it does not,
after all, and another was set.
"""


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """Where a provider listens, and whether its connections are used again."""

    scheme: str
    host: str
    port: int
    keepalive: bool = True

    @classmethod
    def of(cls, url: str, *, keepalive: bool = True) -> Origin:
        """The origin of a URL that the catalogue has checked."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname or "", port, keepalive)


class Pool(Protocol):
    """What a connection tells its pool."""

    loop: asyncio.AbstractEventLoop

    def opened(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...

    def released(self, connection: Connection, *, reusable: bool) -> None: ...


class Reply:
    """A provider's reply while it arrives.

    `status` and `headers` are there once `Transport.send` returns. Then either `read` the whole
    body, or `pipe` it to a sink; `done` is called once, with None or the error, after the last
    piece.
    """

    status = 0
    size = 0
    complete = False
    error: AperturaError | None = None
    sink: Sink | None = None
    _done: Callable[[AperturaError | None], None] | None = None
    _end: Signal | None = None

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection: Connection | None = connection
        self._held: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.limit = limit
        self.head = Signal()
        """Fires when the head is in, or never will be: then `error` is set."""

    async def read(self) -> bytes:
        """The whole body. Raises: UpstreamFailed, when it did not all arrive."""
        if not self.complete and self.error is None:
            self._end = Signal()
            try:
                await self._end
            except BaseException:
                self.abort()
                raise
        if self.error is not None:
            raise self.error
        return self._held[0] if len(self._held) == 1 else b"".join(self._held)

    def pipe(self, sink: Sink, done: Callable[[AperturaError | None], None]) -> None:
        """From now on each piece goes to `sink` as it comes, and the end to `done`."""
        self.limit = 0
        held, self._held = self._held, []
        self.sink, self._done = sink, done
        if held:
            sink(held[0] if len(held) == 1 else b"".join(held))
        if self.complete or self.error is not None:
            self._tell()

    def expect(self, deadline: float, error: Expired) -> None:
        """By `deadline`, in the loop's time, expect something else, or `error` ends it."""
        if self._connection is not None:
            self._connection.deadline = deadline
            self._connection.expiry = error

    def pause(self) -> None:
        """The taker is slow: read no more for now."""
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """The taker has caught up."""
        if self._connection is not None:
            self._connection.resume()

    def drain(self, deadline: float) -> None:
        """All that matters has come: read on for the end alone, until `deadline`."""
        if self._connection is not None:
            self.sink, self._done = _ignore, None
            self.resume()
            self.expect(deadline, idle_expired)

    def abort(self) -> None:
        """Nobody wants the rest: drop the connection, so that the provider stops its work."""
        if self._connection is not None:
            self._connection.abort()

    # What the connection calls.

    def take(self, piece: bytes) -> None:
        if self.sink is not None:
            self.sink(piece)
            return
        self.size += len(piece)
        if self.size > self.limit:
            raise Garbled("The provider's reply is larger than this installation accepts.")
        self._held.append(piece)

    def settle(self, error: AperturaError | None) -> None:
        """The reply is whole (None), or will never be."""
        if self.complete or self.error is not None:
            return
        self._connection = None
        self.complete, self.error = error is None, error
        if self._end is not None:
            self._end.fire()
        elif self._done is not None:
            self._tell()
        else:
            self.head.fire()

    def _tell(self) -> None:
        if self._done is not None:
            done, self._done, self.sink = self._done, None, None
            done(self.error)


class DiedUnused(Cut):
    """A reused connection ended before the first byte of a reply: worth one silent retry."""


class Connection(asyncio.Protocol):
    """One connection; at most one request on it at a time.

    httptools calls the `on_…` methods while `data_received` feeds it; what they gather is handed
    to the reply once per read.
    """

    def __init__(self, pool: Pool, origin: Origin) -> None:
        self.pool, self.origin = pool, origin
        self.loop = pool.loop
        self.deadline: float = NEVER
        self.expiry: Expired = idle_expired
        self.closed = False
        self.uses = 0
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self._reply: Reply | None = None
        self._parser: Any = None
        self.paused = False
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # what the parser calls: no frame of Python per chunk
        self._forget()

    def _forget(self) -> None:
        """Ready for the next reply."""
        self._pieces.clear()
        self._last = 0
        self._head_bytes = 0
        self._got_byte = self._got_head = self._got_all = False
        self._reusable = True
        self._framed = False
        self._inflater: Inflater | None = None

    def ask(self, request: list[bytes], limit: int, expiry: Expiry) -> Reply:
        """Send a request; its reply, of which nothing is there yet."""
        self._got_byte = self._got_head = False
        self.uses += 1
        self.deadline, self.expiry = expiry
        reply = self._reply = Reply(self, limit)
        self._transport.writelines(request)
        return reply

    def pause(self) -> None:
        if not self.paused and not self.closed:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.paused and not self.closed:
            self.paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: AperturaError) -> None:
        """End the reply with an error, and the connection with it."""
        reply, self._reply = self._reply, None
        self.abort()
        if reply is not None:
            reply.settle(error)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpResponseParser(self)
        self.pool.opened(self)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self.abort()  # nobody asked
            return
        if not self._got_byte:
            self._forget()
            self._got_byte = True
        try:
            self._parser.feed_data(data)
            if not self._got_head:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES_MOST:
                    raise Garbled("The provider's reply has too many headers.")
            self._hand_on(reply)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._spoiled(reply)
        except AperturaError as error:
            self.fail(error)

    def eof_received(self) -> None:
        if self._reply is not None and self._got_head and not self._framed:
            self._got_all, self._reusable = True, False
            self._finish(self._reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.pool.lost(self)
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if not self._got_byte and self.uses > 1:
            reply.settle(DiedUnused("A kept-alive connection was closed by the provider."))
        else:
            reply.settle(Cut("The provider's connection ended before its reply did."))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._got_all:
            self._reusable = False  # a second reply that nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._got_head and self._reply is not None:
            self._reply.headers[name.lower()] = value
            return
        self._head_bytes += len(name) + len(value)  # a trailer: of no use, and not without end
        if self._head_bytes > HEAD_BYTES_MOST:
            raise Garbled("The provider's reply has too many trailers.")

    def on_headers_complete(self) -> None:
        if self._reply is None or self._got_all:
            return
        headers = self._reply.headers
        status = self._parser.get_status_code()
        if status < 200:
            headers.clear()
            return
        self._reply.status = status
        self._got_head = True
        self._framed = (
            b"content-length" in headers or b"transfer-encoding" in headers or status in (204, 304)
        )
        if b"content-encoding" in headers:
            self._inflater = inflater(headers[b"content-encoding"])

    def on_message_complete(self) -> None:
        if self._got_head and not self._got_all:
            self._got_all = True
            self._last = len(self._pieces)
            self._reusable = self._reusable and self._parser.should_keep_alive()

    # Between the two.

    def _hand_on(self, reply: Reply) -> None:
        pieces = self._pieces
        if self._got_all:  # what came after it was not asked for
            del pieces[self._last :]
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            if self._inflater is None:
                if reply.sink is not None:
                    reply.sink(piece)
                else:
                    reply.take(piece)
            else:
                for part in self._inflater.feed(piece):
                    reply.take(part)
        if self._got_all:
            self._finish(reply)
        elif self._got_head and not reply.head.fired:
            reply.head.fire()

    def _finish(self, reply: Reply) -> None:
        self._reply = None
        self.pool.released(self, reusable=self._reusable and self._framed and self.origin.keepalive)
        reply.settle(None)

    def _spoiled(self, reply: Reply) -> None:
        """Not HTTP. What follows a whole reply is no fault of the reply's."""
        self._reusable = False
        if self._got_all:
            try:
                self._hand_on(reply)
            except AperturaError as error:
                self.fail(error)
        else:
            self.fail(Garbled("The provider sent what is not HTTP."))


def _ignore(_: bytes) -> None:
    """What nobody wants."""


def idle_expired() -> AperturaError:
    """The end of a connection that nobody used; nobody is told."""
    return Stalled("An idle connection was closed.")
