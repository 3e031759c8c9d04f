"""Each engine with a database of its own for every test, migrated; and rows to put in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from apertura.store.database import Database, open_database
from apertura.store.migrate import migrate
from tests.databases import migrated_postgres, put_migrated_sqlite


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """What asks for it, or for something below, runs once with each."""
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a SQLite file."""
    return tmp_path / "apertura.db"


@pytest.fixture
def url(engine: str, path: Path) -> Iterator[str]:
    """Of a database in which there is nothing yet, or what migrations put there."""
    if engine == "sqlite":
        yield f"sqlite:{path}"
    else:
        with migrated_postgres() as made:
            yield made


@pytest.fixture
async def db(engine: str, url: str, path: Path) -> AsyncIterator[Database]:
    if engine == "sqlite":
        put_migrated_sqlite(path)
    database = await open_database(url)
    await migrate(database)
    yield database
    await database.close()
