"""What a payment processor tells of the organization of `member`: payments, refunds, disputes and
subscriptions that it renews, as often and in whichever order it likes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from apertura.domain.money import Nano
from apertura.domain.payments import (
    Disputed,
    Event,
    Expired,
    Failed,
    Paid,
    Payment,
    PlanEnded,
    PlanPaid,
    PlanPaymentFailed,
    Received,
    Refunded,
)
from apertura.errors import BadRequest
from apertura.store import payment_events, payments, refunds
from apertura.store.database import Conflict
from apertura.store.payment_events import Receiver
from tests.simulation.expected import Purchase, Sold
from tests.simulation.member import Member
from tests.simulation.subscriber import CENT

VIA = "stripe"


class Customer(Member):
    """Events are told under ids of their own; the oracle says what each may change."""

    def __init__(self, engine: str = "sqlite") -> None:
        super().__init__(engine)
        self.opened: list[Purchase] = []
        self.by_subject: dict[str, Purchase] = {}
        self.waiting: list[tuple[str, str, int, str]] = []
        """Refunds and disputes of what is not paid yet, in the order in which they came."""
        self.told: list[tuple[str, Event]] = []
        self.tickets: dict[str, Sold | None] = {}
        self.ended_tickets: set[str] = set()
        self.cash = 0
        """With the processor."""

    # Telling.

    def _tell(self, event: Event, times: int = 1) -> None:
        """Under one id several times: only the first counts."""
        name = f"evt_{len(self.told):05}"
        message = Received(id=name, kind="test", event=event)
        at = Receiver(via=VIA, now_ms=self.now, plans=self.known)
        work = partial(payment_events.receive, at=at, received=message)
        for number in range(times):
            assert (self.run(self.db.write(work)) is None) == (number > 0)
        self.told.append((name, event))
        self.seen["an event told many times"] += times > 1

    def repeat(self, number: int, *, renamed: bool) -> None:
        """An old one comes again; under its id it changes nothing, under another it says the same
        of whatever has become of it by now.
        """
        if not self.told:
            return
        name, event = self.told[number % len(self.told)]
        if not renamed:
            message = Received(id=name, kind="test", event=event)
            at = Receiver(via=VIA, now_ms=self.now, plans=self.known)
            assert self.write(payment_events.receive, at=at, received=message) is None
            self.seen["an old event again"] += 1
        elif isinstance(event, Paid):
            self._told_paid(event)
            self.seen["an old payment under a new id"] += 1
        elif isinstance(event, Refunded | Disputed):
            self._told_back(event)
        elif isinstance(event, PlanPaid):
            self._told_plan_paid(event)

    def _money(self) -> dict[str, int]:
        rows = self.run(self.db.read("SELECT id, posted FROM accounts"))
        held: dict[str, int] = dict(rows)
        return {
            "wallet": -held.get(self.wallet, 0),
            "lost": held.get("write-offs", 0),
            "plans": -held.get("revenue:plans", 0),
            "cash": held.get(f"processor:{VIA}", 0),
        }

    # Top-ups.

    def open(self, cents: int, discount: int) -> None:
        """A page on which it can be paid; with a discount, for less than is credited."""
        name = f"pay_{len(self.opened)}"
        made = Purchase(name, cents * CENT, max(1, cents - discount) * CENT)
        self.opened.append(made)
        payment = Payment(
            id=name,
            org_id=self.org,
            kind="top-up",
            via=VIA,
            amount=Nano(made.amount),
            cash=Nano(made.cash),
            created_at=self.now,
        )
        self.write(payments.insert, payment=payment)

    def is_paid(self, number: int, *, other: bool, times: int) -> None:
        """`other`: a second payment of the same page, which is money of its own."""
        if self.opened:
            made = self.opened[number % len(self.opened)]
            subject = f"pi_{made.name}" + ("_other" if other else "")
            event = Paid(subject=subject, payment=made.name, cash=Nano(made.cash), org_id=self.org)
            self._told_paid(event, times)

    def _told_paid(self, event: Paid, times: int = 1) -> None:
        before = self._money()
        self._tell(event, times)
        after = self._money()
        expected = 0
        if event.subject not in self.by_subject:
            made = next(one for one in self.opened if one.name == event.payment)
            if made.subject:
                made = Purchase(f"pay_{event.subject}", event.cash, event.cash)
                self.seen["paid twice"] += 1
            made.subject = event.subject
            self.by_subject[event.subject] = made
            expected = made.amount
            self.cash += made.cash
            self.seen["paid"] += 1
        waits = [one for one in self.waiting if one[0] == event.subject]
        self.waiting = [one for one in self.waiting if one[0] != event.subject]
        for subject, name, cash, state in waits:
            self._goes_back(self.by_subject[subject], name, cash, state)
            self.seen["what waited"] += 1
        self._went(self.by_subject[event.subject], before, after, expected)

    def fails(self, number: int, *, expires: bool) -> None:
        """A page is closed, or a card declined; cash that comes in after all counts."""
        if self.opened:
            made = self.opened[number % len(self.opened)]
            gone = Failed(payment=made.name, reason="declined", final=True)
            self._tell(Expired(payment=made.name) if expires else gone)
            self.seen["a page expired" if expires else "a payment declined"] += 1

    # What goes back.

    def goes_back(self, number: int, cents: int, state: str, *, disputed: bool) -> None:
        """A refund or dispute of a top-up that may not be paid yet, or of a plan's period."""
        subjects = [f"pi_{one.name}" for one in self.opened]
        subjects += [subject for subject in self.by_subject if subject not in subjects]
        if not subjects:
            return
        subject = subjects[number % len(subjects)]
        name = f"{'dp' if disputed else 're'}_{subject}_{cents % 3}"
        cash = Nano((1 + cents % 3) * 30 * CENT)
        event: Event
        if disputed:
            returned = state == "failed"
            event = Disputed(subject=subject, foreign_id=name, cash=cash, returned=returned)
        else:
            told: Any = state
            event = Refunded(subject=subject, foreign_id=name, cash=cash, state=told)
        self._told_back(event)

    def _told_back(self, event: Refunded | Disputed) -> None:
        made = self.by_subject.get(event.subject)
        before = self._money()
        self._tell(event)
        name = event.refund or event.foreign_id
        if made is None:
            self.waiting.append((event.subject, name, event.cash, event.state))
            assert self._money() == before
            return
        self._goes_back(made, name, event.cash, event.state)
        self._went(made, before, self._money(), 0)

    def _goes_back(self, made: Purchase, name: str, cash: int, state: str) -> None:
        self.cash += made.active()
        if made.told(name, cash, state):
            self.seen["undone" if state == "failed" else "gone back"] += 1
        self.cash -= made.active()

    def _went(
        self, made: Purchase, before: dict[str, int], after: dict[str, int], expected: int
    ) -> None:
        """What a payment has lost so far is its share, from where it was credited or written off;
        and nothing is written off that was there to be taken.
        """
        source, other = ("plans", "wallet") if made.kind == "plan" else ("wallet", "plans")
        more = {name: after[name] - before[name] for name in after}
        made.withdrawn += expected - more[source] + more["lost"]
        assert more[other] == 0
        assert abs(made.withdrawn - made.share()) <= made.undone, "in nano-dollars, by rounding"
        assert after["cash"] == self.cash
        self.returned_lost += more["lost"]
        if more["lost"] > 0:
            self.seen["gone back and spent already"] += 1
            beyond = made.active() - min(made.active(), made.cash)
            fund = self.fund(self.wallet)
            assert beyond or made.undone or (source == "wallet" and fund.available == 0)
        if source == "wallet":
            self.paid += more[source]
        else:
            self.plan_cash += more[source]

    def ask_back(self, number: int, cents: int, answer: str) -> None:
        """We ask for a refund; the processor makes it or refuses, and tells that at once."""
        paid = [one for one in self.by_subject.values() if one.kind == "top-up"]
        if not paid:
            return
        made = paid[number % len(paid)]
        self.count += 1
        name, before = f"ref_{self.count}", self._money()
        free = self.fund(self.wallet).available
        given = {"payment_id": made.name, "cash": Nano(cents * CENT), "reason": "asked"}
        try:
            self.write(refunds.ask, refund_id=name, now_ms=self.now, **given)
        except BadRequest:
            assert cents * CENT > made.cash - made.active() or free < made.amount
            return
        self._goes_back(made, name, cents * CENT, "asked")
        after = self._money()
        assert after["lost"] == before["lost"]
        self._went(made, before, after, 0)
        self.seen["refund asked"] += 1
        told: Any = answer
        event = Refunded(
            subject=made.subject, foreign_id=f"re_{name}", refund=name, cash=Nano(1), state=told
        )
        self._told_back(event)

    # Subscriptions that it renews.

    def plan_paid(
        self, number: int, plan: str, period: str, until: int | None, *, change: bool
    ) -> None:
        """Of the ticket so numbered; one that is new begins a subscription."""
        ticket = f"tic_{number}"
        sold = self.tickets.get(ticket)
        if sold is None and change:
            return
        said = 0
        if sold is not None and until is not None:
            said = sold.starts(max(0, sold.until + until))
        self.count += 1
        event = PlanPaid(
            subject=f"inv_{self.count}",
            cash=Nano((self.count % 3 + 1) * 100 * CENT),
            org_id=self.org,
            ticket=ticket,
            foreign_id=f"fs_{ticket}",
            plan=plan,
            period=period,
            paid_until_ms=said,
            change=change,
        )
        self._told_plan_paid(event)

    def _told_plan_paid(self, event: PlanPaid) -> None:
        before = self._money()
        sold, alive = self.tickets.get(event.ticket), self.alive
        is_bound = False
        if sold is not None and sold.ended is None:
            sold.come(self.now)
            next_one = self.offer(event.plan, event.period)
            is_bound = sold.next_is_paid() and (
                event.change or not sold.next_offer().is_like(next_one)
            )
        try:
            self._tell(event)
        except Conflict:  # and told again later
            assert sold is not None
            assert sold.is_over(self.now)
            assert sold.ended is None
            self.seen["paid for what is over, to be told again"] += 1
            return
        if event.subject not in self.by_subject:
            if sold is None and alive is None:
                sold = self._begun(event)
            homeless = sold is None or sold.ended is not None or event.ticket in self.ended_tickets
            homeless = homeless or is_bound
            self._plan_money(event, None if homeless else sold, before)
        else:
            assert self._money() == before
        self.callers = {}

    def _begun(self, event: PlanPaid) -> Sold:
        if self.sub is not None:
            self.sub.look(self.now)
        found = self.run(
            self.db.read(
                "SELECT subscriptions.id, key_id FROM subscriptions JOIN foreign_subscriptions "
                "ON subscription = subscriptions.id WHERE ticket = ?",
                (event.ticket,),
            )
        )
        ((sub_id, key_id),) = found
        sold = Sold(sub_id, key_id, self.offer(event.plan, event.period), self.now)
        self.tickets[event.ticket] = sold
        self.begun(sold)
        self.seen["begun with a processor"] += 1
        return sold

    def _plan_money(self, event: PlanPaid, sold: Sold | None, before: dict[str, int]) -> None:
        made = Purchase(f"pay_{event.subject}", event.cash, event.cash, "plan")
        made.subject = event.subject
        self.by_subject[event.subject] = made
        self.cash += event.cash
        if sold is None:
            made.kind = "top-up"
            self.seen["paid for no subscription"] += 1
        elif event.change:
            self.changed(sold, event.plan, sold.offer.period)
            self.seen["changed with a processor"] += 1
        else:
            wanted = self.offer(event.plan, event.period)
            if not sold.next_offer().is_like(wanted):
                self.changed(sold, event.plan, event.period)
            sold.pay(self.now, self._until(sold, event))
            self.seen["paid with a processor"] += 1
        self._went(made, before, self._money(), event.cash)

    def _until(self, sold: Sold, event: PlanPaid) -> int | None:
        if not event.paid_until_ms:
            return None
        return sold.cycle(event.paid_until_ms)

    def plan_fails(self, number: int, *, ends: bool) -> None:
        """A period is declined; or the processor gives up."""
        ticket = f"tic_{number}"
        sold = self.tickets.get(ticket)
        if sold is None:
            return
        if ends:
            self._tell(PlanEnded(ticket=ticket))
            sold.ended = self.now if sold.ended is None else sold.ended
            self.ended_tickets.add(ticket)
            self.seen["ended with a processor"] += 1
        else:
            self._tell(PlanPaymentFailed(ticket=ticket, subject="inv"))
        self.callers = {}
