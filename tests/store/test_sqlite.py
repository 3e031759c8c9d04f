"""Behaviour of the writer, the readers and the notice of changes, on real files."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apertura.errors import Unavailable
from apertura.store.database import Conflict, Database, Tx, bump_revision, open_database
from apertura.store.sqlite import open_sqlite

MANY = 20


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    """A file with one table of numbers and a revision."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL);"
            "CREATE TABLE revision (id BIGINT PRIMARY KEY, value BIGINT);"
            "INSERT INTO revision VALUES (1, 0);"
        )
    connection.close()
    database = await open_database(f"sqlite:{path}")
    yield database
    await database.close()


async def add(db: Database, number: int, name: str | None = "x") -> int:
    async def work(tx: Tx) -> int:
        await tx.execute("INSERT INTO numbers VALUES (?, ?)", (number, name))
        return number

    return await db.write(work)


async def numbers(db: Database) -> list[int]:
    return [n for (n,) in await db.read("SELECT n FROM numbers ORDER BY n")]


async def test_a_read_sees_the_write_before_it(db: Database) -> None:
    """What a write returned is there for the next read, on whatever connection."""
    for number in range(5):
        assert await add(db, number) == number
        assert number in await numbers(db)


async def test_one_failing_write_does_not_take_down_its_neighbours(db: Database) -> None:
    """Writes that share a commit: those that fail are undone alone, and each hears its own."""

    async def spoiled(tx: Tx) -> None:
        await tx.execute("INSERT INTO numbers VALUES (1000, 'undone')")
        raise LookupError("mine")

    results = await asyncio.gather(
        *[add(db, number // 2) for number in range(2 * MANY)],  # each number twice
        db.write(spoiled),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [int, Conflict] * MANY + [LookupError]
    assert await numbers(db) == list(range(MANY))


async def test_writes_that_wait_together_share_commits(db: Database) -> None:
    """While the writer is held up, what arrives becomes one transaction."""
    seen: list[int] = []
    gate = threading.Event()

    async def hold_up(tx: Tx) -> None:
        assert gate.wait(10)

    async def look(tx: Tx) -> None:
        rows = await tx.execute("SELECT COUNT(*) FROM numbers")
        seen.append(rows[0][0])

    held = asyncio.create_task(db.write(hold_up))
    await asyncio.sleep(0)
    others = [asyncio.create_task(add(db, number)) for number in range(MANY)]
    others.append(asyncio.create_task(db.write(look)))
    await asyncio.sleep(0)
    before = await numbers(db)
    gate.set()
    await asyncio.gather(held, *others)

    assert before == []
    assert seen == [MANY]


async def test_a_write_alone_that_fails_keeps_nothing(db: Database) -> None:
    """Also without neighbours, what the work did before it raised is undone."""

    async def work(tx: Tx) -> None:
        await tx.execute("INSERT INTO numbers VALUES (1, 'undone')")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await db.write(work)

    assert await numbers(db) == []
    assert await add(db, 1) == 1


async def test_a_work_that_waits_is_a_mistake(db: Database) -> None:
    """A work may await its transaction only; what suspends fails, and the writer goes on."""

    async def work(tx: Tx) -> None:
        await tx.execute("INSERT INTO numbers VALUES (1, 'undone')")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="await nothing but its transaction"):
        await db.write(work)

    assert await numbers(db) == []
    assert await add(db, 2) == 2


async def test_a_cancelled_caller_does_not_stop_the_write(db: Database) -> None:
    """The work of a caller who went away is kept, and the writer goes on."""
    gate = threading.Event()

    async def work(tx: Tx) -> None:
        assert gate.wait(10)
        await tx.execute("INSERT INTO numbers VALUES (1, 'x')")

    task = asyncio.create_task(db.write(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()

    assert await add(db, 2) == 2
    assert await numbers(db) == [1, 2]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 128, 300])
async def test_insert_many_counts_what_was_new(db: Database, count: int) -> None:
    """Rows that exist, or come twice, are passed over; the others go in, whatever their number."""
    await add(db, 0)
    rows = [(number, f"name {number}") for number in range(count)]

    async def work(tx: Tx) -> int:
        return await tx.insert_many("numbers", ("n", "name"), [*rows, *rows])

    assert await db.write(work) == max(count - 1, 0)
    assert await numbers(db) == list(range(max(count, 1)))


async def test_insert_many_refuses_a_missing_value(db: Database) -> None:
    """Only a known row is passed over; a wrong one is a conflict, and nothing is kept."""

    async def work(tx: Tx) -> int:
        return await tx.insert_many("numbers", ("n", "name"), [(1, "x"), (2, None)])

    with pytest.raises(Conflict, match=r"numbers\.name"):
        await db.write(work)

    assert await numbers(db) == []


async def test_reads_cannot_write(db: Database) -> None:
    """A statement that changes something is refused by the reading connections."""
    with pytest.raises(Unavailable):
        await db.read("DELETE FROM numbers")


async def test_a_broken_database_is_unavailable(db: Database, path: Path) -> None:
    """A table that is gone is a 503 with Retry-After for reads and writes, and no refusal."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE numbers")
    connection.close()

    for attempt in (db.read("SELECT * FROM numbers"), add(db, 1)):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.status == 503
        assert caught.value.headers == {"Retry-After": "1"}
        assert "numbers" not in caught.value.message


async def test_a_database_locked_by_another_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer elsewhere that does not let go makes writes fail, and reads go on."""
    monkeypatch.setattr("apertura.store.sqlite.BUSY_SECONDS", 0.05)
    database = await open_database(f"sqlite:{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def work(tx: Tx) -> None:
        await tx.execute("SELECT 1")

    with pytest.raises(Unavailable):
        await database.write(work)
    assert await database.read("SELECT 1") == [(1,)]

    other.execute("ROLLBACK")
    other.close()
    await database.write(work)
    await database.close()


async def test_a_full_disk_keeps_nothing_that_was_not_said_to_be_kept(path: Path) -> None:
    """Writes that hit the limit are 503; those that were answered are there, and no other."""
    database = await open_database(f"sqlite:{path}")

    async def create(tx: Tx) -> None:
        await tx.execute("CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY, name TEXT)")
        await tx.execute("PRAGMA max_page_count = 20")

    await database.write(create)
    results = await asyncio.gather(
        *[add(database, number, "x" * 3000) for number in range(2 * MANY)], return_exceptions=True
    )

    kept = [result for result in results if isinstance(result, int)]
    assert {type(result) for result in results} - {int} == {Unavailable}
    assert await numbers(database) == kept

    async def enlarge(tx: Tx) -> None:
        await tx.execute("PRAGMA max_page_count = 2000")

    await database.write(enlarge)
    assert await add(database, 1000) == 1000
    await database.close()


async def test_too_many_waiting_writes_are_refused(path: Path) -> None:
    """The queue is bounded: what does not fit is a 503, and there is room again afterwards."""
    database = await open_sqlite(str(path), waiting_max=2)
    gate = threading.Event()

    async def hold_up(tx: Tx) -> None:
        assert gate.wait(10)

    waiting = [asyncio.create_task(database.write(hold_up)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="does not keep up"):
        await database.write(hold_up)
    gate.set()
    await asyncio.gather(*waiting)

    await database.write(hold_up)
    await database.close()


async def test_close_writes_what_waits(path: Path, db: Database) -> None:
    """Writes asked for before the close are kept; later ones are refused; twice is once."""
    writes = [asyncio.create_task(add(db, number)) for number in range(MANY)]
    await asyncio.sleep(0)
    await asyncio.gather(db.close(), db.close())

    assert await asyncio.gather(*writes) == list(range(MANY))
    with pytest.raises(Unavailable):
        await add(db, 1000)
    with pytest.raises(Unavailable):
        await db.read("SELECT 1")
    assert not path.with_name("apertura.db-wal").exists()
    assert [t.name for t in threading.enumerate() if t.name.startswith("apertura-")] == []


async def test_an_interrupted_close_is_still_done(db: Database) -> None:
    """Whoever waits for the close may be cancelled; the close goes on, and may be awaited again."""
    write = asyncio.create_task(add(db, 1))
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await db.close()

    assert await write == 1


async def test_a_change_in_another_process_is_noticed(db: Database, path: Path) -> None:
    """A process that moves the revision is heard of here, once for each change."""
    changed = asyncio.Event()
    db.on_change(changed.set)
    script = (
        "import sqlite3, sys\n"
        "with sqlite3.connect(sys.argv[1]) as c:\n"
        "    c.execute('UPDATE revision SET value = value + 1')\n"
        "c.close()\n"
    )

    for _ in range(2):
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script, path], check=True)
        await asyncio.wait_for(changed.wait(), 10)
        changed.clear()


async def test_a_change_in_this_process_is_noticed(db: Database) -> None:
    """So is one of our own; each callback is called, also when one before it raises."""
    changed = asyncio.Event()
    raised: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: raised.append(str(context["exception"]))
    )

    def spoiled() -> None:
        raise LookupError("mine")

    db.on_change(spoiled)
    db.on_change(changed.set)
    await db.write(bump_revision)
    await asyncio.wait_for(changed.wait(), 10)

    assert raised == ["mine"]


async def test_usage_is_no_change(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that leaves the revision alone calls nobody."""
    calls: list[str] = []
    db.on_change(lambda: calls.append("changed"))
    await add(db, 1)
    await asyncio.sleep(0.15)

    assert calls == []
