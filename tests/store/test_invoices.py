"""Behaviour of invoice numbers, and of what stands on an invoice."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest

from apertura.domain.invoices import Details, Issuer
from apertura.domain.money import Nano
from apertura.errors import BadRequest
from apertura.store import invoices
from apertura.store.database import Conflict, Database, Tx, open_database
from apertura.store.identity import create_organization

NEW_YEAR_2027_MS = 1_798_761_600_000
NOW = NEW_YEAR_2027_MS - 1
DETAILS = Details(company="Example Ltd", tax_id="DE1", address="1 Street\nBerlin", country="DE")


async def issue(db: Database, payment: str, **fields: Any) -> str:
    given: dict[str, Any] = {"org_id": "o", "kind": "top-up", "amount": Nano(5 * 10**9)}
    given |= {"via": "stripe", "now_ms": NOW, **fields}
    return await db.write(partial(invoices.issue, payment=payment, **given))


async def organization(db: Database) -> str:
    return (await create_organization(db, "acme", random=bytes(13), now_ms=0)).id


async def test_numbers_count_within_a_year(db: Database) -> None:
    """From one, in the order of booking; credit notes on their own; the year is UTC's."""
    assert await issue(db, "a") == "INV-2026-000001"
    assert await issue(db, "b", kind="plan") == "INV-2026-000002"
    assert await issue(db, "c", now_ms=NEW_YEAR_2027_MS) == "INV-2027-000001"
    assert await issue(db, "d", kind="refund") == "CN-2026-000001"
    assert await issue(db, "e", org_id="another") == "INV-2026-000003"


async def test_a_payment_has_one_invoice(db: Database) -> None:
    """Again it is answered with the same number, also in another year; nothing is counted."""
    first = await issue(db, "a")

    assert await issue(db, "a", now_ms=NEW_YEAR_2027_MS) == first
    assert await issue(db, "b") == "INV-2026-000002"


@pytest.mark.parametrize("other", [{"amount": Nano(1)}, {"org_id": "another"}])
async def test_a_payment_of_another_amount_or_owner_is_refused(db: Database, other: Any) -> None:
    """Nothing is issued."""
    await issue(db, "a")

    with pytest.raises(Conflict, match="INV-2026-000001"):
        await issue(db, "a", **other)

    assert await issue(db, "b") == "INV-2026-000002"


async def test_what_is_undone_leaves_no_gap(db: Database) -> None:
    """The number goes with the booking that failed."""
    await issue(db, "a")

    async def work(tx: Tx) -> None:
        given = {"kind": "top-up", "amount": Nano(1), "via": "manual", "now_ms": NOW}
        await invoices.issue(tx, org_id="o", payment="undone", **given)
        raise Conflict("undone")

    with pytest.raises(Conflict):
        await db.write(work)

    assert await issue(db, "b") == "INV-2026-000002"


async def test_numbers_have_no_gaps_and_no_doubles_when_many_pay_at_once(
    db: Database, url: str
) -> None:
    """Through two connections; each payment twice, some undone."""
    other = await open_database(url)

    async def undone(at: Database, payment: str) -> None:
        async def work(tx: Tx) -> None:
            given = {"kind": "top-up", "amount": Nano(1), "via": "manual", "now_ms": NOW}
            await invoices.issue(tx, org_id="o", payment=payment, **given)
            raise Conflict("undone")

        with pytest.raises(Conflict):
            await at.write(work)

    async def pay(n: int) -> str:
        at = (db, other)[n % 2]
        if n % 5 == 0:
            await undone(at, f"undone {n}")
        number, again = await asyncio.gather(issue(at, f"p{n}"), issue(db, f"p{n}"))
        assert number == again
        return number

    numbers = await asyncio.gather(*(pay(n) for n in range(40)))
    await other.close()

    assert sorted(numbers) == [f"INV-2026-{n:06d}" for n in range(1, 41)]


async def test_an_invoice_says_what_was_paid_to_whom_and_by_whom(db: Database) -> None:
    """With the tax inside; as things were when it was issued."""
    org = await organization(db)
    issuer = Issuer(name="Us", address="2 Road", tax_id="T", tax_label="VAT", tax_rate=19_000)
    await invoices.keep_issuer(db, issuer)
    await invoices.set_details(db, org, DETAILS)
    amount = Nano(119 * 10**9)
    number = await issue(db, "a", org_id=org, amount=amount, credited=Nano(125 * 10**9))
    await invoices.keep_issuer(db, msgspec.structs.replace(issuer, name="Them", tax_rate=0))
    await invoices.set_details(db, org, Details(company="Other"))

    found = await invoices.find(db, org, number)

    assert found is not None
    assert (found.buyer, found.issuer) == (DETAILS, issuer)
    assert (found.amount, found.credited) == (amount, 125 * 10**9)
    assert (found.tax_label, found.tax_rate, found.tax) == ("VAT", 19_000, 19 * 10**9)
    assert (found.payment, found.via, found.issued_at) == ("a", "stripe", NOW)
    following = await invoices.find(db, org, await issue(db, "b", org_id=org))
    assert following is not None
    assert (following.buyer.company, following.issuer.name, following.tax) == ("Other", "Them", 0)


async def test_without_details_the_organization_stands_on_it(db: Database) -> None:
    """By its name."""
    org = await organization(db)

    found = await invoices.find(db, org, await issue(db, "a", org_id=org))

    assert found is not None
    assert found.buyer == Details(company="acme")
    assert found.credited == found.amount


async def test_a_credit_note_names_the_invoice_that_it_corrects(db: Database) -> None:
    """Or nothing, where there was none."""
    number = await issue(db, "a")
    notes = [
        await issue(db, "r1", kind="refund", corrects="a"),
        await issue(db, "r2", kind="refund", corrects="from before"),
    ]

    found = [await invoices.find(db, "o", note) for note in notes]

    assert [one.corrects for one in found if one] == [number, ""]
    assert all(one.is_credit_note for one in found if one)


async def test_an_organization_sees_its_own_only(db: Database) -> None:
    """In lists, and by number."""
    mine, theirs = await issue(db, "a"), await issue(db, "b", org_id="another")

    assert [one.number for one in await invoices.listing(db, "o")] == [mine]
    assert await invoices.find(db, "o", theirs) is None
    assert await invoices.find(db, "another", theirs) is not None


async def test_lists_have_the_last_one_first(db: Database) -> None:
    """In pages, and within a time."""
    for n in range(5):
        await issue(db, f"p{n}", now_ms=NOW + n)

    async def payments(**given: int) -> list[str]:
        return [one.payment for one in await invoices.listing(db, "o", **given)]

    assert await payments() == ["p4", "p3", "p2", "p1", "p0"]
    assert await payments(limit=2, offset=1) == ["p3", "p2"]
    assert await payments(since=NOW + 1, until=NOW + 3) == ["p2", "p1"]


@pytest.mark.parametrize("sql", ["UPDATE invoices SET amount = 1", "DELETE FROM invoices"])
async def test_an_invoice_is_never_changed(db: Database, sql: str) -> None:
    """The database refuses it."""
    number = await issue(db, "a")

    with pytest.raises(Conflict):
        await db.write(lambda tx: tx.execute(sql))

    assert await invoices.find(db, "o", number) is not None


async def test_details_are_kept_whole(db: Database) -> None:
    """Each time all of them; nothing before the first time, and none for nobody."""
    org = await organization(db)
    assert await invoices.details(db, org) == Details()

    assert await invoices.set_details(db, org, DETAILS) == DETAILS
    await invoices.set_details(db, org, Details(company=" New "))

    assert await invoices.details(db, org) == Details(company="New")
    with pytest.raises(Conflict):
        await invoices.set_details(db, "org_nobody", DETAILS)
    with pytest.raises(BadRequest):
        await invoices.set_details(db, org, Details(country="Germany"))


async def test_the_last_issuer_counts(db: Database) -> None:
    """There is one, however many servers start."""
    for name in ("Us", "Us", "Them"):
        await invoices.keep_issuer(db, Issuer(name=name))

    assert await db.read("SELECT name FROM issuer") == [("Them",)]
