"""What stands on an invoice and on a credit note."""

from __future__ import annotations

from apertura.documents.invoices import invoice_pdf
from apertura.domain.invoices import Details, Issuer
from apertura.domain.money import Nano
from tests.documents.reading import pages_of, text_of
from tests.documents.samples import invoice


def test_an_invoice_shows_what_was_paid() -> None:
    """Number, date, both parties, the amounts to the cent, how it was paid."""
    text = text_of(invoice_pdf(invoice()))

    for said in (
        "Invoice",
        "INV-2026-000042",
        "2026-11-06",
        "Gateway Example GmbH",
        "Tax ID DE123456789",
        "Żółć & Ελληνικά Sp. z o.o.",
        "ul. Długa 1\n00-001 Warszawa\nPL\nTax ID PL1234567890",
        "Top-up  250.00\nVolume discount  −25.00",
        "Net  189.08\nVAT 19 %  35.92\nTotal paid  225.00 USD",
        "Paid through Stripe on 2026-11-06. Reference: pay_3f9a",
        "1 / 1",
    ):
        assert said in text


def test_without_a_tax_none_is_shown() -> None:
    """Nor a discount where there is none."""
    text = text_of(invoice_pdf(invoice(tax_rate=0, credited=Nano(225 * 10**9), via="manual")))

    assert "Net" not in text
    assert "discount" not in text
    assert "Top-up  225.00\n" in text
    assert "Total paid  225.00 USD" in text
    assert "by hand" in text
    assert "No tax" in text


def test_a_credit_note_names_what_it_corrects() -> None:
    """And says that the money went back."""
    given = {"kind": "refund", "number": "CN-2026-000001", "corrects": "INV-2026-000042"}

    text = text_of(invoice_pdf(invoice(**given, credited=Nano(0))))

    assert "Credit note" in text
    assert "Corrects  INV-2026-000042" in text
    assert "Total paid back  225.00 USD" in text
    assert "the receipt" not in text


def test_amounts_are_shown_to_the_last_digit() -> None:
    """What is booked by hand may be of any amount."""
    amount = Nano(1_234_567_000_000_001)

    text = text_of(invoice_pdf(invoice(amount=amount, credited=amount, tax_rate=0)))

    assert "Top-up  1,234,567.000000001" in text


def test_the_longest_details_fit_one_page() -> None:
    """As long as they may be."""
    long = Details(
        company="W" * 200, tax_id="W" * 50, address="\n".join(["W" * 66] * 6), country="DE"
    )
    issuer = Issuer(name="W" * 500, address="\n".join(["W" * 500] * 3), tax_id="W" * 500)

    assert len(pages_of(invoice_pdf(invoice(buyer=long, issuer=issuer, payment="W" * 500)))) == 1
