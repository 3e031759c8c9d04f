"""A real SQLite file in a temporary folder, migrated; and rows to put in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apertura.store.database import Database, open_database
from apertura.store.migrate import migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "apertura.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    database = await open_database(f"sqlite:{path}")
    await migrate(database)
    yield database
    await database.close()
