"""What callers send in these tests, and how they read on."""

from __future__ import annotations

import contextlib
import json

from tests.live import MIB, Line, Live
from tests.wall import content

INVALID = "invalid_request_error"
BAD = (400, INVALID, "invalid_request")
WORDS = "".join(content())
HOT = "/v1/chat/completions"


async def everything(line: Line) -> bytes:
    """All that comes until the gateway closes."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await line.reader.read(MIB):
            got += piece
    return got


async def serves(gateway: Live) -> None:
    """Somebody else is still answered."""
    assert (await gateway.chat("ok")).text == WORDS


def head(gateway: Live, *headers: str, method: str = "POST", path: str = HOT) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {gateway.key}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def gateway_body(model: str = "ok") -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
