"""Behaviour of what is shown of money: the credits endpoint, the overview, budgets."""

from __future__ import annotations

import time
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from apertura.store import identity, promos, subscriptions
from apertura.store.promos import Promo
from tests.api.client import COST, WALLET_USD, Served, gateway, id_of
from tests.api.managing import DOLLAR, admin_key, exact, key_id, send, subscribe

CREDITS = "/v1/dashboard/billing/credits"
USED = Decimal(COST) / DOLLAR
DAY_MS = 86_400_000


async def shown(served: Served, key: str) -> Any:
    """The body of the credits endpoint."""
    answer = await served.get(CREDITS, key)
    assert answer.status == 200, answer.body
    return answer.json


async def give(served: Served, name: str, amount: int) -> None:
    """A gift that lasts a day."""
    now_ms = time.time_ns() // 1_000_000
    promo = Promo(
        id=name,
        org_id=served.org_id,
        amount=amount,
        note="welcome",
        granted_at=now_ms,
        expires_at=now_ms + DAY_MS,
    )
    await served.database.write(partial(promos.grant, promo=promo))


async def test_credits_of_a_key_with_a_quota(served: Served) -> None:
    """The contract's fields and the older ones; no budget, no plan, so no word of them."""
    key = await served.key(quota_nano=4 * DOLLAR)
    assert (await served.chat(key)).status == 200

    used, left = float(USED), float(4 - USED)
    assert await shown(served, key) == {
        "object": "billing_credits",
        "is_subscriber": False,
        "payg": {
            "account_credits": float(WALLET_USD - USED),
            "token_used": used,
            "token_total": 4,
            "token_remaining": left,
            "token_is_unlimited": False,
            "remaining_usd": left,
            "used_usd": used,
            "total_usd": 4,
            "is_unlimited": False,
        },
    }


async def test_credits_of_a_key_without_a_quota(served: Served) -> None:
    """The contract's word where there is no number; gifts count."""
    await give(served, "gift", 5 * DOLLAR)

    payg = (await shown(served, await served.key()))["payg"]

    assert payg["account_credits"] == WALLET_USD + 5
    assert (payg["token_total"], payg["token_remaining"]) == ("unlimited", "unlimited")
    assert payg["token_is_unlimited"] is payg["is_unlimited"] is True
    assert (payg["total_usd"], payg["remaining_usd"]) == (None, None)


async def test_credits_under_a_budget(served: Served) -> None:
    """Its fields are there; of two budgets, those of the one that is reached first."""
    admin, key = await admin_key(served), await served.key()
    assert (await served.chat(key)).status == 200
    await send(served, "PUT", "/api/billing/budget", admin, {"cap_usd": 50, "reset_day": 7})

    payg = (await shown(served, key))["payg"]
    assert (payg["token_monthly_limit_usd"], payg["monthly_limit_usd"]) == (50, 50)
    assert payg["token_monthly_used_usd"] == payg["monthly_used_usd"] == float(USED)
    assert payg["monthly_reset_day"] == 7

    await send(served, "PUT", f"/api/keys/{id_of(key)}/budget", admin, {"cap_usd": 2})
    payg = (await shown(served, key))["payg"]
    assert (payg["token_monthly_limit_usd"], payg["monthly_reset_day"]) == (2, 1)


async def test_credits_of_a_subscriber(served: Served) -> None:
    """The block is the same for every key of the organization; money beside it only if it may pay;
    what is begun of a credit is not used yet.
    """
    sub_id, key = await subscribe(served, "pro")
    standard = await served.key()
    before = await shown(served, key)
    answers = [await served.chat(key) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]

    body = await shown(served, key)

    plan = body["subscription"]
    assert body["is_subscriber"] is True
    assert before["subscription"] | {"cycle_quota_used": 0} == before["subscription"]
    taken = served.app.parts.plans.plans["pro"].multiplier("small")
    assert taken is not None
    assert plan == {
        "plan_type": "pro",
        "status": "active",
        "cycle_quota_limit": 900,
        "cycle_quota_used": 2 * taken // 1000,
        "cycle_quota_remaining": 900 - 2 * taken // 1000,
        "cycle_start": plan["cycle_start"],
        "cycle_end": plan["cycle_end"],
        "payg_fallback_enabled": False,
    }
    assert plan["cycle_start"] < plan["cycle_end"]
    assert (await shown(served, standard))["subscription"] == plan
    assert body["payg"]["token_used"] == 0

    write = served.database.write
    now_ms = time.time_ns() // 1_000_000
    await write(lambda tx: subscriptions.set_fallback(tx, sub_id, True, 2 * DOLLAR, now_ms))
    plan = (await shown(served, key))["subscription"]
    assert (plan["payg_fallback_enabled"], plan["payg_spent_usd"]) == (True, 0)
    assert plan["payg_limit_usd"] == 2
    await write(lambda tx: subscriptions.set_fallback(tx, sub_id, True, None, now_ms))
    assert "payg_limit_usd" not in (await shown(served, key))["subscription"]
    await write(lambda tx: subscriptions.cancel_at_end(tx, sub_id, now_ms))
    assert (await shown(served, key))["subscription"]["status"] == "cancelled"
    await write(lambda tx: subscriptions.end(tx, sub_id, now_ms))
    assert (await shown(served, standard))["is_subscriber"] is False


async def test_the_overview_has_it_all(served: Served) -> None:
    """Balance, gifts, what is held and what may be spent; the rest is null where there is none."""
    admin = await admin_key(served)
    await give(served, "gift", 5 * DOLLAR)
    assert (await served.chat(await served.key())).status == 200  # the gift pays

    data = exact(await served.get("/api/billing/overview", admin))

    (promo,) = data.pop("promos")
    assert (promo["note"], promo["amount_usd"], promo["left_usd"]) == ("welcome", 5, 5 - USED)
    held = data.pop("held_usd")
    assert held >= 0
    assert data == {
        "balance_usd": WALLET_USD,
        "promo_usd": 5 - USED,
        "available_usd": WALLET_USD + 5 - USED - held,
        "band": "normal",
        "budget": None,
        "subscription": None,
        "auto_top_up": None,
    }


async def test_the_overview_knows_the_plan(served: Served) -> None:
    """As /api/subscription has it."""
    admin = await admin_key(served)
    sub_id, key = await subscribe(served)

    plan = exact(await served.get("/api/billing/overview", admin))["subscription"]

    assert (plan["id"], plan["key_id"], plan["plan"]) == (sub_id, key_id(key), "lite")
    own = exact(await served.get("/api/subscription", admin))
    assert [one["what"] for one in own.pop("history")] == ["started", "paid", "key"]
    assert own == plan


async def test_a_budget_is_set_seen_and_kept_to(served: Served) -> None:
    """It counts what was used in its month already, and null takes it away."""
    admin, key = await admin_key(served), await served.key()
    assert exact(await served.get("/api/billing/budget", admin)) is None
    assert (await served.chat(key)).status == 200

    body = {"cap_usd": str(USED), "reset_day": 3}
    made = exact(await send(served, "PUT", "/api/billing/budget", admin, body))

    assert made == {
        "cap_usd": USED,
        "used_usd": USED,
        "left_usd": 0,
        "reset_day": 3,
        "resets_at": made["resets_at"],
    }
    assert made["resets_at"][8:] == "03T00:00:00Z"
    assert exact(await served.get("/api/billing/budget", admin)) == made
    refused = await served.chat(key)
    assert (refused.status, refused.code) == (402, "quota_exceeded")
    assert exact(await send(served, "PUT", "/api/billing/budget", admin, {"cap_usd": None})) is None
    assert (await served.chat(key)).status == 200


async def test_a_keys_budget_is_its_own(served: Served) -> None:
    """Other keys do not count, and are not held to it."""
    admin = await admin_key(served)
    one, two = await served.key(), await served.key()
    assert (await served.chat(two)).status == 200

    path = f"/api/keys/{id_of(one)}/budget"
    made = exact(await send(served, "PUT", path, admin, {"cap_usd": 0}))

    assert (made["used_usd"], made["left_usd"], made["reset_day"]) == (0, 0, 1)
    assert (await served.chat(one)).code == "quota_exceeded"
    assert (await served.chat(two)).status == 200
    listed = {key["id"]: key["budget"] for key in exact(await served.get("/api/keys", admin))}
    assert listed[id_of(one)] == {"cap_usd": 0, "reset_day": 1}
    assert listed[id_of(two)] is None


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"cap_usd": 1, "reset_day": 0}, "invalid_parameter", "reset_day"),
        ({"cap_usd": 1, "reset_day": 29}, "invalid_parameter", "reset_day"),
        ({"cap_usd": -1}, "invalid_parameter", "cap_usd"),
        ({"cap_usd": 10**12}, "invalid_parameter", "cap_usd"),
        ({"cap_usd": "1e-10"}, "invalid_parameter", "cap_usd"),
        ({"cap_usd": True}, "invalid_parameter", "cap_usd"),
        ({}, "missing_parameter", "cap_usd"),
    ],
)
async def test_a_budget_that_is_none_is_refused(
    served: Served, body: dict[str, Any], code: str, param: str
) -> None:
    """By the name of what is wrong."""
    admin = await admin_key(served)
    key = id_of(await served.key())

    for path in ("/api/billing/budget", f"/api/keys/{key}/budget"):
        answer = await send(served, "PUT", path, admin, body)
        assert (answer.status, answer.code) == (400, code)
        assert answer.json["error"]["param"] == param


async def test_the_older_endpoints_count_in_units(tmp_path) -> None:
    """500,000 to the dollar: what is left is rounded down, what is used up."""
    async with gateway(tmp_path) as served:
        key = await served.key(name="mine", quota_nano=DOLLAR)
        user = await identity.create_user(
            served.database, "owner@example.com", "Ann", random=b"u" * 13, now_ms=1
        )
        await identity.add_member(served.database, served.org_id, user.id, "owner")
        assert (await served.chat(key)).status == 200

        me = exact(await served.get("/api/user/self", key))
        token = exact(await served.get("/api/user/token", key))
        info = exact(await served.get("/v1/token/info", key))

        assert me == {
            "id": served.org_id,
            "username": "Ann",
            "display_name": "Ann",
            "email": "owner@example.com",
            "quota": (WALLET_USD * DOLLAR - COST) // 2000,
            "used_quota": -(-COST // 2000),
            "request_count": 1,
            "status": 1,
        }
        assert token == {
            "id": id_of(key),
            "name": "mine",
            "remain_quota": (DOLLAR - COST) // 2000,
            "used_quota": -(-COST // 2000),
            "unlimited_quota": False,
            "expires_at": None,
        }
        assert info == {
            "id": id_of(key),
            "name": "mine",
            "kind": "standard",
            "is_unlimited": False,
            "remain_quota_usd": 1 - USED,
            "owner": {"username": "Ann", "email": "owner@example.com"},
            "subscription": None,
        }


async def test_what_a_subscriptions_key_has_left(served: Served) -> None:
    """Its plan, and of the balance nothing unless that may pay."""
    sub_id, key = await subscribe(served)

    info = exact(await served.get("/v1/token/info", key))
    usage = (await served.get("/v1/token/usage", key)).json["data"]

    assert info["remain_quota_usd"] == 0
    assert (info["subscription"]["plan"], info["subscription"]["status"]) == ("lite", "active")
    assert (usage["remain_quota_usd"], usage["subscription"]["plan"]) == (0, "lite")
    now_ms = time.time_ns() // 1_000_000
    await served.database.write(
        lambda tx: subscriptions.set_fallback(tx, sub_id, True, None, now_ms)
    )
    served.app.parts.callers.forget()
    assert exact(await served.get("/v1/token/info", key))["remain_quota_usd"] == WALLET_USD
