"""The books, as values: accounts, entries, transactions, and one function per movement of money.

Double entry: debit positive, credit negative, and a transaction sums to zero in each unit. Accounts
are named by what they hold:

    processor:<name>         asset       what came in
    org:<id>:wallet          liability   the prepaid balance of an organization
    org:<id>:promo:<id>      liability   a gift, with an expiry
    org:<id>:plan:<cycle>    liability   a cycle's allowance, in thousandths of a credit
    contra:plan-credits      income      its other side, in the same
    contra:lost-credits      expense     what no allowance could be charged with, in the same
    contra:promos            income      what gifts cost us
    revenue:usage            income      what calls cost their callers
    revenue:plans            income      what plans cost their subscribers
    cost:<provider>          expense     what calls cost us
    upstream:<provider>      liability   whom we owe that
    write-offs               expense     what could not be charged

What it is not: where the books are kept (`store`), or what may still be spent (`funds`).

The rule that keeps it honest: no transaction exists that does not sum to zero, and none is changed;
a wrong one is reversed by a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from apertura.domain.money import NANO_MAX, Nano

Unit = Literal["nano-dollars", "credits"]

REVENUE = "revenue:usage"
PLANS = "revenue:plans"
WRITE_OFFS = "write-offs"
PROMOS = "contra:promos"
PLAN_CREDITS = "contra:plan-credits"
LOST_CREDITS = "contra:lost-credits"
_CREDIT_SIDE = ("org:", "revenue:", "upstream:")
_DEBIT_SIDE = ("processor:", "cost:", "contra:")


class Entry(msgspec.Struct, frozen=True, order=True):
    """An amount on one account: a debit above zero, a credit below."""

    account: str
    amount: Nano


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that belong together. `reference` is unique within its `kind`; `at` in ms."""

    id: str
    kind: str
    reference: str
    entries: tuple[Entry, ...]
    at: int

    def __post_init__(self) -> None:
        assert self.entries, "a transaction moves something"
        nano = in_credits = 0  # in one pass, as it is made for each organization of each batch
        for entry in self.entries:
            amount = entry.amount
            assert 0 < abs(amount) <= NANO_MAX
            if unit_of(entry.account) == "credits":
                in_credits += amount
            else:
                nano += amount
        assert nano == 0, "a transaction sums to zero in nano-dollars"
        assert in_credits == 0, "a transaction sums to zero in credits"
        accounts = {entry.account for entry in self.entries}
        assert len(accounts) == len(self.entries), "one entry for each account"


def processor(name: str) -> str:
    """The account of what came in by a payment processor, or by hand."""
    return f"processor:{name}"


def wallet(org_id: str) -> str:
    """The account of an organization's prepaid balance."""
    return f"org:{org_id}:wallet"


def promo(org_id: str, promo_id: str) -> str:
    """The account of a gift to an organization."""
    return f"org:{org_id}:promo:{promo_id}"


def plan(org_id: str, cycle: str) -> str:
    """The account of an allowance: of one cycle of an organization's plan."""
    return f"org:{org_id}:plan:{cycle}"


def is_payer(account: str) -> bool:
    """Whether calls are paid from an account, so that a fund of its name goes with it."""
    return account.startswith("org:")


def unit_of(account: str) -> Unit:
    """What an account counts."""
    if account in (PLAN_CREDITS, LOST_CREDITS) or (
        account.startswith("org:") and ":plan:" in account
    ):
        return "credits"
    return "nano-dollars"


def natural(account: str, posted: int) -> Nano:
    """A sum of entries, seen from the side on which the account grows: a full wallet is positive.

    Raises:
        ValueError: no account is called so.
    """
    if account.startswith(_DEBIT_SIDE) or account == WRITE_OFFS:
        return Nano(posted)
    if account.startswith(_CREDIT_SIDE):
        return Nano(-posted)
    raise ValueError(f"there is no account {account!r}")


def top_up(
    org_id: str, amount: Nano, reference: str, *, transaction_id: str, at: int, via: str = "manual"
) -> Transaction:
    """Money came in and belongs to an organization's wallet now.

    Raises:
        ValueError: the amount is not positive, or the reference is empty.
    """
    _check("top-up", amount, reference)
    entries = (Entry(processor(via), amount), Entry(wallet(org_id), Nano(-amount)))
    return Transaction(
        id=transaction_id, kind="top-up", reference=reference, entries=entries, at=at
    )


def refund(
    org_id: str, amount: Nano, reference: str, *, transaction_id: str, at: int, via: str = "manual"
) -> Transaction:
    """Money goes back out of an organization's wallet. Raises: ValueError, as `top_up`."""
    _check("refund", amount, reference)
    entries = (Entry(wallet(org_id), amount), Entry(processor(via), Nano(-amount)))
    return Transaction(
        id=transaction_id, kind="refund", reference=reference, entries=entries, at=at
    )


def charge(
    payers: Mapping[str, int],
    *,
    written_off: int = 0,
    credits_lost: int = 0,
    reference: str,
    transaction_id: str,
    at: int,
) -> Transaction:
    """Calls were used: what they cost is revenue, from the accounts that pay as far as they go.

    `payers` are wallets and gifts (nano-dollars) and allowances (credits), with what each pays.
    """
    assert min([written_off, credits_lost, *payers.values()]) >= 0
    in_credits = [n for account, n in payers.items() if unit_of(account) == "credits"]
    moved = {
        **payers,
        WRITE_OFFS: written_off,
        LOST_CREDITS: credits_lost,
        REVENUE: sum(in_credits) - sum(payers.values()) - written_off,
        PLAN_CREDITS: -sum(in_credits) - credits_lost,
    }
    entries = tuple(Entry(account, Nano(amount)) for account, amount in moved.items() if amount)
    return Transaction(id=transaction_id, kind="usage", reference=reference, entries=entries, at=at)


def write_off(amount: Nano, reference: str, *, transaction_id: str, at: int) -> Transaction:
    """Calls were used that nobody is charged for. Raises: ValueError, as `top_up`."""
    _check("write-off", amount, reference)
    entries = (Entry(WRITE_OFFS, amount), Entry(REVENUE, Nano(-amount)))
    return Transaction(
        id=transaction_id, kind="write-off", reference=reference, entries=entries, at=at
    )


def give(
    org_id: str, promo_id: str, amount: Nano, reference: str, *, transaction_id: str, at: int
) -> Transaction:
    """An organization is given something to spend. Raises: ValueError, as `top_up`."""
    _check("promo", amount, reference)
    entries = (Entry(PROMOS, amount), Entry(promo(org_id, promo_id), Nano(-amount)))
    return Transaction(id=transaction_id, kind="promo", reference=reference, entries=entries, at=at)


def take_back(
    org_id: str, promo_id: str, amount: Nano, reference: str, *, transaction_id: str, at: int
) -> Transaction:
    """What is left of a gift whose time is over. Raises: ValueError, as `top_up`."""
    _check("promo's end", amount, reference)
    entries = (Entry(promo(org_id, promo_id), amount), Entry(PROMOS, Nano(-amount)))
    return Transaction(
        id=transaction_id, kind="promo-end", reference=reference, entries=entries, at=at
    )


def owe(
    provider: str, amount: Nano, reference: str, *, transaction_id: str, at: int
) -> Transaction:
    """A provider's calls cost us something. Raises: ValueError, as `top_up`."""
    _check("cost", amount, reference)
    entries = (Entry(f"cost:{provider}", amount), Entry(f"upstream:{provider}", Nano(-amount)))
    return Transaction(id=transaction_id, kind="cost", reference=reference, entries=entries, at=at)


def reversal(wrong: Transaction, *, transaction_id: str, at: int) -> Transaction:
    """Undoes a transaction, which stays in the books; once, as its reference is the wrong one."""
    entries = tuple(Entry(entry.account, Nano(-entry.amount)) for entry in wrong.entries)
    return Transaction(
        id=transaction_id, kind="reversal", reference=wrong.id, entries=entries, at=at
    )


def _check(what: str, amount: int, reference: str) -> None:
    if not 0 < amount <= NANO_MAX:
        raise ValueError(f"a {what} is of more than nothing, and fits 64 bits")
    if not reference.strip():
        raise ValueError(f"a {what} needs a reference")
