"""Behaviour of `apertura payments` and `codes`, beside a processor that is as Stripe is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from apertura.domain.money import Nano
from apertura.domain.payments import CENT, Payment
from apertura.payments.base import TopUpOrder
from apertura.payments.demo import checkout
from apertura.payments.demo.http import Answer
from apertura.payments.demo.server import Demo
from apertura.payments.stripe import Stripe
from apertura.store import payment_events, payments
from apertura.store.database import Database, open_database
from apertura.store.payment_events import Receiver
from apertura.store.plans import shipped_plans
from tests.cli.conftest import Run

T = TypeVar("T")
KEY, SECRET = "sk_test_x", "whsec_of_these_tests"


class Aside:
    """A processor on an event loop of its own, as commands have theirs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.demo = Demo()
        self.run(self.demo.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(30)

    def close(self) -> None:
        self.run(self.demo.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def aside() -> Iterator[Aside]:
    made = Aside()
    yield made
    made.close()


@pytest.fixture
def demo(aside: Aside, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """A processor that the commands are set up with."""
    monkeypatch.setenv("APERTURA_STRIPE_KEY", KEY)
    monkeypatch.setenv("APERTURA_STRIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("APERTURA_STRIPE_URL", aside.demo.url)
    return aside.demo


@pytest.fixture
def org(run: Run) -> str:
    return str(run("orgs", "create", "acme", "--json").json["id"])


Pay = Callable[[int, int], str]


@pytest.fixture
def pay(aside: Aside, demo: Demo, org: str, folder: Path) -> Pay:
    """A top-up by card that is paid and in the books, of dollars for dollars; its id."""

    async def work(amount: int, cash: int) -> str:
        database = await open_database(f"sqlite:{folder}/data/apertura.db")
        stripe = Stripe(KEY, SECRET, public_url="https://apertura.example", url=demo.url)
        try:
            return await _paid(database, stripe, amount * 100 * CENT, cash * 100 * CENT)
        finally:
            stripe.close()
            await database.close()

    async def _paid(database: Database, stripe: Stripe, amount: int, cash: int) -> str:
        name = f"pay_{amount}"
        customer = await stripe.customer(org, "acme", "")
        order = TopUpOrder(
            payment=name, org_id=org, customer=customer, amount=Nano(amount), cash=Nano(cash)
        )
        made = Payment(
            id=name,
            org_id=org,
            kind="top-up",
            via="stripe",
            amount=order.amount,
            cash=order.cash,
            created_at=1,
        )
        await database.write(lambda tx: payments.insert(tx, made))
        page = await stripe.top_up_page(order)
        await database.write(lambda tx: payments.set_checkout(tx, name, page.id))
        checkout.pay(demo.world, page.id, "pm_card_visa")
        at = Receiver(via="stripe", now_ms=2, plans=shipped_plans())
        kept = await payments.find(database, name)
        assert kept is not None
        for event in await stripe.ask(kept, customer):
            await database.write(lambda tx, told=event: payment_events.apply(tx, at, told))
        return name

    return lambda amount, cash: aside.run(work(amount, cash))


def balance(run: Run) -> str:
    [shown] = run("orgs", "list", "--json").json
    return str(shown["balance_usd"])


# Payments.


def test_payments_are_listed_the_newest_first(run: Run, org: str, pay: Pay) -> None:
    """For people and for scripts; what was booked by hand is no card payment, and listed too."""
    assert run("payments", "list", org, "--json").json == []
    name = pay(100, 95)

    [shown] = run("payments", "list", org, "--json").json
    del shown["at"]
    assert shown == {
        "id": name,
        "kind": "top-up",
        "via": "stripe",
        "status": "paid",
        "amount_usd": "100.00",
        "paid_usd": "95.00",
        "refunded_usd": "0.00",
        "failure": "",
    }
    heading, row = run("payments", "list", "acme").out.splitlines()
    assert heading.split()[:4] == ["id", "kind", "via", "status"]
    assert row.split()[:7] == [name, "top-up", "stripe", "paid", "100.00", "95.00", "0.00"]
    assert "there is no organization 'other'" in run("payments", "list", "other").err


def test_a_refund_goes_back_to_the_card(run: Run, org: str, demo: Demo, pay: Pay) -> None:
    """With its share of the discount; never more than came in."""
    name = pay(100, 95)

    made = run("payments", "refund", name, "47.50", "--reason", "charged twice", "--json").json
    assert made["state"] == "made"
    assert balance(run) == "50.00"
    [there] = list(demo.world.all("refund"))
    assert (there["amount"], there["metadata"]["refund"]) == (4_750, made["id"])

    too_much = run("payments", "refund", name, "47.51", "--reason", "x")
    assert (too_much.code, len(list(demo.world.all("refund")))) == (1, 1)
    assert f"Of {name} at most 47.50 USD can be refunded" in too_much.err
    assert run("payments", "refund", name, "47.50", "--reason", "all").out.endswith(": made\n")
    assert balance(run) == "0.00"
    assert run("payments", "list", org, "--json").json[0]["refunded_usd"] == "95.00"
    assert run("ledger", "audit").code == 0


def test_a_refund_while_the_processor_is_away_is_asked_for_later(
    run: Run, demo: Demo, pay: Pay
) -> None:
    """It is in the books, and the server asks again."""
    name = pay(20, 20)
    demo.fault = lambda asked, reply: (
        Answer(503, b"{}") if asked.path.startswith("/v1/refunds") else reply
    )

    assert run("payments", "refund", name, "5", "--reason", "x", "--json").json["state"] == "asked"

    assert balance(run) == "15.00"
    assert run("ledger", "audit").code == 0


def test_a_refund_that_the_processor_refuses_is_undone(run: Run, demo: Demo, pay: Pay) -> None:
    """The balance is as before."""
    name = pay(20, 20)
    said = b'{"error": {"type": "invalid_request_error", "message": "No such charge."}}'
    demo.fault = lambda asked, reply: (
        Answer(400, said) if (asked.method, asked.path) == ("POST", "/v1/refunds") else reply
    )

    refused = run("payments", "refund", name, "5", "--reason", "x")

    assert refused.code == 1
    assert "No such charge." in refused.err
    assert balance(run) == "20.00"
    assert run("ledger", "audit").code == 0


def test_a_refund_wants_what_took_the_payment(run: Run, pay: Pay, monkeypatch) -> None:
    """Without the processor's settings nothing is booked; nor for what is not there."""
    name = pay(20, 20)
    monkeypatch.delenv("APERTURA_STRIPE_KEY")

    refused = run("payments", "refund", name, "5", "--reason", "x")

    assert "stripe is not set up here" in refused.err
    unknown = run("payments", "refund", "pay_none", "5", "--reason", "x")
    assert "there is no payment 'pay_none'" in unknown.err
    assert balance(run) == "20.00"


def test_what_was_booked_by_hand_is_reversed_once(run: Run, org: str) -> None:
    """By the name that the booking gave it."""
    booked = run("orgs", "top-up", org, "100", "--reference", "wire 1", "--json").json
    transaction = booked["transaction"]

    undone = run("payments", "reverse", transaction, "--reason", "typed wrong", "--json").json
    assert undone["reverses"] == transaction
    assert balance(run) == "0.00"
    again = run("payments", "reverse", transaction, "--reason", "again", "--json").json
    assert again["transaction"] == undone["transaction"]
    assert run("payments", "reverse", "txn_none", "--reason", "x").code == 1
    assert balance(run) == "0.00"
    assert run("ledger", "audit").code == 0


# Codes.


def test_codes_are_printed_once(run: Run) -> None:
    """Each is another; the list has none of them."""
    arguments = ("--count", "3", "--note", "fair", "--expires", "2027-01-31")
    made = run("codes", "create", "25", *arguments, "--json").json
    words = {one["code"] for one in made}
    assert len(words) == 3
    printed = run("codes", "create", "10").out.split()
    assert [word.startswith("AP-") for word in printed] == [True]

    listed = run("codes", "list", "--json")
    assert not any(word in listed.out for word in [*words, *printed])
    fair = [one for one in listed.json if one["note"] == "fair"]
    assert {one["id"] for one in fair} == {one["id"] for one in made}
    assert {one["amount_usd"] for one in fair} == {"25.00"}
    assert {one["expires"] for one in fair} == {"2027-01-31T00:00:00+00:00"}
    [plain] = [one for one in listed.json if one["note"] == ""]
    assert (plain["expires"], plain["redeemed_by"]) == (None, None)
    table = run("codes", "list").out.splitlines()
    assert table[0].split() == ["id", "amount_usd", "note", "redeemed_by", "expires"]
    assert len(table) == 5


def test_codes_of_nothing_and_without_the_secret_are_refused(run: Run, monkeypatch) -> None:
    for arguments in (("0",), ("0.001",), ("5", "--count", "0"), ("5", "--count", "10001")):
        assert run("codes", "create", *arguments).code == 1
    monkeypatch.delenv("APERTURA_SECRET")
    assert "APERTURA_SECRET is not set" in run("codes", "create", "5").err
    assert run("codes", "list", "--json").json == []
