"""Behaviour of plans and of an organization's subscription, over the API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from apertura.domain import ledger as books
from apertura.domain import plans
from apertura.store import ledger, subscriptions
from tests.api.client import WALLET_USD, Served
from tests.api.managing import admin_key, exact, key_id, send, subscribe

DEEDS = ("cancel", "resume", "change", "fallback", "key")
BODIES: dict[str, Any] = {"change": {"plan": "lite"}, "fallback": {"enabled": True}}


async def do(served: Served, admin: str, deed: str, body: object = None) -> Any:
    return exact(await send(served, "POST", f"/api/subscription/{deed}", admin, body))


async def test_plans_are_for_everybody(served: Served) -> None:
    """What is on sale, the cheapest first, with its prices by period."""
    listed = exact(await served.get("/api/plans"))

    assert [plan["id"] for plan in listed] == ["lite", "pro", "plus", "max"]
    prices = [plan["price_usd"]["monthly"] for plan in listed]
    assert prices == sorted(prices) == [12, 25, 60, 200]
    for plan in listed:
        price = plan["price_usd"]
        assert price["monthly"] * 12 > price["quarterly"] * 4 > price["yearly"]
        assert plan["credits"] > 0
        assert plan["calls_per_minute_and_model"] > 0
    assert listed[1]["multipliers"]["small"] > 0


async def test_without_a_subscription_there_is_nothing_to_change(served: Served) -> None:
    """Null to see; 404 to change."""
    admin = await admin_key(served)

    assert exact(await served.get("/api/subscription", admin)) is None
    for deed in DEEDS:
        path = f"/api/subscription/{deed}"
        answer = await send(served, "POST", path, admin, BODIES.get(deed))
        assert (answer.status, answer.code) == (404, "subscription_not_found"), deed


async def test_it_is_cancelled_at_the_end_and_resumed(served: Served) -> None:
    """Its key works until then; both may be said again."""
    admin = await admin_key(served)
    _, key = await subscribe(served, "pro")

    for deed, status in (("cancel", "cancelled"), ("cancel", "cancelled"), ("resume", "active")):
        after = await do(served, admin, deed)
        assert (after["status"], after["cancel_at_end"]) == (status, status == "cancelled")
        assert (await served.chat(key)).status == 200
    assert await do(served, admin, "resume", {}) == exact_without_history(
        exact(await served.get("/api/subscription", admin))
    )


def exact_without_history(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != "history"}


async def test_a_cheaper_plan_follows_and_a_dearer_one_is_paid_first(served: Served) -> None:
    """At the end of what is paid; nothing is given for nothing."""
    admin = await admin_key(served)
    _, key = await subscribe(served, "pro")

    after = await do(served, admin, "change", {"plan": "lite", "period": "yearly"})
    assert (after["plan"], after["next"]["plan"], after["next"]["period"]) == (
        *("pro", "lite", "yearly"),
    )
    assert after["next"]["at"] == after["paid_until"]
    refused = await send(served, "POST", "/api/subscription/change", admin, {"plan": "max"})
    assert (refused.status, refused.code) == (402, "payment_required")
    assert "174" in refused.json["message"] or "175" in refused.json["message"]
    after = await do(served, admin, "change", {"plan": "pro"})
    assert (after["plan"], after["next"]) == ("pro", None)
    assert (await served.chat(key)).status == 200
    unknown = await send(served, "POST", "/api/subscription/change", admin, {"plan": "none"})
    assert (unknown.status, unknown.json["error"]["param"]) == (400, "plan")


async def test_the_balance_pays_beside_the_plan_if_it_may(served: Served) -> None:
    """For what the allowance does not cover, at once after it was said, up to its limit."""
    admin = await admin_key(served)
    sub_id, key = await subscribe(served, "pro")
    await spend_all(served, sub_id)
    assert (await served.chat(key)).code == "quota_exceeded"

    after = await do(served, admin, "fallback", {"enabled": True, "limit_usd": 2})
    assert after["fallback"] == {"enabled": True, "limit_usd": 2, "spent_usd": 0}
    assert (await served.chat(key)).status == 200
    spent = exact(await served.get("/api/subscription", admin))["fallback"]["spent_usd"]
    balance = exact(await served.get("/api/billing/overview", admin))["balance_usd"]
    assert 0 < spent == WALLET_USD - balance

    after = await do(served, admin, "fallback", {"enabled": True, "limit_usd": 0})
    assert after["fallback"]["enabled"] is False
    assert (await served.chat(key)).code == "quota_exceeded"
    wrong = await send(
        served, "POST", "/api/subscription/fallback", admin, {"enabled": True, "limit_usd": -1}
    )
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "limit_usd")


async def spend_all(served: Served, sub_id: str) -> None:
    """Nothing is left of the allowance."""
    sub = await subscriptions.find_by_id(served.database, sub_id)
    assert sub is not None
    name = f"{sub_id}.0"

    async def take(tx: Any) -> None:
        await subscriptions.grant_cycle(tx, books.plan(served.org_id, name))
        whole = plans.expiry(served.org_id, name, sub.terms.allowance, at=1)
        await ledger.post(tx, whole)

    await served.database.write(take)


async def test_its_key_is_made_anew(served: Served) -> None:
    """Shown once; the old one is refused at once, and the id stays."""
    admin = await admin_key(served)
    _, key = await subscribe(served, "pro")

    made = await do(served, admin, "key")

    assert made["id"] == key_id(key) == key_id(made["key"])
    assert made["key"].startswith("sk-sub-")
    assert (await served.chat(key)).code == "invalid_api_key"
    assert (await served.chat(made["key"])).status == 200
    assert (await served.chat(made["key"].replace("sk-sub-", "sk-sub_"))).status == 200


@pytest.mark.parametrize("deed", DEEDS)
async def test_what_has_ended_is_not_changed(served: Served, deed: str) -> None:
    """It is there no more."""
    admin = await admin_key(served)
    sub_id, _ = await subscribe(served)
    now_ms = time.time_ns() // 1_000_000
    await served.database.write(lambda tx: subscriptions.end(tx, sub_id, now_ms))

    answer = await send(served, "POST", f"/api/subscription/{deed}", admin, BODIES.get(deed))

    assert (answer.status, answer.code) == (404, "subscription_not_found")
    assert exact(await served.get("/api/subscription", admin)) is None
