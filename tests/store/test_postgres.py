"""Behaviour of PostgreSQL as a database: one lane of writes, readers, and others beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import asyncpg
import pytest

from apertura.errors import Unavailable
from apertura.store import postgres_link
from apertura.store.database import Conflict, Database, Tx, open_database
from apertura.store.postgres import open_postgres
from apertura.store.postgres_link import translated
from tests.databases import empty_postgres

MANY = 20


@pytest.fixture
def url() -> Iterator[str]:
    """A database with one table of numbers."""
    with empty_postgres() as made:
        yield made


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = await open_database(url)

    async def create(tx: Tx) -> None:
        await tx.execute("CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)")

    await database.write(create)
    yield database
    await database.close()


@pytest.fixture
async def other(db: Database, url: str) -> AsyncIterator[Database]:
    """A second opening, as of another process."""
    database = await open_database(url)
    yield database
    await database.close()


async def add(db: Database, number: int, name: str | None = "x") -> int:
    async def work(tx: Tx) -> int:
        await tx.execute("INSERT INTO numbers VALUES (?, ?)", (number, name))
        return number

    return await db.write(work)


async def numbers(db: Database) -> list[int]:
    return [n for (n,) in await db.read("SELECT n FROM numbers ORDER BY n")]


@pytest.mark.parametrize(
    ("shared", "theirs"),
    [
        ("SELECT ?, ? FROM t", "SELECT $1, $2 FROM t"),
        ("SELECT '?', \"?\" -- ?\n, ?", "SELECT '?', \"?\" -- ?\n, $1"),
        ("CREATE FUNCTION f AS $$ '? ?' $$", "CREATE FUNCTION f AS $$ '? ?' $$"),
        ("CREATE TABLE t (a TEXT)", 'CREATE TABLE t (a TEXT COLLATE "C")'),
        ("SELECT CAST(? AS TEXT)", "SELECT CAST($1 AS TEXT)"),
    ],
)
def test_the_shared_sql_is_translated(shared: str, theirs: str) -> None:
    """Marks become numbers, but within quotes; a column of text sorts by its bytes."""
    assert translated(shared) == theirs


async def test_text_sorts_by_its_bytes(db: Database) -> None:
    """As with SQLite, whatever the language of the server."""
    for number, name in enumerate(["b", "a", "B", "é", "_"]):
        await add(db, number, name)

    names = await db.read("SELECT name FROM numbers ORDER BY name")

    assert [name for (name,) in names] == sorted(["b", "a", "B", "é", "_"])


async def test_text_with_a_nul_is_kept_without_it(db: Database) -> None:
    """In one row or in many, and found again under what it was."""
    await add(db, 1, "a\0b")
    rows = [(2, "a\0b")]
    await db.write(lambda tx: tx.insert_many("numbers", ("n", "name"), rows))

    found = await db.read("SELECT n, name FROM numbers WHERE name = ? ORDER BY n", ("a\0b",))

    assert found == [(1, "a\ufffdb"), (2, "a\ufffdb")]


async def test_a_read_sees_the_write_before_it(db: Database, other: Database) -> None:
    """What a write returned is there for the next read, here and elsewhere."""
    for number in range(5):
        assert await add(db, number) == number
        assert number in await numbers(db)
        assert number in await numbers(other)


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
    """Two commits: of the first write, and of those that came while it was under way."""

    async def which(tx: Tx) -> str:
        rows = await tx.execute("SELECT pg_current_xact_id()::text")
        return str(rows[0][0])

    first = asyncio.create_task(db.write(which))
    await asyncio.sleep(0)
    others = await asyncio.gather(*[db.write(which) for _ in range(MANY)])

    assert len({await first, *others}) == 2


async def test_a_write_alone_that_fails_keeps_nothing(db: Database) -> None:
    """Also without neighbours, what the work did before it raised is undone."""

    async def work(tx: Tx) -> None:
        await tx.execute("INSERT INTO numbers VALUES (1, 'undone')")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await db.write(work)

    assert await numbers(db) == []
    assert await add(db, 1) == 1


async def test_a_work_that_goes_on_after_a_refusal_is_a_mistake(db: Database) -> None:
    """It is told so, and nothing of it is kept, alone or beside others."""
    await add(db, 0)

    async def stubborn(tx: Tx) -> None:
        await tx.execute("INSERT INTO numbers VALUES (1, 'undone')")
        with suppress(Conflict):
            await tx.execute("INSERT INTO numbers VALUES (0, 'again')")

    for neighbours in ([], [add(db, 2)]):
        results = await asyncio.gather(db.write(stubborn), *neighbours, return_exceptions=True)
        assert isinstance(results[0], RuntimeError)

    assert await numbers(db) == [0, 2]


async def test_a_cancelled_caller_does_not_stop_the_write(db: Database) -> None:
    """The work of a caller who went away is kept, and the lane goes on."""
    task = asyncio.create_task(add(db, 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await add(db, 2) == 2
    assert await numbers(db) == [1, 2]


@pytest.mark.parametrize("count", [0, 1, 300, 2001])
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

    with pytest.raises(Conflict, match=r'"name" of relation "numbers"'):
        await db.write(work)

    assert await numbers(db) == []


async def test_reads_cannot_write(db: Database) -> None:
    """A statement that changes something is refused by the reading connections."""
    with pytest.raises(Unavailable):
        await db.read("DELETE FROM numbers")


async def test_a_wrong_number_of_values_is_our_mistake(db: Database) -> None:
    """It is no outage, and no conflict."""
    with pytest.raises(asyncpg.InterfaceError):
        await db.read("SELECT n FROM numbers WHERE n = ?", ())


async def test_a_broken_database_is_unavailable(db: Database) -> None:
    """A table that is gone is a 503 with Retry-After for reads and writes, and no refusal."""
    await db.write(lambda tx: tx.execute("DROP TABLE numbers"))

    for attempt in (db.read("SELECT * FROM numbers"), add(db, 1)):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.status == 503
        assert caught.value.headers == {"Retry-After": "1"}
        assert "numbers" not in caught.value.message


async def test_a_changed_table_is_no_fault(db: Database, other: Database) -> None:
    """Statements that were compiled for its old shape are compiled anew."""
    await add(db, 1)
    question = "SELECT * FROM numbers WHERE n = ?"
    assert await db.read(question, (1,)) == [(1, "x")]
    assert await db.write(lambda tx: tx.execute(question, (1,))) == [(1, "x")]

    await other.write(lambda tx: tx.execute("ALTER TABLE numbers ADD COLUMN more TEXT"))

    assert await db.read(question, (1,)) == [(1, "x", None)]
    assert await db.write(lambda tx: tx.execute(question, (1,))) == [(1, "x", None)]


async def test_too_many_waiting_writes_are_refused(url: str) -> None:
    """The queue is bounded: what does not fit is a 503, and there is room again afterwards."""
    database = await open_postgres(url, waiting_max=2)

    async def nothing(tx: Tx) -> None:
        await tx.execute("SELECT 1")

    waiting = [asyncio.create_task(database.write(nothing)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="does not keep up"):
        await database.write(nothing)
    await asyncio.gather(*waiting)

    await database.write(nothing)
    await database.close()


async def test_close_writes_what_waits(db: Database, url: str) -> None:
    """Writes asked for before the close are kept; later ones are refused; twice is once."""
    writes = [asyncio.create_task(add(db, number)) for number in range(5 * MANY)]
    await asyncio.sleep(0)
    await asyncio.gather(db.close(), db.close())

    assert await asyncio.gather(*writes) == list(range(5 * MANY))
    with pytest.raises(Unavailable):
        await add(db, 1000)
    with pytest.raises(Unavailable):
        await db.read("SELECT 1")


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


# What others do at the same time.


async def test_no_change_of_another_process_is_lost(db: Database, other: Database) -> None:
    """Both read, then write what they read and one more: each counts."""
    await add(db, 1, "0")

    async def count(tx: Tx) -> None:
        rows = await tx.execute("SELECT name FROM numbers WHERE n = 1")
        await tx.execute("UPDATE numbers SET name = ? WHERE n = 1", (str(int(rows[0][0]) + 1),))

    async def on(database: Database) -> None:
        for _ in range(MANY):
            await database.write(count)

    await asyncio.gather(on(db), on(other))

    assert await db.read("SELECT name FROM numbers") == [(str(2 * MANY),)]


async def test_both_who_see_no_row_do_not_both_make_it(db: Database, other: Database) -> None:
    """What a work found to be missing is missing when it is kept: it runs again, and finds it."""

    async def once(tx: Tx) -> int:
        rows = await tx.execute("SELECT n FROM numbers WHERE name = 'the one'")
        if rows:
            return int(rows[0][0])
        ((highest,),) = await tx.execute("SELECT COALESCE(MAX(n), 0) FROM numbers")
        await tx.execute("INSERT INTO numbers VALUES (?, 'the one')", (highest + 1,))
        return int(highest) + 1

    for _ in range(5):
        answers = await asyncio.gather(db.write(once), other.write(once))
        assert len(set(answers)) == 1
        await db.write(lambda tx: tx.execute("DELETE FROM numbers"))


async def test_works_that_wait_in_a_circle_are_both_done(db: Database, other: Database) -> None:
    """PostgreSQL ends one of them; it runs again, and is done once."""
    await add(db, 1, "")
    await add(db, 2, "")

    def in_order(*order: int, letter: str):
        async def work(tx: Tx) -> None:
            for number in order:
                sql = "UPDATE numbers SET name = name || CAST(? AS TEXT) WHERE n = ?"
                await tx.execute(sql, (letter, number))

        return work

    for _ in range(MANY):
        await asyncio.gather(
            db.write(in_order(1, 2, letter="a")), other.write(in_order(2, 1, letter="b"))
        )

    names = [name for (name,) in await db.read("SELECT name FROM numbers")]
    assert [sorted(name) for name in names] == [sorted("ab" * MANY)] * 2


async def test_a_row_that_another_keeps_locked_is_unavailable(
    url: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write waits for it so long and no longer; reads go on; neighbours are kept."""
    await add(db, 1)
    holder = await asyncpg.connect(url)
    await holder.execute("BEGIN; UPDATE numbers SET name = 'held'")
    monkeypatch.setitem(postgres_link._SESSIONS, "write", "SET lock_timeout = '50ms'")
    database = await open_database(url)

    async def work(tx: Tx) -> None:
        await tx.execute("UPDATE numbers SET name = 'mine'")

    results = await asyncio.gather(database.write(work), add(database, 2), return_exceptions=True)
    assert isinstance(results[0], Unavailable)
    assert results[1] == 2
    assert await database.read("SELECT name FROM numbers WHERE n = 1") == [("x",)]

    await holder.execute("ROLLBACK")
    await holder.close()
    await database.write(work)
    await database.close()
