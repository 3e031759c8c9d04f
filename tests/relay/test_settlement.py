"""From the end of a call to the books: once, whatever fails in between."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from apertura import app
from apertura.domain.catalog import assemble
from apertura.domain.identity import Caller
from apertura.domain.keys import KeyId, KeyPolicy, OrgId
from apertura.domain.usage import Usage
from apertura.errors import Unavailable
from apertura.relay import settlement as module
from apertura.relay.call import Call, new_call_id
from apertura.relay.leases import Leases
from apertura.relay.settlement import Settlement
from apertura.store import journal as journal_module
from apertura.store import usage
from apertura.store.database import Database, Row, Tx, open_database, out_of_service
from apertura.store.journal import Journal
from apertura.store.migrate import migrate
from apertura.store.usage import Totals
from apertura.telemetry import Meters
from tests.live import PATIENCE, catalogue, live
from tests.relay.callers import WORDS, serves
from tests.store.examples import record, usage_row
from tests.wall import Wall

T = TypeVar("T")
USED = Usage(input=1000, output=100)
COST = 1000 * 1_000 + 100 * 2_000
[OFFER, *_] = assemble(*catalogue("http://wall.invalid/v1", ["ok"])).offers["ok"]
CALLER = Caller(key_id=KeyId("key"), org_id=OrgId("org"), key_name="test", policy=KeyPolicy())


class Fickle:
    """A database that is `away` when a test says so, and then counts who knocked."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self.engine = real.engine
        self.away = False
        self.leaves_after = -1
        """Writes until it goes away; negative: it stays."""
        self.refused = 0
        self.on_change, self.close = real.on_change, real.close

    async def read(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        return await self._real.read(sql, params)

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        self.away = self.away or self.leaves_after == 0
        self.leaves_after -= 1
        if self.away:
            self.refused += 1
            raise out_of_service("The database is away.")
        return await self._real.write(work)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Fickle]:
    one = Fickle(await open_database(f"sqlite:{tmp_path}/apertura.db"))
    await migrate(one)
    yield one
    await one.close()


class Books:
    """A settlement at work, and what it is to have kept."""

    def __init__(self, database: Fickle, folder: Path) -> None:
        self.database = database
        self.meters = Meters(version="test")
        self.journal = Journal.open(folder)
        self.settlement = Settlement(database, self.journal, self.meters, Leases(database, "test"))
        self.recovered = 0

    def settle(self, count: int = 1) -> list[str]:
        """Calls that were answered; their ids."""
        calls = [answered() for _ in range(count)]
        for call in calls:
            assert self.settlement.settle(call) == COST
        return [call.id for call in calls]

    async def ids(self) -> list[str]:
        rows = await self.database.read("SELECT call_id FROM usage ORDER BY call_id")
        return [call_id for (call_id,) in rows]

    async def hold(self, ids: list[str]) -> bool:
        """Whether these calls, and no other, are in the rows and in the sums."""
        count = len(ids)
        sums = {"calls": 1, "input": 1000, "output": 100, "cost": COST, "upstream_cost": COST}
        sums = Totals(**{name: each * count for name, each in sums.items()})
        totals = await usage.totals(self.database, "key")
        return await self.ids() == sorted(ids) and totals == sums

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.002)

    def count(self, name: str) -> int:
        """A number of the metrics page."""
        lines = self.meters.render().decode().splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        return int(float(value))


@contextlib.asynccontextmanager
async def books(database: Fickle, tmp_path: Path) -> AsyncIterator[Books]:
    """One life of a settlement, from its start to its orderly end."""
    one = Books(database, tmp_path / "journal")
    try:
        one.recovered = await one.settlement.start()
        yield one
        await one.settlement.close()
    finally:
        one.journal.close()


def answered() -> Call:
    clock = asyncio.get_running_loop().time
    call = Call(new_call_id(), CALLER, "chat", "ok", False, clock(), 60)
    call.begin(OFFER)
    call.answered(USED)
    return call


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch is written by itself."""
    monkeypatch.setattr(module, "BATCH_SECONDS", 1e6)


# --- the usual way ---


async def test_a_call_gets_into_the_books_by_itself(database: Fickle, tmp_path: Path) -> None:
    """Soon after it was settled, and those after it as well."""
    async with books(database, tmp_path) as one:
        ids = one.settle(3)
        await one.until(lambda: one.settlement.backlog() == 0)
        ids += one.settle(2)
        await one.until(lambda: one.settlement.backlog() == 0)
        assert await one.hold(ids)


async def test_a_call_is_settled_once(database: Fickle, tmp_path: Path) -> None:
    """A second time is a mistake of ours, and books nothing."""
    async with books(database, tmp_path) as one:
        call = answered()
        one.settlement.settle(call)
        with pytest.raises(AssertionError, match="settled twice"):
            one.settlement.settle(call)
        await one.settlement.flush()
        assert await one.hold([call.id])


async def test_flush_is_current(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it returns all that was settled before is in, also what another flush was writing."""
    never(monkeypatch)
    async with books(database, tmp_path) as one:
        ids = one.settle(2)
        await one.settlement.flush()
        assert await one.hold(ids)
        assert one.settlement.backlog() == 0
        ids += one.settle()
        other = asyncio.ensure_future(one.settlement.flush())
        await asyncio.sleep(0)
        ids += one.settle()
        await one.settlement.flush()
        assert await one.hold(ids)
        await other


async def test_a_backlog_is_written_in_pieces(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each its own transaction; none is left out."""
    monkeypatch.setattr(module, "BATCH_MOST", 4)
    never(monkeypatch)
    async with books(database, tmp_path) as one:
        ids = one.settle(11)
        await one.settlement.flush()
        assert await one.hold(ids)


async def test_leaving_writes_the_last_batch(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then there is nothing to recover."""
    never(monkeypatch)
    async with books(database, tmp_path) as one:
        ids = one.settle(3)
    async with books(database, tmp_path) as one:
        assert one.recovered == 0
        assert await one.hold(ids)


# --- the journal has no room ---


async def test_a_journal_without_room_loses_no_call(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The books take it all the same, and the operator is told; later lines go in again."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 1024)
    room = os.posix_fallocate

    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with books(database, tmp_path) as one:
        monkeypatch.setattr(os, "posix_fallocate", no_room)
        ids = one.settle(10)
        failures = one.count("apertura_book_write_failures_total")
        assert 0 < failures < 10
        await one.settlement.flush()
        assert await one.hold(ids)
        monkeypatch.setattr(os, "posix_fallocate", room)
        ids += one.settle(10)
        assert one.count("apertura_book_write_failures_total") == failures
        await one.settlement.flush()
        assert await one.hold(ids)
    async with books(database, tmp_path) as one:
        assert one.recovered == 0


# --- the database is away ---


async def test_the_books_are_written_when_the_database_is_back(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again and again; each call is booked once."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    async with books(database, tmp_path) as one:
        database.away = True
        ids = one.settle(3)
        await one.until(lambda: database.refused >= 2)
        ids += one.settle(2)
        assert one.settlement.backlog() == 5
        with pytest.raises(Unavailable):
            await one.settlement.flush()
        assert one.count("apertura_book_write_failures_total") >= 1
        database.away = False
        await one.until(lambda: one.settlement.backlog() == 0)
        assert await one.hold(ids)


async def test_it_is_full_until_there_is_room_again(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that run already are still kept."""
    monkeypatch.setattr(module, "BACKLOG_MOST", 3)
    never(monkeypatch)
    async with books(database, tmp_path) as one:
        database.away = True
        ids = one.settle(2)
        assert not one.settlement.full
        ids += one.settle(2)
        assert one.settlement.full
        database.away = False
        await one.settlement.flush()
        assert not one.settlement.full
        assert await one.hold(ids)


async def test_what_cannot_be_written_at_the_end_waits_for_the_next_life(
    database: Fickle, tmp_path: Path
) -> None:
    """Leaving is no error, and the start after it books them, once."""
    async with books(database, tmp_path) as one:
        database.away = True
        ids = one.settle(3)
    database.away = False
    async with books(database, tmp_path) as one:
        assert one.recovered == 3
        assert await one.hold(ids)
    async with books(database, tmp_path) as one:
        assert one.recovered == 0
        assert await one.hold(ids)


async def test_a_backlog_half_written_is_booked_once(
    database: Fickle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database leaves between two transactions; the next life brings all of the lines."""
    monkeypatch.setattr(module, "BATCH_MOST", 2)
    never(monkeypatch)
    async with books(database, tmp_path) as one:
        ids = one.settle(5)
        database.leaves_after = 1
        with pytest.raises(Unavailable):
            await one.settlement.flush()
        assert await one.hold(ids[:2])
    database.away, database.leaves_after = False, -1
    async with books(database, tmp_path) as one:
        assert await one.hold(ids)


# --- an earlier life ---


def leave_behind(folder: Path, ids: list[str]) -> None:
    """A journal as a crash leaves it."""
    journal = Journal.open(folder)
    for call_id in ids:
        journal.append(usage.encode(row(call_id)))
    journal.close()


def row(call_id: str) -> Any:
    numbers = {"input": 1000, "output": 100, "cost": COST, "upstream_cost": COST}
    return usage_row(call_id, key_id="key", org_id="org", model="ok", **numbers)


async def test_what_a_crash_left_is_booked_once(database: Fickle, tmp_path: Path) -> None:
    """Also where a part of it had reached the books, and a line is there twice."""
    ids = [f"call-{number}" for number in range(9)]
    leave_behind(tmp_path / "journal", [*ids, ids[0]])
    await record(database, [row(call_id) for call_id in ids[:4]])
    async with books(database, tmp_path) as one:
        assert one.recovered == 10
        assert await one.hold(ids)
    async with books(database, tmp_path) as one:
        assert one.recovered == 0


async def test_a_crash_while_recovering_books_nothing_twice(
    database: Fickle, tmp_path: Path
) -> None:
    """After the books had it, and before the journal was told."""
    ids = ["call-1", "call-2"]
    leave_behind(tmp_path / "journal", ids)
    shutil.copytree(tmp_path / "journal", tmp_path / "again" / "journal")
    async with books(database, tmp_path) as one:
        assert one.recovered == 2
    async with books(database, tmp_path / "again") as one:
        assert one.recovered == 2
        assert await one.hold(ids)


async def test_a_start_without_a_database_forgets_nothing(database: Fickle, tmp_path: Path) -> None:
    """It fails, and the next one finds all that was there."""
    ids = ["call-1", "call-2"]
    leave_behind(tmp_path / "journal", ids)
    database.away = True
    with pytest.raises(Unavailable):
        async with books(database, tmp_path):
            pass
    database.away = False
    async with books(database, tmp_path) as one:
        assert one.recovered == 2
        assert await one.hold(ids)


# --- the whole gateway ---


async def test_callers_are_refused_only_when_the_books_are_full(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: bool
) -> None:
    """Answered while there is room; then 503 with a time to come again; then answered, and all
    that was answered is booked.
    """
    monkeypatch.setattr(module, "BACKLOG_MOST", 3)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    opened: list[Fickle] = []

    async def fickle(url: str) -> Fickle:
        opened.append(Fickle(await open_database(url)))
        return opened[0]

    monkeypatch.setattr(app, "open_database", fickle)
    async with live(wall, tmp_path, lane=lane) as gateway:
        await serves(gateway)
        await gateway.rows()
        [database] = opened
        database.away = True
        for _ in range(3):
            assert (await gateway.chat("ok", stream=True)).text == WORDS
        answer = await gateway.chat("ok")
        assert answer.error == (503, "server_error", "service_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert len(wall.calls()) == 4
        database.away = False
        await gateway.until(lambda: gateway.application.parts.settlement.backlog() == 0)
        await serves(gateway)
        assert ["answered"] * 5 == [kept.outcome for kept in await gateway.rows()]
