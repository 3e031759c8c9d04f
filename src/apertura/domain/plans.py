"""Subscription plans: what is sold, what one organization has bought, and what its key may use.

A `Plan` costs so much a month and includes an allowance of credits a cycle; a call takes the
multiplier of its model from it. A `Subscription` is one organization's: the terms that it has
bought, until when they are paid, and what becomes of them then. A `Pass` is what a caller of a
subscription's key is asked by. Money is nano-dollars; credits and multipliers are thousandths of a
credit; times are milliseconds since 1970.

What it is not: when cycles begin (`cycles`), how plans stand in files (`plan_rows`), or where
subscriptions are kept (`store.subscriptions`). The rule that keeps it honest: nothing here changes
a subscription; each function returns the one that follows, and a cycle is only ever granted
because a payment covers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from apertura.domain import ledger
from apertura.domain.cycles import Cycle, cycle, cycle_at, cycle_start, nearest
from apertura.domain.ledger import Entry, Transaction
from apertura.domain.model_ids import CODE, FREE, NAMESPACE, WEB
from apertura.domain.money import NANO_PER_USD, Nano
from apertura.errors import BadRequest, PaymentRequired

Period = Literal["monthly", "quarterly", "yearly"]
Status = Literal["active", "suspended", "cancelled", "expired"]

MONTHS: dict[Period, int] = {"monthly": 1, "quarterly": 3, "yearly": 12}
CREDIT = 1_000
"""Thousandths to a credit."""
CENT = NANO_PER_USD // 100
FREE_TIER = "free"
MS_PER_DAY = 86_400_000


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought: `price` for a whole period, `allowance` for each of its cycles."""

    plan: str
    period: Period
    price: Nano
    allowance: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is sold. `multipliers` are by every name of a model, `tiers` by its id: the lowest plan
    that has it, or "free". Discounts are percent of what so many months would cost.
    """

    id: str
    title: str
    monthly: Nano
    allowance: int
    per_model: int
    """Calls per minute and model."""
    quarterly_discount: int = 0
    yearly_discount: int = 0
    on_sale: bool = True
    multipliers: Mapping[str, int] = {}
    tiers: Mapping[str, str] = {}

    def price(self, period: Period) -> Nano:
        """For a whole period, in whole cents, down."""
        percent = {
            "monthly": 0,
            "quarterly": self.quarterly_discount,
            "yearly": self.yearly_discount,
        }[period]
        whole = self.monthly * MONTHS[period] * (100 - percent) // 100
        return Nano(whole // CENT * CENT)

    def terms(self, period: Period) -> Terms:
        """What somebody buys who buys it now."""
        return Terms(
            plan=self.id, period=period, price=self.price(period), allowance=self.allowance
        )

    def multiplier(self, name: str) -> int | None:
        """What a call takes, by any name of a model; 0 is free, None is not in the plan."""
        bare = name.removeprefix(NAMESPACE)
        if (own := self.multipliers.get(bare)) is not None:
            return own
        base = bare.removesuffix(WEB).removesuffix(FREE)
        if (own := self.multipliers.get(base)) is not None:
            return own
        return self.multipliers.get(base.removeprefix(CODE))


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What one organization has bought. `paid_until_ms` is the beginning of a cycle."""

    id: str
    org_id: str
    key_id: str
    terms: Terms
    anchor_ms: int
    paid_until_ms: int
    status: Status = "active"
    """As it was last seen to; `status_at` says what it is."""
    cancel_at_end: bool = False
    next: Terms | None = None
    """What holds from `next_at_ms` on."""
    next_at_ms: int = 0
    fallback: bool = False
    """Whether the wallet pays for calls that the allowance does not cover."""
    fallback_cap: Nano | None = None
    """What it may pay in a cycle; None: as much as there is."""
    failed_ms: int | None = None
    """When a payment last failed; None once one has not."""
    ended_ms: int | None = None

    @property
    def plan(self) -> str:
        """The id of the plan."""
        return self.terms.plan

    @property
    def period(self) -> Period:
        """How long a payment lasts."""
        return self.terms.period

    @property
    def next_plan(self) -> str | None:
        """The id of the plan that follows at `next_at_ms`, if another period or plan does."""
        return None if self.next is None else self.next.plan

    @property
    def next_is_paid(self) -> bool:
        """Whether what follows is paid for already, and can neither change nor be taken back."""
        return self.next is not None and self.next_at_ms < self.paid_until_ms


def begin(
    plan: Plan, period: Period, *, sub_id: str, org_id: str, key_id: str, now_ms: int
) -> Subscription:
    """A subscription of which nothing is paid yet, and which therefore cannot be used yet."""
    return Subscription(
        id=sub_id,
        org_id=org_id,
        key_id=key_id,
        terms=plan.terms(period),
        anchor_ms=now_ms,
        paid_until_ms=now_ms,
        status="suspended",
    )


# What a subscription is at a moment.


def status_at(sub: Subscription, now_ms: int, grace_ms: int) -> Status:
    """What it is: also before a job has come by to write that down."""
    if sub.ended_ms is not None:
        return "expired"
    if now_ms < sub.paid_until_ms:
        return "cancelled" if sub.cancel_at_end else "active"
    if sub.cancel_at_end:
        return "expired"
    if sub.paid_until_ms == sub.anchor_ms:
        return "suspended"  # nothing was paid, so there is nothing that may be late
    return "active" if now_ms < sub.paid_until_ms + grace_ms else "suspended"


def check_status(sub: Subscription, now_ms: int, grace_ms: int) -> None:
    """Raises: PaymentRequired, when its key pays for nothing now."""
    status = status_at(sub, now_ms, grace_ms)
    if status == "expired":
        raise PaymentRequired(
            "The subscription of this API key has ended. Start a new one, or use another key.",
            code="subscription_expired",
        )
    if status == "suspended":
        raise PaymentRequired(
            "The subscription of this API key is not paid for. It goes on once it is.",
            code="payment_failed",
        )


def paid_cycles(sub: Subscription) -> int:
    """The number of the first cycle that is not paid for."""
    return cycle_at(sub.anchor_ms, sub.paid_until_ms)


def paying_cycle(sub: Subscription, now_ms: int) -> Cycle:
    """The cycle whose allowance pays now: the current one, or the last that was paid for."""
    here = cycle_at(sub.anchor_ms, now_ms)
    return cycle(sub.anchor_ms, max(0, min(here, paid_cycles(sub) - 1)))


def cycle_name(sub_id: str, number: int) -> str:
    """How the funds and the books call a cycle: `<sub>.<n>`."""
    return f"{sub_id}.{number}"


def parse_cycle(name: str) -> tuple[str, int]:
    """A subscription's id and the number of a cycle, from `<sub>.<n>`, or from the name of a fund
    that ends so. Raises: ValueError.
    """
    sub_id, dot, number = name.rpartition(":")[2].rpartition(".")
    if not dot or not sub_id or not (number.isascii() and number.isdigit()):
        raise ValueError(f"{name!r} names no cycle")
    return sub_id, int(number)


# What follows: each returns the subscription as it is afterwards.


def current(sub: Subscription, now_ms: int) -> Subscription:
    """With the terms that hold now, where others were to follow and their time has come."""
    if sub.next is None or now_ms < sub.next_at_ms:
        return sub
    return msgspec.structs.replace(sub, terms=sub.next, next=None, next_at_ms=0)


def pay(
    sub: Subscription, now_ms: int, until_ms: int | None = None
) -> tuple[Subscription, int, int]:
    """One period is paid for: the subscription, the first cycle paid, and how many.

    They follow what is paid already; or begin with the current cycle where that is later, as time
    without service is not charged for. `until_ms` is what a processor says: fewer cycles, none for
    a payment that arrives after a later one, but never more than the period has.
    """
    sub = current(sub, now_ms)
    terms = sub.next or sub.terms
    first = max(paid_cycles(sub), cycle_at(sub.anchor_ms, now_ms))
    count = MONTHS[terms.period]
    if until_ms is not None:
        count = max(0, min(count, nearest(sub.anchor_ms, until_ms) - first))
    if count:
        until = cycle_start(sub.anchor_ms, first + count)
        sub = msgspec.structs.replace(sub, paid_until_ms=until, failed_ms=None)
    return sub, first, count


def change(
    sub: Subscription, plan: Plan, now_ms: int, period: Period | None = None
) -> tuple[Subscription, bool]:
    """Another plan or period; the second says whether it is an upgrade, which holds at once.

    Everything else holds from the end of what is paid, which may be now. The plan that it has takes
    back what was to follow. Raises: BadRequest, if what follows is paid for already.
    """
    sub = current(sub, now_ms)
    if sub.next_is_paid:
        raise BadRequest(
            "What follows is paid for already. The plan can be changed again once it has begun.",
            code="invalid_parameter",
            param="plan",
        )
    wanted = plan.terms(period or sub.period)
    if now_ms >= sub.paid_until_ms:
        return msgspec.structs.replace(sub, terms=wanted, next=None, next_at_ms=0), False
    upgraded = is_upgrade(sub, plan)
    if upgraded:
        sub = msgspec.structs.replace(sub, terms=plan.terms(sub.period))
    if (wanted.plan, wanted.period) == (sub.plan, sub.period):
        return msgspec.structs.replace(sub, next=None, next_at_ms=0), upgraded
    return msgspec.structs.replace(sub, next=wanted, next_at_ms=sub.paid_until_ms), upgraded


def is_upgrade(sub: Subscription, plan: Plan) -> bool:
    """Whether a plan is another one, and costs more."""
    return plan.id != sub.plan and plan.price(sub.period) > sub.terms.price


def renewed(sub: Subscription, plan: Plan) -> Subscription:
    """With the plan's terms of today for what comes after the time that is paid for."""
    coming = sub.next or sub.terms
    todays = plan.terms(coming.period)
    if coming.plan != plan.id or coming == todays or sub.next_is_paid:
        return sub
    if todays == sub.terms:
        return msgspec.structs.replace(sub, next=None, next_at_ms=0)
    return msgspec.structs.replace(sub, next=todays, next_at_ms=sub.paid_until_ms)


# Proportions of an upgrade.


def upgrade_allowance(granted: int, old: int, new: int, here: Cycle, now_ms: int) -> int:
    """What an upgrade adds to the current cycle: the difference for the rest of it, rounded down,
    and never more than makes the new plan's whole allowance of all that was granted in it.
    """
    share = (new - old) * here.rest_ms(now_ms) // here.length_ms
    return max(0, min(share, new - granted))


def upgrade_price(sub: Subscription, plan: Plan, now_ms: int) -> Nano:
    """What an upgrade costs now: the difference for all time that is paid and not over, in whole
    cents, rounded down. Nothing where nothing is paid, or the plan costs no more.
    """
    sub = current(sub, now_ms)
    more = plan.price(sub.period) - sub.terms.price
    if now_ms >= sub.paid_until_ms or not is_upgrade(sub, plan):
        return Nano(0)
    here = cycle(sub.anchor_ms, cycle_at(sub.anchor_ms, now_ms))
    whole = paid_cycles(sub) - here.number - 1
    parts = here.rest_ms(now_ms) + whole * here.length_ms
    amount = more * parts // (here.length_ms * MONTHS[sub.period])
    return Nano(amount // CENT * CENT)


def counted(granted: int, left: int) -> tuple[int, int, int]:
    """Limit, used and remaining in whole credits: what is begun of a credit is not used yet."""
    limit, used = granted // CREDIT, (granted - left) // CREDIT
    return limit, used, limit - used


# In the books.


def allowance(org_id: str, name: str, amount: int, *, upgrade: int = 0, at: int) -> Transaction:
    """A cycle's allowance, or what its nth upgrade adds to it, in thousandths of a credit."""
    reference = f"{name}:{upgrade}" if upgrade else name
    return _credits("allowance", ledger.plan(org_id, name), -amount, reference, at)


def expiry(org_id: str, name: str, amount: int, *, at: int) -> Transaction:
    """What was left of a cycle ends with it."""
    return _credits("allowance-expiry", ledger.plan(org_id, name), amount, name, at)


def payment(via: str, amount: Nano, reference: str, *, at: int) -> Transaction:
    """Money came in for a plan. Raises: ValueError, if it is none, or its reference is empty."""
    if amount <= 0 or not reference.strip():
        raise ValueError("a payment is of more than nothing, and has a reference")
    entries = (
        Entry(ledger.processor(via), amount),
        Entry(ledger.PLANS, Nano(-amount)),
    )
    return Transaction(
        id=f"plan_{reference}", kind="plan-payment", reference=reference, entries=entries, at=at
    )


def _credits(kind: str, account: str, amount: int, reference: str, at: int) -> Transaction:
    entries = (Entry(account, Nano(amount)), Entry(ledger.PLAN_CREDITS, Nano(-amount)))
    return Transaction(
        id=f"{kind}_{reference}", kind=kind, reference=reference, entries=entries, at=at
    )


# What a caller holds.


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as its key's callers are asked by it, with its plan. What depends on the time
    is asked with the time, so that a pass may be kept until something about it changes.
    """

    subscription: Subscription
    plan: Plan
    next_plan: Plan | None = None
    grace_ms: int = 7 * MS_PER_DAY

    def check(self, now_ms: int) -> None:
        """Raises: PaymentRequired: the subscription has ended, or is not paid for."""
        check_status(self.subscription, now_ms, self.grace_ms)

    def multiplier(self, name: str, now_ms: int = 0) -> int | None:
        """What a call takes of the allowance, in thousandths of a credit, by the name that its
        caller gives; 0 is free, None is not in the plan.
        """
        return self.plan_at(now_ms).multiplier(name)

    def tier(self, model_id: str, now_ms: int = 0) -> str | None:
        """The lowest plan that has a model, or "free"; None if none has it."""
        return self.plan_at(now_ms).tiers.get(model_id)

    def cycle(self, now_ms: int) -> str:
        """The cycle whose allowance pays now, as `<sub>.<n>`."""
        return cycle_name(self.subscription.id, paying_cycle(self.subscription, now_ms).number)

    def plan_at(self, now_ms: int) -> Plan:
        """The plan that holds."""
        if self.next_plan is not None and now_ms >= self.subscription.next_at_ms:
            return self.next_plan
        return self.plan

    @property
    def fallback(self) -> bool:
        """Whether the wallet may pay for what the allowance does not cover."""
        return self.subscription.fallback and self.subscription.fallback_cap != 0

    @property
    def fallback_cap(self) -> Nano | None:
        """What it may pay in a cycle."""
        return self.subscription.fallback_cap

    @property
    def per_model(self) -> int:
        """Calls per minute and model."""
        return self.plan.per_model
