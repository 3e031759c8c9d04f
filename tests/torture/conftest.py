"""A place to be hurt, on either engine, and a PostgreSQL that may be taken away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.databases import migrated_postgres
from tests.torture.load import honest
from tests.torture.place import Place
from tests.torture.postgres import Fragile
from tests.wall import Wall


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    async with Wall() as wall:
        wall.behaviours["honest"] = honest
        yield wall


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty installation on either engine."""
    if request.param == "sqlite":
        yield Place(tmp_path, f"sqlite:{tmp_path / 'apertura.db'}", random.Random(1))
        return
    with migrated_postgres() as url:
        yield Place(tmp_path, url, random.Random(1))


@pytest.fixture
def postgres_url() -> Iterator[str]:
    with migrated_postgres() as url:
        yield url


@pytest.fixture
async def postgres() -> AsyncIterator[Fragile]:
    """A server of the test's own."""
    made = await asyncio.to_thread(Fragile)
    yield made
    await asyncio.to_thread(made._remove)
