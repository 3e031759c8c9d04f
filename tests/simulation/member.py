"""What becomes of the subscription of `subscriber`: paid by hand, changed by its owner, ended."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random

from apertura.domain.money import Nano
from apertura.errors import BadRequest
from apertura.store import subscriptions
from apertura.store.database import Conflict
from apertura.store.subscriptions import Payment
from tests.simulation.expected import Sold
from tests.simulation.subscriber import Subscriber, plans_of


class Member(Subscriber):
    """Each deed is done if the oracle says that it can be, and else refused."""

    def __init__(self, engine: str = "sqlite") -> None:
        super().__init__(engine)
        self.paid_by_hand: list[tuple[str, str, int]] = []
        """Subscription, reference and amount of each payment."""
        self.cap: int | None = None
        """On the fallback, as it was set last."""

    @property
    def alive(self) -> Sold | None:
        """The subscription, unless it has ended."""
        sub = self.sub
        return sub if sub is not None and not sub.is_over(self.now) else None

    def start(self, plan: str, period: str) -> None:
        alive, earlier = self.alive, self.sub
        self.count += 1
        random = Random(self.count).randbytes(subscriptions.START_BYTES)
        given = {"plan": self.plans[plan], "period": period, "now_ms": self.now}
        try:
            made = self.write(subscriptions.start, org_id=self.org, random=random, **given)
        except Conflict:
            assert alive is not None
            return
        assert alive is None
        if earlier is not None:
            earlier.look(self.now)
            self.seen["begun again"] += 1
        self.begun(Sold(made.id, made.key_id, self.offer(plan, period), self.now))

    def begun(self, sold: Sold) -> None:
        self.sold.append(sold)
        self.cap = None
        self.callers = {}

    def pay_by_hand(self, amount: int, until: int | None, times: int) -> None:
        """A period, heard of several times at once; `until` counts cycles from the next to be paid
        for, as a processor would.
        """
        sub = self.sub
        if sub is None:
            return
        reference = f"hand {len(self.paid_by_hand)}"
        said = None if until is None else max(0, sub.until + until)
        told = partial(
            subscriptions.pay_period,
            sub_id=sub.id,
            reference=reference,
            via="manual",
            amount=amount,
            paid_until_ms=None if said is None else sub.starts(said) + self.count % 3_600_000,
            now_ms=self.now,
        )

        async def all_at_once() -> list[bool]:
            return await asyncio.gather(*(self.db.write(told) for _ in range(times)))

        try:
            answers = self.run(all_at_once())
        except Conflict:
            assert sub.is_over(self.now)
            self.seen["not paid: it had ended"] += 1
            return
        assert not sub.is_over(self.now)
        assert sum(answers) == 1
        self.paid_by_hand.append((sub.id, reference, amount))
        self.plan_cash += amount
        was_paid, was_ever = sub.is_paid(self.now), sub.until
        count = sub.pay(self.now, said)
        self.seen["recovered"] += not was_paid and bool(was_ever) and bool(count)
        self.seen["a period of no cycles"] += not count
        self.seen["a payment told many times"] += times > 2
        self.callers = {}

    def repeat_payment(self, number: int, times: int) -> None:
        """An old one is told again, also of a subscription that has ended."""
        if self.paid_by_hand:
            sub_id, reference, amount = self.paid_by_hand[number % len(self.paid_by_hand)]
            again = {"sub_id": sub_id, "reference": reference, "via": "manual"}
            for _ in range(times):
                assert not self.write(
                    subscriptions.pay_period, amount=amount, now_ms=self.now, **again
                )
            self.seen["an old payment told again"] += 1

    def payment_fails(self) -> None:
        if self.sub is not None:
            self.write(subscriptions.payment_failed, sub_id=self.sub.id, now_ms=self.now)
            self.callers = {}
            self.seen["a payment failed"] += 1

    def change_plan(self, plan: str, period: str, amount: int) -> None:
        """For an upgrade something is paid, and that is told twice."""
        sub = self.sub
        if sub is None:
            return
        offer, wanted = self.offer(plan, sub.offer.period), self.plans[plan]
        self.count += 1
        made = Payment(reference=f"change {self.count}", via="manual", amount=Nano(amount))
        pays = sub.upgrades_to(offer) and sub.is_paid(self.now)
        given = {"sub_id": sub.id, "plan": wanted, "now_ms": self.now, "period": period}
        given["payment"] = made if pays else None
        try:
            assert self.write(subscriptions.change_plan, **given)
        except Conflict:
            assert sub.is_over(self.now)
            return
        except BadRequest:
            sub.come(self.now)
            assert sub.next_is_paid()
            self.seen["not changed: the next is paid for"] += 1
            return
        assert not sub.is_over(self.now)
        if pays:
            assert not self.write(subscriptions.change_plan, **given)
            self.plan_cash += amount
        self.changed(sub, plan, period)

    def changed(self, sub: Sold, plan: str, period: str) -> None:
        before = sub.offer.plan
        if not sub.is_paid(self.now):
            self.seen["changed while it is not paid"] += 1
        if sub.change(self.offer(plan, period), self.now):
            self.seen["upgraded"] += 1
        elif before != plan:
            self.seen["downgraded"] += 1
        elif sub.coming is not None:
            self.seen["another period"] += 1
        self.callers = {}

    def cancel(self) -> None:
        sub = self.sub
        if sub is None:
            return
        try:
            self.write(subscriptions.cancel_at_end, sub_id=sub.id, now_ms=self.now)
        except Conflict:
            assert sub.is_over(self.now)
        else:
            assert not sub.is_over(self.now)
            sub.cancel(self.now)
            self.seen["cancelled"] += 1
        self.callers = {}

    def resume(self) -> None:
        sub = self.sub
        if sub is None:
            return
        try:
            self.write(subscriptions.resume, sub_id=sub.id, now_ms=self.now)
        except Conflict:
            assert sub.is_over(self.now)
        else:
            assert not sub.is_over(self.now)
            self.seen["resumed"] += sub.is_cancelled
            sub.resume()
        self.callers = {}

    def end(self, *, forget: bool = True) -> None:
        """At once; a worker may not have heard of it yet."""
        sub = self.sub
        if sub is not None:
            self.write(subscriptions.end, sub_id=sub.id, now_ms=self.now)
            sub.ended = self.now if sub.ended is None else sub.ended
            self.seen["ended"] += 1
            if forget:
                self.callers = {}

    def set_fallback(self, cap: int | None, *, on: bool) -> None:
        sub = self.sub
        if sub is None:
            return
        given = {"sub_id": sub.id, "on": on, "cap": cap, "now_ms": self.now}
        try:
            self.write(subscriptions.set_fallback, **given)
        except Conflict:
            assert sub.is_over(self.now)
            return
        assert not sub.is_over(self.now)
        self.cap = cap
        name = f"org:{self.org}:fallback:{sub.id}.{sub.pays(self.now)}"
        if name in self.caps:
            self._note_cap(name)
        self.callers = {}
        self.seen["fallback on" if on and cap != 0 else "fallback off"] += 1

    def call(self, worker: int, key: str, model: str, amount: int, *, fresh: bool = True) -> None:
        """A fallback's fund has the cap of the moment at which it was first asked."""
        sub = next((one for one in self.sold if one.key == key), None)
        name = ""
        if sub is not None:
            caller = self.caller(key, fresh=fresh)
            assert caller.plan is not None
            name = f"org:{self.org}:fallback:{caller.plan.cycle(self.now)}"
            if name not in self.caps:
                self.caps[name] = self.cap
            self._note_cap(name)
        before = len(self.running)
        super().call(worker, key, model, amount, fresh=fresh)
        if sub is not None and len(self.running) > before and self.running[-1].credits is None:
            self.beside[self.running[-1].call_id] = name

    def _note_cap(self, name: str) -> None:
        earlier = self.caps[name]
        if earlier is not None and self.cap is not None:
            self.caps[name] = max(earlier, self.cap)
        else:
            self.caps[name] = None

    def pass_to_the_end(self, late: int, *, whole: bool) -> None:
        """Of what is paid, or of the cycle; nothing happens where that is over already."""
        sub = self.sub
        if sub is not None:
            here = sub.cycle(self.now)
            then = sub.starts(sub.until if whole else here + 1) + late
            self.pass_time(max(0, then - self.now))

    def reprice(self, *, changed: bool) -> None:
        """The operator changes what plans include; the next job brings it to subscriptions."""
        self.plans = plans_of(changed)
        self.callers = {}
        self.seen["plans changed"] += 1
