"""Invoices, as values and rules: who bills whom, the number, the tax inside an amount.

An invoice is made once for each payment, when the payment is booked; it is its receipt too, as
everything here is paid in advance. A credit note is made for each refund, and names the invoice
that it corrects. Both keep buyer and issuer as they were in that moment.

What it is not: where they are kept (`store.invoices`) or how they look (`documents.invoices`).

The rule that keeps it honest: what an invoice says is fixed when it is issued; the amount is what
was paid, and a tax is a part of it, never something on top.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Literal

import msgspec

from apertura.domain.money import NANO_PER_USD, Nano
from apertura.errors import BadRequest

Kind = Literal["top-up", "plan", "refund"]
"""A top-up, a period of a plan, money back."""
CENT = NANO_PER_USD // 100
RATE_MAX = 100_000
"""A hundred percent, in thousandths of one."""
LINES_MOST = 6
LONGEST = {"company": 200, "tax_id": 50, "address": 400, "country": 2}


class Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom invoices are addressed. `address` has a line for each line of an envelope, `country`
    is two letters (ISO 3166-1), or nothing.
    """

    company: str = ""
    tax_id: str = ""
    address: str = ""
    country: str = ""


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues invoices, and the tax that is inside their amounts: a label such as "VAT", and a
    rate in thousandths of a percent; 0 where no tax is shown.
    """

    name: str = ""
    address: str = ""
    tax_id: str = ""
    tax_label: str = ""
    tax_rate: int = 0


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice or credit note; `issued_at` in ms, amounts in nano-dollars, above zero in both.

    `payment` is what it is for, unique within its kind. `credited` is what a top-up brought to the
    balance; it is more than `amount` where there was a discount.
    """

    number: str
    org_id: str
    kind: Kind
    payment: str
    corrects: str
    """The number of the invoice that a credit note is about; empty if there is none."""
    issued_at: int
    amount: Nano
    credited: Nano
    via: str
    tax_label: str
    tax_rate: int
    tax: Nano
    buyer: Details
    issuer: Issuer

    @property
    def is_credit_note(self) -> bool:
        return self.kind == "refund"


def series_of(kind: Kind, at: int) -> str:
    """Numbers count within a year (UTC), credit notes on their own: `INV-2026`, `CN-2026`."""
    year = datetime.fromtimestamp(at // 1000, UTC).year
    return f"{'CN' if kind == 'refund' else 'INV'}-{year}"


def number_in(series: str, number: int) -> str:
    """`INV-2026-000001`."""
    return f"{series}-{number:06d}"


def tax_inside(amount: Nano, rate: int) -> Nano:
    """The part of an amount that is tax, at a rate in thousandths of a percent.

    amount × rate ÷ (100 % + rate), to the nearest cent, a half up: the usual way to take an
    included tax out of a gross amount.
    """
    assert 0 <= rate <= RATE_MAX
    assert amount >= 0
    parts = (RATE_MAX + rate) * CENT
    return Nano((2 * amount * rate + parts) // (2 * parts) * CENT)


def parse_rate(text: str) -> int:
    """A percentage such as "19" or "8.25" in thousandths of a percent. Raises: ValueError."""
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text, re.ASCII):
        raise ValueError(f"{text!r} is no percentage such as 19 or 8.25")
    whole, _, part = text.partition(".")
    rate = int(whole) * 1000 + int(part.ljust(3, "0"))
    if rate > RATE_MAX:
        raise ValueError(f"{text} % is more than a hundred")
    return rate


def format_rate(rate: int) -> str:
    """`8.25`, of 8250."""
    whole, part = divmod(rate, 1000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def checked(details: Details) -> Details:
    """The details as they are kept: without space around, lines ended by one line feed.

    Raises: BadRequest: too long, too many lines, signs that no document can show, no country.
    """
    lines = [line.strip() for line in details.address.replace("\r\n", "\n").split("\n")]
    tidy = Details(
        company=details.company.strip(),
        tax_id=details.tax_id.strip(),
        address="\n".join(line for line in lines if line),
        country=details.country.strip().upper(),
    )
    for name, most in LONGEST.items():
        value = getattr(tidy, name)
        if len(value) > most:
            raise _refused(name, f"has at most {most} characters")
        if any(unicodedata.category(sign) in _UNSEEN for sign in value.replace("\n", "")):
            raise _refused(name, "holds a control character")
        if name != "address" and "\n" in value:
            raise _refused(name, "is one line")
    if tidy.address.count("\n") >= LINES_MOST:
        raise _refused("address", f"has at most {LINES_MOST} lines")
    if tidy.country and not re.fullmatch("[A-Z]{2}", tidy.country):
        raise _refused("country", "is two letters, such as DE")
    return tidy


_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _refused(name: str, rule: str) -> BadRequest:
    return BadRequest(f"{name} {rule}.", code="invalid_parameter", param=name)
