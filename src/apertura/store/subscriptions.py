"""What becomes of subscriptions: started, paid, changed, cancelled, ended.

What it is: one function for each of these, to be run in a transaction together with whatever causes
it (an event of a payment processor, say). What it is not: what may become of one
(`domain.plans`), its rows (`subscription_rows`), or its cycles' allowances (`plan_cycles`).

The rule that keeps it honest: a payment counts once, by its reference; and every change moves
`revision` and is added to the subscription's history in the same transaction.
"""

from __future__ import annotations

import hashlib

import msgspec

from apertura.domain import keys, plans
from apertura.domain.money import Nano, format_usd
from apertura.domain.plans import Pass, Period, Plan, Subscription
from apertura.errors import BadRequest, Unavailable
from apertura.store import keys as key_store
from apertura.store import ledger, outbox
from apertura.store import plan_cycles as cycles
from apertura.store import subscription_rows as rows
from apertura.store.database import Conflict, Database, Tx, bump_revision
from apertura.store.identity import ID_BYTES, mint_id
from apertura.store.keys import KeyRecord
from apertura.store.plan_cycles import CycleUse, grant_cycle, use_of
from apertura.store.plans import Plans, shipped_plans
from apertura.store.subscription_rows import Change, find, find_by_id, find_by_key, history, listing
from apertura.store.usage import day_of

__all__ = [
    "Change",
    "CycleUse",
    "Payment",
    "find",
    "find_by_id",
    "find_by_key",
    "grant_cycle",
    "history",
    "listing",
    "use_of",
]

START_BYTES = ID_BYTES + keys.RANDOM_BYTES
"""Random bytes that a new subscription wants: for its id, and its key's."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came in. `reference` is its name at whoever took it, and counts once."""

    reference: str
    via: str
    amount: Nano


async def pass_of(
    db: Database, org_id: str, key_id: str, known: Plans | None = None
) -> Pass | None:
    """What a caller of a subscription's key is asked by; None if the key is of no subscription.

    Raises: Unavailable: its plan is not among those of this installation.
    """
    known = known or shipped_plans()
    sub = await rows.find_by_key(db, org_id, key_id)
    if sub is None:
        return None
    following = None if sub.next is None else _plan(known, sub.next.plan)
    return Pass(
        subscription=sub,
        plan=_plan(known, sub.plan),
        next_plan=following,
        grace_ms=known.grace_ms,
    )


def _plan(known: Plans, plan_id: str) -> Plan:
    plan = known.plans.get(plan_id)
    if plan is None:
        raise Unavailable(
            f"The plan {plan_id!r} of this API key is not set up here. Tell the operator.",
            headers={"Retry-After": "60"},
        )
    return plan


# Beginning, and paying.


async def start(
    tx: Tx, org_id: str, plan: Plan, *, period: Period = "monthly", random: bytes, now_ms: int
) -> Subscription:
    """A new subscription with a key of its own. Nothing is paid, and the key is known to nobody:
    `pay_period` and `set_key` follow. `random`: `START_BYTES`.

    Raises: BadRequest (the plan is not on sale), Conflict (the organization has a subscription, or
        does not exist).
    """
    if not plan.on_sale:
        raise BadRequest(
            f"The plan {plan.id!r} is not on sale.", code="invalid_parameter", param="plan"
        )
    for (earlier,) in await tx.execute(
        "SELECT id FROM subscriptions WHERE org_id = ? AND status <> 'expired'", (org_id,)
    ):
        sub = await rows.lock(tx, earlier)
        if plans.status_at(sub, now_ms, grace_ms=0) != "expired":
            raise Conflict(f"the organization has the subscription {earlier}; change or end that")
        await bring_up(tx, earlier, now_ms, grace_ms=0)
    minted = keys.mint(random[ID_BYTES:START_BYTES], "subscription")
    sub = plans.begin(
        plan,
        period,
        sub_id=mint_id("sub_", random[:ID_BYTES]),
        org_id=org_id,
        key_id=minted.id,
        now_ms=now_ms,
    )
    await rows.insert(tx, sub)
    digest = hashlib.sha256(minted.key.encode()).hexdigest()  # of no key: it has no pepper
    await _insert_key(tx, sub, digest, minted.last4, now_ms)
    return await _keep(tx, sub, now_ms, "started", f"{plan.id} {period}")


async def pay_period(  # noqa: PLR0913  # all that a processor tells of a payment
    tx: Tx,
    sub_id: str,
    *,
    reference: str,
    via: str,
    amount: int,
    paid_until_ms: int | None = None,
    now_ms: int,
) -> bool:
    """One period was paid for; False if this payment is known already, and then nothing changes.

    `paid_until_ms` is what the processor says; without it, a period follows what is paid.

    Raises: NotFound, Conflict: the reference is of another payment, or the subscription has ended.
    """
    sub = await rows.lock(tx, sub_id)
    await _grant_before(tx, sub, now_ms)
    made = Payment(reference=reference, via=via, amount=Nano(amount))
    after, first, count = plans.pay(sub, now_ms, paid_until_ms)
    if not await _book(tx, sub, made, (first, count), now_ms):
        return False
    if plans.status_at(sub, now_ms, grace_ms=0) == "expired":
        raise Conflict(f"the subscription {sub_id} has ended; nothing can be paid for it")
    if count:  # else nothing became of it: it may be in its grace
        status = plans.status_at(after, now_ms, grace_ms=0)
        after = msgspec.structs.replace(after, status=status)
    told = f"{format_usd(made.amount)} USD for {count} cycles from {first} on"
    await _keep(tx, after, now_ms, "paid", told)
    return True


async def payment_failed(tx: Tx, sub_id: str, now_ms: int) -> bool:
    """A renewal was not paid. The grace runs from the end of what is paid, whoever tells what.

    Returns whether this is news. Raises: NotFound.
    """
    sub = await rows.lock(tx, sub_id)
    if sub.failed_ms is not None or sub.ended_ms is not None:
        return False
    await _keep(tx, msgspec.structs.replace(sub, failed_ms=now_ms), now_ms, "payment failed")
    return True


async def _book(
    tx: Tx, sub: Subscription, made: Payment, paid: tuple[int, int], now_ms: int
) -> bool:
    """Keep a payment, and post it unless it is of nothing; False if it is known."""
    if made.amount < 0 or not made.reference.strip():
        raise BadRequest("A payment has a reference, and is not less than nothing.")
    columns = ("reference", "subscription_id", "via", "amount", "first_cycle", "cycles", "at")
    row = (made.reference, sub.id, made.via, made.amount, *paid, now_ms)
    if await tx.insert_many("plan_payments", columns, [row]):
        if made.amount:
            booked = plans.payment(made.via, made.amount, made.reference, at=now_ms)
            await ledger.post(tx, booked)
        return True
    found = await tx.execute(
        "SELECT subscription_id, via, amount FROM plan_payments WHERE reference = ?",
        (made.reference,),
    )
    if found != [(sub.id, made.via, made.amount)]:
        raise Conflict(f"the reference {made.reference!r} is of another payment")
    return False


# Changing.


async def change_plan(
    tx: Tx,
    sub_id: str,
    plan: Plan,
    now_ms: int,
    *,
    period: Period | None = None,
    payment: Payment | None = None,
) -> bool:
    """Another plan or period. An upgrade holds at once and adds to the current cycle; whatever else
    changes holds from the end of what is paid. `payment` is what was paid for the upgrade
    (`domain.plans.upgrade_price`); False if it is known already, and then nothing changes.

    Raises: NotFound, Conflict (the subscription has ended), BadRequest.
    """
    sub = await _alive(tx, sub_id, now_ms)
    if not plan.on_sale and plan.id != sub.plan:
        raise BadRequest(
            f"The plan {plan.id!r} is not on sale.", code="invalid_parameter", param="plan"
        )
    here = plans.paying_cycle(sub, now_ms).number
    if payment is not None and not await _book(tx, sub, payment, (here, 0), now_ms):
        return False
    after, upgraded = plans.change(sub, plan, now_ms, period)
    await cycles.grant(tx, sub, here, now_ms)
    if upgraded:
        more = await cycles.grant_upgrade(tx, sub, plan, now_ms)
        await rows.note(tx, sub_id, now_ms, "upgraded", f"{plan.id}, {more} thousandths more")
    wanted = after.next or after.terms
    await _keep(tx, after, now_ms, "plan chosen", f"{wanted.plan} {wanted.period}")
    return True


async def cancel_at_end(tx: Tx, sub_id: str, now_ms: int) -> Subscription:
    """It is not renewed: it works to the end of what is paid. Raises: NotFound, Conflict."""
    sub = await _alive(tx, sub_id, now_ms)
    if sub.cancel_at_end:
        return sub
    after = msgspec.structs.replace(sub, cancel_at_end=True)
    if not sub.next_is_paid:
        after = msgspec.structs.replace(after, next=None, next_at_ms=0)
    status = plans.status_at(after, now_ms, grace_ms=0)
    ended = now_ms if status == "expired" else None
    after = msgspec.structs.replace(after, status=status, ended_ms=ended)
    return await _keep(tx, after, now_ms, "cancelled")


async def resume(tx: Tx, sub_id: str, now_ms: int) -> Subscription:
    """It is renewed after all. Raises: NotFound, Conflict: it has ended."""
    sub = await _alive(tx, sub_id, now_ms)
    if not sub.cancel_at_end:
        return sub
    after = msgspec.structs.replace(sub, cancel_at_end=False, status="active")
    return await _keep(tx, after, now_ms, "resumed")


async def end(tx: Tx, sub_id: str, now_ms: int) -> Subscription:
    """It ends now, whatever is paid; what has ended stays so. Raises: NotFound."""
    sub = await rows.lock(tx, sub_id)
    if sub.ended_ms is not None:
        return sub
    after = msgspec.structs.replace(sub, status="expired", ended_ms=now_ms)
    return await _keep(tx, after, now_ms, "ended")


async def set_fallback(
    tx: Tx, sub_id: str, on: bool, cap: Nano | None, now_ms: int
) -> Subscription:
    """Whether the wallet pays for what the allowance does not cover, and up to what in a cycle: of
    nothing is off, None is as much as there is. Raises: NotFound, Conflict, BadRequest.
    """
    if cap is not None and cap < 0:
        raise BadRequest("A cap is not less than nothing.", code="invalid_parameter", param="cap")
    sub = await _alive(tx, sub_id, now_ms)
    after = msgspec.structs.replace(sub, fallback=on and cap != 0, fallback_cap=cap)
    await cycles.set_fallback_cap(tx, after, now_ms)
    told = "off" if not after.fallback else "on" if cap is None else f"to {format_usd(cap)} USD"
    return await _keep(tx, after, now_ms, "fallback", told)


async def set_key(tx: Tx, sub_id: str, digest: str, last4: str, now_ms: int) -> None:
    """Another secret for the subscription's key: who has the old one is refused from now on.

    Raises: NotFound, Conflict: the subscription has ended.
    """
    sub = await _alive(tx, sub_id, now_ms)
    changed = await tx.execute(
        "UPDATE keys SET digest = ?, last4 = ?, status = 'enabled' "
        "WHERE id = ? AND org_id = ? RETURNING id",
        (digest, last4, sub.key_id, sub.org_id),
    )
    if not changed:  # it was deleted
        await _insert_key(tx, sub, digest, last4, now_ms)
    await _keep(tx, sub, now_ms, "key")


async def _insert_key(tx: Tx, sub: Subscription, digest: str, last4: str, now_ms: int) -> None:
    record = KeyRecord(
        id=sub.key_id,
        org_id=sub.org_id,
        name="subscription",
        kind="subscription",
        digest=digest,
        last4=last4,
        created_at=now_ms,
    )
    await key_store.insert(tx, record)


# What happens by itself.


async def bring_up(tx: Tx, sub_id: str, now_ms: int, grace_ms: int) -> plans.Status:
    """Write down what time has made of a subscription, and what it is now. Raises: NotFound."""
    sub = await rows.lock(tx, sub_id)
    await _grant_before(tx, sub, now_ms)
    after = plans.current(sub, now_ms)
    status = plans.status_at(after, now_ms, grace_ms)
    if after != sub:
        await rows.note(tx, sub_id, now_ms, "plan begun", f"{after.plan} {after.period}")
        await rows.save(tx, after)
    if status != sub.status:
        ended = now_ms if status == "expired" else None
        after = msgspec.structs.replace(after, status=status, ended_ms=ended)
        await _keep(tx, after, now_ms, "ended" if status == "expired" else status)
        await _tell(tx, after, now_ms)
    if after != sub:
        await bump_revision(tx)
    return status


async def _tell(tx: Tx, sub: Subscription, now_ms: int) -> None:
    """Tell the organization what time has made of its subscription."""
    if sub.status == "suspended":
        due_now = f"{format_usd(sub.terms.price)} USD"
        facts = {"plan": sub.plan, "reason": "not paid", "amount_usd": due_now}
        key, template = f"plan:{sub.id}:suspended:{sub.paid_until_ms}", "plan_suspended"
    elif sub.status == "expired":
        facts = {"plan": sub.plan, "ended": day_of(sub.paid_until_ms), "reason": "cancelled"}
        key, template = f"plan:{sub.id}:ended", "plan_ended"
    else:
        return
    await outbox.put(tx, key=key, org_id=sub.org_id, template=template, facts=facts, now_ms=now_ms)


async def renew_terms(tx: Tx, sub_id: str, plan: Plan, now_ms: int) -> bool:
    """The plan's price or allowance was changed: it holds from the end of what is paid."""
    sub = await rows.lock(tx, sub_id)
    after = plans.renewed(sub, plan)
    if after == sub:
        return False
    await _keep(tx, after, now_ms, "terms changed", plan.id)
    return True


async def due(db: Database, now_ms: int) -> list[str]:
    """The subscriptions of which time may have made something else."""
    found = await db.read(
        "SELECT id FROM subscriptions WHERE status <> 'expired' AND ((paid_until_ms <= ? AND "
        "status <> 'suspended') OR (next_plan IS NOT NULL AND next_at_ms <= ?)) ORDER BY id",
        (now_ms, now_ms),
    )
    return [sub_id for (sub_id,) in found]


async def outdated(db: Database, plan: Plan) -> list[str]:
    """The subscriptions that would have this plan after the time that is paid, on other terms."""
    found: list[str] = []
    for period in plans.MONTHS:
        terms = plan.terms(period)
        differing = await db.read(
            "SELECT id FROM subscriptions WHERE status <> 'expired' "
            "AND COALESCE(next_plan, plan) = ? AND COALESCE(next_period, period) = ? "
            "AND (COALESCE(next_price, price) <> ? OR COALESCE(next_allowance, allowance) <> ?) "
            "ORDER BY id",
            (plan.id, period, terms.price, terms.allowance),
        )
        found += [sub_id for (sub_id,) in differing]
    return found


async def _alive(tx: Tx, sub_id: str, now_ms: int) -> Subscription:
    """Locked, as it is now. Raises: NotFound, Conflict: it has ended."""
    sub = await rows.lock(tx, sub_id)
    await _grant_before(tx, sub, now_ms)
    sub = plans.current(sub, now_ms)
    if plans.status_at(sub, now_ms, grace_ms=0) == "expired":
        raise Conflict(f"the subscription {sub_id} has ended; start another one")
    return sub


async def _grant_before(tx: Tx, sub: Subscription, now_ms: int) -> None:
    """Where other terms hold from now on: the cycle that pays still was bought on those before, and
    is granted by them.
    """
    if plans.current(sub, now_ms) != sub:
        await cycles.grant(tx, sub, plans.paying_cycle(sub, now_ms).number, now_ms)


async def _keep(
    tx: Tx, sub: Subscription, now_ms: int, what: str, detail: str = ""
) -> Subscription:
    await rows.save(tx, sub)
    await rows.note(tx, sub.id, now_ms, what, detail)
    await bump_revision(tx)
    return sub
