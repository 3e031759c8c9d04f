"""The only writer of accounts, transactions and entries.

What it is not: what a movement of money consists of (`domain.ledger`), or the charge for calls
(`charges`). Triggers refuse to change or delete what is posted.

The rule that keeps it honest: one reference of one kind is posted once. Again with the same entries
is answered with the first; with others it is a `Conflict`. A payer's account and its fund move in
one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from apertura.domain.ledger import Entry, Transaction, is_payer, natural
from apertura.domain.money import NANO_MAX, Nano
from apertura.store import funds
from apertura.store.database import Conflict, Database, Tx, placeholders
from apertura.store.funds import in_pieces


async def post(tx: Tx, transaction: Transaction) -> Transaction:
    """Post a transaction, and return what stands in the books under its kind and reference.

    Raises:
        Conflict: other entries stand there, the id is taken, a sum would not fit 64 bits, or a
            wallet does not hold what is taken out of it.
    """
    earlier = await _find(tx, transaction.kind, transaction.reference)
    if earlier:
        if sorted(earlier.entries) != sorted(transaction.entries):
            raise Conflict(
                f"a {transaction.kind} with reference {transaction.reference!r} is in the books "
                "with another amount or account"
            )
        return earlier
    for entry in transaction.entries:
        if is_payer(entry.account):
            await funds.open_payer(tx, entry.account)
            await funds.pay_in(tx, entry.account, -entry.amount)
    await insert(tx, [transaction])
    return transaction


async def insert(tx: Tx, transactions: Sequence[Transaction]) -> None:
    """Post transactions that are new for sure, and whose wallets' funds the caller sees to.

    Raises:
        Conflict: an id or a reference is taken, or a sum would not fit 64 bits.
    """
    rows = [(one.id, one.kind, one.reference, one.at) for one in transactions]
    new = await tx.insert_many("transactions", ("id", "kind", "reference", "at"), rows)
    if new != len(rows):
        raise Conflict("a transaction with this id or reference is in the books")
    sums: dict[str, int] = {}
    entries: list[tuple[str, str, int]] = []
    for one in transactions:
        for entry in one.entries:
            sums[entry.account] = sums.get(entry.account, 0) + entry.amount
            entries.append((one.id, entry.account, entry.amount))
    # In the order of their names: transactions side by side then never wait in a circle.
    for piece in in_pieces(sorted(sums.items())):
        fits = await tx.execute(_add_sql(len(piece)), [value for row in piece for value in row])
        if len(fits) != len(piece):
            raise Conflict(f"a sum of {', '.join(name for name, _ in piece)} would not fit 64 bits")
    await tx.insert_many("entries", ("transaction_id", "account_id", "amount"), entries)


@cache
def _add_sql(size: int) -> str:
    return (
        f"INSERT INTO accounts (id, posted) VALUES {placeholders(2, size)} "
        "ON CONFLICT (id) DO UPDATE SET posted = accounts.posted + excluded.posted "
        "WHERE CASE WHEN excluded.posted > 0 "
        f"THEN accounts.posted <= {NANO_MAX} - excluded.posted "
        f"ELSE accounts.posted >= {-NANO_MAX} - excluded.posted END RETURNING id"
    )


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


async def balance(db: Database, account: str) -> Nano:
    """What an account holds, positive on the side on which it grows; 0 if nothing was posted."""
    rows = await db.read("SELECT posted FROM accounts WHERE id = ?", (account,))
    return natural(account, rows[0][0] if rows else 0)
