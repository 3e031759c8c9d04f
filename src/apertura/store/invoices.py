"""Invoices and credit notes as they are kept, and whom they are addressed to and by.

What it is: the number that is given in the transaction which books the payment, the snapshot of
buyer and issuer with it, and reading both. What it is not: booking the payment (`payments`), or
the document (`documents.invoices`).

The rule that keeps it honest: numbers of a year have no gap and none is given twice, because the
counter moves in the payment's own transaction; an invoice is never changed or deleted, and every
read names the organization.
"""

from __future__ import annotations

import msgspec

from apertura.domain.invoices import (
    Details,
    Invoice,
    Issuer,
    Kind,
    checked,
    number_in,
    series_of,
    tax_inside,
)
from apertura.domain.money import NANO_MAX, Nano
from apertura.store.database import Conflict, Database, Row, Tx

_COLUMNS = Invoice.__struct_fields__
_LISTED = ", ".join(_COLUMNS)
_DETAILS = ", ".join(Details.__struct_fields__)
_ISSUER = ", ".join(Issuer.__struct_fields__)
_to_details = msgspec.json.Decoder(Details).decode
_to_issuer = msgspec.json.Decoder(Issuer).decode


async def issue(  # noqa: PLR0913  # what stands on an invoice
    tx: Tx,
    *,
    org_id: str,
    payment: str,
    kind: Kind,
    amount: Nano,
    via: str,
    now_ms: int,
    credited: Nano | None = None,
    corrects: str = "",
) -> str:
    """Make the invoice of a payment, or the credit note of a refund; returns its number. Part of
    the transaction that books it. Again for the same payment is answered with the same number.

    `payment` names what was paid or given back, and is unique within its kind. `amount` is the
    cash, `credited` what it brought to the balance if that is another. `corrects` is the payment
    whose invoice a credit note corrects. `via` is the processor's name, such as stripe or manual.

    Raises: Conflict: there is one for this payment with another amount or organization.
    """
    assert amount > 0, "an invoice is of something"
    known = await tx.execute(
        "SELECT number, org_id, amount FROM invoices WHERE kind = ? AND payment = ?",
        (kind, payment),
    )
    if known:
        number, owner, stood = known[0]
        if (owner, stood) != (org_id, amount):
            raise Conflict(f"{number} is the invoice of {payment!r}, with another amount or owner")
        return str(number)
    issuer = await _issuer(tx)
    made = Invoice(
        number=await _next_number(tx, series_of(kind, now_ms)),
        org_id=org_id,
        kind=kind,
        payment=payment,
        corrects=await _number_of(tx, corrects) if corrects else "",
        issued_at=now_ms,
        amount=amount,
        credited=amount if credited is None else credited,
        via=via,
        tax_label=issuer.tax_label,
        tax_rate=issuer.tax_rate,
        tax=tax_inside(amount, issuer.tax_rate),
        buyer=await _buyer(tx, org_id),
        issuer=issuer,
    )
    await tx.insert_many("invoices", _COLUMNS, [_row(made)])
    return made.number


async def listing(
    db: Database,
    org_id: str,
    *,
    limit: int = 100,
    offset: int = 0,
    since: int = 0,
    until: int = NANO_MAX,
) -> list[Invoice]:
    """Invoices and credit notes of an organization, issued from `since` to before `until` (ms), the
    last one first.
    """
    rows = await db.read(
        f"SELECT {_LISTED} FROM invoices WHERE org_id = ? AND issued_at >= ? AND issued_at < ? "
        "ORDER BY issued_at DESC, number DESC LIMIT ? OFFSET ?",
        (org_id, since, until, limit, offset),
    )
    return [_invoice(row) for row in rows]


async def find(db: Database, org_id: str, number: str) -> Invoice | None:
    """One of them, by its number; None for another organization's as for none."""
    rows = await db.read(
        f"SELECT {_LISTED} FROM invoices WHERE org_id = ? AND number = ?", (org_id, number)
    )
    return _invoice(rows[0]) if rows else None


async def details(db: Database, org_id: str) -> Details:
    """To whom an organization's next invoice is addressed."""
    rows = await db.read(f"SELECT {_DETAILS} FROM billing_details WHERE org_id = ?", (org_id,))
    return Details(**dict(zip(Details.__struct_fields__, rows[0], strict=True))) if rows else _NONE


async def set_details(db: Database, org_id: str, given: Details) -> Details:
    """Address future invoices so; returns what is kept. Those that were issued stay as they are.

    Raises: BadRequest: a value does not fit. Conflict: there is no such organization.
    """
    tidy = checked(given)
    values = (org_id, *msgspec.structs.astuple(tidy))

    async def work(tx: Tx) -> None:
        await tx.execute("DELETE FROM billing_details WHERE org_id = ?", (org_id,))
        await tx.execute(
            f"INSERT INTO billing_details (org_id, {_DETAILS}) VALUES (?, ?, ?, ?, ?)", values
        )

    await db.write(work)
    return tidy


async def keep_issuer(db: Database, issuer: Issuer) -> None:
    """Issue future invoices in this name. Done when a server starts; writes only a change."""

    async def work(tx: Tx) -> None:
        if await _issuer(tx) != issuer:
            await tx.execute("DELETE FROM issuer")
            await tx.execute(
                f"INSERT INTO issuer (id, {_ISSUER}) VALUES (1, ?, ?, ?, ?, ?)",
                msgspec.structs.astuple(issuer),
            )

    await db.write(work)


_NONE = Details()


async def _next_number(tx: Tx, series: str) -> str:
    ((number,),) = await tx.execute(
        "INSERT INTO invoice_series (series, last) VALUES (?, 1) "
        "ON CONFLICT (series) DO UPDATE SET last = invoice_series.last + 1 RETURNING last",
        (series,),
    )
    return number_in(series, number)


async def _number_of(tx: Tx, payment: str) -> str:
    """The number of a payment's invoice; empty if it is from before there were any."""
    rows = await tx.execute(
        "SELECT number FROM invoices WHERE payment = ? AND kind <> 'refund'", (payment,)
    )
    return str(rows[0][0]) if rows else ""


async def _buyer(tx: Tx, org_id: str) -> Details:
    """The organization's own name stands where no company was given."""
    rows = await tx.execute(f"SELECT {_DETAILS} FROM billing_details WHERE org_id = ?", (org_id,))
    found = Details(**dict(zip(Details.__struct_fields__, rows[0], strict=True))) if rows else _NONE
    if found.company:
        return found
    names = await tx.execute("SELECT name FROM organizations WHERE id = ?", (org_id,))
    return msgspec.structs.replace(found, company=names[0][0] if names else org_id)


async def _issuer(tx: Tx) -> Issuer:
    rows = await tx.execute(f"SELECT {_ISSUER} FROM issuer")
    return Issuer(**dict(zip(Issuer.__struct_fields__, rows[0], strict=True))) if rows else Issuer()


def _row(invoice: Invoice) -> list[object]:
    values = msgspec.structs.asdict(invoice)
    for name in ("buyer", "issuer"):
        values[name] = msgspec.json.encode(values[name]).decode()
    return list(values.values())


def _invoice(row: Row) -> Invoice:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["buyer"] = _to_details(values["buyer"])
    values["issuer"] = _to_issuer(values["issuer"])
    return Invoice(**values)
