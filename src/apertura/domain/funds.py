"""Funds: whatever can refuse a call for want of money; and taking a part of one.

A fund has `posted`, what may be spent of it once everything running has ended, and `held`, what is
lent out; `available = posted − held`. Payers hold money or credits (a wallet, a gift, a cycle's
allowance); caps bound what is taken from payers (a key's quota, a budget of a month, the cap on
fallback), so their `posted` is the cap less what was used under it.

Money goes from a fund into a worker's `Lease`, from there into a call's `Hold`; what a call does
not use goes back to its leases, what leases do not use goes back to the fund. What it is not: where
funds are kept (`store.funds`), or when a worker asks for a lease (`relay.leases`).

The rule that keeps it honest: a hold is over all funds that a call concerns or over none, and it
ends once. Amounts are integers of one unit: nano-dollars, or thousandths of a credit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal, NewType

import msgspec

from apertura.domain.ledger import plan, promo, wallet
from apertura.domain.money import NANO_MAX
from apertura.errors import AperturaError, PaymentRequired, RateLimited

FundId = NewType("FundId", str)
Kind = Literal["wallet", "promo", "allowance", "key-quota", "key-budget", "org-budget", "fallback"]
PAYERS: frozenset[Kind] = frozenset({"wallet", "promo", "allowance"})

SHARE = 32
"""A lease is at most this part of what is available, unless the calls waiting need more."""
RESET_DAYS = (1, 28)
"""The days of a month on which a budget may begin anew: each month has them."""
ALWAYS_MS = NANO_MAX
"""The end of what does not end."""
UNBOUNDED = NANO_MAX
"""The cap of a fund whose cap was taken away."""
RETRY_SECONDS = 1
_MS_PER_DAY = 86_400_000


class Fund(msgspec.Struct, frozen=True):
    """What may be spent, and what of it is lent. A payer never stands below what is lent; a cap
    does when it was lowered, or when a call cost more than it had held: nothing is available then.
    """

    posted: int
    held: int = 0

    @property
    def available(self) -> int:
        """What may still be lent."""
        return max(0, self.posted - self.held)


# Names of funds. A payer is called as its account in the books.


def wallet_of(org_id: str) -> FundId:
    """The fund of an organization's prepaid balance."""
    return FundId(wallet(org_id))


def promo_of(org_id: str, promo_id: str) -> FundId:
    """The fund of a gift to an organization."""
    return FundId(promo(org_id, promo_id))


def allowance_of(org_id: str, cycle: str) -> FundId:
    """The fund of what a plan includes in one cycle, in thousandths of a credit."""
    return FundId(plan(org_id, cycle))


def fallback_of(org_id: str, cycle: str) -> FundId:
    """The fund of what may be paid beside a plan in one of its cycles."""
    return FundId(f"org:{org_id}:fallback:{cycle}")


def quota_of(key_id: str) -> FundId:
    """The fund of what a key may spend in its whole life."""
    return FundId(f"key:{key_id}:quota")


def budget_of(shelf: Literal["key", "org"], owner: str, reset_day: int, now_ms: int) -> FundId:
    """The fund of what a key or an organization may spend in the month of `now_ms`. Each month has
    one of its own: a call that runs across a reset ends in the month in which it began.
    """
    return FundId(f"{shelf}:{owner}:budget:{_month_of(reset_day, now_ms // _MS_PER_DAY)}")


def kind_of(fund: str) -> Kind:
    """Raises: ValueError: no fund is called so."""
    shelf, _, rest = fund.partition(":")
    what = rest.partition(":")[2].partition(":")[0]
    if (kind := _KINDS.get((shelf, what))) is None:
        raise ValueError(f"there is no fund {fund!r}")
    return kind


def owner_of(fund: str) -> str:
    """The id of the key or organization whose fund it is."""
    return fund.split(":")[1]


_KINDS: dict[tuple[str, str], Kind] = {
    ("org", "wallet"): "wallet",
    ("org", "promo"): "promo",
    ("org", "plan"): "allowance",
    ("org", "budget"): "org-budget",
    ("org", "fallback"): "fallback",
    ("key", "quota"): "key-quota",
    ("key", "budget"): "key-budget",
}


@lru_cache(maxsize=256)
def _month_of(reset_day: int, day: int) -> date:
    """The first day of the budget's month in which a day (since 1970, UTC) lies."""
    if not RESET_DAYS[0] <= reset_day <= RESET_DAYS[1]:
        raise ValueError(f"a budget begins anew on a day from 1 to 28, not on {reset_day}")
    today = datetime.fromtimestamp(day * 86_400, UTC).date()
    if today.day >= reset_day:
        return today.replace(day=reset_day)
    if today.month == 1:
        return date(today.year - 1, 12, reset_day)
    return date(today.year, today.month - 1, reset_day)


def span_of(fund: str) -> tuple[int, int]:
    """From when until when (ms since 1970, end excluded) calls count under a fund."""
    *_, what, first = fund.split(":")
    if what != "budget":
        return 0, ALWAYS_MS
    begin = date.fromisoformat(first)
    year, month = (begin.year + 1, 1) if begin.month == 12 else (begin.year, begin.month + 1)
    return _ms_of(begin), _ms_of(date(year, month, begin.day))


def _ms_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days * _MS_PER_DAY


# A worker's part of a fund, and a call's part of that.


class Lease:
    """One worker's part of one fund: `free + held + spent` is what the books have lent to it."""

    __slots__ = ("ended", "free", "fund", "held", "low", "spent")

    def __init__(self, fund: str) -> None:
        self.fund = fund
        self.free = 0
        self.held = 0
        """In running calls."""
        self.spent = 0
        """By calls that have ended and are not in the books yet."""
        self.low = 0
        """The least that was free since the last `surplus`."""
        self.ended = False
        """By time: the books no longer know of it. Its holds still end, but cover nothing."""

    @property
    def amount(self) -> int:
        """What is lent to the worker."""
        return self.free + self.held + self.spent

    def grow(self, amount: int) -> None:
        """The books have lent more."""
        assert amount >= 0
        self.free += amount

    def surplus(self) -> int:
        """Take out what nobody touched since the last time, to be given back."""
        amount = self.low
        assert 0 <= amount <= self.free
        self.free -= amount
        self.low = self.free
        return amount

    def empty(self) -> int:
        """Take out everything that is free, to be given back."""
        amount, self.free, self.low = self.free, 0, 0
        return amount

    def booked(self, amount: int) -> None:
        """What was spent of it is in the books now."""
        self.spent -= amount
        assert self.spent >= 0


class Hold:
    """One call's part of the leases on all funds that it concerns."""

    __slots__ = ("amount", "ended", "leases")

    def __init__(self, leases: Sequence[Lease], amount: int) -> None:
        self.leases = leases
        self.amount = amount
        self.ended = False


def take(leases: Sequence[Lease], amount: int) -> Hold | None:
    """A hold over all of them, or none where one has not enough free."""
    for lease in leases:
        if lease.free < amount:
            return None
    for lease in leases:
        free = lease.free = lease.free - amount
        lease.held += amount
        if free < lease.low:  # noqa: PLR1730  # for every call, and a third of what `min` takes
            lease.low = free
    return Hold(leases, amount)


def extend(hold: Hold, amount: int) -> bool:
    """Add to a hold from what is free in its leases, in all or in none."""
    assert not hold.ended, "a hold that has ended is not extended"
    for lease in hold.leases:
        if lease.free < amount or lease.ended:
            return False
    for lease in hold.leases:
        lease.free -= amount
        lease.held += amount
        lease.low = min(lease.low, lease.free)
    hold.amount += amount
    return True


def settle(hold: Hold, cost: int) -> int:
    """End a hold with a cost; returns what of it the leases cover. That is all of it unless the
    provider reports more than was held and more than is free; the books then draw on the funds.
    """
    assert not hold.ended, "a hold ends once"
    assert cost >= 0, "a call never gives money"
    hold.ended = True
    amount = covered = hold.amount
    leases = hold.leases
    if cost <= amount:
        covered = cost
    elif leases:
        covered = min(cost, amount + min(lease.free for lease in leases))
    for lease in leases:
        lease.held -= amount
        lease.free += amount - covered
        lease.spent += covered
        if covered > amount:
            lease.low = min(lease.low, lease.free)
        assert lease.held >= 0, "no more ends than was held"
    return 0 if leases and leases[0].ended else covered


def release(hold: Hold) -> None:
    """End a hold without a cost."""
    settle(hold, 0)


# What the books decide.


def lease_size(amounts: Sequence[int], free: int, available: int) -> int:
    """How much to lend to a worker who has `free` and whose calls wait for `amounts`, in order.

    As many of them as can be covered; and, while much is available, more of the like: a multiple
    of the largest, so that calls of one size leave no crumbs. With little left it is just that.
    """
    needed, fitting = 0, 0
    for amount in amounts:
        if needed + amount <= free + available:
            needed += amount
            fitting = max(fitting, amount)
    short = max(0, needed - free)
    more = max(0, available // SHARE - short) // fitting * fitting if fitting else 0
    return short + more


def charged(cost: int, parts: Iterable[tuple[Fund, int]]) -> int:
    """What of a call's cost can be charged, given its funds and what their leases cover of it: the
    rest is drawn from what is available in all of them, or else it is written off.
    """
    return max(0, min([cost, *(covered + fund.available for fund, covered in parts)]))


def spend(fund: Fund, covered: int, amount: int) -> Fund:
    """A fund after a call: so much of a lease on it has ended, so much was charged to it."""
    assert 0 <= covered <= fund.held
    return Fund(fund.posted - amount, fund.held - covered)


# Refusals.


class Short(msgspec.Struct, frozen=True):
    """A fund that does not cover a call. `covers` is what all funds of the call would cover."""

    fund: str
    empty: bool
    """It would not if everything that runs came back; else it is only tied up."""
    covers: int


def worst(shorts: Iterable[Short]) -> Short:
    """The one to name: an empty cap before an empty payer, and those before what is tied up."""
    ranked = sorted(shorts, key=lambda short: (not short.empty, kind_of(short.fund) in PAYERS))
    return msgspec.structs.replace(ranked[0], covers=min(short.covers for short in ranked))


def refusal(short: Short) -> AperturaError:
    """The error of a call that its funds do not cover: 402, or 429 where waiting helps."""
    if not short.empty:
        return RateLimited(
            "What is left is tied up in running calls. Try again shortly.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    message, code = _EMPTY[kind_of(short.fund)]
    return PaymentRequired(message, code=code)


_EMPTY: dict[Kind, tuple[str, str]] = {
    "wallet": (
        "The organization's balance does not cover this call. Top it up.",
        "insufficient_balance",
    ),
    "promo": (
        "What the organization was given does not cover this call. Top up its balance.",
        "insufficient_balance",
    ),
    "allowance": ("The plan's quota of this cycle is used up.", "quota_exceeded"),
    "key-quota": ("This API key's quota does not cover this call.", "quota_exceeded"),
    "key-budget": ("This API key's budget of this month is used up.", "quota_exceeded"),
    "org-budget": ("The organization's budget of this month is used up.", "quota_exceeded"),
    "fallback": ("The limit on paying beside the plan is used up.", "quota_exceeded"),
}
