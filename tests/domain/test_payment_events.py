"""What is taken for granted of payments and of what processors tell of them."""

from __future__ import annotations

import msgspec
import pytest

from apertura.domain.money import Nano
from apertura.domain.payments import (
    PAUSE_MS,
    TRIES,
    AutoTopUp,
    Disputed,
    Event,
    Expired,
    Failed,
    Method,
    Paid,
    Payment,
    PlanDue,
    PlanEnded,
    PlanPaid,
    PlanPaymentFailed,
    Received,
    Refunded,
    TopUpRules,
)

USD = {"currency": "usd", "org_id": "o"}
PLAN = {"ticket": "t", "foreign_id": "f", "plan": "p", "period": "monthly", "paid_until_ms": 5}


@pytest.mark.parametrize(
    ("event", "rest"),
    [
        (
            Paid(cash=Nano(7)),
            {"cash": 7, "currency": "usd", "org_id": "", "customer": "", "kind": "top-up"}
            | {"amount": 0},
        ),
        (Failed(reason="r"), {"reason": "r", "final": False}),
        (Expired(), {}),
        (
            Refunded(foreign_id="f", cash=Nano(7), state="made"),
            {"foreign_id": "f", "refund": "", "cash": 7, "state": "made"},
        ),
        (Disputed(foreign_id="f", cash=Nano(7)), {"foreign_id": "f", "cash": 7, "returned": False}),
        (PlanPaid(cash=Nano(7), org_id="o", **PLAN), {"cash": 7, **USD, **PLAN, "change": False}),  # type: ignore[arg-type]
        (PlanPaymentFailed(ticket="t"), {"ticket": "t", "cash": 0, "reason": ""}),
        (PlanEnded(ticket="t"), {"ticket": "t"}),
        (PlanDue(ticket="t"), {"ticket": "t"}),
    ],
)
def test_what_a_processor_does_not_say_is_not_made_up(
    event: Event, rest: dict[str, object]
) -> None:
    """No name, no reason, nothing final; and whoever names no currency means dollars."""
    assert msgspec.structs.asdict(event) == {"subject": "", "payment": "", **rest}
    assert Received(id="e", kind="k").event is None


def test_a_payment_is_open_until_something_comes_of_it() -> None:
    """Nothing has gone back, nobody has looked after it, and no processor has a name for it."""
    made = Payment(
        id="p", org_id="o", kind="code", via="codes", amount=Nano(2), cash=Nano(1), created_at=5
    )

    assert made.status == "open"
    assert (made.refunded, made.withdrawn, made.checked_at, made.failure) == (0, 0, 0, "")
    assert (made.subject, made.checkout, made.subscription, made.paid_at) == (None,) * 4


def test_topping_up_by_itself_begins_afresh() -> None:
    """With no try behind it and the default card; after a decline it rests for an hour, and gives
    up after the third in a row.
    """
    wish = AutoTopUp(org_id="o", threshold=Nano(1), amount=Nano(2))

    assert (wish.enabled, wish.method, wish.attempt) == (True, "", None)
    assert (wish.failures, wish.failed_at, wish.attempted_at) == (0, 0, 0)
    assert (PAUSE_MS, TRIES) == (60 * 60 * 1_000, 3)
    assert Method(id="m", brand="visa", last4="1", expires="2034-12").is_default is False
    assert TopUpRules(minimum=Nano(1), maximum=Nano(2)).discounts == ()


def test_a_dispute_is_told_as_a_refund() -> None:
    """That nobody asked for, and that did not happen where the cash came back."""
    taken = Disputed(foreign_id="du_1", cash=Nano(7))

    assert (taken.refund, taken.state) == ("", "made")
    assert msgspec.structs.replace(taken, returned=True).state == "failed"
