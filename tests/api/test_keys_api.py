"""Behaviour of /api/keys: what is shown, set, refused; and what holds right after."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from apertura.domain.keys import is_well_formed
from tests.api.client import COST, Served, id_of
from tests.api.managing import admin_key, exact, key_id, send, subscribe

HOUR_MS = 3_600_000


async def make(served: Served, admin: str, **body: Any) -> Any:
    return exact(await send(served, "POST", "/api/keys", admin, {"name": "made", **body}))


async def test_a_key_is_made_shown_once_and_used(served: Served) -> None:
    """Its answer has the key; no other answer has, nor its digest; it calls at once."""
    admin = await admin_key(served)

    made = await make(served, admin)

    key = made.pop("key")
    assert is_well_formed(key)
    assert made == {
        "id": id_of(key),
        "name": "made",
        "kind": "standard",
        "status": "enabled",
        "models": [],
        "addresses": [],
        "scopes": [],
        "quota_usd": None,
        "used_usd": 0,
        "left_usd": None,
        "calls": 0,
        "tokens": 0,
        "last_used": None,
        "budget": None,
        "expires_at": None,
        "created_at": made["created_at"],
    }
    assert (await served.chat(key)).status == 200
    shown = await served.get(f"/api/keys/{made['id']}", admin)
    listed = await served.get("/api/keys", admin)
    for answer in (shown, listed):
        assert key not in answer.body.decode()
        assert "digest" not in answer.body.decode()
    assert exact(shown)["calls"] == 1
    assert exact(shown)["key"] == f"sk-{made['id'][:4]}…{key[-4:]}"


async def test_a_key_keeps_what_it_is_given(served: Served) -> None:
    """And is held to it: its models, addresses, quota and end."""
    admin = await admin_key(served)

    made = await make(
        served,
        admin,
        models=["small", "apertis/large", "small"],
        addresses=["203.0.113.9", "10.1.2.3/8"],
        quota_usd=0.5,
        expires_at="2099-01-31",
    )

    shown = exact(await served.get(f"/api/keys/{made['id']}", admin))
    assert shown["models"] == ["small", "large"]
    assert shown["addresses"] == ["203.0.113.9/32", "10.0.0.0/8"]
    assert str(shown["quota_usd"]) == "0.5"
    assert shown["expires_at"] == "2099-01-31T00:00:00Z"
    assert (await served.chat(made["key"])).status == 200
    assert (await served.chat(made["key"], "large")).status == 200
    assert (await served.chat(made["key"], "org/with:tag")).code == "model_access_denied"
    assert (await served.chat(made["key"], peer="192.0.2.1")).code == "ip_not_allowed"
    shown = exact(await served.get(f"/api/keys/{made['id']}", admin))
    assert int(shown["used_usd"] * 10**9) == 2 * COST > 0
    assert shown["left_usd"] == shown["quota_usd"] - shown["used_usd"]


async def test_a_key_is_changed_field_by_field(served: Served) -> None:
    """What is left out stays; null takes a bound away; each holds for the next call."""
    admin = await admin_key(served)
    made = await make(served, admin, models=["small"], quota_usd="1", expires_at="2099-01-31")
    path = f"/api/keys/{made['id']}"

    for body, field, value in (
        ({"name": "  other "}, "name", "other"),
        ({"models": []}, "models", []),
        ({"models": ["large"]}, "models", ["large"]),
        ({"quota_usd": None}, "quota_usd", None),
        ({"quota_usd": 2}, "quota_usd", 2),
        ({"expires_at": None}, "expires_at", None),
        ({"addresses": ["10.0.0.1"]}, "addresses", ["10.0.0.1/32"]),
        ({"addresses": []}, "addresses", []),
        ({}, "name", "other"),
    ):
        before = exact(await served.get(path, admin))
        after = exact(await send(served, "PATCH", path, admin, body))
        assert after[field] == value
        assert {**after, field: None} == {**before, field: None, "left_usd": after["left_usd"]}
    assert (await served.chat(made["key"], "small")).code == "model_access_denied"
    assert (await served.chat(made["key"], "large")).status == 200


async def test_a_key_is_disabled_enabled_and_deleted(served: Served) -> None:
    """At once: its next call is refused, served, refused for good; its calls stay in the log."""
    admin = await admin_key(served)
    made = await make(served, admin)
    path, key = f"/api/keys/{made['id']}", made["key"]

    assert (await served.chat(key)).status == 200
    assert exact(await send(served, "PATCH", path, admin, {"status": "disabled"}))["status"]
    assert (await served.chat(key)).code == "invalid_api_key"
    await send(served, "PATCH", path, admin, {"status": "enabled"})
    assert (await served.chat(key)).status == 200
    gone = exact(await send(served, "DELETE", path, admin))
    assert gone == {"id": made["id"], "deleted": True}
    assert (await served.chat(key)).code == "invalid_api_key"
    for method in ("GET", "PATCH", "DELETE"):
        assert (await send(served, method, path, admin, {})).status == 404
    log = exact(await served.get(f"/api/log?key={made['id']}", admin))
    assert len(log["items"]) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 101),
        ("name", "a\u0000b"),
        ("name", "a\nb"),
        ("models", ["none"]),
        ("models", ["x" * 10_000]),
        ("models", ["small"] * 501),
        ("addresses", ["300.1.1.1"]),
        ("addresses", ["10.0.0.0/33"]),
        ("quota_usd", -1),
        ("quota_usd", 1e30),
        ("quota_usd", "NaN"),
        ("quota_usd", 0.0000000001),
        ("expires_at", "tomorrow"),
        ("expires_at", "2001-01-01"),
        ("expires_at", "9999-99-99"),
    ],
)
async def test_a_value_that_cannot_be_is_refused(served: Served, field: str, value: Any) -> None:
    """By the field's name, for new keys and for changes; nothing is done."""
    admin, key = await admin_key(served), await served.key(name="before")

    for method, path in (("POST", "/api/keys"), ("PATCH", f"/api/keys/{id_of(key)}")):
        answer = await send(served, method, path, admin, {"name": "other", field: value})
        assert (answer.status, answer.code) == (400, "invalid_parameter"), answer.body
        assert answer.json["error"]["param"] == field
    listed = exact(await served.get("/api/keys", admin))
    assert {each["name"] for each in listed if each["kind"] == "standard"} == {"before"}


async def test_admin_keys_are_seen_and_not_changed(served: Served) -> None:
    """Not even by the one itself: who may manage keys cannot give themselves more."""
    admin = await admin_key(served, scopes=("keys",), name="boss")
    path = f"/api/keys/{key_id(admin)}"

    assert exact(await served.get(path, admin))["scopes"] == ["keys"]
    for method in ("PATCH", "DELETE"):
        answer = await send(served, method, path, admin, {})
        assert (answer.status, answer.code) == (403, "access_denied")
    assert (await send(served, "PUT", f"{path}/budget", admin, {"cap_usd": 1})).status == 403
    assert (await served.get(path, admin)).status == 200


async def test_a_subscriptions_key_keeps_to_its_plan(served: Served) -> None:
    """Its name, models and addresses are its owner's; quota, end and deletion are the plan's."""
    admin = await admin_key(served)
    _, key = await subscribe(served)
    path = f"/api/keys/{key_id(key)}"

    assert exact(await send(served, "PATCH", path, admin, {"name": "mine"}))["name"] == "mine"
    for method, body in (
        ("PATCH", {"quota_usd": 1}),
        ("PATCH", {"expires_at": "2099-01-01"}),
        ("DELETE", None),
    ):
        assert (await send(served, method, path, admin, body)).code == "access_denied"
    assert (await send(served, "PUT", f"{path}/budget", admin, {"cap_usd": 1})).status == 403


async def test_a_lowered_quota_refuses_calls(served: Served) -> None:
    """Below what is used nothing is left; what is lent of it to the worker comes back soon."""
    admin = await admin_key(served)
    made = await make(served, admin, quota_usd=1)
    assert (await served.chat(made["key"])).status == 200

    after = exact(
        await send(served, "PATCH", f"/api/keys/{made['id']}", admin, {"quota_usd": 1e-9})
    )

    assert after["left_usd"] == 0
    while (answer := await served.chat(made["key"])).status == 200:
        await asyncio.sleep(0.01)
    assert answer.code == "quota_exceeded"


async def units(served: Served, key: str) -> dict[str, Any]:
    """What `/v1/token/keys` shows, by the names of keys."""
    return {each["name"]: each for each in exact(await served.get("/v1/token/keys", key))}


async def test_the_tool_server_lists_and_makes_keys(served: Served) -> None:
    """In the shapes that it reads; amounts in units of which 500,000 are a dollar."""
    await admin_key(served, name="boss")
    key = await served.key(name="mine", quota_nano=3_000_000_000)
    assert (await served.chat(key)).status == 200

    made = exact(await send(served, "POST", "/v1/token/keys", key, {"name": "x", "quota": 500_000}))

    assert is_well_formed(made["key"])
    assert made == {
        "id": id_of(made["key"]),
        "name": "x",
        "key": made["key"],
        "status": "enabled",
        "remaining_quota": 500_000,
        "total_quota": 500_000,
        "created_at": made["created_at"],
        "last_used": None,
    }
    listed = await units(served, key)
    assert set(listed) == {"mine", "x"}
    assert listed["mine"]["total_quota"] == 1_000_000
    assert listed["mine"]["remaining_quota"] == (2_000_000_000 - COST) // 2_000
    assert listed["mine"]["last_used"] == time.strftime("%Y-%m-%d", time.gmtime())
    assert made["key"] not in json.dumps(listed)
    assert (await served.chat(made["key"])).status == 200


async def test_a_new_key_may_do_no_more_than_its_maker(served: Served) -> None:
    """Its models, addresses and end are the maker's."""
    soon = time.time_ns() // 1_000_000 + HOUR_MS
    key = await served.key(models=("small",), addresses=("203.0.113.0/24",), expires_at=soon)

    made = exact(await send(served, "POST", "/v1/token/keys", key, {"name": "x"}))

    shown = exact(await served.get(f"/api/keys/{made['id']}", await admin_key(served)))
    assert (shown["models"], shown["addresses"]) == (["small"], ["203.0.113.0/24"])
    assert shown["expires_at"] is not None
    assert (await served.chat(made["key"], "large")).code == "model_access_denied"
    assert (await served.chat(made["key"], peer="192.0.2.1")).code == "ip_not_allowed"


async def test_a_quota_is_passed_on_and_not_doubled(served: Served) -> None:
    """Maker and made together may spend what the maker could; more is refused, nothing is made."""
    key = await served.key(name="mine", quota_nano=1_000_000_000)
    made = exact(await send(served, "POST", "/v1/token/keys", key, {"name": "a", "quota": 400_000}))
    again = exact(
        await send(served, "POST", "/v1/token/keys", made["key"], {"name": "b", "quota": 300_000})
    )

    for by, quota in ((key, 100_001), (made["key"], 100_001), (again["key"], 300_001)):
        refused = await send(served, "POST", "/v1/token/keys", by, {"name": "c", "quota": quota})
        assert (refused.status, refused.json["error"]["param"]) == (400, "quota")
    without = await send(served, "POST", "/v1/token/keys", key, {"name": "c"})
    assert (without.code, without.json["error"]["param"]) == ("missing_parameter", "quota")
    totals = {name: each["total_quota"] for name, each in (await units(served, key)).items()}
    assert totals == {"mine": 100_000, "a": 100_000, "b": 300_000}


async def test_only_some_keys_make_keys(served: Served) -> None:
    """Not a subscription's, not an admin's, not one whose budget others would not be under."""
    _, plan = await subscribe(served)
    admin = await admin_key(served)
    bounded = await served.key()
    await send(served, "PUT", f"/api/keys/{id_of(bounded)}/budget", admin, {"cap_usd": 1})

    for key in (plan, admin, bounded):
        answer = await send(served, "POST", "/v1/token/keys", key, {"name": "x"})
        assert (answer.status, answer.code) == (403, "access_denied")
    for quota in (0, -1, 10**15, 1.5, "1", True):
        key = await served.key()
        answer = await send(served, "POST", "/v1/token/keys", key, {"name": "x", "quota": quota})
        assert (answer.status, answer.json["error"]["param"]) == (400, "quota"), quota
