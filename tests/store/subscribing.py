"""An organization that subscribes: what tests of plans do to a database, in few words."""

from __future__ import annotations

from functools import partial
from typing import Any

from apertura.domain import plans
from apertura.domain.funds import allowance_of
from apertura.domain.ledger import charge, plan
from apertura.domain.plans import Subscription
from apertura.store import funds, ledger, subscriptions
from apertura.store.audit import audit
from apertura.store.database import Database
from apertura.store.plans import Plans
from tests.plans import ANCHOR, GRACE, LITE, MAX, PRO

PLANS_HERE = Plans(plans={one.id: one for one in (LITE, PRO, MAX)}, grace_ms=GRACE)
RANDOM = bytes(range(subscriptions.START_BYTES))


async def new(db: Database, org: str, bought: plans.Plan = LITE, **fields: Any) -> Subscription:
    given: dict[str, Any] = {"random": RANDOM, "now_ms": ANCHOR, **fields}
    return await db.write(partial(subscriptions.start, org_id=org, plan=bought, **given))


async def pay(db: Database, sub: Subscription, **fields: Any) -> bool:
    given: dict[str, Any] = {
        "sub_id": sub.id,
        "reference": "first",
        "via": "manual",
        "amount": sub.terms.price,
        "now_ms": ANCHOR,
        **fields,
    }
    return await db.write(partial(subscriptions.pay_period, **given))


async def change(db: Database, sub: Subscription, to: plans.Plan, now: int, **rest: Any) -> bool:
    work = partial(subscriptions.change_plan, sub_id=sub.id, plan=to, now_ms=now, **rest)
    return await db.write(work)


async def find(db: Database, org: str) -> Subscription:
    found = await subscriptions.find(db, org)
    assert found is not None
    return found


async def lend(db: Database, sub: Subscription, number: int, amount: int = 1_000) -> int:
    """What a worker gets who asks for a call's credits."""
    fund = allowance_of(sub.org_id, f"{sub.id}.{number}")
    work = partial(
        funds.lend, worker="w/1", fund=fund, amounts=(amount,), free=0, expires_at=ANCHOR
    )
    grant = await db.write(work)
    await db.write(partial(funds.give_back, worker="w/1", amounts={fund: grant.amount}))
    return grant.amount


async def holds(db: Database, sub: Subscription, number: int) -> int:
    return await ledger.balance(db, plan(sub.org_id, f"{sub.id}.{number}"))


async def assert_sound(db: Database) -> None:
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def revision(db: Database) -> int:
    return int((await db.read("SELECT value FROM revision"))[0][0])


async def what_became(db: Database, sub: Subscription) -> list[str]:
    return [change.what for change in await subscriptions.history(db, sub.id)]


async def use(db: Database, sub: Subscription, amount: int, number: int = 0) -> None:
    """Take something of a cycle, as calls do."""
    fund = allowance_of(sub.org_id, f"{sub.id}.{number}")
    name = f"use {fund} {await holds(db, sub, number)}"
    used = charge({fund: amount}, written_off=0, reference=name, transaction_id=name, at=1)
    await db.write(partial(ledger.post, transaction=used))
