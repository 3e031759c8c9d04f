"""A statement and invoices with something of everything in them."""

from __future__ import annotations

from typing import Any

from apertura.domain.invoices import Details, Invoice, Issuer, tax_inside
from apertura.domain.money import Nano
from apertura.domain.statements import (
    MS_PER_DAY,
    USAGE,
    DaySum,
    Found,
    Item,
    ModelUse,
    Month,
    Statement,
    span_of,
    statement,
)

NOVEMBER = Month("2026-11")
FIRST, END = span_of(NOVEMBER)
DAY = FIRST // MS_PER_DAY
WALLET, GIFT, CYCLE = "org:org_1:wallet", "org:org_1:promo:welcome", "org:org_1:plan:sub_7.3"
BUYER = Details(
    company="Żółć & Ελληνικά Sp. z o.o.",
    tax_id="PL1234567890",
    address="ul. Długa 1\n00-001 Warszawa",
    country="PL",
)
ISSUER = Issuer(
    name="Gateway Example GmbH",
    address="Hauptstraße 5\n10115 Berlin",
    tax_id="DE123456789",
    tax_label="VAT",
    tax_rate=19_000,
)


def invoice(**fields: Any) -> Invoice:
    given: dict[str, Any] = {
        "number": "INV-2026-000042",
        "org_id": "org_1",
        "kind": "top-up",
        "payment": "pay_3f9a",
        "corrects": "",
        "issued_at": FIRST + 5 * MS_PER_DAY,
        "amount": Nano(225 * 10**9),
        "credited": Nano(250 * 10**9),
        "via": "stripe",
        "tax_label": "VAT",
        "tax_rate": 19_000,
        "buyer": BUYER,
        "issuer": ISSUER,
        **fields,
    }
    given.setdefault("tax", tax_inside(given["amount"], given["tax_rate"]))
    return Invoice(**given)


def sample(days: int = 30, now_ms: int = END) -> Statement:
    """`days`: on how many of them calls were paid from the wallet."""
    spent = [DaySum(WALLET, DAY + n, USAGE, 3, -1_234_567_891) for n in range(days)]
    items = [
        Item(WALLET, FIRST + 5 * MS_PER_DAY, "top-up", "pay_3f9a", 250 * 10**9),
        Item(WALLET, FIRST + 9 * MS_PER_DAY, "refund", "refund_1", -20 * 10**9),
        Item(CYCLE, FIRST + 2 * MS_PER_DAY, "allowance", "sub_7.3", 600_000),
        Item(GIFT, FIRST + 20 * MS_PER_DAY, "promo-end", "welcome", -500_000_000),
    ]
    sums = [DaySum(i.account, i.at // MS_PER_DAY, i.kind, 1, i.amount) for i in items]
    sums += [DaySum(CYCLE, DAY + 3, USAGE, 9, -12_750), DaySum(GIFT, DAY + 4, USAGE, 1, -500_000)]
    paid = 1_234_567_891 * days + 500_000
    models = [
        ModelUse(
            model="gpt-4o-mini",
            calls=12_345,
            input=98_765_432,
            output=1_234_567,
            cost=paid - 100 + 7,
            written_off=7,
        ),
        ModelUse(model="claude-opus", calls=17, input=170, output=34, cost=100, credits=12_750),
    ]
    found = Found(
        opening={WALLET: 10**10, GIFT: 10**9}, sums=[*spent, *sums], items=items, models=models
    )
    return statement("org_1", NOVEMBER, found, now_ms=now_ms)
