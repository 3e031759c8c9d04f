"""What callers of a subscription's key see and may do."""

from __future__ import annotations

import os
import time
from functools import partial

import pytest

from apertura.domain import keys, secrets
from apertura.domain.plans import MS_PER_DAY, Subscription
from apertura.store import subscriptions
from tests.api.client import SECRET, Served

MONTHS_MS = 40 * MS_PER_DAY


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def subscribe(
    served: Served, plan: str, *, ago_ms: int = 0, paid: bool = True
) -> tuple[Subscription, str]:
    """A subscription that began so long ago, and its key."""
    began = now_ms() - ago_ms
    known = served.app.parts.plans.plans[plan]
    start = partial(
        subscriptions.start,
        org_id=served.org_id,
        plan=known,
        random=os.urandom(subscriptions.START_BYTES),
        now_ms=began,
    )
    sub = await served.database.write(start)
    if paid:
        pay = partial(subscriptions.pay_period, sub_id=sub.id, via="manual", amount=1)
        await served.database.write(partial(pay, reference=sub.id, now_ms=began))
    minted = keys.mint_again(sub.key_id, os.urandom(keys.RANDOM_BYTES), "subscription")
    pepper = secrets.derive(SECRET, secrets.KEY_DIGEST)
    digest = keys.Digester(pepper).digest(minted.key.encode()).hex()
    await served.database.write(
        partial(
            subscriptions.set_key,
            sub_id=sub.id,
            digest=digest,
            last4=minted.last4,
            now_ms=began,
        )
    )
    return sub, minted.key


async def test_a_subscriber_sees_the_models_of_the_plan(served: Served) -> None:
    """With what a call takes, and the plan that they come from; and no others."""
    _, key = await subscribe(served, "pro")

    listed = (await served.get("/v1/models", key)).json["data"]
    small = (await served.get("/v1/models/small", key)).json
    hidden = await served.get("/v1/models/unpriced", key)

    assert [model["id"] for model in listed] == ["large", "org/with:tag", "small"]
    assert {(model["multiplier"], model["tier"]) for model in listed} == {(1.5, "pro")}
    assert (small["multiplier"], small["tier"], small["context_length"]) == (1.5, "pro", 8000)
    assert (hidden.status, hidden.code) == (404, "model_not_found")
    named = (await served.get("/v1/models/apertis/code:small", key)).json
    assert (named["id"], named["multiplier"]) == ("small", 1.5)


async def test_other_keys_see_nothing_of_plans(served: Served) -> None:
    """Neither a multiplier nor a tier."""
    listed = (await served.get("/v1/models", await served.key())).json["data"]

    assert len(listed) == 5
    assert not any({"multiplier", "tier"} & model.keys() for model in listed)


async def test_a_smaller_plan_has_fewer_models(served: Served) -> None:
    """What it leaves out it refuses."""
    _, key = await subscribe(served, "lite")

    assert (await served.get("/v1/models", key)).json["data"] == []
    refused = await served.chat(key)
    assert (refused.status, refused.code) == (403, "model_access_denied")


async def test_a_call_takes_the_multiplier_of_its_model(served: Served) -> None:
    """From the cycle's allowance, and nothing from the wallet."""
    sub, key = await subscribe(served, "pro")

    answer = await served.chat(key)

    assert answer.status == 200
    await served.app.parts.settlement.flush()
    found = await subscriptions.find(served.database, served.org_id)
    assert found is not None
    use = await subscriptions.use_of(served.database, found, now_ms())
    assert (use.granted, use.granted - use.left) == (900_000, 1_500)
    assert (use.limit, use.used, use.remaining) == (900, 1, 899)
    assert sub.id == found.id


@pytest.mark.parametrize(("paid", "code"), [(False, "payment_failed"), (True, "payment_failed")])
async def test_what_is_not_paid_is_refused(served: Served, paid: bool, code: str) -> None:
    """402, at the end of the grace or before the first payment."""
    _, key = await subscribe(served, "pro", ago_ms=MONTHS_MS, paid=paid)

    answer = await served.chat(key)

    assert (answer.status, answer.code) == (402, code)


async def test_what_has_ended_is_refused(served: Served) -> None:
    """At once, also where the server has known the caller."""
    sub, key = await subscribe(served, "pro")
    assert (await served.chat(key)).status == 200

    await served.database.write(partial(subscriptions.end, sub_id=sub.id, now_ms=now_ms()))
    served.app.parts.callers.forget()

    answer = await served.chat(key)
    assert (answer.status, answer.code) == (402, "subscription_expired")
