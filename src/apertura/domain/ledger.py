"""The books, as values: accounts, entries, transactions, and one function per movement of money.

Double entry: debit positive, credit negative, and a transaction sums to zero. Accounts are named by
what they hold:

    processor:<name>      asset       what came in
    org:<id>:wallet       liability   the prepaid balance of an organization

The other rows of the chart (allowances, revenue, what providers cost) come with the movements that
touch them. What it is not: where the books are kept (`store`), or what may still be spent.

The rule that keeps it honest: no transaction exists that does not sum to zero, and none is changed;
a wrong one is reversed by a new one.
"""

from __future__ import annotations

import msgspec

from apertura.domain.money import NANO_MAX, Nano


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
        assert sum(entry.amount for entry in self.entries) == 0, "a transaction sums to zero"
        assert all(0 < abs(entry.amount) <= NANO_MAX for entry in self.entries)
        accounts = {entry.account for entry in self.entries}
        assert len(accounts) == len(self.entries), "one entry for each account"


def processor(name: str) -> str:
    """The account of what came in by a payment processor, or by hand."""
    return f"processor:{name}"


def wallet(org_id: str) -> str:
    """The account of an organization's prepaid balance."""
    return f"org:{org_id}:wallet"


def natural(account: str, posted: int) -> Nano:
    """A sum of entries, seen from the side on which the account grows: a full wallet is positive.

    Raises:
        ValueError: no account is called so.
    """
    if account.startswith("processor:"):
        return Nano(posted)
    if account.startswith("org:"):
        return Nano(-posted)
    raise ValueError(f"there is no account {account!r}")


def top_up(
    org_id: str, amount: Nano, reference: str, *, transaction_id: str, at: int, via: str = "manual"
) -> Transaction:
    """Money came in and belongs to an organization's wallet now.

    Raises:
        ValueError: the amount is not positive, or the reference is empty.
    """
    if not 0 < amount <= NANO_MAX:
        raise ValueError("a top-up is of more than nothing, and fits 64 bits")
    if not reference.strip():
        raise ValueError("a top-up needs a reference")
    entries = (Entry(processor(via), amount), Entry(wallet(org_id), Nano(-amount)))
    return Transaction(
        id=transaction_id, kind="top-up", reference=reference, entries=entries, at=at
    )
