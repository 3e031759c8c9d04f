"""Behaviour of transactions as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.ledger import (
    Entry,
    Transaction,
    charge,
    give,
    natural,
    owe,
    processor,
    refund,
    reversal,
    top_up,
    unit_of,
    wallet,
    wallet_owner,
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


@given(st.integers(0, 2**61), st.integers(0, 2**61))
def test_a_charge_is_revenue_from_the_wallet_and_else_written_off(paid: int, lost: int) -> None:
    """Revenue is the whole cost, whoever bears it; what is nothing makes no entry."""
    if paid + lost == 0:
        return
    made = charge("o", charged=paid, written_off=lost, reference="call", transaction_id="t", at=1)

    moved = {"org:o:wallet": -paid, "write-offs": lost, "revenue:usage": paid + lost}
    assert sums(made) == {account: amount for account, amount in moved.items() if amount}


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

    assert (undone.kind, undone.reference) == ("reversal", "t1")
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


def test_a_wallet_is_known_by_its_name() -> None:
    """And no other account is taken for one."""
    assert wallet_owner(wallet("o")) == "o"
    for other in ("org:o:plan:c", "org:o:promo:wallet", "revenue:usage", "write-offs", "org:o"):
        assert wallet_owner(other) is None
