"""Two workers, one organization and everything that may happen to its money, step by step, on a
real database, beside a ledger kept in plain Python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from apertura.domain.funds import Fund, Hold, Short, quota_of
from apertura.domain.identity import Caller
from apertura.domain.keys import KeyId, KeyPolicy, OrgId
from apertura.domain.ledger import REVENUE, WRITE_OFFS, refund, top_up
from apertura.domain.money import Nano
from apertura.domain.payers import Caps, ways
from apertura.relay.leases import Leases
from apertura.store import funds, keys, ledger, usage
from apertura.store.audit import audit
from apertura.store.charges import Charge, decode, record_and_charge
from apertura.store.database import Conflict, Database, open_database
from apertura.store.identity import create_organization
from apertura.store.keys import KeyChange
from apertura.store.migrate import migrate
from tests.databases import new_url
from tests.store.examples import NEW_YEAR_MS, key_record, usage_row

T = TypeVar("T")
DAY_MS = 86_400_000
BUDGET = 4_000
QUOTA = 300
RESET_DAY = 7


class Running(NamedTuple):
    """A call with its hold, in one life of one worker."""

    call_id: str
    key: str
    worker: int
    hold: Hold
    at: int
    credits: int | None = None
    """What it takes of an allowance; None where it costs money."""


class Place:
    """One worker: what is in its memory, and the journal that outlives it."""

    def __init__(self, name: str, db: Database) -> None:
        self.name, self.db = name, db
        self.leases = Leases(db, name)
        self.journal: list[bytes] = []
        self.rows: list[Charge] = []
        """Settled, and not known to be in the books."""


class World:
    """Everything that can be done, and what must hold after each of it."""

    def __init__(self, engine: str = "sqlite") -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = ExitStack()
        self.url = self._stack.enter_context(new_url(engine))
        self.now = NEW_YEAR_MS + 10 * DAY_MS
        self.paid = 0
        self.quota: int | None = QUOTA
        self.running: list[Running] = []
        self.calls: dict[str, Charge] = {}
        """All that ever stood in a journal."""
        self.exposed = 0
        """The most that may have been written off."""
        self.count = 0
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    async def _open(self) -> None:
        self.db = await open_database(self.url)
        await migrate(self.db)
        org = await create_organization(self.db, "o", random=b"o" * 13, now_ms=1)
        self.org, self.wallet = org.id, f"org:{org.id}:wallet"
        for name, quota in (("k0", None), ("k1", QUOTA)):
            await keys.create(self.db, key_record(name, org.id, quota_nano=quota))
        budget = {"owner": org.id, "cap": BUDGET, "reset_day": RESET_DAY, "now_ms": self.now}
        await self.db.write(partial(funds.set_budget, **budget))  # type: ignore[arg-type]
        self.places = [Place(name, self.db) for name in ("w0", "w1")]

    # What may happen.

    def top_up(self, amount: int) -> None:
        reference = f"r{self.count}"
        self.count += 1
        made = top_up(self.org, Nano(amount), reference, transaction_id=reference, at=1)
        for _ in range(2):  # each payment is heard of twice
            self.run(self.db.write(lambda tx: ledger.post(tx, made)))
        self.paid += amount

    def refund(self, amount: int) -> None:
        reference = f"r{self.count}"
        self.count += 1
        made = refund(self.org, Nano(amount), reference, transaction_id=reference, at=1)
        before = self.fund(self.wallet)
        try:
            self.run(self.db.write(lambda tx: ledger.post(tx, made)))
        except Conflict:
            assert amount > before.available
        else:
            assert amount <= before.available
            self.paid -= amount

    def names(self, key: str) -> tuple[str, ...]:
        caps = Caps(quota=key == "k1" and self.quota is not None, org_reset=RESET_DAY)
        caller = Caller(
            key_id=KeyId(key), org_id=OrgId(self.org), key_name=key, policy=KeyPolicy(), caps=caps
        )
        (way,) = ways(caller, "small", self.now)
        return way.funds

    def hold(self, worker: int, key: str, amount: int) -> None:
        quota = self.fund(quota_of("k1"))
        answer = self.run(self.places[worker].leases.hold(self.names(key), amount))
        if isinstance(answer, Short):
            assert answer.covers < amount
            return
        self._admitted(worker, key, answer)
        if key == "k1" and self.quota is not None and quota.posted >= quota.held:
            assert self._of_quota() <= self.quota + self.exposed

    def _of_quota(self) -> int:
        """What the quota knows to be used, and what is held of it. A call that began before there
        was one is known to it once it is booked; one whose lease has ended, likewise.
        """
        fund = quota_of("k1")
        unknown = sum(
            row.cost
            for place in self.places
            for row in place.rows
            if row.key_id == "k1" and fund not in row.funds
        )
        used = sum(call.cost for call in self.calls.values() if call.key_id == "k1")
        leases = [(one, lease) for one in self.running for lease in one.hold.leases]
        held = [one.hold.amount for one, lease in leases if lease.fund == fund and not lease.ended]
        return used - unknown + sum(held)

    def _admitted(self, worker: int, key: str, hold: Hold) -> None:
        self.count += 1
        self.running.append(Running(f"c{self.count}", key, worker, hold, self.now))

    def give_up(self, worker: int, amount: int, after: int) -> None:
        """A caller who is gone before it is known whether the call may start."""
        leases, names = self.places[worker].leases, self.names("k0")

        async def work() -> None:
            task = asyncio.ensure_future(leases.hold(names, amount))
            for _ in range(after):
                await asyncio.sleep(0)
            task.cancel()
            (answer,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(answer, Hold):
                leases.release(answer)
            await asyncio.gather(
                *[q.answer for q in leases._questions.values() if q.answer is not None]
            )
            while leases._locks:
                await asyncio.sleep(0)

        self.run(work())

    def extend(self, one: Running, amount: int) -> None:
        before = one.hold.amount
        extended = self.run(self.places[one.worker].leases.extend(one.hold, amount))
        assert one.hold.amount == before + (amount if extended else 0)

    def settle(self, one: Running, cost: int) -> None:
        place = self.places[one.worker]
        self.running.remove(one)
        names = tuple(lease.fund for lease in one.hold.leases)
        covered = place.leases.settle(one.hold, cost)
        row = usage_row(one.call_id, cost=cost, org_id=self.org, key_id=one.key, started_ms=one.at)
        charge = Charge(
            *msgspec.structs.astuple(row),
            worker=place.leases.worker,
            funds=names,
            covered=covered,
        )
        place.journal.append(usage.encode(charge))
        place.rows.append(charge)
        self.calls[charge.call_id] = charge
        self.exposed += cost - covered

    def release(self, one: Running) -> None:
        self.running.remove(one)
        self.places[one.worker].leases.release(one.hold)

    def book(self, worker: int, *, forget: bool) -> None:
        place = self.places[worker]
        rows, place.rows = place.rows, []
        self.run(record_and_charge(self.db, rows))
        place.leases.booked(rows)
        if forget:
            place.journal = []

    def replay(self, worker: int) -> None:
        """Lines that are in the books already come again."""
        place = self.places[worker]
        known = {row.call_id for row in place.rows}
        lines = [line for line in map(decode, place.journal) if line.call_id not in known]
        assert self.run(record_and_charge(self.db, lines)) == 0

    def sweep(self, worker: int) -> None:
        self.run(self.places[worker].leases.sweep())

    def recall(self, worker: int) -> None:
        self.run(self.places[worker].leases.recall())

    def change_quota(self, quota: int | None) -> None:
        self.quota = quota
        self.run(keys.change(self.db, self.org, "k1", KeyChange(quota_nano=quota)))

    def pass_days(self, days: int) -> None:
        self.now += days * DAY_MS

    def kill(self, worker: int) -> None:
        """Memory is gone; the journal is settled, and then the leases go back."""
        place = self.places[worker]
        self.running = [one for one in self.running if one.worker != worker]
        journal, place.journal, place.rows = place.journal, [], []

        async def begin() -> None:
            place.leases = Leases(self.db, place.name)
            await record_and_charge(self.db, [decode(line) for line in journal])
            await self.db.write(partial(funds.return_of_place, place=place.name))

        self.run(begin())

    def fall_silent(self, worker: int) -> None:
        """For so long that others take back what it was lent; its calls go on."""
        place = self.places[worker]
        self.exposed += sum(row.covered for row in place.rows)
        name = place.leases.worker

        async def end_by_time() -> None:
            sql = "UPDATE leases SET expires_at = 0 WHERE worker = ?"
            await self.db.write(lambda tx: tx.execute(sql, (name,)))
            await self.db.write(partial(funds.return_expired, now_ms=1))

        self.run(end_by_time())
        place.leases._until = 0
        place.leases.take((self.wallet,), 1)

    # What must hold.

    def fund(self, name: str) -> Fund:
        return self.run(funds.find(self.db, name)) or Fund(0)

    def check(self) -> None:
        self.run(self._check())

    async def _check(self) -> None:
        findings = [finding for check in await audit(self.db) for finding in check.findings]
        assert findings == []
        booked = {row[0] for row in await self.db.read("SELECT call_id FROM usage")}
        assert booked <= self.calls.keys()
        cost = sum(self.calls[name].cost for name in booked)
        lost = await ledger.balance(self.db, WRITE_OFFS)
        wallet = await funds.find(self.db, self.wallet) or Fund(0)
        assert await ledger.balance(self.db, REVENUE) == cost
        assert wallet.posted == self.paid - (cost - lost)
        assert 0 <= lost <= self.exposed
        rows = await self.db.read("SELECT worker, fund_id, amount FROM leases WHERE amount > 0")
        lent = {(worker, fund): amount for worker, fund, amount in rows}
        for number, place in enumerate(self.places):
            self._check_place(number, place, lent)

    def _check_place(self, number: int, place: Place, lent: dict[tuple[str, str], int]) -> None:
        mine = {
            fund: amount for (name, fund), amount in lent.items() if name == place.leases.worker
        }
        known = place.leases._known.values()
        assert {lease.fund: lease.amount for lease in known if lease.amount} == mine
        for lease in known:
            assert lease.held == sum(
                one.hold.amount
                for one in self.running
                if one.worker == number and any(part is lease for part in one.hold.leases)
            )

    def close(self) -> None:
        """Everything ends: nothing stays held, and every call that ended is in the books once."""
        for number, one in enumerate(list(self.running)):
            self.settle(one, one.hold.amount * (number % 3) // 2)
        for number in range(len(self.places)):
            self.book(number, forget=True)
        for place in self.places:
            self.run(place.leases.close())
        self.check()
        held = self.run(self.db.read("SELECT COALESCE(SUM(held), 0) FROM funds"))
        kept = self.run(self.db.read("SELECT COUNT(*) FROM usage"))
        self.run(self.db.close())
        self._loop.close()
        self._stack.close()
        assert held == [(0,)]
        assert kept == [(len(self.calls),)]
