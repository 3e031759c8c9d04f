"""The hot paths without ASGI: uvicorn's protocol class, answering them itself.

uvicorn hands each connection to an HTTP protocol class. This one is uvicorn's own, with one
difference: a request for a path of the hot table becomes a `LaneExchange`, handled by the same
handlers as everywhere, and everything else goes on to the ASGI application as before. A
`LaneExchange` stands in for uvicorn's `RequestResponseCycle` (it has the attributes that the parent
class looks at), so that pipelined requests, keep-alive and shutdown stay the parent's work.

It also holds the bounds that uvicorn leaves open: size and number of headers, size of a body, and
how long a caller may take to send one.

The rule that keeps it honest: nothing here knows what a call is. See
`docs/decisions/0007-fast-lane.md` for what it saves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apertura.relay.call import new_call_id
from apertura.relay.exchange import FORWARDED, PAUSE_ABOVE, Handler, Refuse, joined
from apertura.relay.lane_exchange import STATUS_LINES, LaneExchange
from apertura.relay.same_head import SameHead, same_head
from apertura.relay.steps import Steps

HEADER_BYTES_MOST = 32 * 1024
TOO_MANY_HEADERS = "The request has too many headers, or too large ones."
PIPELINE_MOST = 8
"""Requests that may wait on one connection for the one before them."""
LINGER_SECONDS = 2.0
"""How long the rest of a refused request is read and dropped, so that the refusal is seen."""
SWEEP_SECONDS = 1.0


class LaneRules(msgspec.Struct, frozen=True, kw_only=True):
    """What all connections share. Seconds and bytes."""

    hot: Mapping[bytes, tuple[Handler, str]]
    """By path: the handler, and the path as text."""
    body_limit: int
    patience: float
    """How long a caller may pause within a request."""
    keep_alive: float
    """How long a connection may idle between requests."""
    refuse: Refuse
    """Replies to what a handler raised."""
    render_refusal: Callable[[int, str], bytes]
    """The body that refuses what is not even HTTP."""


class FastLane:
    """What uvicorn calls to make a protocol for each connection, and the sweep over them all."""

    def __init__(self, rules: LaneRules) -> None:
        self.rules = rules
        self._sweeper: asyncio.TimerHandle | None = None

    def __call__(self, **uvicorn: Any) -> Lane:
        lane = Lane(self.rules, **uvicorn)
        if self._sweeper is None:
            self._sweeper = lane.loop.call_later(SWEEP_SECONDS, self._sweep, lane.loop, lane)
        return lane

    def _sweep(self, loop: asyncio.AbstractEventLoop, any_lane: Lane) -> None:
        now = loop.time()
        for lane in list(any_lane.connections):
            if isinstance(lane, Lane):
                lane.sweep(now)
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep, loop, any_lane)


class Lane(HttpToolsProtocol):
    """One connection of a caller."""

    def __init__(self, rules: LaneRules, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._rules = rules
        self.peer = ""
        self._read_size = 0
        self._head_size = 0
        self._receiving = self._in_head = False
        self.refused = False
        """Closing, after a refusal or the last reply: nothing more is read or written."""
        self._upgrading = self._deaf = False
        self._running: LaneExchange | None = None
        self._same: SameHead | None = None
        self._quiet_since = self.loop.time()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=PAUSE_ABOVE)
        self.peer = self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
        self.pipeline.clear()
        super().connection_lost(exc)
        self.cycle = None  # type: ignore[assignment]  # the last of its exchanges names us, too

    def data_received(self, data: bytes) -> None:
        if self.refused or self._deaf:
            return
        if self._same is not None and self._run_same(self._same, data):
            return
        self._quiet_since = self.loop.time()
        self._read_size = len(data)
        fresh = not self._receiving
        try:
            self.parser.feed_data(data)
            if self._in_head:
                self._weigh_begun_head(data)
            elif fresh and not self._receiving:
                self._remember(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, "The request is not valid HTTP.")

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._running is not None:
            self._running.set_paused(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._running is not None:
            self._running.set_paused(False)
        elif not self._busy():
            self.flow.resume_reading()

    def sweep(self, now: float) -> None:
        """Called every second: give up on a caller who is too slow, or idle for too long."""
        quiet = now - self._quiet_since
        if self._receiving and not self.refused:
            if quiet > self._rules.patience:
                self._refuse(408, "The request took too long to arrive.")
        elif quiet > self._rules.keep_alive and not self._busy():
            self.transport.close()

    # What the parser calls.

    def timeout_keep_alive_handler(self) -> None:
        """uvicorn's timer after its own replies; `sweep` does that work here."""

    def on_message_begin(self) -> None:
        if self.refused or self._deaf:
            raise _Refused
        if len(self.pipeline) >= PIPELINE_MOST:
            self._refuse(400, "Too many requests wait on one connection.")
            raise _Refused
        self._receiving = True
        self._in_head = True
        self._head_size = 0
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer: of no use, and not without end
            self._head_size += len(name) + len(value)
            if self._head_size > HEADER_BYTES_MOST:
                self._refuse(431, TOO_MANY_HEADERS)
                raise _Refused
            return
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_size + self._read_size > HEADER_BYTES_MOST:
            self._weigh_head()
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        path, _, query = self.url.partition(b"?")
        found = self._rules.hot.get(path)
        method = self.parser.get_method()
        if found is None or method == b"HEAD":
            self._to_asgi()
        else:
            handler, name = found
            self._to_handler(handler, method.decode("ascii"), name, query)

    def on_body(self, body: bytes) -> None:
        exchange = self.cycle
        if not isinstance(exchange, LaneExchange):
            super().on_body(body)
            return
        exchange.size += len(body)
        if exchange.size > self._rules.body_limit:
            self._oversized(exchange)
        else:
            exchange.pieces.append(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        self._receiving = False
        exchange = self.cycle
        if not isinstance(exchange, LaneExchange):
            super().on_message_complete()
            return
        exchange.more_body = False
        if exchange.oversized:
            return
        pieces = exchange.pieces
        exchange.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        exchange.pieces = []
        if not self.pipeline:
            self._run(exchange)

    # From a request's head to its handler.

    def _weigh_begun_head(self, data: bytes) -> None:
        """A head that does not end in this read."""
        self._head_size += len(data)
        if self._head_size > HEADER_BYTES_MOST:
            self._refuse(431, TOO_MANY_HEADERS)

    def _weigh_head(self) -> None:
        """A read so large that the head in it may be too: look closer."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEADER_BYTES_MOST:
            self._refuse(431, TOO_MANY_HEADERS)
            raise _Refused

    def _to_asgi(self) -> None:
        """uvicorn's own way, from where it would be by now."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = (b"expect", b"100-continue") in headers
        super().on_headers_complete()

    def _to_handler(self, handler: Handler, method: str, path: str, query: bytes) -> None:
        before = self.cycle
        headers = dict(self.headers)
        if FORWARDED in headers:
            headers[FORWARDED] = joined(self.headers, FORWARDED)
        exchange = LaneExchange(self, handler, method, path, query, headers)
        if not self.parser.should_keep_alive() or b"connection" in headers:
            exchange.http11 = self.parser.get_http_version() == "1.1"
            exchange.keep_alive = exchange.http11 and self.parser.should_keep_alive()
        self.cycle = exchange  # type: ignore[assignment]  # it stands in for uvicorn's
        if before is not None and not before.response_complete:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]
        if int(headers.get(b"content-length", b"0")) > self._rules.body_limit:
            self._oversized(exchange)
        elif b"expect" in headers and not self.pipeline:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _remember(self, data: bytes) -> None:
        """A read that may have been one whole request: the next one may have the same head."""
        done: object = self.cycle
        if isinstance(done, LaneExchange) and done.keep_alive and not self.pipeline:
            self._same = same_head(data, done, done.handler)

    def _run_same(self, same: SameHead, data: bytes) -> bool:
        """Run what was read, if it is a whole request with the head of an earlier one."""
        if self._receiving or not self.cycle.response_complete:
            return False
        body = same.body_of(data)
        if body is None or len(body) > self._rules.body_limit:
            return False
        headers = same.headers.copy()
        headers[b"content-length"] = b"%d" % len(body)
        exchange = LaneExchange(self, same.handler, same.method, same.path, same.query, headers)
        exchange.body, exchange.more_body = body, False
        self.cycle = exchange  # type: ignore[assignment]  # it stands in for uvicorn's
        self._run(exchange)
        return True

    def _oversized(self, exchange: LaneExchange) -> None:
        """The handler refuses it, in the caller's format; the rest of the body is not kept."""
        if not exchange.oversized:
            exchange.oversized, exchange.keep_alive, exchange.pieces = True, False, []
            if not self.pipeline:
                self._run(exchange)

    def _run(self, exchange: LaneExchange) -> None:
        """At once, up to where it waits (see `steps`)."""
        self._running = exchange
        exchange.id = new_call_id()
        exchange.paused = self.flow.write_paused
        steps = exchange.steps = Steps(exchange.handler(exchange), partial(self._ended, exchange))
        self.tasks.add(steps)  # type: ignore[arg-type]  # uvicorn waits for these, and cancels them
        steps.step()

    def _ended(self, exchange: LaneExchange, error: BaseException | None) -> None:
        self.tasks.discard(exchange.steps)
        exchange.steps = None  # else the two keep each other, and all of the call, until gc comes
        if error is not None:
            self._rules.refuse(exchange, error)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """The parent starts what waited in the pipeline; ours is run now or when it is whole."""
        if not isinstance(cycle, LaneExchange):
            super()._start_asgi_task(cycle, app)
        elif cycle.oversized or not cycle.more_body:
            self._run(cycle)

    # After a reply, and refusals.

    def answered(self, exchange: LaneExchange) -> None:
        """A reply of ours is complete."""
        self._running = None
        self._quiet_since = self.loop.time()
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            self._close(linger=exchange.more_body)
        elif self.pipeline:
            self.on_response_complete()
        elif self.flow.write_paused:  # who does not read what was answered is not read from
            self.flow.pause_reading()
        elif self.flow.read_paused:
            self.flow.resume_reading()

    def _busy(self) -> bool:
        """Whether a reply is under way, or about to be."""
        if self._running is not None or self.pipeline:
            return True
        cycle = self.cycle
        if cycle is None or isinstance(cycle, LaneExchange) or cycle.response_complete:
            return False
        return cycle.response_started or not self._receiving

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, or none that we read on with, and close."""
        if self.refused or self._deaf:
            return
        if self._busy():
            self._hear_no_more()
            return
        answered = self.cycle is not None and self.cycle.response_complete and self._receiving
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # it waits for a body that will not come
            self.cycle.message_event.set()
        if not (answered and not self._in_head):
            body = self._rules.render_refusal(status, message)
            head = b"content-type: application/json\r\nconnection: close\r\n"
            length = b"content-length: %d\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINES[status] + head + length + body)
        self._close(linger=True)

    def _hear_no_more(self) -> None:
        """What was taken is answered; the last of it closes the connection."""
        self._deaf = True
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self._running or self.cycle
        last.keep_alive = False

    def _close(self, *, linger: bool) -> None:
        """Close; with `linger`, let a caller who is still sending read our reply first."""
        self.refused = True
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1, as a server may: read the request again without its wish.

        (Java's client asks for HTTP/2 with every first request, bodies included.)
        """
        self._upgrading = False
        if self.parser.get_method() == b"CONNECT":
            self._refuse(405, "This server is no proxy.")
            return
        method, url, headers = self.parser.get_method(), self.url, self.headers
        kept = [h for h in headers if h[0] not in (b"upgrade", b"connection", b"http2-settings")]
        head = b"".join(b"%b: %b\r\n" % header for header in kept)
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, url, head, rest))


class _Refused(Exception):
    """Stops the parser; the answer was already sent."""
