"""Behaviour of the rules of payments: discounts, refunds, topping up by itself."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.money import NANO_PER_USD, Nano, parse_usd
from apertura.domain.payments import (
    CENT,
    PAUSE_MS,
    AutoTopUp,
    Discount,
    Method,
    Payment,
    TopUpRules,
    booked,
    check_auto_top_up,
    check_refund,
    check_removal,
    going_back,
    is_due,
    is_first_choice,
    price_of,
    refundable,
    returned,
)
from apertura.errors import BadRequest
from apertura.store.top_ups import read_rules

RULES = TopUpRules(
    minimum=Nano(5 * NANO_PER_USD),
    maximum=Nano(25_000 * NANO_PER_USD),
    discounts=(
        Discount(Nano(100 * NANO_PER_USD), 50),
        Discount(Nano(250 * NANO_PER_USD), 100),
        Discount(Nano(1000 * NANO_PER_USD), 150),
    ),
)
CARD = Method(id="pm_1", brand="visa", last4="4242", expires="2034-12", is_default=True)


def payment(amount: int, cash: int, **fields: object) -> Payment:
    given = {"id": "p", "org_id": "o", "kind": "top-up", "via": "stripe", "status": "paid"}
    return Payment(**{**given, "amount": amount, "cash": cash, "created_at": 1, **fields})  # type: ignore[arg-type]


def test_the_shipped_rules_are_these() -> None:
    assert read_rules() == RULES


@pytest.mark.parametrize(
    ("amount", "price"),
    [
        ("5", "5"),
        ("99.99", "99.99"),
        ("100", "95"),
        ("100.01", "95.01"),
        ("249.99", "237.50"),
        ("250", "225"),
        ("999.99", "900"),
        ("1000", "850"),
        ("25000", "21250"),
    ],
)
def test_a_larger_top_up_costs_less(amount: str, price: str) -> None:
    """The discount is rounded down to whole cents."""
    assert price_of(RULES, parse_usd(amount)) == parse_usd(price)
    assert type(price_of(RULES, parse_usd(amount))) is int


@pytest.mark.parametrize("amount", ["0", "4.99", "25000.01", "5.001", "-5"])
def test_other_amounts_are_refused(amount: str) -> None:
    """Out of bounds, or finer than a cent."""
    with pytest.raises(BadRequest) as refused:
        price_of(RULES, parse_usd(amount))

    assert (refused.value.code, refused.value.param) == ("invalid_parameter", "amount_usd")
    finer = parse_usd(amount) % CENT
    bounds = "A top-up is from 5.00 to 25000.00 USD."
    assert refused.value.message == ("An amount is of whole cents." if finer else bounds)


@given(st.integers(500, 2_500_000))
def test_a_price_is_of_whole_cents_and_no_more_than_the_amount(cents: int) -> None:
    price = price_of(RULES, Nano(cents * CENT))

    assert price % CENT == 0
    assert 0 < price <= cents * CENT


def test_a_discount_is_booked_beside_the_cash() -> None:
    """The wallet gets the whole amount."""
    made = booked(payment(100, 95), transaction_id="t", at=1)

    assert (made.id, made.kind, made.reference, made.at) == ("t", "top-up", "p", 1)
    assert {entry.account: entry.amount for entry in made.entries} == {
        "processor:stripe": 95,
        "contra:discounts": 5,
        "org:o:wallet": -100,
    }


def test_a_refund_takes_its_share_of_the_discount_back() -> None:
    """Half of the cash takes half of the amount."""
    paid = payment(100 * NANO_PER_USD, 95 * NANO_PER_USD)
    half = Nano(47_500_000_000)

    back = check_refund(paid, half, Nano(100 * NANO_PER_USD))
    made = returned(paid, back, "r", transaction_id="t", at=1)

    assert (made.id, made.kind, made.reference, made.at) == ("t", "refund", "r", 1)
    assert {entry.account: entry.amount for entry in made.entries} == {
        "org:o:wallet": 50 * NANO_PER_USD,
        "contra:discounts": -2_500_000_000,
        "processor:stripe": -half,
    }


def test_no_more_is_refunded_than_is_available() -> None:
    """What calls have used up does not go back."""
    for available, shown in ((4 * CENT, "0.04"), (0, "0.00"), (-CENT, "0.00")):
        with pytest.raises(BadRequest) as refused:
            check_refund(payment(10 * CENT, 10 * CENT), Nano(5 * CENT), Nano(available))
        assert refused.value.message == (
            "A refund of 0.05 USD takes 0.05 USD from the balance, "
            f"of which {shown} USD are available."
        )


@pytest.mark.parametrize("cash", [0, -CENT, 11 * CENT, CENT + 1])
def test_no_more_is_refunded_than_was_paid(cash: int) -> None:
    with pytest.raises(BadRequest) as refused:
        check_refund(payment(10 * CENT, 10 * CENT), Nano(cash), Nano(100 * CENT))

    more = "Of p at most 0.10 USD can be refunded."
    other = "A refund is of whole cents, and of more than nothing."
    assert refused.value.message == (more if cash == 11 * CENT else other)


def test_all_of_a_payment_can_be_refunded_once_it_is_paid() -> None:
    """To the cent, from a balance that just covers it; before that there is nothing to go back."""
    paid = payment(10 * CENT, 10 * CENT)

    back = check_refund(paid, Nano(10 * CENT), Nano(10 * CENT))

    assert (back.cash, back.refunded, back.withdrawn) == (10 * CENT,) * 3
    assert (back.taken, back.lost) == (10 * CENT, 0)
    assert refundable(payment(10 * CENT, 10 * CENT, status="open")) == 0
    assert refundable(payment(10 * CENT, 10 * CENT, refunded=3 * CENT)) == 7 * CENT
    with pytest.raises(AssertionError):
        going_back(paid, Nano(0), Nano(0))
    least = going_back(payment(3 * CENT, 2 * CENT), Nano(1), Nano(CENT))
    assert (least.withdrawn, type(least.withdrawn)) == (2, int)


def test_cash_that_leaves_beyond_a_payment_is_lost() -> None:
    """Nothing of it is taken from the wallet again."""
    gone = payment(10 * CENT, 10 * CENT, refunded=10 * CENT, withdrawn=10 * CENT)

    back = going_back(gone, Nano(CENT), Nano(100 * CENT))

    assert (back.refunded, back.withdrawn, back.taken, back.lost) == (0, 0, 0, CENT)
    part = going_back(payment(10 * CENT, 10 * CENT), Nano(12 * CENT), Nano(4 * CENT))
    assert (part.refunded, part.withdrawn, part.taken, part.lost) == (
        *(10 * CENT, 10 * CENT),
        *(4 * CENT, 8 * CENT),
    )


@given(st.data())
def test_all_refunds_together_are_the_payment_exactly(data: st.DataObject) -> None:
    """However it is cut, in whatever order parts are undone: never more cash than came in, and all
    of the cash takes all of the amount.
    """
    cash = data.draw(st.integers(1, 10_000))
    paid = payment((cash + data.draw(st.integers(0, 2_000))) * CENT, cash * CENT)
    backs = []
    for _ in range(data.draw(st.integers(1, 8))):
        if backs and data.draw(st.booleans()):
            undone = backs.pop(data.draw(st.integers(0, len(backs) - 1)))
            paid = moved(paid, -undone.refunded, -undone.withdrawn)
        elif refundable(paid):
            part = Nano(data.draw(st.integers(1, refundable(paid) // CENT)) * CENT)
            backs.append(going_back(paid, part, paid.amount))
            paid = moved(paid, backs[-1].refunded, backs[-1].withdrawn)
        assert 0 <= paid.refunded <= paid.cash
        assert paid.refunded <= paid.withdrawn <= paid.amount
        assert (paid.refunded == 0) <= (paid.withdrawn == 0)
    if refundable(paid):
        last = going_back(paid, refundable(paid), paid.amount)
        paid = moved(paid, last.refunded, last.withdrawn)
    assert (paid.refunded, paid.withdrawn) == (paid.cash, paid.amount)


def moved(paid: Payment, refunded: int, withdrawn: int) -> Payment:
    return payment(
        paid.amount,
        paid.cash,
        refunded=paid.refunded + refunded,
        withdrawn=paid.withdrawn + withdrawn,
    )


@given(st.integers(1, 200), st.integers(-5, 300), st.integers(0, 100), st.integers(0, 50))
def test_what_goes_back_by_force_is_in_the_books(
    cash: int, available: int, refunded: int, more: int
) -> None:
    """Spent or disputed twice: the entries sum to zero (or there would be no transaction), the
    wallet gives what it has, and all of the cash has left.
    """
    cents = 100 * CENT
    paid = payment(cents + more * CENT, cents)
    before = going_back(paid, Nano(max(1, refunded) * CENT), Nano(10**12))
    paid = moved(paid, before.refunded, before.withdrawn)

    back = going_back(paid, Nano(cash * CENT), Nano(available * CENT))
    made = returned(paid, back, "r", transaction_id="t", at=1)

    entries = {entry.account: entry.amount for entry in made.entries}
    assert entries["processor:stripe"] == -cash * CENT
    assert 0 <= entries.get("org:o:wallet", 0) <= max(0, available * CENT)
    assert entries.get("write-offs", 0) >= 0


def test_a_plans_refund_is_less_revenue() -> None:
    paid = payment(12 * CENT, 12 * CENT, kind="plan")
    back = check_refund(paid, Nano(5 * CENT), Nano(0))
    made = returned(paid, back, "r", transaction_id="t", at=1)

    assert {entry.account: entry.amount for entry in made.entries} == {
        "revenue:plans": 5 * CENT,
        "processor:stripe": -5 * CENT,
    }


def test_who_is_charged_by_itself() -> None:
    """Below the threshold, once at a time, and not at once after a failure."""
    wish = AutoTopUp(org_id="o", threshold=Nano(10), amount=Nano(50))
    failed = AutoTopUp(org_id="o", threshold=Nano(10), amount=Nano(50), failures=1, failed_at=5)

    assert is_due(wish, 9, 0)
    assert not is_due(wish, 10, 0)
    assert not is_due(AutoTopUp(org_id="o", threshold=Nano(10), amount=Nano(50), attempt="p"), 0, 0)
    assert not is_due(failed, 0, 5 + PAUSE_MS - 1)
    assert is_due(failed, 0, 5 + PAUSE_MS)


@pytest.mark.parametrize(("threshold", "amount"), [(-1, 50), (51, 50), (1, 4), (1, 25_001)])
def test_wishes_that_make_no_sense_are_refused(threshold: int, amount: int) -> None:
    """One charge lifts the balance over the threshold."""
    wish = AutoTopUp(
        org_id="o", threshold=Nano(threshold * NANO_PER_USD), amount=Nano(amount * NANO_PER_USD)
    )

    with pytest.raises(BadRequest) as refused:
        check_auto_top_up(RULES, wish)

    assert refused.value.code == "invalid_parameter"
    if threshold == 1:
        assert refused.value.message == "A top-up is from 5.00 to 25000.00 USD."
    else:
        assert refused.value.param == "threshold_usd"
        assert refused.value.message == (
            "The threshold is from 0 to the amount: one charge then lifts the balance over it."
        )


@pytest.mark.parametrize("threshold", [0, 1, 5 * NANO_PER_USD])
def test_a_threshold_is_from_nothing_to_the_amount(threshold: int) -> None:
    """Both included."""
    amount = Nano(5 * NANO_PER_USD)

    check_auto_top_up(RULES, AutoTopUp(org_id="o", threshold=Nano(threshold), amount=amount))


def test_a_wish_that_is_off_charges_nothing() -> None:
    """However low the balance."""
    off = AutoTopUp(org_id="o", enabled=False, threshold=Nano(10), amount=Nano(50))

    assert not is_due(off, 0, 10**15)


def test_a_card_that_is_needed_stays() -> None:
    """The only one of a subscription, and the one that tops up."""
    other = Method(id="pm_2", brand="visa", last4="1111", expires="2034-12")
    wish = AutoTopUp(org_id="o", threshold=Nano(1), amount=Nano(2))

    with pytest.raises(BadRequest) as only:
        check_removal([CARD], "pm_1", auto_top_up=None, subscribed=True)
    with pytest.raises(BadRequest) as charged:
        check_removal([CARD, other], "pm_1", auto_top_up=wish, subscribed=True)
    assert only.value.code == charged.value.code == "payment_method_needed"
    assert only.value.message == (
        "This is the only payment method of an active subscription. Add another one first."
    )
    assert charged.value.message == (
        "Auto top-up charges this payment method. Choose another one there first."
    )
    check_removal([CARD, other], "pm_1", auto_top_up=None, subscribed=True)
    check_removal([CARD, other], "pm_2", auto_top_up=wish, subscribed=True)
    check_removal([CARD], "pm_1", auto_top_up=None, subscribed=False)
    check_removal([CARD], "pm_1", auto_top_up=off(wish), subscribed=False)


def off(wish: AutoTopUp) -> AutoTopUp:
    return msgspec.structs.replace(wish, enabled=False)


def test_the_card_that_was_chosen_stays() -> None:
    """Though another one is the default, which may go."""
    other = Method(id="pm_2", brand="visa", last4="1111", expires="2034-12")
    wish = AutoTopUp(org_id="o", threshold=Nano(1), amount=Nano(2), method="pm_2")

    with pytest.raises(BadRequest, match="Auto"):
        check_removal([CARD, other], "pm_2", auto_top_up=wish, subscribed=False)
    check_removal([CARD, other], "pm_1", auto_top_up=wish, subscribed=True)


def test_a_card_that_is_not_there_is_named_as_such() -> None:
    """Before anything else is said of it."""
    with pytest.raises(BadRequest) as refused:
        check_removal([CARD], "pm_9", auto_top_up=None, subscribed=True)

    error = refused.value
    assert (error.code, error.param) == ("invalid_parameter", "id")
    assert error.message == "There is no such payment method."


def test_a_charge_without_a_choice_takes_the_default_or_the_first() -> None:
    """And nothing where there is none."""
    other = Method(id="pm_2", brand="visa", last4="1111", expires="2034-12")
    third = Method(id="pm_3", brand="visa", last4="1112", expires="2034-12")

    assert [is_first_choice([other, CARD], one) for one in ("pm_1", "pm_2")] == [True, False]
    assert [is_first_choice([other, third], one) for one in ("pm_2", "pm_3")] == [True, False]
    assert not is_first_choice([], "pm_1")
    assert is_first_choice([], "")
