"""A worker's leases, in memory: where calls take their holds.

Usually a hold is a few additions in this process. When a lease has not enough free, the fund is
asked for more; calls that wait for the same fund meanwhile share the next question. What nobody
touched for a while goes back, and leases are renewed as long as the process lives.

What it is not: the arithmetic (`domain.funds`), or what is kept (`store.funds`). After a crash the
journal is settled first, with the leases of the life before; `start` then returns what is left.

The rule that keeps it honest: nothing is held that the database has not lent, and what it lent is
used only until well before the time at which others may take it back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from apertura.domain import funds
from apertura.domain.funds import Hold, Lease, Short
from apertura.errors import AperturaError, Unavailable
from apertura.store import funds as store
from apertura.store.charges import Charge
from apertura.store.database import Database
from apertura.store.funds import Grant
from apertura.telemetry import log

LEASE_MS = 120_000
"""How long a lease lasts after its worker was last heard of."""
RENEW_SECONDS = 15
TRUST_SECONDS = 60
"""How long after its last renewal a worker relies on its leases: less than they last, so that
clocks may differ and a question may be slow."""
SWEEP_SECONDS = 2
"""What was not touched for so long goes back, where little else is left of the fund."""
RARELY = 15
"""Sweeps, of which one is over all leases: where much is left, an idle lease is in nobody's way,
and to ask for it anew would cost more than the call does."""
ATTEMPTS = 32
"""Times that a call asks anew because others took what it had asked for."""

_NOTHING: tuple[Lease, ...] = ()


class _Question:
    """What will be asked of one fund next, and for whom."""

    def __init__(self) -> None:
        self.amounts: list[int] = []
        self.answer: asyncio.Task[Grant | AperturaError] | None = None


class Leases:
    """All leases of this worker. `place` names it across restarts, as its journal's folder does."""

    def __init__(self, database: Database, place: str) -> None:
        assert "/" not in place, "a place and a time make a worker's name"
        self._database, self._place = database, place
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, Lease] = {}
        self._questions: dict[str, _Question] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._turns = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._begin()

    def _begin(self) -> None:
        """A new life, under a new name: whatever an earlier one was lent, it has no part in."""
        for lease in self._known.values():
            lease.ended = True
        self._known = {}
        self.worker = f"{self._place}/{time.time_ns():x}"
        self._heard_of()

    def _heard_of(self) -> None:
        self._until = self._loop.time() + TRUST_SECONDS
        self._expires_ms = time.time_ns() // 1_000_000 + LEASE_MS

    async def start(self) -> int:
        """Return the leases of this place's earlier lives, whose journal is settled by now; then
        begin. Returns how many. Raises: Unavailable.
        """
        returned = await self._database.write(partial(store.return_of_place, place=self._place))
        self._tasks = [
            self._loop.create_task(self._keep(RENEW_SECONDS, self.renew)),
            self._loop.create_task(self._keep(SWEEP_SECONDS, self.tidy)),
        ]
        self._database.on_change(self._changed)
        return returned

    async def close(self) -> None:
        """Give everything back that is free. What is spent waits for the books."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._give_back({lease.fund: lease.empty() for lease in self._known.values()})

    # What a call asks for.

    def take(self, names: Sequence[str], amount: int) -> Hold | None:
        """A hold over all of these funds from what is at hand; None where that is not enough."""
        if not amount:
            return Hold(_NOTHING, 0)
        if self._loop.time() >= self._until:
            self._begin()
            return None
        known, leases = self._known, []
        for name in names:
            lease = known.get(name)
            if lease is None:
                return None
            leases.append(lease)
        return funds.take(leases, amount)

    async def hold(self, names: Sequence[str], amount: int) -> Hold | Short:
        """A hold over all of these funds, or why there is none. Raises: Unavailable."""
        for _ in range(ATTEMPTS):
            if (hold := self.take(names, amount)) is not None:
                return hold
            shorts = await self._ask_all(names, amount)
            if shorts and (hold := self.take(names, amount)) is None:
                return funds.worst(shorts)
            if hold is not None:
                return hold
        return Short(names[0], empty=False, covers=0)

    async def extend(self, hold: Hold, amount: int) -> bool:
        """Add to a hold; False where the funds do not cover it. Raises: Unavailable."""
        for _ in range(ATTEMPTS):
            if hold.ended or not hold.leases or hold.leases[0].ended:
                return False
            if funds.extend(hold, amount):
                return True
            if await self._ask_all([lease.fund for lease in hold.leases], amount):
                return not hold.ended and funds.extend(hold, amount)
        return False

    def settle(self, hold: Hold, cost: int) -> int:
        """End a hold with a cost; returns what of it the leases cover, for the books."""
        return funds.settle(hold, cost)

    def release(self, hold: Hold) -> None:
        """End a hold without a cost."""
        funds.settle(hold, 0)

    def booked(self, rows: Iterable[Charge]) -> None:
        """These calls are in the books: what was spent for them is no longer lent."""
        for row in rows:
            if row.covered and row.worker == self.worker:
                for name in row.funds:
                    self._known[name].booked(row.covered)

    def held(self) -> int:
        """How much running calls hold of wallets and allowances."""
        payers = [one for one in self._known.values() if funds.kind_of(one.fund) in funds.PAYERS]
        return sum(lease.held for lease in payers)

    # Asking the database.

    async def _ask_all(self, names: Sequence[str], amount: int) -> list[Short]:
        """Ask each fund that has not enough at hand; returns those that have not either."""
        asked = {
            name: self._ask(name, amount)
            for name in names
            if (lease := self._known.get(name)) is None or lease.free < amount
        }
        shorts = []
        for name, answer in asked.items():
            grant = await asyncio.shield(answer)  # shared: one who gives up does not stop it
            if isinstance(grant, AperturaError):
                raise Unavailable(grant.message, headers=grant.headers) from grant
            lease = self._known.get(name)
            free, spent = (lease.free, lease.spent) if lease is not None else (0, 0)
            covers = free + grant.fund.available
            if covers < amount:
                empty = grant.fund.posted - spent < amount
                shorts.append(Short(name, empty=empty, covers=covers))
        return shorts

    def _ask(self, name: str, amount: int) -> asyncio.Task[Grant | AperturaError]:
        question = self._questions.get(name)
        if question is None or question.answer is None:
            question = self._questions[name] = _Question()
            question.answer = self._loop.create_task(self._answer(name, question))
        question.amounts.append(amount)
        return question.answer

    async def _answer(self, name: str, question: _Question) -> Grant | AperturaError:
        """One question at a time for each fund; who comes while it runs waits for the next."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                del self._questions[name]
                return await self._lend(name, question.amounts)
        except AperturaError as error:  # for whoever waits, if anybody still does
            return error
        finally:
            if name not in self._questions:
                self._locks.pop(name, None)

    async def _lend(self, name: str, amounts: Sequence[int]) -> Grant:
        worker, lease = self.worker, self._known.get(name)
        grant = await self._database.write(
            partial(
                store.lend,
                worker=worker,
                fund=name,
                amounts=amounts,
                free=lease.free if lease is not None else 0,
                expires_at=self._expires_ms,
            )
        )
        if worker == self.worker and grant.amount:
            self._known.setdefault(name, Lease(name)).grow(grant.amount)
        return grant

    # What happens by itself.

    async def renew(self) -> None:
        """Say that this worker lives, and return what others held who do not. A worker that was
        silent for too long begins a new life.
        """
        if self._loop.time() >= self._until:
            self._begin()
        worker, expires_ms = self.worker, time.time_ns() // 1_000_000 + LEASE_MS
        until = self._loop.time() + TRUST_SECONDS
        await self._database.write(partial(store.renew, worker=worker, expires_at=expires_ms))
        if worker == self.worker:
            self._until, self._expires_ms = until, expires_ms
        now_ms = time.time_ns() // 1_000_000
        await self._database.write(partial(store.return_expired, now_ms=now_ms))

    async def tidy(self) -> None:
        """Give back what nobody touched, of funds of which little is left; of others rarely."""
        self._turns += 1
        if self._turns % RARELY:
            await self.sweep(await store.scarce(self._database, self.worker))
        else:
            await self.sweep()

    async def sweep(self, of: Sequence[str] | None = None) -> None:
        """Give back what nobody touched since the last time, of these funds or of all; and what
        caps no longer cover.
        """
        names = list(self._known) if of is None else of
        leases = [lease for name in names if (lease := self._known.get(name)) is not None]
        await self._give_back({lease.fund: lease.surplus() for lease in leases})
        if any(funds.kind_of(name) not in funds.PAYERS for name in self._known):
            await self.recall()

    async def recall(self) -> None:
        """Give back what is free of funds whose cap was lowered below what is lent."""
        names = await store.overlent(self._database, self.worker)
        leases = [lease for name in names if (lease := self._known.get(name)) is not None]
        await self._give_back({lease.fund: lease.empty() for lease in leases})

    async def _keep(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._once(step)

    async def _once(self, step: Callable[[], Awaitable[None]]) -> None:
        """What fails because the database is away is made up for the next time."""
        try:
            await step()
        except AperturaError as error:
            log("leases_not_kept", error=type(error).__name__)

    def _changed(self) -> None:
        task = self._loop.create_task(self._once(self.recall))
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _give_back(self, amounts: dict[str, int]) -> None:
        amounts = {name: amount for name, amount in amounts.items() if amount}
        worker = self.worker
        if amounts:
            try:
                await self._database.write(partial(store.give_back, worker=worker, amounts=amounts))
            except Unavailable:
                if worker == self.worker:
                    for name, amount in amounts.items():
                        self._known.setdefault(name, Lease(name)).grow(amount)
                raise
        if worker == self.worker:
            self._forget()

    def _forget(self) -> None:
        """Leases on which nothing is left."""
        gone = [name for name, lease in self._known.items() if not lease.amount]
        for name in gone:
            del self._known[name]
