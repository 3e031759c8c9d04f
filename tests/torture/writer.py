"""A process that books calls as a worker does: `python -m tests.torture.writer URL NUMBER BATCHES`.

Half of its calls are of one hot organization, the others of forty, in an order of its own, so that
workers meet on the same rows from all sides. Now and then it books calls of its neighbour too, as
a journal would that is read twice. At its end it says how it went, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import msgspec

from apertura.domain.funds import Hold, wallet_of
from apertura.relay.leases import Leases
from apertura.store import postgres
from apertura.store.charges import Charge, record_and_charge
from apertura.store.database import open_database
from apertura.store.postgres_link import Again
from apertura.store.usage import UsageRow
from tests.store.examples import usage_row

WRITERS = 4
ROWS = 40
ORGS = 40
COST = 1_000
SHARED = 0.2
"""The part of its neighbour's batches that a writer books as well."""


def org_of(chance: random.Random) -> str:
    return "hot" if chance.random() < 0.5 else f"org{chance.randrange(ORGS)}"


def rows_of(writer: int, batch: int) -> list[UsageRow]:
    """The calls of a batch: the same whoever asks."""
    chance = random.Random(f"{writer}/{batch}")
    rows = []
    for number in range(ROWS):
        org = org_of(chance)
        call_id = f"call_{writer}_{batch}_{number}"
        rows.append(usage_row(call_id, cost=COST, org_id=org, key_id=f"key-{org}"))
    chance.shuffle(rows)
    return rows


def is_shared(writer: int, batch: int) -> bool:
    """Whether the neighbour books it too, so that nobody can have held money for it."""
    return random.Random(f"shared {writer}/{batch}").random() < SHARED


def counted() -> Counter[str]:
    """From now on, attempts of this process's writes, and what refused them."""
    counts: Counter[str] = Counter()
    attempt = postgres._Lane._attempt

    async def noted(lane: Any, batch: Any, *, in_turn: bool) -> Any:
        counts["attempts"] += 1
        try:
            return await attempt(lane, batch, in_turn=in_turn)
        except Again as error:
            counts[type(error.__cause__).__name__] += 1
            raise

    postgres._Lane._attempt = noted  # type: ignore[method-assign]
    return counts


async def main(url: str, writer: int, batches: int) -> None:
    counts = counted()
    database = await open_database(url)
    leases = Leases(database, f"writer{writer}")
    booked, slowest, begun = 0, 0.0, time.monotonic()
    for batch in range(batches):
        rows = [await held(leases, row, writer, batch) for row in rows_of(writer, batch)]
        at = time.monotonic()
        booked += await record_and_charge(database, rows)
        slowest = max(slowest, time.monotonic() - at)
        leases.booked(rows)
        neighbour = (writer + 1) % WRITERS
        if is_shared(neighbour, batch):
            again = [Charge(*msgspec.structs.astuple(row)) for row in rows_of(neighbour, batch)]
            booked += await record_and_charge(database, again)
    seconds = time.monotonic() - begun
    for _ in range(2):
        await leases.sweep()
    await database.close()
    said = {"booked": booked, "seconds": seconds, "slowest": slowest, "counts": counts}
    print(json.dumps(said))


async def held(leases: Leases, row: UsageRow, writer: int, batch: int) -> Charge:
    """The call as it ends: with a hold of twice its cost, or, of a shared batch, with none."""
    values = msgspec.structs.astuple(row)
    if is_shared(writer, batch):
        return Charge(*values)
    name = wallet_of(row.org_id)
    hold = await leases.hold((name,), 2 * COST)
    assert isinstance(hold, Hold), hold
    covered = leases.settle(hold, row.cost)
    return Charge(*values, worker=leases.worker, funds=(name,), covered=covered)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
