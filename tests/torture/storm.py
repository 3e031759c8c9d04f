"""Four processes that book at once on one PostgreSQL, and what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.store import ledger
from apertura.store.audit import audit
from apertura.store.database import Database, open_database
from apertura.store.migrate import migrate
from tests.torture.place import held
from tests.torture.writer import COST, ORGS, ROWS, WRITERS

ROOT = Path(__file__).resolve().parents[2]
PAID = 10**12


class Storm(NamedTuple):
    """`refused`: attempts that PostgreSQL refused, by its word for it; they ran again."""

    rows: int
    seconds: float
    slowest: float
    attempts: int
    refused: dict[str, int]
    wrong: list[str]


async def storm(url: str, batches: int) -> Storm:
    """Fill wallets, let the writers loose, and count."""
    database = await open_database(url)
    try:
        await migrate(database)
        for org in ("hot", *(f"org{number}" for number in range(ORGS))):
            paid = top_up(org, Nano(PAID), org, transaction_id=f"txn_{org}", at=1)
            await database.write(partial(ledger.post, transaction=paid))
        said = await asyncio.gather(*[_writer(url, number, batches) for number in range(WRITERS)])
        wrong = await _wrong(database, batches, said)
    finally:
        await database.close()
    counts: Counter[str] = Counter()
    for one in said:
        counts.update(one["counts"])
    attempts = counts.pop("attempts")
    return Storm(
        WRITERS * batches * ROWS,
        max(one["seconds"] for one in said),
        max(one["slowest"] for one in said),
        attempts,
        dict(counts),
        wrong,
    )


async def _writer(url: str, number: int, batches: int) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.torture.writer", url, str(number), str(batches)),
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def _wrong(database: Database, batches: int, said: list[Any]) -> list[str]:
    """Each call once, paid once; nothing held; the books agree."""
    wrong = [
        f"{one.rule}: {one.subject}" for check in await audit(database) for one in check.findings
    ]
    ((count, cost),) = await database.read("SELECT COUNT(*), CAST(SUM(cost) AS BIGINT) FROM usage")
    ((posted,),) = await database.read(
        "SELECT CAST(SUM(posted) AS BIGINT) FROM funds WHERE kind = 'wallet'"
    )
    rows = WRITERS * batches * ROWS
    for name, expected, found in (
        ("rows", rows, count),
        ("rows that writers say were new", rows, sum(one["booked"] for one in said)),
        ("cost", rows * COST, cost),
        ("left in wallets", (ORGS + 1) * PAID - rows * COST, posted),
        ("held", 0, await held(database)),
    ):
        if expected != found:
            wrong.append(f"{name}: {found}, not {expected}")
    return wrong
