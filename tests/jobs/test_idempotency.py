"""The job that forgets: all that is over, however much it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from apertura.jobs.idempotency import Forgetting
from apertura.store import identity
from apertura.store.database import open_database
from apertura.store.idempotency import KEPT_MS, PURGE_MAX
from apertura.store.migrate import migrate


async def test_it_forgets_all_that_is_over(tmp_path: Path) -> None:
    """More than one transaction purges; and in memory as of the same time."""
    database = await open_database(f"sqlite:{tmp_path / 'apertura.db'}")
    await migrate(database)
    org = await identity.create_organization(database, "acme", random=b"o" * 13, now_ms=1)
    columns = ("org_id", "name", "body", "call_id", "key_id", "worker", "started_ms", "stores")
    rows = [
        (org.id, str(n), "", f"req_{n}", "", "", 1_000 + (n == 0), 0)
        for n in range(2 * PURGE_MAX + 2)
    ]
    await database.write(lambda tx: tx.insert_many("idempotency", columns, rows))
    told: list[int] = []

    async def free_failed() -> None:
        told.append(0)

    replays: Any = SimpleNamespace(expire=told.append, free_failed=free_failed)
    await Forgetting(database, replays).step(1_000 + KEPT_MS)
    assert told == [1_000 + KEPT_MS, 0]
    assert await database.read("SELECT call_id FROM idempotency") == [("req_0",)]
    await database.close()
