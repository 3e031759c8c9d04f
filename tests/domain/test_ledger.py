"""Behaviour of transactions as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.ledger import Entry, Transaction, natural, processor, top_up, wallet
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
