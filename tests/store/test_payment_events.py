"""What processors tell is booked once: repeated, in disorder, at once, and cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertura.domain.ledger import wallet
from apertura.domain.money import NANO_PER_USD, Nano
from apertura.domain.payments import (
    CENT,
    Disputed,
    Event,
    Failed,
    Paid,
    Payment,
    Received,
    Refunded,
)
from apertura.errors import BadRequest
from apertura.store import invoices, ledger, payment_events, payments, refunds, transfers
from apertura.store.audit import audit
from apertura.store.database import Conflict, Database, Tx, open_database
from apertura.store.identity import create_organization
from apertura.store.migrate import migrate
from apertura.store.payment_events import Receiver
from apertura.store.plans import shipped_plans
from tests.databases import new_url

USD = NANO_PER_USD
AMOUNT, CASH = Nano(100 * USD), Nano(95 * USD)
PAID = Paid(subject="pi_1", payment="pay_1", cash=CASH, org_id="", customer="cus_1")
PAGE = Paid(subject="pi_1", payment="pay_1", cash=CASH)
PART = Refunded(subject="pi_1", foreign_id="re_1", cash=Nano(19 * USD), state="made")
PENDING = Refunded(subject="pi_1", foreign_id="re_1", cash=Nano(19 * USD), state="pending")
FAILED = Refunded(subject="pi_1", foreign_id="re_1", cash=Nano(19 * USD), state="failed")
TAKEN = Disputed(subject="pi_1", foreign_id="dp_1", cash=CASH)
GIVEN = Disputed(subject="pi_1", foreign_id="dp_1", cash=CASH, returned=True)


def at(now_ms: int = 1_000) -> Receiver:
    return Receiver(via="stripe", now_ms=now_ms, plans=shipped_plans())


def received(name: str, event: Event | None) -> Received:
    return Received(id=name, kind="test", event=event)


async def tell(db: Database, name: str, event: Event | None, now_ms: int = 1_000) -> str | None:
    message = received(name, event)
    return await db.write(lambda tx: payment_events.receive(tx, at(now_ms), message))


async def begin(db: Database, payment: str = "pay_1") -> str:
    org = await create_organization(db, "test", random=payment.encode().ljust(13), now_ms=1)
    opened = Payment(
        id=payment,
        org_id=org.id,
        kind="top-up",
        via="stripe",
        amount=AMOUNT,
        cash=CASH,
        created_at=1,
    )
    await db.write(partial(payments.insert, payment=opened))
    return org.id


async def stand(db: Database, org_id: str) -> dict[str, int]:
    accounts = {
        "wallet": wallet(org_id),
        "cash": "processor:stripe",
        "discounts": "contra:discounts",
        "lost": "write-offs",
    }
    found = {name: await ledger.balance(db, account) for name, account in accounts.items()}
    return {name: amount // CENT for name, amount in found.items() if amount}


async def assert_sound(db: Database) -> None:
    assert [finding for check in await audit(db) for finding in check.findings] == []


WHOLE = {"wallet": 10_000, "cash": 9_500, "discounts": 500}
LESS_A_FIFTH = {"wallet": 8_000, "cash": 7_600, "discounts": 400}


async def test_a_payment_is_credited_whole_and_its_discount_booked(db: Database) -> None:
    org = await begin(db)

    assert await tell(db, "evt_1", PAID) == "applied"

    assert await stand(db, org) == WHOLE
    found = await payments.find(db, "pay_1")
    assert found is not None
    assert (found.status, found.subject, found.paid_at) == ("paid", "pi_1", 1_000)
    assert await db.read("SELECT kind, payment, amount FROM invoices") == [
        ("top-up", "pay_1", CASH)
    ]
    assert await db.read("SELECT key, template FROM mails") == [
        ("payment:pay_1", "payment_received")
    ]
    await assert_sound(db)


async def test_messages_that_come_again_change_nothing(db: Database) -> None:
    """The same message, and others that say the same."""
    org = await begin(db)
    for number in range(20):
        await tell(db, f"evt_{number // 2}", PAID if number % 3 else PAGE)

    assert await stand(db, org) == WHOLE
    assert await tell(db, "evt_0", PAID) is None
    await assert_sound(db)


async def test_messages_at_once_from_two_servers_credit_once(db: Database, url: str) -> None:
    """Twenty of them, of two kinds, some the same."""
    org = await begin(db)
    other = await open_database(url)

    await asyncio.gather(
        *(
            tell(one, f"evt_{number}", event)
            for number in range(5)
            for event in (PAID, PAGE)
            for one in (db, other)
        )
    )

    await other.close()
    assert await stand(db, org) == WHOLE
    await assert_sound(db)


@pytest.mark.parametrize("events", list(permutations([PAID, PENDING, PART])))
async def test_a_refund_that_comes_first_waits(db: Database, events: Sequence[Event]) -> None:
    """In any order: credited once, refunded once."""
    org = await begin(db)
    for number, event in enumerate(events):
        await tell(db, f"evt_{number}", event)

    assert await stand(db, org) == LESS_A_FIFTH
    assert await payment_events.waiting(db) == 0
    await assert_sound(db)


@pytest.mark.parametrize("events", list(permutations([PAID, PART, FAILED])))
async def test_a_refund_that_failed_did_not_happen(db: Database, events: Sequence[Event]) -> None:
    org = await begin(db)
    for number, event in enumerate(events):
        await tell(db, f"evt_{number}", event)

    assert await stand(db, org) == WHOLE
    await assert_sound(db)


@pytest.mark.parametrize("events", list(permutations([PAID, TAKEN, GIVEN])))
async def test_a_dispute_that_is_won_is_reversed(db: Database, events: Sequence[Event]) -> None:
    org = await begin(db)
    for number, event in enumerate(events):
        await tell(db, f"evt_{number}", event)

    assert await stand(db, org) == WHOLE
    await assert_sound(db)


@pytest.mark.parametrize(
    "events", list(permutations([PAID, PART, TAKEN, GIVEN])), ids=lambda _: "order"
)
async def test_a_refund_counts_whenever_a_dispute_was_won(
    db: Database, events: Sequence[Event]
) -> None:
    """Also if all of the cash seemed gone when it was told."""
    org = await begin(db)
    for number, event in enumerate(events):
        await tell(db, f"evt_{number}", event)

    assert await stand(db, org) == LESS_A_FIFTH


async def test_what_was_spent_before_a_dispute_is_written_off(db: Database) -> None:
    """The wallet gives what it has, and is never below zero."""
    org = await begin(db)
    await tell(db, "evt_1", PAID)
    await db.write(lambda tx: tx.execute("UPDATE funds SET held = ?", (70 * USD,)))

    await tell(db, "evt_2", TAKEN)

    await db.write(lambda tx: tx.execute("UPDATE funds SET held = 0"))
    assert await stand(db, org) == {"wallet": 7_000, "lost": 7_000}
    await assert_sound(db)


async def test_a_page_may_be_tried_again_after_a_decline(db: Database) -> None:
    """And what comes in after everything seemed to have failed is credited all the same."""
    org = await begin(db)
    declined = Failed(subject="pi_1", payment="pay_1", reason="card_declined")

    await tell(db, "evt_1", declined)
    assert (await payments.find(db, "pay_1")).failure == "card_declined"  # type: ignore[union-attr]
    await tell(db, "evt_2", Failed(payment="pay_1", reason="x", final=True))
    await tell(db, "evt_3", PAID)
    await tell(db, "evt_4", declined)

    assert await stand(db, org) == WHOLE


async def test_a_payment_that_is_not_known_is_made_of_what_it_says(db: Database) -> None:
    """After our database was restored from yesterday's copy, say."""
    org = await begin(db)
    told = Paid(
        subject="pi_9", payment="pay_9", cash=Nano(95 * USD), org_id=org, amount=Nano(100 * USD)
    )

    assert await tell(db, "evt_1", told) == "applied"
    assert await tell(db, "evt_2", told) == "applied"

    assert await stand(db, org) == WHOLE
    await assert_sound(db)


async def test_money_of_nobody_waits(db: Database) -> None:
    """No organization, or another currency."""
    org = await begin(db)

    assert await tell(db, "evt_1", Paid(subject="pi_8", cash=CASH, org_id="org_none")) == "waiting"
    euros = Paid(subject="pi_1", payment="pay_1", cash=CASH, currency="eur")
    assert await tell(db, "evt_2", euros) == "waiting"
    assert await tell(db, "evt_3", None) == "ignored"

    assert await stand(db, org) == {}


async def test_a_second_charge_for_one_payment_is_money_of_its_own(db: Database) -> None:
    """It came in, so it is credited: what was paid, without a discount."""
    org = await begin(db)
    await tell(db, "evt_1", PAID)

    await tell(db, "evt_2", Paid(subject="pi_2", payment="pay_1", cash=CASH, org_id=org))

    assert await stand(db, org) == {"wallet": 19_500, "cash": 19_000, "discounts": 500}
    await assert_sound(db)


async def test_a_crash_before_the_end_of_a_message_leaves_nothing(db: Database) -> None:
    """And after it, the message is known."""
    org = await begin(db)

    async def crash(tx: Tx) -> None:
        await payment_events.receive(tx, at(), received("evt_1", PAID))
        raise SystemError

    with pytest.raises(SystemError):
        await db.write(crash)
    assert await stand(db, org) == {}

    assert await tell(db, "evt_1", PAID) == "applied"
    assert await tell(db, "evt_1", PAID) is None
    assert await stand(db, org) == WHOLE


# Refunds that we ask for.


async def test_a_refund_is_booked_before_it_is_asked_for(db: Database) -> None:
    """What goes back cannot be spent meanwhile; the processor's word then changes nothing."""
    org = await begin(db)
    await tell(db, "evt_1", PAID)

    await db.write(
        lambda tx: refunds.ask(tx, "pay_1", Nano(19 * USD), "", refund_id="rf_1", now_ms=2)
    )
    assert await stand(db, org) == LESS_A_FIFTH
    assert [one.id for one in await refunds.unanswered(db, "stripe", 3)] == ["rf_1"]
    told = Refunded(
        subject="pi_1", foreign_id="re_7", refund="rf_1", cash=Nano(19 * USD), state="made"
    )
    await tell(db, "evt_2", told)
    await tell(db, "evt_3", told)

    assert await stand(db, org) == LESS_A_FIFTH
    assert await refunds.unanswered(db, "stripe", 3) == []
    await assert_sound(db)


async def test_refunds_at_once_give_back_no_more_than_came_in(db: Database, url: str) -> None:
    """Thirty of 19 dollars from two servers: five are the whole 95."""
    org = await begin(db)
    await tell(db, "evt_1", PAID)
    other = await open_database(url)

    async def ask(one: Database, number: int) -> bool:
        try:
            await one.write(
                lambda tx: refunds.ask(
                    tx, "pay_1", Nano(19 * USD), "", refund_id=f"rf_{number}", now_ms=2
                )
            )
        except BadRequest:
            return False
        return True

    done = await asyncio.gather(*(ask((db, other)[number % 2], number) for number in range(30)))

    await other.close()
    assert sum(done) == 5
    assert await stand(db, org) == {}
    await assert_sound(db)


async def test_a_top_up_by_hand_is_reversed_once(db: Database) -> None:
    org = (await create_organization(db, "x", random=b"x" * 13, now_ms=1)).id
    await db.write(
        lambda tx: transfers.pay_by_hand(
            tx, org, Nano(5 * USD), "wire 7", transaction_id="txn_7", at=1
        )
    )
    for number in range(2):
        await db.write(
            partial(
                refunds.reverse,
                wrong_id="txn_7",
                reason="typed wrong",
                transaction_id=f"txn_back{number}",
                now_ms=2,
            )
        )

    assert await ledger.balance(db, wallet(org)) == 0
    [found] = await payments.listing(db, org)
    assert (found.status, found.failure) == ("failed", "reversed: typed wrong")
    papers = [(one.kind, one.amount, one.corrects) for one in await invoices.listing(db, org)]
    assert sorted(papers) == [("refund", 5 * USD, "INV-1970-000001"), ("top-up", 5 * USD, "")]
    await assert_sound(db)


async def test_a_reference_by_hand_is_of_one_amount(db: Database) -> None:
    org = (await create_organization(db, "x", random=b"x" * 13, now_ms=1)).id
    pay = partial(transfers.pay_by_hand, org_id=org, reference="wire 7", at=1)
    await db.write(partial(pay, amount=Nano(5), transaction_id="txn_1"))
    await db.write(partial(pay, amount=Nano(5), transaction_id="txn_2"))

    with pytest.raises(Conflict):
        await db.write(partial(pay, amount=Nano(6), transaction_id="txn_3"))
    assert len(await payments.listing(db, org)) == 1


# Any story at all.

STORY = (PAID, PAGE, PENDING, PART, FAILED, TAKEN, GIVEN)


@pytest.mark.parametrize("engine", ["sqlite"])
@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(STORY)), max_size=20))
def test_any_order_of_messages_ends_in_the_same_books(
    engine: str, story: list[tuple[int, Event]]
) -> None:
    """What counts is which things were told, not when or how often."""

    async def run() -> None:
        with new_url(engine) as url:
            db = await open_database(url)
            await migrate(db)
            org = await begin(db)
            heard: dict[str, Event] = {}
            for number, event in story:
                name = f"evt_{number}"
                await tell(db, name, heard.setdefault(name, event))
                await assert_sound(db)
            told = list(heard.values())
            assert await stand(db, org) == expected(told)
            await db.close()

    asyncio.run(run())


def expected(told: list[Event]) -> dict[str, int]:
    """The books, from the set of what was told."""
    if PAID not in told and PAGE not in told:
        return {}
    cash, amount, lost = 9_500, 10_000, 0
    is_refunded = (PART in told or PENDING in told) and FAILED not in told
    if is_refunded:
        cash, amount = 7_600, 8_000
    if TAKEN in told and GIVEN not in told:
        # All the cash is taken, whatever was refunded; the wallet has no more than it has.
        lost = 1_900 if is_refunded else 0
        cash, amount = cash - 9_500, 0
    found = {"wallet": amount, "cash": cash, "discounts": amount - cash - lost, "lost": lost}
    return {name: value for name, value in found.items() if value}
