"""An exchange of the fast lane: how its reply is written, byte for byte.

The rule that keeps it honest: one reply is one HTTP/1.1 message, with a length or chunked (or, for
HTTP/1.0, ended by closing), and nothing is written after its end or once the caller has gone.
"""

from __future__ import annotations

import http
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from apertura.relay.exchange import Exchange, Handler, Head
from apertura.relay.steps import Steps

if TYPE_CHECKING:
    from apertura.relay.fastlane import Lane

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


class LaneExchange(Exchange):
    """A request of the hot table, and where its reply goes."""

    http11 = True
    keep_alive = True
    size = 0
    steps: Steps | None = None
    _chunked = False
    # What uvicorn's class reads and sets on the exchange in progress:
    more_body = True
    response_complete = False

    def __init__(
        self,
        lane: Lane,
        handler: Handler,
        method: str,
        path: str,
        query: bytes,
        headers: dict[bytes, bytes],
    ) -> None:
        # What the parent's does, spelled out: this runs for every call.
        self.method, self.path, self.query = method, path, query
        self.headers, self.body, self.peer = headers, b"", lane.peer
        self.handler = handler
        self._lane = lane
        self.pieces: list[bytes] = []

    def respond(self, status: int, head: Head, body: bytes) -> None:
        self.started = True
        close = b"" if self.keep_alive else b"connection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self._send(b"".join((_first_lines(status), head, close, length, body)))
        self._finish()

    def start(self, status: int, head: Head) -> None:
        self.started = True
        self._chunked = self.http11
        self.keep_alive = self.keep_alive and self._chunked
        chunked = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        close = b"" if self.keep_alive else b"connection: close\r\n"
        self._send(b"".join((_first_lines(status), head, chunked, close, b"\r\n")))

    def write(self, data: bytes) -> None:
        lane = self._lane
        if data and not (self.closed or lane.refused):
            lane.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        if self._chunked:
            self._send(b"0\r\n\r\n")
        self._finish()

    def abort(self) -> None:
        self.keep_alive = False
        self._lane.transport.abort()
        self._finish()

    def _send(self, data: bytes) -> None:
        if not (self.closed or self._lane.refused):
            self._lane.transport.write(data)

    def _finish(self) -> None:
        self.finished = self.response_complete = True
        self._lane.answered(self)

    # What uvicorn's class calls.

    @property
    def message_event(self) -> _NoEvent:
        """uvicorn wakes its own cycles with an event; ours need no waking."""
        return _NO_EVENT

    @property
    def disconnected(self) -> bool:
        return self.closed

    @disconnected.setter
    def disconnected(self, _: bool) -> None:
        """The caller has hung up: the call is cancelled at once."""
        self.closed = True
        if self.steps is not None:
            self.steps.cancel()

    def set_paused(self, paused: bool) -> None:
        """The caller reads too slowly, or has caught up."""
        if self.paused != paused:
            self.paused = paused
            notify = self.on_pause if paused else self.on_resume
            if notify is not None:
                notify()


class _NoEvent:
    """uvicorn wakes its own cycles with an event; ours need no waking."""

    def set(self) -> None:
        """Nothing waits."""


_NO_EVENT = _NoEvent()
_lines: dict[int, bytes] = {}
_second = 0


def _first_lines(status: int) -> bytes:
    """The status line and the Date header, made once a second."""
    global _second  # noqa: PLW0603  # with `_lines` a cache for all connections of the process
    now = int(time.time())
    if now != _second:
        _second = now
        _lines.clear()
    lines = _lines.get(status)
    if lines is None:
        date = f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        lines = _lines[status] = STATUS_LINES[status] + date
    return lines
