"""Just enough HTTP/1.1 for the demo processor: one request on a connection, forms in, bytes out.

What it is not: a server for anything else. The rule that keeps it honest: it listens on the
loopback address only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

BODY_MOST = 1 << 20
SECONDS = 10.0


class Asked(NamedTuple):
    """A request: headers by their lower-case names, form and query as one nested dict."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, Any]
    raw: bytes


class Answer(NamedTuple):
    """A reply; `headers` come besides type and length."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Respond = Callable[[Asked], Awaitable[Answer]]


async def listen(respond: Respond, port: int = 0) -> asyncio.Server:
    """Serve on the loopback address; port 0 lets the system choose."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                answer = await respond(await _read(reader))
                writer.write(_head(answer) + answer.body)
                await writer.drain()
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            pass  # who asks so is not answered
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_MOST:
        raise ValueError("too large")
    body = await reader.readexactly(length)
    path, _, query = target.partition("?")
    raw = query.encode() + (b"&" if query and body else b"") + body
    return Asked(method, unquote(path), headers, nested(raw.decode()), raw)


def _head(answer: Answer) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} .",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def nested(form: str) -> dict[str, Any]:
    """`a[b][0]=c` as `{"a": {"b": ["c"]}}`."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place = found
        for inner in rest:
            place = place.setdefault(first, {})
            first = inner
        place[first or str(len(place))] = value
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    parts = {name: _listed(part) for name, part in value.items()}
    if parts and all(name.isdigit() for name in parts):
        return [parts[name] for name in sorted(parts, key=int)]
    return parts
