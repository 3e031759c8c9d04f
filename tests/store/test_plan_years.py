"""Two years of a subscriber's life, day by day, on the real database: payments that fail and are
told many times, upgrades, downgrades, cancellations, and two workers whose jobs run at once.

Beside it an oracle keeps what was paid in the plainest way, and says what may be granted.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from random import Random

import pytest

from apertura.domain.cycles import cycle_at, cycle_start
from apertura.domain.ledger import PLANS
from apertura.domain.plans import (
    MS_PER_DAY,
    Plan,
    Subscription,
    current,
    paid_cycles,
    upgrade_price,
)
from apertura.errors import BadRequest, PaymentRequired
from apertura.jobs.plans import Renewals
from apertura.store import ledger, subscriptions
from apertura.store.audit import audit
from apertura.store.database import Conflict, Database, open_database
from apertura.store.identity import create_organization
from apertura.store.subscriptions import Payment
from tests.plans import ANCHOR, GRACE, LITE, MAX, PRO
from tests.store.subscribing import PLANS_HERE, change, find, lend, pay, use

DAYS = 2 * 365 + 1
ALL = {one.id: one for one in (LITE, PRO, MAX)}


class Life:
    """One organization, what it does, and what it may expect."""

    def __init__(self, db: Database, org: str, random: Random) -> None:
        self.db, self.org, self.random = db, org, random
        self.now = ANCHOR
        self.revenue = 0
        self.best: dict[tuple[str, int], int] = defaultdict(int)
        """The largest allowance that held in a cycle while it was paid."""
        self.paid: dict[str, int] = defaultdict(int)
        """Cycles that were paid for, by subscription."""
        self.references: list[tuple[str, str, int]] = []

    async def subscribe(self) -> None:
        plan, period = self.random.choice(list(ALL.values())), self._period()
        given = {"random": self.random.randbytes(53), "now_ms": self.now}
        await self.db.write(
            partial(subscriptions.start, org_id=self.org, plan=plan, period=period, **given)
        )

    async def renew(self, sub: Subscription) -> None:
        """Pay a period, and hear of it several times, on two lines at once."""
        terms = sub.next or sub.terms
        reference = f"{len(self.references)}"
        told = [
            pay(self.db, sub, reference=reference, amount=terms.price, now_ms=self.now)
            for _ in range(self.random.randint(1, 3))
        ]
        assert sum(await asyncio.gather(*told)) == 1
        self.references.append((sub.id, reference, terms.price))
        self.revenue += terms.price
        self.paid[sub.id] += {"monthly": 1, "quarterly": 3, "yearly": 12}[terms.period]

    async def replay(self) -> None:
        """An old payment is told again."""
        sub_id, reference, amount = self.random.choice(self.references)
        sub = await subscriptions.find_by_id(self.db, sub_id)
        assert sub is not None
        assert not await pay(self.db, sub, reference=reference, amount=amount, now_ms=self.now)

    async def another_plan(self, sub: Subscription) -> None:
        plan: Plan = self.random.choice(list(ALL.values()))
        price = upgrade_price(sub, plan, self.now)
        made = Payment(reference=f"up {self.now}", via="manual", amount=price) if price else None
        period = self._period() if self.random.random() < 0.3 else None
        try:
            await change(self.db, sub, plan, self.now, period=period, payment=made)
        except (BadRequest, Conflict):
            return
        self.revenue += price

    def _period(self) -> str:
        return self.random.choices(["monthly", "quarterly", "yearly"], [6, 2, 1])[0]

    async def call(self, sub: Subscription) -> None:
        """What a caller may do now follows from the pass alone; a cycle to come is not granted."""
        held = await subscriptions.pass_of(self.db, self.org, sub.key_id, PLANS_HERE)
        assert held is not None
        number = int(held.cycle(self.now).rpartition(".")[2])
        if self.now < sub.paid_until_ms:
            assert number == cycle_at(sub.anchor_ms, self.now)
            allowance = current(sub, self.now).terms.allowance
            self.best[sub.id, number] = max(self.best[sub.id, number], allowance)
        try:
            held.check(self.now)
        except PaymentRequired:
            assert await lend(self.db, sub, cycle_at(sub.anchor_ms, self.now) + 1) == 0
            return
        assert self.now < sub.paid_until_ms + GRACE
        assert await lend(self.db, sub, paid_cycles(sub) + self.random.randrange(3)) == 0
        if await lend(self.db, sub, number):
            await use(self.db, sub, 1_000, number)

    async def day(self) -> None:
        sub = await subscriptions.find(self.db, self.org)
        if sub is None or sub.ended_ms is not None:
            if self.random.random() < 0.2:
                await self.subscribe()
            return
        if sub.cancel_at_end and self.now >= sub.paid_until_ms:
            return  # to be written down by the job
        await self.something(sub, self.random.random())
        sub = await find(self.db, self.org)
        if sub.ended_ms is None:
            await self.call(sub)

    async def something(self, sub: Subscription, chance: float) -> None:
        late = self.now - sub.paid_until_ms
        if late >= -2 * MS_PER_DAY and chance < 0.3:
            await self.renew(sub)
        elif late >= 0 and chance < 0.5:
            work = partial(subscriptions.payment_failed, sub_id=sub.id, now_ms=self.now)
            await self.db.write(work)
        elif chance > 0.94:
            await self.another_plan(sub)
        elif chance > 0.92:
            deed = self.random.choice([subscriptions.cancel_at_end, subscriptions.resume])
            await self.db.write(partial(deed, sub_id=sub.id, now_ms=self.now))


SLOW = [pytest.param(seed, DAYS, marks=pytest.mark.slow) for seed in range(2, 6)]


@pytest.mark.parametrize(("seed", "days"), [(1, 150), *SLOW])
async def test_no_more_is_granted_than_was_paid_for(
    db: Database, url: str, seed: int, days: int
) -> None:
    """In no cycle more than the best plan that was paid in it; in all no more cycles than paid."""
    org = (await create_organization(db, "acme", random=b"o" * 13, now_ms=1)).id
    random = Random(seed)
    life = Life(db, org, random)
    other = await open_database(url)
    workers = [Renewals(one, PLANS_HERE) for one in (db, other)]
    for day in range(days):
        life.now = ANCHOR + day * MS_PER_DAY + random.randrange(MS_PER_DAY)
        await life.day()
        if life.references and day % 5 == 0:
            await life.replay()
        if day % 3 == 0:
            await asyncio.gather(*(worker.step(life.now) for worker in workers))
    await other.close()

    rows = await db.read(
        "SELECT subscription_id, number, granted, upgrades, anchor_ms FROM plan_cycles "
        "JOIN subscriptions ON subscriptions.id = subscription_id"
    )
    assert len(rows) * 60 > days
    granted: dict[str, int] = defaultdict(int)
    for sub_id, number, amount, upgrades, anchor in rows:
        granted[sub_id] += 1
        assert amount <= life.best[sub_id, number]
        assert upgrades or amount in {one.allowance for one in ALL.values()}
        assert cycle_start(anchor, number) <= life.now
    assert all(granted[sub_id] <= life.paid[sub_id] for sub_id in granted)
    assert sum(granted.values()) <= sum(life.paid.values())
    assert await ledger.balance(db, PLANS) == life.revenue
    booked = await db.read(
        "SELECT CAST(SUM(amount) AS BIGINT) FROM entries JOIN transactions ON id = transaction_id "
        "WHERE kind = 'allowance' AND account_id = 'contra:plan-credits'"
    )
    assert booked[0][0] == sum(amount for _, _, amount, _, _ in rows)
    await assert_money(db)


async def assert_money(db: Database) -> None:
    """All that the audit asks, but for the calls' own rows, of which there are none here."""
    wrong = {check.name for check in await audit(db) if check.findings}
    assert wrong <= {"what a transaction books of credits is the sum of its charges"}
