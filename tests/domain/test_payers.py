"""Who pays for a call: the ways to pay, in order, and the caps that each stands under."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest

from apertura.domain.identity import Caller
from apertura.domain.keys import KeyId, KeyPolicy, OrgId
from apertura.domain.money import Nano
from apertura.domain.payers import Caps, Gift, Way, rates, ways
from apertura.domain.plans import Pass, Plan, Subscription, Terms
from apertura.errors import Forbidden, PaymentRequired


def at(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


NOW = at("2026-03-10T00:00:00")
PLAN = Plan(
    id="pro",
    title="Pro",
    monthly=Nano(25 * 10**9),
    allowance=900_000,
    per_model=20,
    multipliers={"large": 1_500, "tiny": 0},
)
TERMS = Terms(plan="pro", period="monthly", price=Nano(25 * 10**9), allowance=900_000)


def caller(caps: Caps | None = None, plan: Pass | None = None) -> Caller:
    return Caller(
        key_id=KeyId("k"),
        org_id=OrgId("o"),
        key_name="test",
        policy=KeyPolicy(),
        caps=caps or Caps(),
        plan=plan,
    )


def subscriber(**fields: object) -> Pass:
    bought = Subscription(
        id="s",
        org_id="o",
        key_id="k",
        terms=TERMS,
        anchor_ms=at("2026-03-01T12:00:00"),
        paid_until_ms=at("2026-04-01T12:00:00"),
    )
    return Pass(subscription=msgspec.structs.replace(bought, **fields), plan=PLAN)


def test_the_wallet_pays_under_each_cap() -> None:
    """In this order; caps that are not set are left out."""
    caps = Caps(quota=True, key_reset=1, org_reset=28)
    assert ways(caller(), "large", NOW) == (Way(("org:o:wallet",), "wallet"),)
    assert ways(caller(caps), "large", NOW) == (
        Way(
            (
                "org:o:wallet",
                "key:k:quota",
                "key:k:budget:2026-03-01",
                "org:o:budget:2026-02-28",
            ),
            "wallet",
        ),
    )


def test_a_budget_begins_anew_at_midnight() -> None:
    """To the millisecond, for the key and for the organization."""
    caps = Caps(key_reset=10, org_reset=10)
    for now, day in ((NOW - 1, "2026-02-10"), (NOW, "2026-03-10")):
        (way,) = ways(caller(caps), "large", now)
        assert way.funds == ("org:o:wallet", f"key:k:budget:{day}", f"org:o:budget:{day}")


def test_gifts_pay_first_while_they_last_and_under_the_same_caps() -> None:
    """The one that ends first, first; one that is over is not asked; the wallet is last."""
    caps = Caps(quota=True, gifts=(Gift("old", NOW), Gift("a", NOW + 1), Gift("b", NOW + 9)))
    found = ways(caller(caps), "large", NOW)
    assert [(way.funds, way.payer, way.credits) for way in found] == [
        (("org:o:promo:a", "key:k:quota"), "promo", None),
        (("org:o:promo:b", "key:k:quota"), "promo", None),
        (("org:o:wallet", "key:k:quota"), "wallet", None),
    ]


def test_a_plan_pays_with_its_cycle_and_nothing_else_does() -> None:
    """A fixed number of credits; without fallback there is no second way."""
    assert ways(caller(plan=subscriber()), "large", NOW) == (
        Way(("org:o:plan:s.0",), "allowance", 1_500),
    )


def test_beside_the_plan_the_wallet_pays_up_to_the_cycles_cap() -> None:
    """And under the organization's budget; gifts and the key's own caps are not a plan's."""
    caps = Caps(org_reset=28, gifts=(Gift("a", NOW + 1),))
    assert ways(caller(caps, subscriber(fallback=True)), "large", NOW)[1:] == (
        Way(("org:o:wallet", "org:o:fallback:s.0", "org:o:budget:2026-02-28"), "wallet"),
    )
    assert len(ways(caller(caps, subscriber(fallback=True, fallback_cap=0)), "large", NOW)) == 1


def test_a_free_model_takes_nothing_of_anything() -> None:
    """No fund is asked, so that it answers also when everything is used up."""
    assert ways(caller(plan=subscriber(fallback=True)), "tiny", NOW) == (Way((), "allowance", 0),)


def test_a_model_outside_the_plan_is_refused_by_name() -> None:
    """Even with fallback: the plan says what its key may use."""
    with pytest.raises(Forbidden) as refused:
        ways(caller(plan=subscriber(fallback=True)), "other", NOW)
    assert (refused.value.code, refused.value.param) == ("model_access_denied", "model")
    assert refused.value.message == (
        "The plan of this API key does not include the model 'other'. "
        "GET /v1/models lists those that it does."
    )


def test_the_plan_that_holds_now_is_asked() -> None:
    """Where another one follows, from its moment on."""
    held = msgspec.structs.replace(
        subscriber(next_at_ms=NOW),
        next_plan=msgspec.structs.replace(PLAN, multipliers={"large": 9, "other": 0}),
    )
    assert ways(caller(plan=held), "large", NOW - 1)[0].credits == 1_500
    assert ways(caller(plan=held), "large", NOW)[0].credits == 9
    assert ways(caller(plan=held), "other", NOW) == (Way((), "allowance", 0),)


def test_a_subscription_that_is_over_pays_for_nothing() -> None:
    """Not even by its fallback."""
    with pytest.raises(PaymentRequired) as refused:
        ways(caller(plan=subscriber(cancel_at_end=True, fallback=True)), "large", NOW + 10**10)
    assert refused.value.code == "subscription_expired"


def test_a_plan_holds_the_most_that_a_model_on_the_route_takes() -> None:
    """And says what each takes; one that takes nothing may stand beside one that does."""
    who = caller(plan=subscriber())

    [way] = ways(who, "tiny", NOW, ["large", "other"])
    assert (way.payer, way.credits) == ("allowance", 1_500)
    [way] = ways(who, "large", NOW, ["tiny"])
    assert way.credits == 1_500
    assert rates(who, {"tiny-1": "tiny", "large-1": "large"}, NOW) == {
        "tiny-1": 0,
        "large-1": 1_500,
    }
    assert rates(caller(), {"tiny": "tiny"}, NOW) == {}
    with pytest.raises(Forbidden):
        ways(who, "other", NOW, ["large"])


def test_models_that_may_stand_in_are_asked_of_the_plan_that_holds_now() -> None:
    """One that is not in it adds nothing, not even where the call takes nothing."""
    cheap = msgspec.structs.replace(PLAN, multipliers={"tiny": 5})
    held = caller(plan=msgspec.structs.replace(subscriber(next_at_ms=NOW), next_plan=cheap))

    def taken(now_ms: int, *others: str) -> int | None:
        return ways(held, "tiny", now_ms, others)[0].credits

    assert [taken(NOW - 1), taken(NOW - 1, "other"), taken(NOW - 1, "large")] == [0, 0, 1_500]
    assert [taken(NOW), taken(NOW, "large")] == [5, 5]
    assert rates(held, {"id-1": "large", "id-2": "tiny"}, NOW) == {"id-1": 0, "id-2": 5}
