"""Webhooks of the demo processor: signed, and sent until they are taken; twice, if wished.

What it is not: a queue that survives. The rule that keeps it honest: a message that was not
answered with 2xx is sent again, with the same id and a new signature.
"""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlsplit

from apertura.payments.demo.world import Thing
from apertura.payments.stripe_events import sign

TRIES = 8
FIRST_PAUSE_SECONDS = 0.1
SECONDS = 10.0


def body_of(event: Thing) -> bytes:
    """An event as it is sent."""
    return json.dumps(event, separators=(",", ":")).encode()


async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """POST over plain HTTP; the status. Raises: OSError, TimeoutError, ValueError."""
    parts = urlsplit(url)
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            lines = [
                f"POST {parts.path or '/'} HTTP/1.1",
                f"Host: {parts.netloc}",
                f"Content-Length: {len(body)}",
                "Content-Type: application/json",
                "Connection: close",
                *(f"{name}: {value}" for name, value in headers.items()),
            ]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
            await writer.drain()
            first = await reader.readline()
        finally:
            writer.close()
    return int(first.split(b" ")[1])


class Deliveries:
    """Sends events to one webhook, each by itself, `copies` times."""

    def __init__(self, url: str, secret: str, *, copies: int = 1) -> None:
        self.url, self.secret, self.copies = url, secret, copies
        self.statuses: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, event: Thing) -> None:
        """Begin to send an event."""
        body = body_of(event)
        for _ in range(self.copies):
            task = asyncio.get_running_loop().create_task(self._send(body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def send_now(self, event: Thing) -> int:
        """Send an event once; the status."""
        body = body_of(event)
        header = sign(self.secret, body, int(time.time()))
        status = await post(self.url, body, {"Stripe-Signature": header})
        self.statuses.append(status)
        return status

    async def done(self) -> None:
        """Everything was taken, or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, body: bytes) -> None:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(TRIES):
            header = sign(self.secret, body, int(time.time()))
            try:
                status = await post(self.url, body, {"Stripe-Signature": header})
            except (OSError, TimeoutError, ValueError, IndexError):
                status = 0
            self.statuses.append(status)
            if 200 <= status < 300:
                return
            await asyncio.sleep(pause)
            pause *= 2
