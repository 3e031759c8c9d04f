"""One HTTP request and its reply, as the data plane sees them.

`Exchange` is all that handlers know of the network on the caller's side: a request that is whole,
and `respond`, or `start`, `write` and `end`. Two servers' sides speak it: `AsgiExchange` below, for
any ASGI server, and the fast lane's (`fastlane`), without ASGI between.

`write` never waits. What a slow caller leaves unread piles up only until `on_pause` is called,
which stops the provider's side; `on_resume` starts it again. The rule that keeps it honest: a reply
is ended once, by `respond` or `end`, or broken by `abort`, which the caller can tell from an end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any

from apertura.relay.call import new_call_id
from apertura.relay.steps import Steps

Head = bytes
"""Headers of a reply as they travel: lines of `name: value`, names in lower case, each ended by
CR LF. Made once, where they are known, and copied from there on."""
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
PAUSE_ABOVE = 256 * 1024
"""Bytes that may wait for a slow caller before the provider is paused."""


class Exchange:
    """The base: a request, and where its reply has got to."""

    id = ""
    """The request id, given by whoever first handles it."""
    started = False
    finished = False
    closed = False
    """The caller has hung up."""
    head: Head = b""
    """What every reply carries, errors too: request id and limits, once they are known."""
    oversized = False
    """The body was larger than allowed and was not kept: to be refused by the handler."""
    paused = False
    """The caller reads too slowly: what is written piles up."""
    on_pause: Callable[[], None] | None = None
    on_resume: Callable[[], None] | None = None

    def __init__(  # one argument for each part of a request
        self,
        method: str,
        path: str,
        query: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        peer: str,
    ) -> None:
        self.method, self.path, self.query = method, path, query
        self.headers, self.body, self.peer = headers, body, peer

    def header(self, name: bytes) -> str:
        """A request header by its lower-case name; empty if absent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    def respond(self, status: int, head: Head, body: bytes) -> None:
        """The whole reply at once."""
        raise NotImplementedError

    def start(self, status: int, head: Head) -> None:
        """The head of a streamed reply."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """A piece of a streamed reply."""
        raise NotImplementedError

    def end(self) -> None:
        """The streamed reply is whole."""
        raise NotImplementedError

    def abort(self) -> None:
        """Break the connection: the caller must see that the reply is not whole."""
        raise NotImplementedError


Handler = Callable[[Exchange], Coroutine[Any, None, None]]
Refuse = Callable[[Exchange, BaseException], None]
"""Makes a reply of whatever a handler raised."""


class AsgiExchange(Exchange):
    """Over ASGI: what is written waits in a list until the server takes it."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        client = scope.get("client")
        super().__init__(
            scope["method"],
            scope["path"],
            scope.get("query_string", b""),
            {**dict(scope["headers"]), FORWARDED: joined(scope["headers"], FORWARDED)},
            body,
            client[0] if client else "",
        )
        self._out: list[MutableMapping[str, Any]] = []
        self._news = asyncio.Event()
        self._waiting = 0

    def respond(self, status: int, head: Head, body: bytes) -> None:
        self.start(status, b"%bcontent-length: %d\r\n" % (head, len(body)))
        self._put({"type": "http.response.body", "body": body})
        self.finished = True

    def start(self, status: int, head: Head) -> None:
        self.started = True
        lines = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[:-1]]
        self._put({"type": "http.response.start", "status": status, "headers": lines})

    def write(self, data: bytes) -> None:
        self._waiting += len(data)
        self._put({"type": "http.response.body", "body": data, "more_body": True})
        if self._waiting > PAUSE_ABOVE and self.on_pause is not None and not self.paused:
            self.paused = True
            self.on_pause()

    def end(self) -> None:
        self.finished = True
        self._put({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        self.finished = True
        self._put({"type": "abort"})

    async def pump(self, send: Send) -> None:
        """Hand what is written to the server, until the end."""
        while True:
            await self._news.wait()
            self._news.clear()
            out, self._out = self._out, []
            for message in out:
                if self.closed:
                    return
                if message["type"] == "abort":
                    raise BrokenReply
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    return
            self._drained()

    def _put(self, message: MutableMapping[str, Any]) -> None:
        self._out.append(message)
        self._news.set()

    def _drained(self) -> None:
        self._waiting = sum(len(message.get("body", b"")) for message in self._out)
        if self.paused and self._waiting <= PAUSE_ABOVE // 2:
            self.paused = False
            if self.on_resume is not None:
                self.on_resume()


FORWARDED = b"x-forwarded-for"


def joined(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """All lines of one header as one: each proxy may have added a line of its own."""
    return b",".join(value for key, value in headers if key == name)


def head_lines(headers: Mapping[str, str]) -> Head:
    """Header lines from names and values. Raises: ValueError, where one would break the message."""
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header holds a line break")
    return lines.encode("latin-1", "replace")


class BrokenReply(Exception):
    """Makes an ASGI server drop the connection in the middle of a reply, as `abort` wants."""


def asgi(
    handler: Handler, refuse: Refuse, *, body_limit: int
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """A handler of exchanges as an ASGI application for one path."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive, body_limit)
        if body is None:
            return
        exchange = AsgiExchange(scope, body[:body_limit])
        exchange.oversized = len(body) > body_limit
        exchange.id = new_call_id()
        steps = Steps(handler(exchange), partial(_ended, exchange, refuse))
        steps.step()
        watch = asyncio.ensure_future(_watch(receive, exchange, steps))
        try:
            await exchange.pump(send)
        except asyncio.CancelledError:  # the server is being stopped, and does not wait any more
            steps.cancel()
            raise
        finally:
            watch.cancel()

    return serve


def _ended(exchange: Exchange, refuse: Refuse, error: BaseException | None) -> None:
    if error is not None:
        refuse(exchange, error)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, or its beginning if it is over the limit; None if the caller hung up in between."""
    pieces: list[bytes] = []
    size, more = 0, True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        pieces.append(piece)
        more = message.get("more_body", False)
    return b"".join(pieces)


async def _watch(receive: Receive, exchange: AsgiExchange, steps: Steps) -> None:
    """Cancel the call when its caller hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if not exchange.finished:
        exchange.closed = True
        steps.cancel()
        exchange.abort()
