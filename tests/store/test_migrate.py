"""Behaviour of migrations, with folders of files made up here."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from apertura.store.database import Database, open_database
from apertura.store.migrate import MigrationRefused, migrate
from tests.databases import empty_postgres

FIRST = "-- a note; with a semicolon\n\nCREATE TABLE a (n BIGINT);\n\nCREATE TABLE b (n BIGINT);\n"
SECOND = "ALTER TABLE a ADD COLUMN name TEXT;\n"
TRIGGER = {
    "sqlite": "CREATE TRIGGER t BEFORE DELETE ON a\nBEGIN SELECT RAISE(ABORT, 'no'); END;\n",
    "postgres": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN RETURN NULL; END\n$$;\n"
        "\nCREATE TRIGGER t BEFORE DELETE ON a\nFOR EACH ROW EXECUTE FUNCTION f();\n"
    ),
}
OBJECTS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE sql <> ''",
    "postgres": (
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' "
        "UNION SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal"
    ),
}


@pytest.fixture
def url(engine: str, path: Path) -> Iterator[str]:
    """Of a database without anything in it."""
    if engine == "sqlite":
        yield f"sqlite:{path}"
    else:
        with empty_postgres() as made:
            yield made


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = await open_database(url)
    yield database
    await database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    (made / "0001_first.sql").write_text(FIRST)
    for engine, trigger in TRIGGER.items():
        (made / f"0001_first.{engine}.sql").write_text(trigger)
    (made / "0001_first.other.sql").write_text("NONSENSE;\n")
    return made


async def objects(db: Database) -> set[str]:
    return {name for (name,) in await db.read(OBJECTS[db.engine])}


async def test_files_are_applied_once_and_in_order(db: Database, folder: Path) -> None:
    """The first run applies all, the second what came since, the third nothing."""
    assert await migrate(db, folder) == ["0001_first.sql"]
    (folder / "0002_second.sql").write_text(SECOND)
    assert await migrate(db, folder) == ["0002_second.sql"]
    assert await migrate(db, folder) == []

    assert await objects(db) == {"migrations", "a", "b", "t"}
    assert await db.read("SELECT name FROM a") == []


@pytest.mark.parametrize("name", ["0001_first.sql", "0001_first.{engine}.sql"])
async def test_an_edited_migration_is_refused(db: Database, folder: Path, name: str) -> None:
    """A file that was applied and edited since, also the part for the engine, stops the start."""
    await migrate(db, folder)
    file = folder / name.format(engine=db.engine)
    file.write_text(file.read_text() + "\n-- edited\n")

    with pytest.raises(MigrationRefused, match=r"0001_first\.sql was edited"):
        await migrate(db, folder)


async def test_a_newer_database_is_refused(db: Database, folder: Path) -> None:
    """A database that a later version migrated is not touched by this one."""
    (folder / "0002_second.sql").write_text(SECOND)
    await migrate(db, folder)
    (folder / "0002_second.sql").unlink()

    with pytest.raises(MigrationRefused, match=r"newer version: it has 0002_second\.sql"):
        await migrate(db, folder)


async def test_a_renamed_migration_is_refused(db: Database, folder: Path) -> None:
    """What the database calls otherwise is another history."""
    await migrate(db, folder)
    (folder / "0001_first.sql").rename(folder / "0001_other.sql")

    with pytest.raises(MigrationRefused, match=r"has 0001_first\.sql where"):
        await migrate(db, folder)


async def test_a_gap_in_the_files_is_refused(db: Database, folder: Path) -> None:
    """Files are numbered without gaps; nothing runs when one is missing."""
    (folder / "0003_third.sql").write_text(SECOND)

    with pytest.raises(MigrationRefused, match="without gaps"):
        await migrate(db, folder)

    assert await objects(db) == set()


async def test_a_missing_row_in_the_database_is_refused(db: Database, folder: Path) -> None:
    """A database whose earlier migration is not on record is not guessed at."""
    (folder / "0002_second.sql").write_text(SECOND)
    await migrate(db, folder)
    await db.write(lambda tx: tx.execute("DELETE FROM migrations WHERE number = 1"))

    with pytest.raises(MigrationRefused, match="lacks a migration"):
        await migrate(db, folder)


async def test_a_failing_file_leaves_nothing_of_it(db: Database, folder: Path) -> None:
    """A file is applied whole or not at all; those before it stay."""
    (folder / "0002_second.sql").write_text(
        "CREATE TABLE c (n BIGINT NOT NULL);\n\nINSERT INTO c VALUES (NULL);\n"
    )

    with pytest.raises(MigrationRefused, match="0001_first"):
        await migrate(db, folder)

    assert await objects(db) == {"migrations", "a", "b", "t"}
    assert await db.read("SELECT number FROM migrations") == [(1,)]


async def test_processes_that_start_together_apply_each_file_once(url: str) -> None:
    """Two processes and this one migrate a new database at once; each file is applied by one."""
    script = (
        "import asyncio, sys\n"
        "from apertura.store.database import open_database\n"
        "from apertura.store.migrate import migrate\n"
        "async def main():\n"
        "    db = await open_database(sys.argv[1])\n"
        "    print(len(await migrate(db)))\n"
        "    await db.close()\n"
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    database = await open_database(url)
    applied = [len(await migrate(database))]
    for process in processes:
        out, _ = await process.communicate()
        applied.append(int(out))
    rows = await database.read("SELECT COUNT(*) FROM migrations")
    await database.close()

    assert sum(applied) == rows[0][0]


async def test_the_books_cannot_be_changed(db: Database) -> None:
    """Triggers of the first migration stand: what is posted is neither changed nor deleted."""
    await migrate(db)
    names = await objects(db)

    assert {f"{table}_are_not_deleted" for table in ("accounts", "entries", "transactions")} < names
    assert {f"{table}_are_not_changed" for table in ("entries", "transactions")} < names
