"""An exchange of the fast lane: how its reply is written, byte for byte.

The rule that keeps it honest: one reply is one HTTP/1.1 message, with a length or chunked (or, for
HTTP/1.0, ended by closing), and nothing is written after its end or once the caller has gone.
"""

from __future__ import annotations

import asyncio
import http
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from apertura.relay.exchange import Exchange, Handler, Headers

if TYPE_CHECKING:
    from apertura.relay.fastlane import Lane

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


class LaneExchange(Exchange):
    """A request of the hot table, and where its reply goes."""

    __slots__ = (
        "_chunked",
        "_lane",
        "_paused",
        "handler",
        "http11",
        "keep_alive",
        "message_event",
        "more_body",
        "pieces",
        "response_complete",
        "size",
        "task",
    )

    def __init__(
        self,
        lane: Lane,
        handler: Handler,
        method: str,
        path: str,
        query: bytes,
        headers: dict[bytes, bytes],
        peer: str,
    ) -> None:
        super().__init__(method, path, query, headers, b"", peer)
        self.handler = handler
        self._lane = lane
        self._chunked = self._paused = False
        self.http11 = self.keep_alive = True
        self.pieces: list[bytes] = []
        self.size = 0
        self.task: asyncio.Task[None] | None = None
        # What uvicorn's class reads and sets on the exchange in progress:
        self.more_body = True
        self.response_complete = False
        self.message_event = _NO_EVENT

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        lines = self._head(status, headers)
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"content-length: %d\r\n\r\n" % len(body))
        lines.append(body)
        self._send(b"".join(lines))
        self._finish()

    def start(self, status: int, headers: Headers) -> None:
        self._chunked = self.http11
        self.keep_alive = self.keep_alive and self._chunked
        lines = self._head(status, headers)
        if self._chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._send(b"".join(lines))

    def write(self, data: bytes) -> None:
        if data:
            self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        if self._chunked:
            self._send(b"0\r\n\r\n")
        self._finish()

    def abort(self) -> None:
        self.keep_alive = False
        self._lane.transport.abort()
        self._finish()

    def _head(self, status: int, headers: Headers) -> list[bytes]:
        self.started = True
        lines = [STATUS_LINES[status], _date_line()]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        return lines

    def _send(self, data: bytes) -> None:
        if not self.closed:
            self._lane.transport.write(data)

    def _finish(self) -> None:
        self.finished = self.response_complete = True
        self._lane.answered(self)

    # What uvicorn's class calls.

    @property
    def disconnected(self) -> bool:
        return self.closed

    @disconnected.setter
    def disconnected(self, _: bool) -> None:
        """The caller has hung up: the call is cancelled at once."""
        self.closed = True
        if self.task is not None:
            self.task.cancel()

    def set_paused(self, paused: bool) -> None:
        """The caller reads too slowly, or has caught up."""
        if self._paused != paused:
            self._paused = paused
            notify = self.on_pause if paused else self.on_resume
            if notify is not None:
                notify()


class _NoEvent:
    """uvicorn wakes its own cycles with an event; ours need no waking."""

    def set(self) -> None:
        """Nothing waits."""


_NO_EVENT = _NoEvent()
_date: tuple[int, bytes] = (0, b"")


def _date_line() -> bytes:
    """The Date header, made once a second."""
    global _date  # noqa: PLW0603  # a cache of one value, for all connections of the process
    now = int(time.time())
    if _date[0] != now:
        _date = now, f"date: {formatdate(now, usegmt=True)}\r\n".encode()
    return _date[1]
