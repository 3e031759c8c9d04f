"""A worker's leases on a database that counts what it is asked, for tests of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from apertura.domain.funds import Hold
from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.errors import Unavailable
from apertura.relay.leases import Leases
from apertura.store import ledger
from apertura.store.audit import audit
from apertura.store.charges import Charge, record_and_charge
from apertura.store.database import Database, Row, Tx, open_database
from apertura.store.migrate import migrate
from tests.databases import put_migrated_sqlite
from tests.store.examples import usage_row

T = TypeVar("T")
WALLET = "org:o:wallet"
ON = (WALLET,)


class Counted:
    """A database that counts writes, and can be away."""

    def __init__(self, inner: Database) -> None:
        self.inner, self.writes, self.away = inner, 0, False
        self.engine = inner.engine
        self.on_change = inner.on_change
        self.close = inner.close

    async def read(self, sql: str, params: tuple[object, ...] = ()) -> list[Row]:
        return await self.inner.read(sql, params)

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        self.writes += 1
        if self.away:
            raise Unavailable("away", headers={"Retry-After": "1"})
        return await self.inner.write(work)


@asynccontextmanager
async def counted(folder: Path) -> AsyncIterator[Counted]:
    """A new database in a folder."""
    put_migrated_sqlite(folder / "apertura.db")
    inner = await open_database(f"sqlite:{folder / 'apertura.db'}")
    await migrate(inner)
    yield Counted(inner)
    await inner.close()


async def pay(db: Database, amount: int, org: str = "o") -> None:
    made = top_up(org, Nano(amount), "r" + org, transaction_id="t" + org, at=1)
    await db.write(lambda tx: ledger.post(tx, made))


def call(call_id: str, leases: Leases, hold: Hold, cost: int) -> Charge:
    row = usage_row(call_id, cost=cost, org_id="o", key_id="k")
    covered = leases.settle(hold, cost)
    names = tuple(lease.fund for lease in hold.leases)
    return Charge(*msgspec.structs.astuple(row), worker=leases.worker, funds=names, covered=covered)


async def book(db: Database, leases: Leases, *rows: Charge) -> None:
    await record_and_charge(db, rows)
    leases.booked(rows)


async def held(leases: Leases, amount: int, names: tuple[str, ...] = ON) -> Hold:
    hold = await leases.hold(names, amount)
    assert isinstance(hold, Hold), hold
    return hold


async def assert_sound(db: Database) -> None:
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def give_all_back(leases: Leases) -> None:
    for _ in range(2):
        await leases.sweep()
