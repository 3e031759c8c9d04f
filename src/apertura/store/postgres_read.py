"""Beside the writes: queries, and word of changes.

A query goes to one of a few connections, which cannot write. Changes are heard of by a connection
that listens for the notices of a trigger, and looks by itself each second, as a proxy of
connections may keep notices back.

The rule that keeps it honest: a connection whose query did not come to its end is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from apertura.errors import Unavailable
from apertura.store.database import Row, out_of_service
from apertura.store.postgres_link import Again, Link

Connect = Callable[[], Awaitable[Link]]

READERS = 4
POLL_SECONDS = 1.0
"""How often the revision is looked at where no notice of its change arrives."""
CHANNEL = "apertura_revision"


class Readers:
    """A few connections, made when needed, each for one query at a time."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._free: asyncio.LifoQueue[Link | None] = asyncio.LifoQueue()
        for _ in range(READERS):
            self._free.put_nowait(None)

    async def read(self, sql: str, params: Sequence[object]) -> list[Row]:
        """A query whose connection turns out to be lost is asked once more, on a new one."""
        with suppress(Again):
            return await self._ask(sql, params)
        try:
            return await self._ask(sql, params)
        except Again as error:
            raise out_of_service(
                "The database of this installation cannot serve right now."
            ) from error

    async def _ask(self, sql: str, params: Sequence[object]) -> list[Row]:
        link, kept = await self._free.get(), None
        try:
            if link is None or link.is_closed:
                link = await self._connect()
            rows = await link.rows(sql, params)
            kept = link
            return rows
        finally:
            if kept is None and link is not None:  # it failed, or the caller went away midway
                link.drop()
            self._free.put_nowait(kept)

    async def close(self) -> None:
        for _ in range(READERS):
            if link := await self._free.get():
                await link.close()


class Watcher:
    """Listens for notices that `revision` moved, and looks by itself once in a while."""

    def __init__(self, connect: Connect) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self._connect = connect
        self._revision: object = None
        self._told = asyncio.Event()
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _watch(self) -> None:
        while True:
            with suppress(Again, Unavailable):
                link = await self._connect()
                try:
                    await self._listen(link)
                finally:
                    link.drop()
            await asyncio.sleep(POLL_SECONDS)

    async def _listen(self, link: Link) -> None:
        await link.listen(CHANNEL, self._told.set)
        while True:
            self._told.clear()
            revision = await link.rows("SELECT value FROM revision WHERE id = 1")
            if revision != self._revision:  # also the first time: it may have moved before
                self._revision = revision
                for callback in self.callbacks:
                    # Through the loop, which logs what a callback raises and lets us go on.
                    asyncio.get_running_loop().call_soon(callback)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), POLL_SECONDS)
