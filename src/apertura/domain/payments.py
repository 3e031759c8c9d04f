"""Payments, as values and rules: what a top-up costs, what comes in from outside, what goes back.

A payment credits an `amount` to a wallet for `cash`, which is less where there is a volume
discount. What a processor tells us of payments are events: plain values, whoever sent them. Amounts
of cash are whole cents.

    processor:<name>     asset    the cash
    contra:discounts     income   what volume discounts cost us
    org:<id>:wallet      liability the whole amount
    write-offs           expense  what went back to a card and was spent already

What it is not: how a processor is spoken to (`payments`), or where payments are kept
(`store.payments`). The rule that keeps it honest: what goes back in cash is never more than what
came in, and takes the same share of the credited amount with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from apertura.domain.ledger import PLANS, WRITE_OFFS, Entry, Transaction, processor, wallet
from apertura.domain.money import NANO_PER_USD, Nano, format_usd
from apertura.errors import BadRequest

DISCOUNTS = "contra:discounts"
CENT = NANO_PER_USD // 100
Kind = Literal["top-up", "auto-top-up", "plan", "code"]
Status = Literal["open", "paid", "failed", "expired"]


# What a top-up costs.


class Discount(msgspec.Struct, frozen=True):
    """From this amount on, so many thousandths less are paid."""

    from_amount: Nano
    per_mille: int


class TopUpRules(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one top-up, and its discounts by amount, the smallest first."""

    minimum: Nano
    maximum: Nano
    discounts: tuple[Discount, ...] = ()


def check_top_up(rules: TopUpRules, amount: Nano, param: str = "amount_usd") -> None:
    """Raises: BadRequest: the amount is out of bounds, or not of whole cents."""
    if amount % CENT:
        said = "An amount is of whole cents."
    elif not rules.minimum <= amount <= rules.maximum:
        least, most = format_usd(rules.minimum), format_usd(rules.maximum)
        said = f"A top-up is from {least} to {most} USD."
    else:
        return
    raise BadRequest(said, code="invalid_parameter", param=param)


def price_of(rules: TopUpRules, amount: Nano) -> Nano:
    """The cash for a top-up that somebody makes by hand; the discount is rounded down to cents.

    Raises: BadRequest, as `check_top_up`.
    """
    check_top_up(rules, amount)
    steps = [one.per_mille for one in rules.discounts if one.from_amount <= amount]
    discount = amount * (steps[-1] if steps else 0) // 1_000
    return Nano(amount - discount // CENT * CENT)


# What a processor tells.


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` is the processor's name of the payment; `payment` ours, empty if it did not say."""

    subject: str = ""
    payment: str = ""


class Paid(_Event, frozen=True, kw_only=True, tag="paid"):
    """Cash came in for a top-up."""

    cash: Nano
    currency: str = "usd"
    org_id: str = ""
    customer: str = ""
    kind: Kind = "top-up"
    amount: Nano = Nano(0)
    """What the payment's own record at the processor says is credited; 0: it does not say."""


class Failed(_Event, frozen=True, kw_only=True, tag="failed"):
    """A try to pay failed; `final` if there will be no other of this payment."""

    reason: str
    final: bool = False


class Expired(_Event, frozen=True, kw_only=True, tag="expired"):
    """Nobody paid in time."""


RefundState = Literal["pending", "made", "failed"]


class Refunded(_Event, frozen=True, kw_only=True, tag="refunded"):
    """Cash goes back, or does not after all. `refund` is ours, if we asked for it."""

    foreign_id: str
    refund: str = ""
    cash: Nano
    state: RefundState


class Disputed(_Event, frozen=True, kw_only=True, tag="disputed"):
    """The card's owner disputes a payment and its cash was taken, or was given back to us."""

    foreign_id: str
    cash: Nano
    returned: bool = False

    @property
    def refund(self) -> str:
        """We never ask for one."""
        return ""

    @property
    def state(self) -> RefundState:
        """As of a refund: one that is given back to us did not happen."""
        return "failed" if self.returned else "made"


class PlanPaid(_Event, frozen=True, kw_only=True, tag="plan-paid"):
    """A period of a subscription was paid, or the difference of an upgrade.

    `subject` is the invoice. Nothing of a plan is known here but its names.
    """

    cash: Nano
    currency: str = "usd"
    org_id: str
    ticket: str
    """Our name of the subscription from before it was begun."""
    foreign_id: str
    """The processor's."""
    plan: str
    period: str
    paid_until_ms: int
    change: bool = False
    """The difference that an upgrade costs: the period stays."""


class PlanDue(_Event, frozen=True, kw_only=True, tag="plan-due"):
    """A period has begun, and its invoice, the `subject`, waits for the processor to collect it."""

    ticket: str


class PlanPaymentFailed(_Event, frozen=True, kw_only=True, tag="plan-failed"):
    """A period could not be paid; the processor tries again by itself."""

    ticket: str
    cash: Nano = Nano(0)
    """What is due."""
    reason: str = ""


class PlanEnded(_Event, frozen=True, kw_only=True, tag="plan-ended"):
    """The processor has ended a subscription."""

    ticket: str


Event = (
    Paid
    | Failed
    | Expired
    | Refunded
    | Disputed
    | PlanDue
    | PlanPaid
    | PlanPaymentFailed
    | PlanEnded
)


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a processor: its id, unique with it, its own kind, and what it says to us."""

    id: str
    kind: str
    event: Event | None = None


# What goes back.


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it is kept. `subject` and `checkout` are the processor's names; times in ms."""

    id: str
    org_id: str
    kind: Kind
    via: str
    amount: Nano
    cash: Nano
    refunded: Nano = Nano(0)
    """Of the cash, what went back."""
    withdrawn: Nano = Nano(0)
    """Of the amount, what went with it."""
    status: Status = "open"
    subject: str | None = None
    checkout: str | None = None
    subscription: str | None = None
    failure: str = ""
    created_at: int
    paid_at: int | None = None
    checked_at: int = 0


class Back(msgspec.Struct, frozen=True, kw_only=True):
    """What going back does: `cash` leaves, of which `refunded` counts against the payment.
    `withdrawn` is its share of the amount; the wallet gives `taken`, and `lost` is written off.
    """

    cash: Nano
    refunded: Nano
    withdrawn: Nano
    taken: Nano
    lost: Nano


def refundable(payment: Payment) -> Nano:
    """The cash that may still go back."""
    return Nano(payment.cash - payment.refunded if payment.status == "paid" else 0)


def going_back(payment: Payment, cash: Nano, available: Nano) -> Back:
    """What it means that so much cash goes back, when the wallet has so much `available`.

    The share of the amount is rounded up, in the whole: all the cash takes all the amount.
    """
    assert cash > 0
    refunded = min(cash, refundable(payment))
    share = -(-payment.amount * (payment.refunded + refunded) // payment.cash)
    withdrawn = max(refunded, share - payment.withdrawn) if refunded else 0
    taken = withdrawn if payment.kind == "plan" else min(withdrawn, max(0, available))
    return Back(
        cash=cash,
        refunded=Nano(refunded),
        withdrawn=Nano(withdrawn),
        taken=Nano(taken),
        lost=Nano(withdrawn - taken + cash - refunded),
    )


def check_refund(payment: Payment, cash: Nano, available: Nano) -> Back:
    """What a refund that we ask for does. Raises: BadRequest: it is of more than may go back."""
    if cash <= 0 or cash % CENT:
        raise BadRequest("A refund is of whole cents, and of more than nothing.")
    if cash > (most := refundable(payment)):
        raise BadRequest(f"Of {payment.id} at most {format_usd(most)} USD can be refunded.")
    back = going_back(payment, cash, available)
    if back.lost:
        raise BadRequest(
            f"A refund of {format_usd(cash)} USD takes {format_usd(back.withdrawn)} USD from the "
            f"balance, of which {format_usd(Nano(max(0, available)))} USD are available."
        )
    return back


# In the books.


def booked(payment: Payment, *, transaction_id: str, at: int) -> Transaction:
    """A top-up was paid: the cash came in, the whole amount is credited."""
    moved = {
        processor(payment.via): payment.cash,
        DISCOUNTS: payment.amount - payment.cash,
        wallet(payment.org_id): -payment.amount,
    }
    return _transaction("top-up", moved, payment.id, transaction_id, at)


def returned(
    payment: Payment, back: Back, reference: str, *, transaction_id: str, at: int
) -> Transaction:
    """Cash went back, and its share of the amount with it."""
    source = PLANS if payment.kind == "plan" else wallet(payment.org_id)
    moved = {
        source: back.taken,
        WRITE_OFFS: back.lost,
        DISCOUNTS: back.refunded - back.withdrawn,
        processor(payment.via): -back.cash,
    }
    return _transaction("refund", moved, reference, transaction_id, at)


def _transaction(
    kind: str, moved: dict[str, int], reference: str, transaction_id: str, at: int
) -> Transaction:
    entries = tuple(Entry(account, Nano(amount)) for account, amount in moved.items() if amount)
    return Transaction(id=transaction_id, kind=kind, reference=reference, entries=entries, at=at)


# Topping up by itself.

TRIES = 3
"""Declined so often in a row, it is switched off."""
PAUSE_MS = 3_600_000
"""Between a declined try and the next."""


class AutoTopUp(msgspec.Struct, frozen=True, kw_only=True):
    """An organization's wish to be charged when its balance is low. `attempt` is the payment that
    is being made; `failures` are those in a row, the last of them at `failed_at` (ms).
    """

    org_id: str
    enabled: bool = True
    threshold: Nano
    amount: Nano
    method: str = ""
    """The processor's name of the card; empty: the default one."""
    failures: int = 0
    failed_at: int = 0
    attempt: str | None = None
    attempted_at: int = 0


def check_auto_top_up(rules: TopUpRules, wish: AutoTopUp) -> None:
    """Raises: BadRequest: the amount cannot be topped up, or would not reach the threshold."""
    check_top_up(rules, wish.amount)
    if not 0 <= wish.threshold <= wish.amount:
        raise BadRequest(
            "The threshold is from 0 to the amount: one charge then lifts the balance over it.",
            code="invalid_parameter",
            param="threshold_usd",
        )


def is_due(wish: AutoTopUp, posted: int, now_ms: int) -> bool:
    """Whether to charge now, the wallet holding so much, what is lent to calls included."""
    if not wish.enabled or wish.attempt is not None or posted >= wish.threshold:
        return False
    return not wish.failures or now_ms >= wish.failed_at + PAUSE_MS


# Cards.


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A saved way to pay."""

    id: str
    brand: str
    last4: str
    expires: str
    """As `2027-04`."""
    is_default: bool = False


def check_removal(
    methods: Sequence[Method], method: str, *, auto_top_up: AutoTopUp | None, subscribed: bool
) -> None:
    """Raises: BadRequest: the method is still needed, or there is none of this name."""
    if method not in {one.id for one in methods}:
        raise BadRequest("There is no such payment method.", code="invalid_parameter", param="id")
    if subscribed and len(methods) == 1:
        raise BadRequest(
            "This is the only payment method of an active subscription. Add another one first.",
            code="payment_method_needed",
        )
    if auto_top_up is None or not auto_top_up.enabled:
        return
    chosen = auto_top_up.method
    if chosen == method or (not chosen and is_first_choice(methods, method)):
        raise BadRequest(
            "Auto top-up charges this payment method. Choose another one there first.",
            code="payment_method_needed",
        )


def is_first_choice(methods: Sequence[Method], method: str) -> bool:
    """Whether a charge without a chosen method takes this one: the default, or else the first."""
    default = next((one.id for one in methods if one.is_default), methods[0].id if methods else "")
    return method == default
