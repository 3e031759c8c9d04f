"""One connection to the wall: what was asked on it, what is sent back, and when the client left.

All times are `time.monotonic()`, which processes of one machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

How = Literal["eof", "reset", "closed"]
"""The client closed, or shut its sending side; it sent RST; the connection ended otherwise."""
DIALECTS = {"messages": "anthropic_messages", "responses": "openai_responses"}
"""By a path's end, where it is not OpenAI's chat."""
REASONS = {100: "Continue", 200: "OK", 204: "No Content", 302: "Found", 429: "Too Many Requests"}


class Gone(Exception):
    """The client hung up: nothing more can be said to it."""


@dataclass(kw_only=True)
class Call:
    """One request as it arrived. `headers` has lower-case names; a later duplicate wins."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    at: float
    connection: int
    hangup: Hangup | None = None
    done_at: float | None = None
    body: dict[str, Any] = field(init=False)
    model: str = field(init=False)
    options: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        try:
            body = json.loads(self.raw)
        except ValueError:
            body = None
        self.body = body if isinstance(body, dict) else {}
        in_path = self.path.partition("/models/")[2].partition(":")[0]
        self.model = in_path or str(self.body.get("model", ""))
        self.take_options(self.model)

    def take_options(self, name: str) -> None:
        """Reads the options after the question mark of a behaviour's name."""
        self.options = dict(parse_qsl(name.partition("?")[2]))

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True or ":streamGenerateContent" in self.path

    @property
    def dialect(self) -> str:
        """The format of the request, by its path."""
        if "/models/" in self.path:
            return "gemini"
        return DIALECTS.get(self.path.rpartition("/")[2], "openai_chat")

    def option(self, name: str, default: float) -> float:
        return float(self.options.get(name, default))


@dataclass(kw_only=True)
class Hangup:
    """The client ended connection `connection` while `call` was unanswered (None: in between)."""

    at: float
    how: How
    connection: int
    call: Call | None


class Talk:
    """The wall's end of one connection. What is sent is counted in `sent`, in bytes."""

    def __init__(self, number: int, hangups: list[Hangup]) -> None:
        self.number = number
        self.call: Call | None = None
        self.sent = 0
        self.doomed = False
        """The next request on this connection is read and then lost."""
        self.reader = asyncio.StreamReader(limit=2**20)
        self.writer: asyncio.StreamWriter
        self.transport: asyncio.Transport
        self._hangups = hangups
        self._gone = asyncio.Event()
        self._ended = False
        self._chunked = False

    @property
    def over(self) -> bool:
        return self._ended or self._gone.is_set()

    def left(self, how: How) -> None:
        """The client hung up, unless we did so first."""
        if self.over:
            return
        hangup = Hangup(at=time.monotonic(), how=how, connection=self.number, call=self.call)
        self._hangups.append(hangup)
        if self.call:
            self.call.hangup = hangup
        self._gone.set()

    async def listen(self) -> Call | None:
        """The next request, whole; None when the client has no more."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            raw = await self._body(headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        method, path, _ = first.split(" ")
        self.call = Call(
            method=method,
            path=path,
            headers=headers,
            raw=raw,
            at=time.monotonic(),
            connection=self.number,
        )
        return self.call

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    # --- saying ---

    async def send(self, data: bytes) -> None:
        """These bytes, as they are. Waits while the client does not read."""
        if self.over:
            raise Gone
        try:
            self.writer.write(data)
            self.sent += len(data)
            await self.writer.drain()
        except ConnectionError:
            raise Gone from None

    async def head(self, status: int = 200, *headers: str) -> None:
        """A status line and header lines."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode())

    async def begin(self, call: Call, length: int, *headers: str) -> None:
        """The head of a good answer: chunked for a stream, else `length` bytes are announced."""
        self._chunked = call.stream
        kind = "text/event-stream" if call.stream else "application/json"
        framing = "Transfer-Encoding: chunked" if call.stream else f"Content-Length: {length}"
        await self.head(200, f"Content-Type: {kind}", framing, *headers)

    async def piece(self, data: bytes) -> None:
        """A part of the body that `begin` announced."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def finish(self) -> None:
        """The end of the body."""
        if self._chunked:
            await self.send(b"0\r\n\r\n")

    async def whole(self, status: int, body: bytes, *headers: str, kind: str = "json") -> None:
        """An answer in one write, with its length."""
        kind = kind if "/" in kind else f"application/{kind}"
        lines = [f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
        first = f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}\r\n"
        await self.send((first + "\r\n".join(lines)).encode() + body)

    # --- falling silent ---

    async def pause(self, seconds: float) -> None:
        """Says nothing for so long, or until the client hangs up."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), seconds)
        if self.over:
            raise Gone

    async def stall(self) -> None:
        """Says nothing until the client hangs up."""
        await self._gone.wait()
        raise Gone

    async def reset(self) -> None:
        """Ends the connection with RST, once the client had time to read what was said."""
        await self.pause(0.05)
        linger = struct.pack("ii", 1, 0)
        line: socket.socket = self.transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.abort()

    def abort(self) -> None:
        """Ends the connection at once, without what was not sent yet."""
        self._ended = True
        self.transport.abort()

    def close(self) -> None:
        """Ends the connection in order (FIN), after all that was said."""
        self._ended = True
        self.transport.close()
