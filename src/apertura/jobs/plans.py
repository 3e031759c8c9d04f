"""What becomes of subscriptions by itself: ends, suspensions, plans that follow, cycles that end.

What it is not: what a subscription is at a moment (`domain.plans.status_at`), which callers are
asked by to the millisecond. The rule that keeps it honest: this only writes down what is so
already; it may run late, twice at once, or be cut off anywhere, as each thing is one transaction
that looks first.
"""

from __future__ import annotations

from functools import partial

from apertura.store import plan_cycles, subscriptions
from apertura.store.database import Database
from apertura.store.plans import Plans


class Renewals:
    """The step of a job; once a minute will do."""

    def __init__(self, database: Database, known: Plans) -> None:
        self._database, self._known = database, known

    async def step(self, now_ms: int) -> None:
        """Bring everything up to now. Raises: Unavailable."""
        database, grace_ms = self._database, self._known.grace_ms
        for sub_id in await subscriptions.due(database, now_ms):
            await database.write(
                partial(subscriptions.bring_up, sub_id=sub_id, now_ms=now_ms, grace_ms=grace_ms)
            )
        for plan in self._known.plans.values():
            for sub_id in await subscriptions.outdated(database, plan):
                await database.write(
                    partial(subscriptions.renew_terms, sub_id=sub_id, plan=plan, now_ms=now_ms)
                )
        for sub_id, number in await plan_cycles.over_cycles(database, now_ms, grace_ms):
            await database.write(
                partial(
                    plan_cycles.end_cycle,
                    sub_id=sub_id,
                    number=number,
                    now_ms=now_ms,
                    grace_ms=grace_ms,
                )
            )
