"""Who pays for a call, and under which caps: the ways to pay, in the order in which they are tried.

A way is a list of funds over which the call takes its hold, the payer first: a gift before the
wallet; for a subscription's key the cycle's allowance, and then, if its owner wants that, the
wallet up to a cap. One way pays for the whole call; a call is never split between two.

What it is not: what a fund holds (`funds`), or what a plan includes (`plans`). The rule that keeps
it honest: every cap that a way of paying stands under is in its list, so that none can be passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import msgspec

from apertura.domain.funds import (
    FundId,
    allowance_of,
    budget_of,
    fallback_of,
    promo_of,
    quota_of,
    wallet_of,
)
from apertura.domain.plans import Pass
from apertura.errors import Forbidden

_MS_PER_DAY = 86_400_000


class Gift(msgspec.Struct, frozen=True):
    """A promotion that an organization may spend until a time, in ms since 1970."""

    id: str
    until_ms: int


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may draw on beside the organization's wallet, and which caps it is under."""

    quota: bool = False
    key_reset: int | None = None
    """The day on which the key's monthly budget begins anew; None: it has none."""
    org_reset: int | None = None
    gifts: tuple[Gift, ...] = ()
    """The one that ends first, first."""


class Payer(Protocol):
    """What of a caller decides how it pays."""

    @property
    def org_id(self) -> str: ...
    @property
    def key_id(self) -> str: ...
    @property
    def caps(self) -> Caps: ...
    @property
    def plan(self) -> Pass | None: ...


class Way(NamedTuple):
    """Funds to hold over, the payer first. `credits`: what the call takes of an allowance, in
    thousandths; None where it takes money, by what it uses.
    """

    funds: tuple[FundId, ...]
    payer: Literal["wallet", "promo", "allowance"]
    credits: int | None = None


def ways(caller: Payer, model: str, now_ms: int, others: Sequence[str] = ()) -> tuple[Way, ...]:
    """How a call to a model, by the name that its caller gives, may be paid for, in order. Where
    `others` may stand in for it, a plan's way is for the one that takes the most.

    Raises:
        PaymentRequired: the caller's subscription has ended, or was not paid.
        Forbidden: the plan does not include the model.
    """
    if caller.plan is not None:
        return _by_plan(caller, caller.plan, model, now_ms, others)
    caps = caller.caps
    if not caps.gifts:
        return _by_wallet(caller.org_id, caller.key_id, caps, now_ms // _MS_PER_DAY)
    gifts = [gift for gift in caps.gifts if now_ms < gift.until_ms]
    bare = msgspec.structs.replace(caps, gifts=())
    (last,) = _by_wallet(caller.org_id, caller.key_id, bare, now_ms // _MS_PER_DAY)
    return (
        *(Way((promo_of(caller.org_id, gift.id), *last.funds[1:]), "promo") for gift in gifts),
        last,
    )


@lru_cache(maxsize=10_000)
def _by_wallet(org_id: str, key_id: str, caps: Caps, day: int) -> tuple[Way, ...]:
    funds, now_ms = [wallet_of(org_id)], day * _MS_PER_DAY
    if caps.quota:
        funds.append(quota_of(key_id))
    if caps.key_reset is not None:
        funds.append(budget_of("key", key_id, caps.key_reset, now_ms))
    return (Way((*funds, *_budget_of_org(org_id, caps, now_ms)), "wallet"),)


def rates(caller: Payer, names: Mapping[str, str], now_ms: int) -> dict[str, int]:
    """What a call takes of the plan's allowance, in thousandths, by the model that answers it;
    `names` are the models' names as the caller gives them, by their ids.
    """
    plan = caller.plan
    if plan is None:
        return {}
    return {model: plan.multiplier(name, now_ms) or 0 for model, name in names.items()}


def _by_plan(
    caller: Payer, plan: Pass, model: str, now_ms: int, others: Sequence[str]
) -> tuple[Way, ...]:
    org_id, caps = caller.org_id, caller.caps
    plan.check(now_ms)
    multiplier = plan.multiplier(model, now_ms)
    if multiplier is None:
        raise Forbidden(
            f"The plan of this API key does not include the model {model!r}. "
            "GET /v1/models lists those that it does.",
            code="model_access_denied",
            param="model",
        )
    if others:
        multiplier = max(multiplier, *(plan.multiplier(name, now_ms) or 0 for name in others))
    if multiplier == 0:
        return (Way((), "allowance", 0),)
    cycle = plan.cycle(now_ms)
    own = Way((allowance_of(org_id, cycle),), "allowance", multiplier)
    if not plan.fallback:
        return (own,)
    beside = (wallet_of(org_id), fallback_of(org_id, cycle), *_budget_of_org(org_id, caps, now_ms))
    return (own, Way(beside, "wallet"))


def _budget_of_org(org_id: str, caps: Caps, now_ms: int) -> tuple[FundId, ...]:
    if caps.org_reset is None:
        return ()
    return (budget_of("org", org_id, caps.org_reset, now_ms),)
