"""Behaviour when connections break or the server is away: nothing is done twice, or by half."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from apertura.errors import Unavailable
from apertura.store.database import Database, Tx, bump_revision, open_database
from tests.databases import IS_OURS, empty_postgres, server

pytestmark = pytest.mark.skipif(not IS_OURS, reason="the server is not ours to stop")


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

    async def create(tx: Tx) -> None:
        await tx.execute("CREATE TABLE numbers (n BIGINT NOT NULL, name TEXT NOT NULL)")
        await tx.execute("CREATE TABLE revision (id BIGINT PRIMARY KEY, value BIGINT)")
        await tx.execute("INSERT INTO revision VALUES (1, 0)")

    await database.write(create)
    yield database
    await database.close()


@pytest.fixture
async def direct(url: str, db: Database) -> AsyncIterator[Database]:
    """The same database, past the proxy."""
    database = await open_database(url)
    yield database
    await database.close()


@pytest.fixture
async def other(url: str, db: Database) -> AsyncIterator[Database]:
    """A second opening, as of another process."""
    database = await open_database(url)
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


# Word of changes.


async def heard(changed: asyncio.Event) -> None:
    await asyncio.wait_for(changed.wait(), 10)
    changed.clear()


async def test_a_change_elsewhere_is_noticed_without_a_notice(
    direct: Database, other: Database
) -> None:
    """Where no trigger tells of it, or a proxy keeps that back, by looking."""
    changed = asyncio.Event()
    direct.on_change(changed.set)
    for _ in range(2):
        await other.write(bump_revision)
        await heard(changed)


async def test_a_listener_that_lost_its_connection_hears_again(
    direct: Database, other: Database
) -> None:
    """It connects anew, and notices also what changed meanwhile."""
    changed = asyncio.Event()
    direct.on_change(changed.set)
    await heard(changed)
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%revision%' "
    await other.write(lambda tx: tx.execute(sql + "AND pid <> pg_backend_pid()"))
    await other.write(bump_revision)

    await heard(changed)


# What may break.


async def test_an_unreachable_server_is_named_without_its_password(tmp_path: str) -> None:
    """Nobody there, and a database that is not there: 503, with the place and not the secret."""
    nowhere = f"postgresql://ada:geheim@/apertura?host={tmp_path}"
    unknown = server().url("missing").replace("postgres@", "postgres:geheim@")
    for url in (nowhere, unknown, "postgresql://ada:geheim@127.0.0.1:1/apertura"):
        with pytest.raises(Unavailable, match="cannot be opened") as caught:
            await open_database(url)
        assert "geheim" not in caught.value.message
        assert caught.value.headers == {"Retry-After": "1"}


async def test_a_restarted_server_is_found_again(direct: Database) -> None:
    """Reads and writes go on as if nothing had been."""
    changed = asyncio.Event()
    direct.on_change(changed.set)
    await asyncio.gather(add(direct, 1), numbers(direct))
    await asyncio.to_thread(server().stop)
    await asyncio.to_thread(server().start)

    assert await numbers(direct) == [1]
    assert await add(direct, 2) == 2
    await heard(changed)
    await direct.write(bump_revision)
    await heard(changed)


async def test_a_server_that_is_away_is_unavailable(
    direct: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both for reads and writes; and it is used again when it is back."""
    monkeypatch.setattr("apertura.store.postgres.RETRY_SECONDS", 0.1)
    await asyncio.to_thread(server().stop)
    try:
        for attempt in (numbers(direct), add(direct, 1)):
            with pytest.raises(Unavailable) as caught:
                await attempt
            assert caught.value.headers == {"Retry-After": "1"}
    finally:
        await asyncio.to_thread(server().start)

    assert await add(direct, 2) == 2
    assert await numbers(direct) == [2]
