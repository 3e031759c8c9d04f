"""Behaviour of transactions as values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.ledger import (
    PLANS,
    REVENUE,
    WRITE_OFFS,
    Entry,
    Transaction,
    charge,
    give,
    is_payer,
    natural,
    owe,
    plan,
    processor,
    promo,
    refund,
    reversal,
    take_back,
    top_up,
    unit_of,
    wallet,
    write_off,
)
from apertura.domain.money import NANO_MAX, Nano

amounts = st.integers(1, NANO_MAX).map(Nano)


@given(amounts)
def test_a_top_up_moves_its_amount_into_the_wallet(amount: Nano) -> None:
    """What the processor gained, the wallet holds; the sum is zero."""
    made = top_up("org_1", amount, "invoice 7", transaction_id="t1", at=5)

    assert (made.id, made.kind, made.reference, made.at) == ("t1", "top-up", "invoice 7", 5)
    sums = {entry.account: natural(entry.account, entry.amount) for entry in made.entries}
    assert sums == {"processor:manual": amount, "org:org_1:wallet": amount}
    assert sum(entry.amount for entry in made.entries) == 0


@pytest.mark.parametrize("amount", [0, -1, NANO_MAX + 1])
def test_a_top_up_of_nothing_is_refused(amount: int) -> None:
    """An amount that is not positive, or does not fit 64 bits, is a ValueError."""
    with pytest.raises(ValueError, match="more than nothing"):
        top_up("org_1", Nano(amount), "invoice 7", transaction_id="t1", at=5)


@pytest.mark.parametrize("reference", ["", "  "])
def test_a_top_up_needs_a_reference(reference: str) -> None:
    """Without one, a repetition could not be told from a second payment."""
    with pytest.raises(ValueError, match="reference"):
        top_up("org_1", Nano(1), reference, transaction_id="t1", at=5)


def test_the_processor_can_be_named() -> None:
    """Money that came another way stands on another account."""
    made = top_up("org_1", Nano(1), "invoice 7", transaction_id="t1", at=5, via="stripe")

    assert made.entries[0] == Entry(processor("stripe"), Nano(1))


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (Entry("processor:manual", Nano(1)),),
        (Entry("processor:manual", Nano(2)), Entry("org:a:wallet", Nano(-1))),
        (Entry("processor:manual", Nano(0)), Entry("org:a:wallet", Nano(0))),
        (Entry("org:a:wallet", Nano(1)), Entry("org:a:wallet", Nano(-1))),
        (Entry("a", Nano(2**63)), Entry("b", Nano(-(2**63)))),
    ],
)
def test_entries_that_do_not_balance_make_no_transaction(entries: tuple[Entry, ...]) -> None:
    """Empty, one-sided, unequal, of nothing, twice on an account or too large: refused."""
    with pytest.raises(AssertionError):
        Transaction(id="t1", kind="top-up", reference="r", entries=entries, at=1)


def test_accounts_are_seen_from_where_they_grow() -> None:
    """A processor grows by debits, a wallet by credits; an unknown account is refused."""
    assert natural(processor("manual"), 5) == 5
    assert natural(wallet("org_1"), -5) == 5
    with pytest.raises(ValueError, match="no account 'cash'"):
        natural("cash", 1)


def sums(made: Transaction) -> dict[str, int]:
    return {entry.account: natural(entry.account, entry.amount) for entry in made.entries}


charges = st.integers(0, 2**60)


@given(charges, charges, charges, charges, charges)
def test_a_charge_is_revenue_from_whoever_pays_and_else_written_off(
    wallet_pays: int, gift_pays: int, lost: int, plan_pays: int, credits_lost: int
) -> None:
    """Revenue is the whole cost, whoever bears it, and credits are apart; nothing is no entry."""
    if not any((wallet_pays, gift_pays, lost, plan_pays, credits_lost)):
        return
    made = charge(
        {"org:o:wallet": wallet_pays, "org:o:promo:p": gift_pays, "org:o:plan:s.0": plan_pays},
        written_off=lost,
        credits_lost=credits_lost,
        reference="call",
        transaction_id="t",
        at=1,
    )

    moved = {
        "org:o:wallet": -wallet_pays,
        "org:o:promo:p": -gift_pays,
        "write-offs": lost,
        "revenue:usage": wallet_pays + gift_pays + lost,
        "org:o:plan:s.0": -plan_pays,
        "contra:lost-credits": credits_lost,
        "contra:plan-credits": -plan_pays - credits_lost,
    }
    assert sums(made) == {account: amount for account, amount in moved.items() if amount}
    assert made.kind == "usage"


def test_each_movement_moves_what_it_says() -> None:
    """Refund, gift, write-off and what a provider costs: both sides, as each account grows."""
    usd = Nano(10**9)
    named = {"transaction_id": "t", "at": 1}
    assert sums(refund("o", usd, "r", **named)) == {  # type: ignore[arg-type]
        "org:o:wallet": -usd,
        "processor:manual": -usd,
    }
    assert sums(give("o", "p", usd, "r", **named)) == {  # type: ignore[arg-type]
        "contra:promos": usd,
        "org:o:promo:p": usd,
    }
    assert sums(take_back("o", "p", usd, "r", **named)) == {  # type: ignore[arg-type]
        "contra:promos": -usd,
        "org:o:promo:p": -usd,
    }
    assert sums(owe("acme", usd, "r", **named)) == {  # type: ignore[arg-type]
        "cost:acme": usd,
        "upstream:acme": usd,
    }
    assert sums(write_off(usd, "r", **named)) == {  # type: ignore[arg-type]
        "write-offs": usd,
        "revenue:usage": usd,
    }


@given(amounts)
def test_a_reversal_undoes_all_of_it(amount: Nano) -> None:
    """Both together move nothing; it refers to the wrong one, so that there is one only."""
    wrong = top_up("o", amount, "invoice", transaction_id="t1", at=1)

    undone = reversal(wrong, transaction_id="t2", at=2)

    assert (undone.id, undone.kind, undone.reference, undone.at) == ("t2", "reversal", "t1", 2)
    for entry, back in zip(wrong.entries, undone.entries, strict=True):
        assert (entry.account, entry.amount + back.amount) == (back.account, 0)


def test_dollars_and_credits_do_not_mix() -> None:
    """A transaction sums to zero in each unit by itself."""
    allowance, dollars = "org:o:plan:c", "org:o:wallet"
    assert (unit_of(allowance), unit_of("contra:plan-credits")) == ("credits", "credits")
    assert unit_of(dollars) == unit_of("revenue:plans") == "nano-dollars"
    with pytest.raises(AssertionError, match="sums to zero"):
        Transaction(
            id="t",
            kind="x",
            reference="r",
            entries=(Entry(allowance, Nano(5)), Entry(dollars, Nano(-5))),
            at=1,
        )


def test_what_pays_for_calls_is_known_by_its_name() -> None:
    """And no other account is taken for it."""
    assert all(map(is_payer, (wallet("o"), promo("o", "p"), plan("o", "s.0"))))
    for other in ("revenue:usage", "write-offs", "contra:promos", "processor:org:x"):
        assert not is_payer(other)


Move = Callable[..., Transaction]
MOVES: list[tuple[Move, str, str]] = [
    (lambda *what, **named: top_up("o", *what, **named), "top-up", "top-up"),
    (lambda *what, **named: refund("o", *what, **named), "refund", "refund"),
    (write_off, "write-off", "write-off"),
    (lambda *what, **named: give("o", "p", *what, **named), "promo", "promo"),
    (lambda *what, **named: take_back("o", "p", *what, **named), "promo-end", "promo's end"),
    (lambda *what, **named: owe("acme", *what, **named), "cost", "cost"),
]


@pytest.mark.parametrize(("move", "kind", "word"), MOVES)
def test_each_movement_is_known_by_its_kind_and_reference(move: Move, kind: str, word: str) -> None:
    """They are unique together, so that none is booked twice; and refusals name what is wrong."""
    made = move(Nano(1), "r7", transaction_id="t7", at=77)

    assert (made.id, made.kind, made.reference, made.at) == ("t7", kind, "r7", 77)
    assert move(NANO_MAX, "r7", transaction_id="t7", at=77).entries
    for amount in (0, -1, NANO_MAX + 1):
        with pytest.raises(ValueError) as refused:
            move(Nano(amount), "r7", transaction_id="t7", at=77)
        assert str(refused.value) == f"a {word} is of more than nothing, and fits 64 bits"
    with pytest.raises(ValueError) as refused:
        move(Nano(1), " ", transaction_id="t7", at=77)
    assert str(refused.value) == f"a {word} needs a reference"


def test_a_refund_goes_back_the_way_it_came() -> None:
    """Out of the processor that is named."""
    made = refund("o", Nano(1), "r", transaction_id="t", at=1, via="stripe")

    assert made.entries == (Entry("org:o:wallet", Nano(1)), Entry("processor:stripe", Nano(-1)))


def test_a_charge_alone_loses_nothing() -> None:
    """What is not said to be lost is not; and what is below zero is no charge."""
    made = charge({"org:o:wallet": 5}, reference="r", transaction_id="t", at=9)

    assert (made.id, made.kind, made.reference, made.at) == ("t", "usage", "r", 9)
    assert sums(made) == {"org:o:wallet": -5, "revenue:usage": 5}
    for payers, lost in (({"org:o:wallet": -1}, 2), ({"org:o:wallet": 2}, -1)):
        with pytest.raises(AssertionError):
            charge(payers, written_off=lost, reference="r", transaction_id="t", at=9)
        with pytest.raises(AssertionError):
            charge(payers, credits_lost=lost, reference="r", transaction_id="t", at=9)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((), "a transaction moves something"),
        ((("org:a:wallet", 1),), "a transaction sums to zero in nano-dollars"),
        ((("org:a:plan:s.0", 1),), "a transaction sums to zero in credits"),
        ((("org:a:wallet", 1), ("org:a:wallet", -1)), "one entry for each account"),
    ],
)
def test_what_is_no_transaction_is_told(entries: tuple[tuple[str, int], ...], said: str) -> None:
    """In the words of the rule that it breaks."""
    with pytest.raises(AssertionError) as refused:
        Transaction(
            id="t",
            kind="x",
            reference="r",
            entries=tuple(Entry(account, Nano(amount)) for account, amount in entries),
            at=1,
        )

    assert str(refused.value) == said


def test_the_accounts_of_plans_and_losses_are_called_so() -> None:
    """As whoever reads the books knows them."""
    assert (PLANS, REVENUE, WRITE_OFFS) == ("revenue:plans", "revenue:usage", "write-offs")
    assert (natural(PLANS, -5), natural(WRITE_OFFS, 5)) == (5, 5)
