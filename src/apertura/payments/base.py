"""What the rest of the product may ask of a payment processor, and what it may be refused with.

What it is: the protocol, the orders that are handed to it, and three errors. What it is not: a
processor (`stripe`), or what becomes of what it tells (`store.payment_events`).

The rule that keeps it honest: whatever is asked twice with the same payment is done once; and what
a processor tells is the same value whether it came by webhook, by reply or by asking later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from apertura.domain.money import Nano
from apertura.domain.payments import Event, Kind, Method, Payment, Received
from apertura.errors import PaymentRequired, Unavailable, UpstreamFailed


class Declined(PaymentRequired):
    """The card was declined, or asks for its owner."""

    default_code = "payment_declined"


class ProcessorRefused(UpstreamFailed):
    """The payment processor refuses what was asked: its settings and ours do not fit."""

    default_code = "payment_processor_error"
    retryable = False


class ProcessorAway(Unavailable):
    """The payment processor cannot be reached, or has no room. `Retry-After` is set."""

    default_code = "payment_processor_away"


class BadSignature(Exception):
    """A message that is not the processor's, or too old."""


class TopUpOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up to be paid: `amount` is credited for `cash`."""

    payment: str
    org_id: str
    customer: str
    amount: Nano
    cash: Nano
    kind: Kind = "top-up"


class PlanOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription to be begun, or changed: so much for each period of so many months."""

    payment: str
    org_id: str
    customer: str
    ticket: str
    plan: str
    title: str
    period: str
    months: int
    price: Nano


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the processor's, to which its visitor is sent."""

    id: str
    url: str


class Refunds(Protocol):
    """What can give money back: a processor, or somebody's hand."""

    @property
    def name(self) -> str:
        """As in the account `processor:<name>`."""

    async def refund(self, payment: Payment, refund: str, cash: Nano) -> Event:
        """Give back; the same `refund` (our id) once. Raises: ProcessorRefused, ProcessorAway."""


class PaymentProcessor(Refunds, Protocol):
    """A processor of card payments. Each method raises `ProcessorAway` while it cannot be asked,
    and `ProcessorRefused` where it does not do what is asked.
    """

    async def customer(self, org_id: str, name: str, email: str) -> str:
        """Make it know an organization; returns its name of it."""

    async def top_up_page(self, order: TopUpOrder) -> Page:
        """A page on which a top-up is paid, and the card saved."""

    async def plan_page(self, order: PlanOrder) -> Page:
        """A page on which a subscription is begun."""

    async def portal(self, customer: str) -> Page:
        """A page on which a customer sees its payments and changes its cards."""

    async def card_page(self, customer: str) -> Page:
        """A page on which a card is added."""

    async def methods(self, customer: str) -> list[Method]:
        """The saved ways to pay, the default first."""

    async def set_default(self, customer: str, method: str) -> None:
        """Charge this one from now on, renewals too."""

    async def remove(self, method: str) -> None:
        """Forget a way to pay."""

    async def charge(self, order: TopUpOrder, method: str) -> Event:
        """Charge a saved card while its owner is away. Raises: Declined."""

    async def ask(self, payment: Payment, customer: str) -> Sequence[Event]:
        """What it knows of a payment of a customer's: for messages that were lost."""

    async def ask_plan(self, foreign_id: str) -> Sequence[Event]:
        """What it knows of a subscription: the payments of late, and its end."""

    async def change_plan(self, foreign_id: str, order: PlanOrder, *, at_once: bool) -> None:
        """Another plan: its difference is charged at once, or its price holds from the next period
        on. Raises: Declined.
        """

    async def collect(self, invoice: str) -> None:
        """Charge the invoice of a period now, and not when it would by itself. Raises: Declined."""

    async def cancel_plan(self, foreign_id: str, *, at_end: bool) -> None:
        """End a subscription with what is paid, or take that back."""

    def close(self) -> None:
        """Begin nothing more."""

    def read(self, body: bytes, signature: str, now_ms: int) -> Received:
        """A message of its webhook. Raises: BadSignature; ValueError: it is not understood."""
