"""Two workers and one organization with gifts, a wallet and a subscription: what its keys may do,
step by step, on a real database, beside what it may expect (`expected`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from apertura.domain.funds import Hold
from apertura.domain.identity import Caller
from apertura.domain.keys import KeyId, KeyPolicy, OrgId
from apertura.domain.money import Nano
from apertura.domain.payers import Caps, Way, ways
from apertura.domain.plans import Plan
from apertura.errors import Forbidden, PaymentRequired
from apertura.jobs.plans import Renewals
from apertura.store import promos, subscriptions, usage
from apertura.store.audit import audit
from apertura.store.charges import Charge, record_and_charge
from apertura.store.plans import Plans
from apertura.store.promos import Promo
from tests.simulation.expected import GRACE_MS, HOUR, Offer, Sold
from tests.simulation.machine import RESET_DAY, Running, World
from tests.store.examples import usage_row

JANUARY_31 = 1_769_817_600_000
MINUTE = 60_000
CENT = 10_000_000
MODELS = {"lite": {"small": 700, "free": 0}, "pro": {"small": 700, "large": 1_500, "free": 0}}
ALLOWANCES = {"lite": (2_000, 3_000), "pro": (5_000, 9_000)}
"""In thousandths, so that they run out: before the plans are changed, and after."""
PRICES = {"lite": 12 * 100 * CENT, "pro": 25 * 100 * CENT}


class Given(NamedTuple):
    """A gift."""

    amount: int
    until: int


def plans_of(changed: bool) -> dict[str, Plan]:
    return {
        name: Plan(
            id=name,
            title=name,
            monthly=Nano(PRICES[name]),
            allowance=ALLOWANCES[name][changed],
            per_model=9,
            multipliers=MODELS[name],
        )
        for name in MODELS
    }


class Subscriber(World):
    """Everything that can be done, and what must hold after each of it."""

    def __init__(self, engine: str = "sqlite") -> None:
        super().__init__(engine)
        self.now = JANUARY_31 + 5 * HOUR
        self.seen: Counter[str] = Counter()
        """What really happened."""
        self.plans = plans_of(changed=False)
        self.sold: list[Sold] = []
        self.gifts: dict[str, Given] = {}
        self.over: dict[str, int] = {}
        """Accounts of gifts and cycles that have ended, with what was left of them."""
        self.risks: dict[str, int] = {}
        """What of a call need not be charged: no lease covered it, or none did any more."""
        self.caps: dict[str, int | None] = {}
        """The highest cap on the fallback of a cycle."""
        self.beside: dict[str, str] = {}
        """The calls for which the wallet pays beside a plan, and under which of those caps."""
        self.returned_lost = 0
        """Written off when cash went back."""
        self.plan_cash = 0
        self.callers: dict[str, Caller] = {}

    @property
    def sub(self) -> Sold | None:
        return self.sold[-1] if self.sold else None

    @property
    def known(self) -> Plans:
        return Plans(plans=self.plans, grace_ms=GRACE_MS)

    def offer(self, plan: str, period: str) -> Offer:
        return Offer(plan, period, self.plans[plan].monthly, self.plans[plan].allowance)

    def write(self, work: Any, **given: Any) -> Any:
        return self.run(self.db.write(partial(work, **given)))

    # Gifts.

    def give(self, amount: int, days: int) -> None:
        name, until = f"g{len(self.gifts)}", self.now + days * 24 * HOUR
        given = {"id": name, "org_id": self.org, "amount": amount, "note": ""}
        promo = Promo(**given, granted_at=self.now, expires_at=until)  # type: ignore[arg-type]
        self.write(promos.grant, promo=promo)
        self.gifts[name] = Given(amount, until)
        self.callers = {}

    def account_of_gift(self, name: str) -> str:
        return f"org:{self.org}:promo:{name}"

    # Time, and what happens by itself.

    def pass_time(self, ms: int) -> None:
        self.now += ms
        self.callers = {}

    def jobs(self) -> None:
        """Each job in two workers at once; what was left of what ends is no more."""
        before = self.run(self._payers())
        due = dict(self._due(before))

        async def both() -> None:
            for step in (self._end_gifts, Renewals(self.db, self.known).step):
                await asyncio.gather(step(self.now), step(self.now))

        self.run(both())
        if self.sub is not None:
            self.sub.look(self.now)
            self.renew_terms(self.sub)
        self.over |= due
        self.seen |= Counter("a cycle ends" for name in due if ":plan:" in name)
        self.seen |= Counter("a gift ends" for name in due if ":promo:" in name)
        self.callers = {}

    async def _end_gifts(self, now: int) -> None:
        await promos.end_due(self.db, now)

    def _due(self, before: dict[str, tuple[int, int]]) -> Iterable[tuple[str, int]]:
        """What ends now: its time is over, and nothing of it is held."""
        for name, gift in self.gifts.items():
            account = self.account_of_gift(name)
            posted, held = before.get(account, (0, 0))
            if self.now >= gift.until and account not in self.over:
                if held:
                    self.seen["a gift ends while it is held"] += 1
                else:
                    yield account, posted
        for sold in self.sold:
            for number in sold.allowed:
                account = self.account_of_cycle(sold, number)
                # An hour passes after this job has written down that a subscription is over.
                written = sold.ended is not None or not sold.is_over(self.now)
                if account in before and written and sold.cycle_is_over(number, self.now):
                    posted, held = before[account]
                    if held:
                        self.seen["a cycle ends while calls of it run"] += 1
                    else:
                        yield account, posted

    def account_of_cycle(self, sold: Sold, number: int) -> str:
        return f"org:{self.org}:plan:{sold.id}.{number}"

    def renew_terms(self, sold: Sold) -> None:
        """A plan whose allowance was changed is so from the end of what is paid."""
        coming = sold.next_offer()
        todays = self.offer(coming.plan, coming.period)
        if sold.ended is None and coming.allowance != todays.allowance and not sold.next_is_paid():
            same = todays.is_like(sold.offer) and todays.allowance == sold.offer.allowance
            sold.coming = None if same else (todays, sold.until)

    # Calls.

    def caller(self, key: str, *, fresh: bool) -> Caller:
        """As a worker keeps it: from before the last change, if it has not heard of it yet."""
        if fresh or key not in self.callers:
            self.callers[key] = self.run(self._read_caller(key))
        return self.callers[key]

    async def _read_caller(self, key: str) -> Caller:
        caps = Caps(
            quota=key == "k1" and self.quota is not None,
            org_reset=RESET_DAY,
            gifts=await promos.gifts(self.db, self.org, self.now),
        )
        plan = await subscriptions.pass_of(self.db, self.org, key, self.known)
        return Caller(
            key_id=KeyId(key),
            org_id=OrgId(self.org),
            key_name=key,
            policy=KeyPolicy(),
            caps=caps,
            plan=plan,
        )

    def names(self, key: str) -> tuple[str, ...]:
        return ways(self.caller(key, fresh=True), "small", self.now)[0].funds

    def call(self, worker: int, key: str, model: str, amount: int, *, fresh: bool = True) -> None:
        """One begins, if one of its ways covers it: each is tried in order."""
        caller = self.caller(key, fresh=fresh)
        sold = next((one for one in self.sold if one.key == key), None)
        try:
            found = ways(caller, model, self.now)
        except PaymentRequired:
            assert not fresh or sold is None or not sold.works(self.now)
            self.seen["refused: not paid for"] += 1
            return
        except Forbidden:
            assert model == "large"
            self.seen["refused: not in the plan"] += 1
            return
        assert not fresh or sold is None or sold.works(self.now)
        for number, way in enumerate(found):
            height = amount if way.credits is None else way.credits
            hold = self.run(self._hold(worker, way, height))
            if hold is not None:
                self._admit(worker, key, way, hold, number)
                return
        self.seen["refused: not covered"] += 1

    async def _hold(self, worker: int, way: Way, height: int) -> Hold | None:
        leases = self.places[worker].leases
        answer = leases.take(way.funds, height) or await leases.hold(way.funds, height)
        if isinstance(answer, Hold):
            return answer
        assert answer.covers < height or not answer.empty
        return None

    def _admit(self, worker: int, key: str, way: Way, hold: Hold, number: int) -> None:
        self.count += 1
        one = Running(f"c{self.count}", key, worker, hold, self.now, way.credits)
        self.running.append(one)
        what = "free" if way.credits == 0 else way.payer
        self.seen[f"paid by {what}" + (", after another" if number else "")] += 1

    def settle(self, one: Running, cost: int) -> None:
        """Whatever its cost, it takes the credits that its model takes, unless it was of none."""
        self.running.remove(one)
        place = self.places[one.worker]
        spent = cost if one.credits is None else 0
        credits_taken = one.credits or 0 if cost else 0
        took = {"cost": spent, "credits": credits_taken, "upstream_cost": cost}
        row = usage_row(one.call_id, **took, org_id=self.org, key_id=one.key, started_ms=one.at)
        covered = place.leases.settle(one.hold, spent or credits_taken)
        charge = Charge(
            *msgspec.structs.astuple(row),
            worker=place.leases.worker,
            funds=tuple(lease.fund for lease in one.hold.leases),
            covered=covered,
        )
        place.journal.append(usage.encode(charge))
        place.rows.append(charge)
        self.calls[charge.call_id] = charge
        self.risks[charge.call_id] = spent + credits_taken - covered
        self.seen["settled above its hold"] += spent > one.hold.amount

    def fall_silent(self, worker: int) -> None:
        for row in self.places[worker].rows:
            self.risks[row.call_id] = row.cost + row.credits
        super().fall_silent(worker)
        self.seen["silence"] += 1

    def kill(self, worker: int) -> None:
        self.seen["killed with calls"] += any(one.worker == worker for one in self.running)
        self.seen["killed with a journal"] += bool(self.places[worker].rows)
        super().kill(worker)

    def replay(self, worker: int) -> None:
        super().replay(worker)
        self.seen["journal replayed"] += bool(self.places[worker].journal)

    def book_all(self) -> None:
        """Both workers at once."""

        async def both() -> None:
            rows = [place.rows for place in self.places]
            await asyncio.gather(*(record_and_charge(self.db, part) for part in rows))
            for place, part in zip(self.places, rows, strict=True):
                place.leases.booked(part)
                place.rows = []

        self.run(both())

    def rest(self) -> None:
        """All that runs ends, all is booked, and what is free goes back."""
        for one in list(self.running):
            self.settle(one, one.hold.amount)
        self.book_all()
        for worker in (0, 1, 0, 1):
            self.sweep(worker)

    # What must hold.

    async def _payers(self) -> dict[str, tuple[int, int]]:
        rows = await self.db.read(
            "SELECT id, posted, held FROM funds WHERE kind IN ('wallet', 'promo', 'allowance')"
        )
        return {name: (posted, held) for name, posted, held in rows}

    async def _check(self) -> None:
        findings = [finding for check in await audit(self.db) for finding in check.findings]
        assert findings == []
        rows = await self.db.read("SELECT call_id, cost, credits FROM usage")
        booked = {name: self.calls[name] for name, _, _ in rows}
        assert all((booked[n].cost, booked[n].credits) == (cost, took) for n, cost, took in rows)
        held: dict[str, int] = dict(await self.db.read("SELECT id, posted FROM accounts"))
        payers = await self._payers()
        self._check_sums(booked.values(), held)
        self._check_payers(booked.values(), held, payers)
        self._check_cycles(await self.db.read(_CYCLES))
        self._check_fallback(booked.values(), await self.db.read(_FALLBACKS))
        leases = await self.db.read("SELECT worker, fund_id, amount FROM leases WHERE amount > 0")
        lent = {(worker, fund): amount for worker, fund, amount in leases}
        for number, place in enumerate(self.places):
            self._check_place(number, place, lent)

    def _check_sums(self, booked: Iterable[Charge], held: dict[str, int]) -> None:
        """Revenue by unit, and what could not be charged."""
        calls = list(booked)
        lost = held.get("write-offs", 0) - self.returned_lost
        lost_credits = held.get("contra:lost-credits", 0)
        assert -held.get("revenue:usage", 0) == sum(one.cost for one in calls)
        assert -held.get("revenue:plans", 0) == self.plan_cash
        assert 0 <= lost <= sum(self.risks[one.call_id] for one in calls if one.cost)
        assert 0 <= lost_credits <= sum(self.risks[one.call_id] for one in calls if one.credits)
        self.seen["written off"] = lost > 0
        self.seen["credits lost"] = lost_credits > 0
        money = [self.paid, *(gift.amount for gift in self.gifts.values())]
        left = [amount for name, amount in self.over.items() if ":promo:" in name]
        kept = [-held[name] for name in held if name.endswith(":wallet") or ":promo:" in name]
        assert sum(kept) == sum(money) - sum(left) - sum(one.cost for one in calls) + lost
        granted = [sold.allowed[n] for sold, n in self._granted(held)]
        left = [amount for name, amount in self.over.items() if ":plan:" in name]
        kept = [-held[name] for name in held if name.startswith("org:") and ":plan:" in name]
        assert sum(kept) == sum(granted) - sum(left) - sum(one.credits for one in calls) + (
            lost_credits
        )

    def _granted(self, held: dict[str, int]) -> Iterable[tuple[Sold, int]]:
        return [
            (sold, number)
            for sold in self.sold
            for number in sold.allowed
            if self.account_of_cycle(sold, number) in held
        ]

    def _check_payers(
        self,
        booked: Iterable[Charge],
        held: dict[str, int],
        payers: dict[str, tuple[int, int]],
    ) -> None:
        """Each payer holds what came in less what its calls took: exactly, but for those at risk,
        which it need not have paid for, and which the wallet pays in place of a gift that ended.
        """
        given = {f"org:{self.org}:wallet": self.paid}
        given |= {self.account_of_gift(name): one.amount for name, one in self.gifts.items()}
        given |= {self.account_of_cycle(s, n): s.allowed[n] for s, n in self._granted(held)}
        for name in self.over:
            assert name not in payers or payers[name] == (0, 0)
            assert held[name] == 0
        sure, risky, elsewhere = Counter[str](), Counter[str](), 0
        for one in booked:
            if one.funds:
                risk = self.risks[one.call_id]
                sure[one.funds[0]] += one.cost + one.credits - risk
                risky[one.funds[0]] += risk
                elsewhere += risk if ":promo:" in one.funds[0] else 0
        for name, amount in given.items():
            most = amount - self.over.get(name, 0) - sure[name]
            less = risky[name] + (elsewhere if name.endswith(":wallet") else 0)
            assert max(0, most - less) <= -held.get(name, 0) <= most, name

    def _check_cycles(self, rows: Iterable[Any]) -> None:
        """Granted once, what was paid for; and no cycle that was not."""
        allowed = {(sold.id, n): amount for sold in self.sold for n, amount in sold.allowed.items()}
        for sub_id, number, granted in rows:
            assert granted == allowed.get((sub_id, number), 0), (sub_id, number)

    def _check_fallback(self, booked: Iterable[Charge], rows: Iterable[Any]) -> None:
        """In no cycle more than its highest cap, but for calls at risk."""
        spent, risky, known = Counter[str](), Counter[str](), Counter(dict(rows))
        for one in booked:
            if (name := self.beside.get(one.call_id)) is not None:
                spent[name] += one.cost
                risky[name] += self.risks[one.call_id]
        for name, used in spent.items():
            assert used - risky[name] <= known[name] <= used
            cap = self.caps[name]
            assert cap is None or used <= cap + risky[name]


_CYCLES = "SELECT subscription_id, number, granted FROM plan_cycles"
_FALLBACKS = """
SELECT id, cap - posted FROM funds WHERE kind = 'fallback' UNION ALL
SELECT 'org:' || org_id || ':fallback:' || subscription_id || '.' || CAST(number AS TEXT),
fallback_spent FROM plan_cycles JOIN subscriptions ON id = subscription_id WHERE fallback_spent > 0
"""
