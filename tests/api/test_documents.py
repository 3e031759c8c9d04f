"""Behaviour of statements and invoices over HTTP."""

from __future__ import annotations

import csv
import io
import time
from functools import partial
from typing import Any

import pytest

from apertura.domain.invoices import Details, Issuer
from apertura.domain.ledger import top_up, wallet
from apertura.domain.money import Nano, usd
from apertura.domain.statements import month_of
from apertura.store import invoices, ledger
from tests.api.client import COST, Served
from tests.api.managing import admin_key, exact, other_organization, send
from tests.documents.reading import text_of

STATEMENTS, INVOICES = "/api/billing/statements", "/api/billing/invoices"
DETAILS = "/api/billing/details"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def this_month() -> str:
    return month_of(now_ms())


async def issue(served: Served, payment: str, org_id: str = "", **fields: Any) -> str:
    given: dict[str, Any] = {"kind": "top-up", "amount": Nano(5 * 10**9), "via": "stripe"}
    given |= {"org_id": org_id or served.org_id, "now_ms": now_ms(), **fields}
    return await served.database.write(partial(invoices.issue, payment=payment, **given))


async def test_a_statement_is_current_to_the_last_call(served: Served) -> None:
    """It opens and closes as the ledger does, to the nano-dollar, and has the calls by model."""
    admin, key = await admin_key(served), await served.key()
    for model in ("small", "small", "large"):
        assert (await served.chat(key, model)).status == 200

    made = exact(await served.get(f"{STATEMENTS}/{this_month()}", admin))

    balance = await ledger.balance(served.database, wallet(served.org_id))
    assert (made["month"], made["final"]) == (this_month(), False)
    assert made["opening_usd"] - made["closing_usd"] == usd(Nano(3 * COST))
    assert made["closing_usd"] == usd(balance)
    (account,) = made["accounts"]
    (movement,) = account["movements"]
    assert (account["account"], account["unit"]) == ("wallet", "usd")
    assert (movement["kind"], movement["amount"]) == ("usage", usd(Nano(-3 * COST)))
    models = [(one["model"], one["calls"], one["cost_usd"]) for one in made["models"]]
    assert models == [("small", 2, usd(Nano(2 * COST))), ("large", 1, usd(Nano(COST)))]
    assert made["total"]["input_tokens"] == 27
    assert sum(line["amount"] for line in made["transactions"]) == usd(Nano(-3 * COST))


async def test_months_are_listed_and_each_can_be_had(served: Served) -> None:
    """From the first to the present one, which is not final; no other."""
    admin = await admin_key(served)

    items = exact(await served.get(STATEMENTS, admin))["items"]

    assert items[0] == {"month": this_month(), "final": False}
    assert items[-1] == {"month": "1970-01", "final": True}
    first = exact(await served.get(f"{STATEMENTS}/1970-01", admin))
    assert [line["kind"] for line in first["transactions"]] == ["top-up"]
    for month in ("1969-12", "2999-01", "2026-13", "x", "1970-01.txt"):
        for suffix in ("", ".pdf", ".csv"):
            answer = await served.get(f"{STATEMENTS}/{month}{suffix}", admin)
            assert (answer.status, answer.code) == (404, "not_found")


async def test_a_statement_is_a_file_too(served: Served) -> None:
    """As a PDF and as CSV, with the same figures."""
    admin = await admin_key(served)
    await issue(served, "pay_1", amount=Nano(12 * 10**9), kind="plan")
    await send(served, "PUT", DETAILS, admin, {"company": "Żółć Ltd"})
    path = f"{STATEMENTS}/{this_month()}"
    closing = exact(await served.get(path, admin))["closing_usd"]

    paper, sheet = await served.get(f"{path}.pdf", admin), await served.get(f"{path}.csv", admin)

    assert paper.headers["content-type"] == "application/pdf"
    assert f'filename="statement-{this_month()}.pdf"' in paper.headers["content-disposition"]
    text = text_of(paper.body)
    assert f"Closing balance  {closing:,.2f} USD" in text
    assert "Żółć Ltd" in text
    assert "Plan  12.00" in text
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(sheet.body.decode(), newline="")))
    assert [row["amount"] for row in rows if row["row"] == "closing"] == [f"{closing:.2f}"]


async def test_invoices_are_listed_and_printed(served: Served) -> None:
    """The last one first, in pages; each as a PDF of what it was when it was issued."""
    admin = await admin_key(served)
    await invoices.keep_issuer(served.database, Issuer(name="Us Ltd"))
    numbers = [await issue(served, f"pay_{n}") for n in range(3)]
    note = await issue(served, "re_1", kind="refund", corrects="pay_0")
    await send(served, "PUT", DETAILS, admin, {"company": "Renamed Ltd"})

    items = exact(await served.get(INVOICES, admin))["items"]

    assert sorted(item["number"] for item in items) == sorted([*numbers, note])
    (corrected,) = [item for item in items if item["credit_note"]]
    assert (corrected["corrects"], corrected["amount_usd"]) == (numbers[0], 5)
    second = exact(await served.get(f"{INVOICES}?limit=1&offset=1", admin))["items"]
    assert second == items[1:2]
    paper = await served.get(f"{INVOICES}/{numbers[0]}.pdf", admin)
    again = await served.get(f"{INVOICES}/{numbers[0]}.pdf", admin)
    assert paper.headers["content-type"] == "application/pdf"
    text = text_of(paper.body)
    assert {numbers[0], "Us Ltd", "acme"} <= set(text.replace("  ", "\n").split("\n"))
    assert "Renamed" not in text
    assert paper.body == again.body


async def test_an_invoice_without_an_issuer_is_the_installations(served: Served) -> None:
    """Its name stands where no other was set."""
    number = await issue(served, "pay_1")

    paper = await served.get(f"{INVOICES}/{number}.pdf", await admin_key(served))

    assert text_of(paper.body).startswith("Apertura\n")


async def test_another_organization_sees_nothing(served: Served) -> None:
    """Its admin key finds no invoice of ours, by list or number, and a statement of its own."""
    number = await issue(served, "pay_1")
    other = await other_organization(served)
    movement = top_up(other.id, Nano(7), "theirs", transaction_id="theirs", at=now_ms())
    await served.database.write(lambda tx: ledger.post(tx, movement))
    stranger, admin = await admin_key(served, other.id), await admin_key(served)

    answer = await served.get(f"{INVOICES}/{number}.pdf", stranger)

    assert (answer.status, answer.code) == (404, "not_found")
    assert exact(await served.get(INVOICES, stranger))["items"] == []
    theirs = exact(await served.get(f"{STATEMENTS}/{this_month()}", stranger))
    ours = exact(await served.get(f"{STATEMENTS}/{this_month()}", admin))
    assert [line["reference"] for line in theirs["transactions"]] == ["theirs"]
    assert (ours["transactions"], len(ours["invoices"])) == ([], 1)
    assert theirs["invoices"] == []
    assert theirs["organization"] == other.id


async def test_details_are_set_and_shown(served: Served) -> None:
    """The whole of them; they stand on the next invoice."""
    admin = await admin_key(served)
    assert exact(await served.get(DETAILS, admin)) == dict.fromkeys(
        ("company", "tax_id", "address", "country"), ""
    )
    given = {"company": "A Ltd", "tax_id": "T1", "address": "1 Road\nTown", "country": "de"}

    kept = exact(await send(served, "PUT", DETAILS, admin, given))

    assert kept == {**given, "country": "DE"} == exact(await served.get(DETAILS, admin))
    number = await issue(served, "pay_1")
    found = await invoices.find(served.database, served.org_id, number)
    assert found is not None
    assert found.buyer == Details(**kept)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"company": 1}, "company"),
        ({"company": "a\x00"}, "company"),
        ({"country": "Germany"}, "country"),
        ({"vat": "1"}, "vat"),
    ],
)
async def test_details_that_do_not_fit_are_refused(served: Served, body: Any, param: str) -> None:
    """Naming the field; nothing is kept."""
    admin = await admin_key(served)

    answer = await send(served, "PUT", DETAILS, admin, body)

    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.json["error"]["param"] == param
    assert not any(exact(await served.get(DETAILS, admin)).values())


async def test_a_key_that_makes_calls_is_refused(served: Served) -> None:
    """Statements are for those who manage."""
    answer = await served.get(STATEMENTS, await served.key())

    assert (answer.status, answer.code) == (403, "access_denied")
