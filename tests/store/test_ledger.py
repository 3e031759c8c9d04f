"""Behaviour of the books in the database, and of their audit."""

from __future__ import annotations

import asyncio

import pytest

from apertura.domain.ledger import Entry, Transaction, processor, top_up, wallet
from apertura.domain.money import NANO_MAX, Nano
from apertura.store.audit import audit
from apertura.store.database import Conflict, Database
from apertura.store.ledger import balance, post

USD = Nano(1_000_000_000)


async def posted(db: Database, transaction: Transaction) -> Transaction:
    return await db.write(lambda tx: post(tx, transaction))


def paid(name: str, amount: int = USD, reference: str = "", org: str = "org_1") -> Transaction:
    reference = reference or f"reference of {name}"
    return top_up(org, Nano(amount), reference, transaction_id=name, at=1)


async def test_a_top_up_fills_the_wallet(db: Database) -> None:
    """Both accounts hold what came in; others hold nothing; the audit finds nothing."""
    await posted(db, paid("t1", 5 * USD))
    await posted(db, paid("t2", 3 * USD))
    await posted(db, paid("t3", 1 * USD, org="org_2"))

    assert await balance(db, wallet("org_1")) == 8 * USD
    assert await balance(db, wallet("org_2")) == 1 * USD
    assert await balance(db, processor("manual")) == 9 * USD
    assert await balance(db, wallet("org_3")) == 0
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def test_a_repeated_top_up_is_posted_once(db: Database) -> None:
    """The same reference and amount again, also at the same time, is answered with the first."""
    first = paid("t1", reference="invoice 7")
    assert await posted(db, first) == first

    again = [posted(db, paid(f"again{n}", reference="invoice 7")) for n in range(5)]
    answers = await asyncio.gather(*again)

    assert {answer.id for answer in answers} == {"t1"}
    assert {frozenset(answer.entries) for answer in answers} == {frozenset(first.entries)}
    assert await balance(db, wallet("org_1")) == USD


@pytest.mark.parametrize(
    "other", [paid("t2", 2 * USD, "invoice 7"), paid("t2", USD, "invoice 7", "org_2")]
)
async def test_a_reference_with_another_amount_is_a_conflict(
    db: Database, other: Transaction
) -> None:
    """Another amount or organization under a known reference changes nothing."""
    await posted(db, paid("t1", reference="invoice 7"))

    with pytest.raises(Conflict, match="invoice 7"):
        await posted(db, other)

    assert await balance(db, processor("manual")) == USD
    assert await balance(db, wallet("org_2")) == 0
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def test_a_sum_past_64_bits_is_refused(db: Database) -> None:
    """An account never wraps or turns into a fraction."""
    await posted(db, paid("t1", NANO_MAX))

    with pytest.raises(Conflict, match="64 bits"):
        await posted(db, paid("t2", 1))

    assert await balance(db, wallet("org_1")) == NANO_MAX
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def test_an_id_is_used_once(db: Database) -> None:
    """A second transaction under a taken id is a conflict."""
    await posted(db, paid("t1", reference="one"))

    with pytest.raises(Conflict):
        await posted(db, paid("t1", reference="two"))


async def test_what_is_posted_stays(db: Database) -> None:
    """No statement changes or deletes an entry, a transaction or an account."""
    await posted(db, paid("t1"))

    for sql in (
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "UPDATE transactions SET reference = ''",
        "DELETE FROM transactions",
        "DELETE FROM accounts",
        "UPDATE accounts SET id = 'processor:other'",
    ):
        with pytest.raises(Conflict, match="never"):
            await db.write(lambda tx, sql=sql: tx.execute(sql))  # type: ignore[misc]
    assert [finding for check in await audit(db) for finding in check.findings] == []


async def test_a_kind_has_its_own_references(db: Database) -> None:
    """The same reference under another kind is another transaction."""
    await posted(db, paid("t1", reference="7"))
    entries = (Entry(wallet("org_1"), USD), Entry(processor("manual"), Nano(-USD)))
    undone = Transaction(id="t2", kind="reversal", reference="7", entries=entries, at=2)

    assert await posted(db, undone) == undone
    assert await balance(db, wallet("org_1")) == 0
