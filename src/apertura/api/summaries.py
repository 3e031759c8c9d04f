"""What several endpoints show of an organization's plan and top-ups.

What it is not: the rules of either (`domain.plans`, `domain.payments`). The rule that keeps it
honest: a subscription is shown as it is at the moment, whatever a job has written down of it.
"""

from __future__ import annotations

import msgspec

from apertura.api.amounts import credits_of, dollars, dollars_or_none
from apertura.api.manage import moment
from apertura.api.parts import Parts
from apertura.domain import plans
from apertura.domain.payments import AutoTopUp
from apertura.domain.plans import Status, Subscription
from apertura.store import auto_top_ups, subscriptions
from apertura.store.subscriptions import CycleUse


class PlanUse(msgspec.Struct, frozen=True):
    """A subscription that has not ended, and its cycle."""

    sub: Subscription
    status: Status
    use: CycleUse

    def as_credits(self) -> dict[str, object]:
        """The block of the credits endpoint."""
        sub, use = self.sub, self.use
        shown: dict[str, object] = {
            "plan_type": sub.plan,
            "status": self.status,
            "cycle_quota_limit": use.limit,
            "cycle_quota_used": use.used,
            "cycle_quota_remaining": use.remaining,
            "cycle_start": moment(use.cycle.start_ms),
            "cycle_end": moment(use.cycle.end_ms),
            "payg_fallback_enabled": sub.fallback,
        }
        if sub.fallback:
            shown["payg_spent_usd"] = dollars(use.fallback_spent)
            if sub.fallback_cap is not None:
                shown["payg_limit_usd"] = dollars(sub.fallback_cap)
        return shown

    def as_info(self) -> dict[str, object]:
        """What the tool server reads."""
        return {
            "plan": self.sub.plan,
            "status": self.status,
            "expiry": moment(self.sub.paid_until_ms),
        }

    def as_json(self) -> dict[str, object]:
        """All of it, for the one who manages it."""
        sub, use = self.sub, self.use
        return {
            "id": sub.id,
            "key_id": sub.key_id,
            "plan": sub.plan,
            "period": sub.period,
            "price_usd": dollars(sub.terms.price),
            "status": self.status,
            "paid_until": moment(sub.paid_until_ms),
            "cancel_at_end": sub.cancel_at_end,
            "next": sub.next
            and {
                "plan": sub.next.plan,
                "period": sub.next.period,
                "price_usd": dollars(sub.next.price),
                "at": moment(sub.next_at_ms),
            },
            "cycle": {
                "start": moment(use.cycle.start_ms),
                "end": moment(use.cycle.end_ms),
                "limit": credits_of(use.granted),
                "used": credits_of(use.granted - use.left),
                "remaining": credits_of(use.left),
            },
            "fallback": {
                "enabled": sub.fallback,
                "limit_usd": dollars_or_none(sub.fallback_cap),
                "spent_usd": dollars(use.fallback_spent),
            },
        }


async def plan_of(parts: Parts, org_id: str, now_ms: int) -> PlanUse | None:
    """An organization's subscription; None if it has none, or one that has ended."""
    sub = await subscriptions.find(parts.database, org_id)
    if sub is None:
        return None
    sub = plans.current(sub, now_ms)
    status = plans.status_at(sub, now_ms, parts.plans.grace_ms)
    if status == "expired":
        return None
    return PlanUse(sub, status, await subscriptions.use_of(parts.database, sub, now_ms))


async def of_organization(parts: Parts, org_id: str, now_ms: int) -> dict[str, object]:
    """What the overview of its money has of its plan and of topping up by itself."""
    plan = await plan_of(parts, org_id, now_ms)
    wish = await auto_top_ups.find(parts.database, org_id)
    return {
        "subscription": None if plan is None else plan.as_json(),
        "auto_top_up": None if wish is None else _shown(wish),
    }


def _shown(wish: AutoTopUp) -> dict[str, object]:
    return {
        "enabled": wish.enabled,
        "threshold_usd": dollars(wish.threshold),
        "amount_usd": dollars(wish.amount),
        "failures": wish.failures,
        "charging": wish.attempt is not None,
    }
