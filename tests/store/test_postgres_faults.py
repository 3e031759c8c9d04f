"""Behaviour when the connection breaks at the worst moments: nothing is done twice, or by half."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from apertura.errors import Unavailable
from apertura.store.database import Database, Tx, open_database
from tests.databases import empty_postgres, server


class Proxy:
    """Stands before the server, and breaks a connection when so many requests have passed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="apertura-proxy-"))
        self.left = 0
        """Requests until the break; 0 is none."""
        self.passes = False
        """Whether the last one still reaches the server, and only its answer is lost."""
        self.word = b""
        """What a request must hold to count."""
        self.cuts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        place = self.folder / server().socket.name
        self._server = await asyncio.start_unix_server(self._serve, place)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self.folder)

    def url(self, real: str) -> str:
        return f"{real.partition('?')[0]}?host={self.folder}"

    def cut_after(self, requests: int, *, passes: bool, word: bytes = b"") -> None:
        self.left, self.passes, self.word = requests, passes, word

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        back, on = await asyncio.open_unix_connection(server().socket)
        answers = asyncio.create_task(self._answers(back, writer))
        with suppress(OSError, asyncio.CancelledError):
            while not self._is_last(data := await reader.read(65536)) and data:
                on.write(data)
            answers.cancel()
            await asyncio.wait([answers])
            if data and self.passes:
                on.write(data)
                await back.read(65536)  # the server is done with it
            self.cuts += bool(data)
        answers.cancel()
        writer.close()
        on.close()

    def _is_last(self, data: bytes) -> bool:
        if not data or not self.left or self.word not in data:
            return False
        self.left -= 1
        return self.left == 0

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def url() -> Iterator[str]:
    with empty_postgres() as made:
        yield made


@pytest.fixture
async def db(url: str, proxy: Proxy) -> AsyncIterator[Database]:
    database = await open_database(proxy.url(url))
    create = "CREATE TABLE numbers (n BIGINT NOT NULL, name TEXT NOT NULL)"
    await database.write(lambda tx: tx.execute(create))
    yield database
    await database.close()


async def add(db: Database, number: int) -> int:
    """Without a unique key: what is done twice shows."""

    async def work(tx: Tx) -> int:
        await tx.execute("INSERT INTO numbers VALUES (?, 'x')", (number,))
        return number

    return await db.write(work)


async def numbers(db: Database) -> list[int]:
    return [n for (n,) in await db.read("SELECT n FROM numbers ORDER BY n")]


@pytest.mark.parametrize("passes", [False, True])
@pytest.mark.parametrize("together", [1, 3])
async def test_a_write_whose_connection_breaks_is_kept_once(
    db: Database, proxy: Proxy, together: int, passes: bool
) -> None:
    """At whichever request it breaks, whether or not the server has heard it."""
    broken = 0
    while proxy.cuts == broken:
        broken += 1
        await db.write(lambda tx: tx.execute("DELETE FROM numbers"))
        proxy.cut_after(broken, passes=passes)

        done = await asyncio.gather(*[add(db, number) for number in range(together)])

        proxy.cut_after(0, passes=True)
        assert done == list(range(together))
        assert await numbers(db) == done
    assert broken > 2 * together + 2


async def test_a_read_whose_connection_breaks_is_asked_again(db: Database, proxy: Proxy) -> None:
    """Once, on a new one."""
    await add(db, 1)
    proxy.cut_after(1, passes=False, word=b"numbers")

    assert await numbers(db) == [1]
    assert proxy.cuts == 1


async def test_a_commit_of_which_nothing_is_known_is_unavailable_and_not_repeated(
    db: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server cannot be asked any more: 503, and what it kept is kept once."""
    monkeypatch.setattr("apertura.store.postgres.RETRY_SECONDS", 0.2)
    proxy.cut_after(1, passes=True, word=b"COMMIT")
    real, place = server().socket, proxy.folder / server().socket.name
    write = asyncio.create_task(add(db, 1))
    while proxy.left:
        await asyncio.sleep(0)
    place.rename(proxy.folder / "hidden")

    with pytest.raises(Unavailable, match="perhaps"):
        await write

    (proxy.folder / "hidden").rename(place)
    assert real.exists()
    assert await numbers(db) == [1]
    assert await add(db, 2) == 2


async def test_a_caller_who_leaves_a_read_midway_leaves_nothing_behind(db: Database) -> None:
    """More often than there are readers; the next reads are answered."""
    for _ in range(10):
        read = asyncio.create_task(db.read("SELECT pg_sleep(10)"))
        await asyncio.sleep(0.01)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read

    assert await numbers(db) == []
