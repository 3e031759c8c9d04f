"""The only writer of accounts, transactions and entries; and the audit of them.

What it is not: what a movement of money consists of (`domain.ledger`). Triggers refuse to change or
delete what is posted.

The rule that keeps it honest: one reference of one kind is posted once. Again with the same entries
is answered with the first; with others it is a `Conflict`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apertura.domain.ledger import Entry, Transaction, natural
from apertura.domain.money import NANO_MAX, Nano
from apertura.store.database import Conflict, Database, Tx


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not be: `subject` is a transaction or an account, amounts in nano."""

    rule: Literal["transaction sums to zero", "posted is the sum of entries"]
    subject: str
    expected: int
    found: int


async def post(tx: Tx, transaction: Transaction) -> Transaction:
    """Post a transaction, and return what stands in the books under its kind and reference.

    Raises:
        Conflict: other entries stand there, the id is taken, or a sum would not fit 64 bits.
    """
    earlier = await _find(tx, transaction.kind, transaction.reference)
    if earlier:
        if sorted(earlier.entries) != sorted(transaction.entries):
            raise Conflict(
                f"a {transaction.kind} with reference {transaction.reference!r} is in the books "
                "with another amount or account"
            )
        return earlier
    await tx.execute(
        "INSERT INTO transactions (id, kind, reference, at) VALUES (?, ?, ?, ?)",
        (transaction.id, transaction.kind, transaction.reference, transaction.at),
    )
    # In the order of their names: transactions side by side then never wait in a circle.
    entries = sorted(transaction.entries)
    await tx.insert_many("accounts", ("id", "posted"), [(entry.account, 0) for entry in entries])
    rows = [(transaction.id, entry.account, entry.amount) for entry in entries]
    await tx.insert_many("entries", ("transaction_id", "account_id", "amount"), rows)
    for entry in entries:
        await _add(tx, entry)
    return transaction


async def _find(tx: Tx, kind: str, reference: str) -> Transaction | None:
    rows = await tx.execute(
        "SELECT transactions.id, at, account_id, amount FROM transactions "
        "JOIN entries ON entries.transaction_id = transactions.id "
        "WHERE kind = ? AND reference = ? ORDER BY account_id",
        (kind, reference),
    )
    if not rows:
        return None
    entries = tuple(Entry(account, amount) for _, _, account, amount in rows)
    return Transaction(
        id=rows[0][0], kind=kind, reference=reference, entries=entries, at=rows[0][1]
    )


async def _add(tx: Tx, entry: Entry) -> None:
    low, high = -NANO_MAX - min(entry.amount, 0), NANO_MAX - max(entry.amount, 0)
    fits = await tx.execute(
        "UPDATE accounts SET posted = posted + ? WHERE id = ? AND posted BETWEEN ? AND ? "
        "RETURNING id",
        (entry.amount, entry.account, low, high),
    )
    if not fits:
        raise Conflict(f"the sum of {entry.account} would not fit 64 bits")


async def balance(db: Database, account: str) -> Nano:
    """What an account holds, positive on the side on which it grows; 0 if nothing was posted."""
    rows = await db.read("SELECT posted FROM accounts WHERE id = ?", (account,))
    return natural(account, rows[0][0] if rows else 0)


async def audit(db: Database) -> list[Finding]:
    """Everything in the books that breaks a rule; an empty list is what is hoped for."""
    unbalanced = await db.read(
        "SELECT transactions.id, CAST(COALESCE(SUM(amount), 0) AS BIGINT), COUNT(amount) "
        "FROM transactions LEFT JOIN entries ON entries.transaction_id = transactions.id "
        "GROUP BY transactions.id HAVING COALESCE(SUM(amount), 0) <> 0 OR COUNT(amount) = 0 "
        "ORDER BY transactions.id"
    )
    drifted = await db.read(
        "SELECT accounts.id, CAST(COALESCE(SUM(amount), 0) AS BIGINT), posted "
        "FROM accounts LEFT JOIN entries ON entries.account_id = accounts.id "
        "GROUP BY accounts.id, posted HAVING COALESCE(SUM(amount), 0) <> posted "
        "ORDER BY accounts.id"
    )
    return [
        Finding(rule="transaction sums to zero", subject=name, expected=0, found=total)
        for name, total, _ in unbalanced
    ] + [
        Finding(rule="posted is the sum of entries", subject=name, expected=total, found=posted)
        for name, total, posted in drifted
    ]
