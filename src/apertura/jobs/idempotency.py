"""Forgetting calls that nobody may ask for again: their keys, and the replies that were kept.

What it is not: when a call is over (`store.idempotency`, `relay.idempotency`). The rule that keeps
it honest: what is past its time is refused or made anew whether or not it is deleted yet; so this
may run late, twice at once, or be cut off anywhere.
"""

from __future__ import annotations

from apertura.relay.idempotency import Replays
from apertura.store import idempotency as store
from apertura.store.database import Database


class Forgetting:
    """The step of a job; every minute or so will do."""

    def __init__(self, database: Database, replays: Replays) -> None:
        self._database, self._replays = database, replays

    async def step(self, now_ms: int) -> None:
        """Forget all that is over, and free what could not be freed before. Raises: Unavailable."""
        self._replays.expire(now_ms)
        await self._replays.free_failed()
        while await store.purge(self._database, now_ms=now_ms) >= store.PURGE_MAX:
            pass
