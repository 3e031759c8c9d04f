"""An invoice or a credit note on paper.

What it is not: what stands on it (`domain.invoices`). The rule that keeps it honest: it is made of
the invoice alone, so that the same number is the same bytes for ever.
"""

from __future__ import annotations

from apertura.documents.pages import Column, Pages
from apertura.documents.words import day, envelope, in_dollars, of_kind
from apertura.domain.invoices import Invoice, format_rate


def invoice_pdf(invoice: Invoice) -> bytes:
    """A PDF in A4. Takes a tenth of a second, and a second more the first time."""
    title = "Credit note" if invoice.is_credit_note else "Invoice"
    issuer = envelope(invoice.issuer)
    foot = f"{title} {invoice.number}"
    pages = Pages(foot, made_ms=invoice.issued_at, foot=" · ".join([*issuer[:1], foot]))
    pages.head(title, issuer, _facts(invoice))
    pages.block("For", envelope(invoice.buyer))
    pages.gap(8)
    pages.table([Column("Description", 3), Column("Amount (USD)", 1, "right")], _rows(invoice))
    pages.gap()
    pages.sums(_sums(invoice))
    pages.gap()
    for line in _notes(invoice):
        pages.note(line)
    return pages.done()


def _facts(invoice: Invoice) -> list[tuple[str, str]]:
    facts = [("Number", invoice.number), ("Date", day(invoice.issued_at))]
    if invoice.corrects:
        facts.append(("Corrects", invoice.corrects))
    return facts


def _rows(invoice: Invoice) -> list[tuple[str, str]]:
    """What was sold; where less was paid than credited, the discount too."""
    if invoice.kind != "top-up" or invoice.credited <= invoice.amount:
        return [(of_kind(invoice.kind), in_dollars(invoice.amount))]
    return [
        (of_kind(invoice.kind), in_dollars(invoice.credited)),
        ("Volume discount", in_dollars(invoice.amount - invoice.credited)),
    ]


def _sums(invoice: Invoice) -> list[tuple[str, str, bool]]:
    sums: list[tuple[str, str, bool]] = []
    if invoice.tax_rate:
        label = f"{invoice.tax_label or 'Tax'} {format_rate(invoice.tax_rate)} %"
        sums = [
            ("Net", in_dollars(invoice.amount - invoice.tax), False),
            (label, in_dollars(invoice.tax), False),
        ]
    total = "Total paid back" if invoice.is_credit_note else "Total paid"
    return [*sums, (total, f"{in_dollars(invoice.amount)} USD", True)]


def _notes(invoice: Invoice) -> list[str]:
    done = "Paid back" if invoice.is_credit_note else "Paid"
    through = "by hand" if invoice.via == "manual" else f"through {invoice.via.capitalize()}"
    notes = [f"{done} {through} on {day(invoice.issued_at)}. Reference: {invoice.payment}"]
    if not invoice.is_credit_note:
        notes.append("There is nothing left to pay: this invoice is the receipt too.")
    if not invoice.tax_rate:
        notes.append("No tax is included in the amount.")
    return notes
