"""The cycles of subscriptions in the books: granting an allowance, adding to it, ending its rest.

A cycle is granted when its first call asks for it, so that nothing has to happen at the moment in
which it begins. What it is not: when cycles begin (`domain.cycles`), or what follows for the
subscription (`subscriptions`).

The rule that keeps it honest: a cycle is granted once, and only where a payment covers it; what is
granted stands in the books under the cycle's name, so that no second time is possible.
"""

from __future__ import annotations

import msgspec

from apertura.domain import ledger as books
from apertura.domain import plans
from apertura.domain.cycles import Cycle, cycle_start
from apertura.domain.funds import UNBOUNDED, Fund, allowance_of, fallback_of
from apertura.domain.money import Nano
from apertura.domain.plans import Plan, Subscription, cycle_name, parse_cycle, paying_cycle
from apertura.store import funds, ledger
from apertura.store import subscription_rows as rows
from apertura.store.database import Database, Tx

EXPIRY_DELAY_MS = 3_600_000
"""For how long after its end the rest of a cycle is kept, for calls that have begun in it and are
not in the books yet."""


class CycleUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a cycle includes, and what was used of it: exactly, in thousandths of a credit, and in
    whole credits as it is shown.
    """

    cycle: Cycle
    granted: int
    left: int
    limit: int
    used: int
    remaining: int
    fallback_spent: Nano
    """What the wallet has paid beside it, in nano-dollars."""


async def grant_cycle(tx: Tx, fund: str, now_ms: int | None = None) -> bool:
    """Grant the cycle of a fund, `org:<org>:plan:<sub>.<n>`; False if it was, or is not paid for.

    With `now_ms`, only if it is the cycle that pays then.
    """
    sub_id, number = parse_cycle(fund)
    sub = await rows.lock(tx, sub_id)
    if fund != allowance_of(sub.org_id, cycle_name(sub_id, number)):
        return False
    if now_ms is not None and paying_cycle(sub, now_ms).number != number:
        return False
    return await grant(tx, sub, number, now_ms)


async def grant(tx: Tx, sub: Subscription, number: int, now_ms: int | None) -> bool:
    """So for a subscription that is locked."""
    if await _granted(tx, sub.id, number) is not None or not await _is_paid(tx, sub.id, number):
        return False
    begins = cycle_start(sub.anchor_ms, number)
    amount = plans.current(sub, begins).terms.allowance
    name = cycle_name(sub.id, number)
    await tx.execute(
        "INSERT INTO plan_cycles (subscription_id, number, granted, upgrades) VALUES (?, ?, ?, 0)",
        (sub.id, number, amount),
    )
    at = begins if now_ms is None else now_ms
    await ledger.post(tx, plans.allowance(sub.org_id, name, amount, at=at))
    return True


async def grant_upgrade(tx: Tx, sub: Subscription, plan: Plan, now_ms: int) -> int:
    """Add to the current cycle what an upgrade adds. `sub` is locked, paid, and not upgraded yet.

    Returns what was added, in thousandths of a credit.
    """
    here = paying_cycle(sub, now_ms)
    await grant(tx, sub, here.number, now_ms)
    granted = await _granted(tx, sub.id, here.number) or 0
    more = plans.upgrade_allowance(granted, sub.terms.allowance, plan.allowance, here, now_ms)
    if more:
        ((upgrade,),) = await tx.execute(
            "UPDATE plan_cycles SET granted = granted + ?, upgrades = upgrades + 1 "
            "WHERE subscription_id = ? AND number = ? RETURNING upgrades",
            (more, sub.id, here.number),
        )
        name = cycle_name(sub.id, here.number)
        added = plans.allowance(sub.org_id, name, more, upgrade=upgrade, at=now_ms)
        await ledger.post(tx, added)
    return more


async def _granted(tx: Tx, sub_id: str, number: int) -> int | None:
    found = await tx.execute(
        "SELECT granted FROM plan_cycles WHERE subscription_id = ? AND number = ?",
        (sub_id, number),
    )
    return int(found[0][0]) if found else None


async def _is_paid(tx: Tx, sub_id: str, number: int) -> bool:
    found = await tx.execute(
        "SELECT 1 FROM plan_payments WHERE subscription_id = ? "
        "AND first_cycle <= ? AND first_cycle + cycles > ? LIMIT 1",
        (sub_id, number, number),
    )
    return bool(found)


# What is left at the end.


async def over_cycles(db: Database, now_ms: int, grace_ms: int) -> list[tuple[str, int]]:
    """The cycles whose rest is to end now: subscription and number."""
    return [
        (sub.id, number)
        for sub, number in await rows.open_cycles(db)
        if _is_over(sub, number, now_ms - EXPIRY_DELAY_MS, grace_ms)
    ]


async def end_cycle(tx: Tx, sub_id: str, number: int, now_ms: int, grace_ms: int) -> bool:
    """Let the rest of a cycle go that has been over for a while; False if it is not, or if running
    calls still hold a part of it.
    """
    sub = await rows.lock(tx, sub_id)
    if not _is_over(sub, number, now_ms - EXPIRY_DELAY_MS, grace_ms):
        return False
    if not await tx.execute(
        "SELECT 1 FROM plan_cycles WHERE subscription_id = ? AND number = ? AND ended_ms IS NULL",
        (sub_id, number),
    ):
        return False
    name = cycle_name(sub_id, number)
    fund, beside = allowance_of(sub.org_id, name), fallback_of(sub.org_id, name)
    await funds.open_payer(tx, fund)
    await funds.lock(tx, sorted([fund, beside]))
    found = await tx.execute(
        "SELECT id, posted, held, cap FROM funds WHERE id IN (?, ?)", (fund, beside)
    )
    stands = {one: Fund(posted, held) for one, posted, held, _ in found}
    if any(stand.held for stand in stands.values()):
        return False
    spent = sum(cap - posted for one, posted, _, cap in found if one == beside)
    await tx.execute(
        "UPDATE plan_cycles SET ended_ms = ?, fallback_spent = ? "
        "WHERE subscription_id = ? AND number = ?",
        (now_ms, spent, sub_id, number),
    )
    if posted := stands[fund].posted:
        await ledger.post(tx, plans.expiry(sub.org_id, name, posted, at=now_ms))
    await funds.close_payer(tx, fund)
    await funds.close_cap(tx, beside)
    return True


def _is_over(sub: Subscription, number: int, at_ms: int, grace_ms: int) -> bool:
    if sub.ended_ms is not None:
        return at_ms >= sub.ended_ms
    if plans.status_at(sub, at_ms, grace_ms) in ("expired", "suspended"):
        return True
    return paying_cycle(sub, at_ms).number > number


# For whoever shows it.


async def use_of(db: Database, sub: Subscription, now_ms: int) -> CycleUse:
    """The cycle that pays now, and what is left of it."""
    here = paying_cycle(sub, now_ms)
    name = cycle_name(sub.id, here.number)
    found = await db.read(
        "SELECT granted, ended_ms, (SELECT -posted FROM accounts WHERE id = ?) FROM plan_cycles "
        "WHERE subscription_id = ? AND number = ?",
        (books.plan(sub.org_id, name), sub.id, here.number),
    )
    if found:
        granted, ended, left = found[0]
        left = await _left_at_end(db, name) if ended is not None else left or 0
    else:
        is_paid = here.number < plans.paid_cycles(sub)
        granted = left = plans.current(sub, here.start_ms).terms.allowance if is_paid else 0
    limit, used, remaining = plans.counted(granted, left)
    return CycleUse(
        cycle=here,
        granted=granted,
        left=left,
        limit=limit,
        used=used,
        remaining=remaining,
        fallback_spent=await fallback_spent(db, sub.org_id, name),
    )


async def _left_at_end(db: Database, name: str) -> int:
    found = await db.read(
        "SELECT amount FROM transactions JOIN entries ON entries.transaction_id = transactions.id "
        "WHERE kind = 'allowance-expiry' AND reference = ? AND amount > 0",
        (name,),
    )
    return int(found[0][0]) if found else 0


async def fallback_spent(db: Database, org_id: str, name: str) -> Nano:
    """What the wallet has paid beside the plan in a cycle."""
    found = await db.read(
        "SELECT cap - posted FROM funds WHERE id = ?", (fallback_of(org_id, name),)
    ) or await db.read(
        "SELECT fallback_spent FROM plan_cycles WHERE subscription_id = ? AND number = ?",
        parse_cycle(name),
    )
    return Nano(found[0][0] if found else 0)


async def set_fallback_cap(tx: Tx, sub: Subscription, now_ms: int) -> None:
    """Bring the fund of the cycle that pays now in line with the subscription's cap."""
    bound = UNBOUNDED if sub.fallback_cap is None else sub.fallback_cap
    fund = fallback_of(sub.org_id, cycle_name(sub.id, paying_cycle(sub, now_ms).number))
    await tx.execute(
        "UPDATE funds SET posted = posted - cap + ?, cap = ? WHERE id = ?", (bound, bound, fund)
    )
