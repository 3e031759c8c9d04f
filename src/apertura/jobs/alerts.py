"""Looks after funds that run out, and puts a mail where that is news.

What it is not: what a level is (`domain.alerts`), or what is kept of it (`store.alerts`). The rule
that keeps it honest: a step reads, judges and writes page by page; cut off anywhere, the next one
goes on from what is written, and several at once put one mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from apertura.domain.alerts import Sighting, look
from apertura.store import alerts
from apertura.store.alerts import Judged
from apertura.store.database import Database

PAGE = 200
FORGET_MS = 3_600_000


class Watch:
    """Looks, for one worker."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forgot_ms = 0

    async def step(self, now_ms: int) -> None:
        """Look at each fund that has moved past the bounds of its level."""
        for find in (alerts.moved_funds, alerts.moved_cycles):
            after: str | None = ""
            while after is not None:
                page = await find(self._database, now_ms, after=after, most=PAGE)
                await self._note(page.seen, now_ms)
                after = page.last
        if abs(now_ms - self._forgot_ms) >= FORGET_MS:
            await self._database.write(partial(alerts.forget, now_ms=now_ms))
            self._forgot_ms = now_ms

    async def _note(self, seen: Sequence[Sighting], now_ms: int) -> None:
        if judged := [Judged(one, look(one)) for one in seen]:
            await self._database.write(partial(alerts.note, judged=judged, now_ms=now_ms))
