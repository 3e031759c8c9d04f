"""Who may do what: every path of the product, by every kind of key, from the table of its URLs."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from apertura import urls
from apertura.domain import keys
from apertura.domain.keys import AREAS, READ, SCOPES
from apertura.store import identity
from tests.api.client import Served, gateway, new_key
from tests.api.managing import (
    admin_key,
    call_at,
    exact,
    key_id,
    other_organization,
    send,
    subscribe,
    used,
)

PUBLIC = {
    "/",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/api/models",
    "/api/v2/models",
    "/api/v2/models/",
    "/api/plans",
}
"""For everybody, or by address."""
FOR_ANY_KEY = {
    "/dashboard/billing/credits",
    "/token/info",
    "/token/keys",
    "/token/usage",
    "/api/user/self",
    "/api/user/token",
}
"""What clients ask with whatever key they have: below a base, or whole."""
OF_ONE_CALL = {"/receipts/{id}"}
"""So, of a call of their organization."""
NOT_BY_KEY = ("/webhooks/", "/api/webhooks/", "/api/payments/webhooks/")
"""Signed by whoever sends them."""
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
MINE = "/api/"


class Route(NamedTuple):
    method: str
    path: str


def under_api() -> list[Route]:
    """Every management endpoint: what stands under /api and is for nobody else."""
    return sorted(
        Route(method, path)
        for path, methods in urls.cold().items()
        if path.startswith(MINE) and path not in PUBLIC | FOR_ANY_KEY
        if not path.startswith(NOT_BY_KEY)
        for method in methods
    )


def of_calls() -> list[Route]:
    """Every endpoint that is for keys that make calls."""
    hot = [Route("POST", f"/v1{path}") for path in urls.HOT]
    cold = [
        Route(method, f"/v1{path}")
        for path, methods in urls.API.items()
        if path not in FOR_ANY_KEY | OF_ONE_CALL
        for method in methods
    ]
    return [*hot, *cold, Route("POST", "/v1beta/models/small:generateContent")]


def filled(path: str, name: str) -> str:
    """A path with a name in each of its places."""
    return re.sub(r"\{[a-z:]+\}", name, path)


class Tenants:
    """Two organizations, and keys of every kind."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.keys: dict[str, str] = {}

    async def fill(self) -> None:
        served = self.served
        self.other = (await other_organization(served)).id
        self.sub_id, self.keys["subscription"] = await subscribe(served)
        self.keys["standard"] = await served.key()
        self.keys["admin"] = await admin_key(served)
        self.keys["reading"] = await admin_key(served, scopes=(READ,))
        self.keys["foreign"] = await admin_key(served, self.other)
        self.foreign_key = key_id(await new_key(served.database, self.other))
        self.row = call_at(time.time_ns() // 1_000_000, org_id=served.org_id, key_id="key_1")
        self.foreign_row = call_at(time.time_ns() // 1_000_000, 1, org_id=self.other)
        await used(served, self.row, self.foreign_row)


@pytest.fixture
async def tenants(tmp_path) -> AsyncIterator[Tenants]:
    async with gateway(tmp_path, limit_per_address="off", limit_queries="off") as served:
        made = Tenants(served)
        await made.fill()
        yield made


def test_every_path_has_a_place_here() -> None:
    """A new path under /api is for admin keys, or it is named above."""
    known = PUBLIC | FOR_ANY_KEY
    assert {path for path in known if path not in urls.OWN} <= set(urls.API)
    assert set(urls.MANAGEMENT) <= {path for _, path in under_api()}
    assert set(urls.MANAGEMENT).isdisjoint(known)


async def test_management_is_for_admin_keys(tenants: Tenants) -> None:
    """Without a key 401; with one that makes calls 403, which names the kind that would do; and
    the same whether or not there is what the path names.
    """
    for method, path in under_api():
        for name in (key_id(tenants.keys["standard"]), tenants.foreign_key, "nothing"):
            target = filled(path, name)
            nobody = await send(tenants.served, method, target, "")
            assert (nobody.status, nobody.code) == (401, "missing_api_key"), target
            for kind in ("standard", "subscription"):
                answer = await send(tenants.served, method, target, tenants.keys[kind])
                assert (answer.status, answer.code) == (403, "access_denied"), target
                assert "sk-admin_" in answer.json["message"]


async def test_a_restricted_admin_key_changes_nothing(tenants: Tenants) -> None:
    """`read` reads everything, and is refused whatever writes, before its body is read."""
    for method, path in under_api():
        target = filled(path, key_id(tenants.keys["standard"]))
        answer = await send(tenants.served, method, target, tenants.keys["reading"])
        if method in WRITES:
            assert (answer.status, answer.code) == (403, "access_denied"), (method, target)
        else:
            assert answer.status in (200, 400, 404), (method, target, answer.body)


async def test_each_scope_opens_its_area(tenants: Tenants) -> None:
    """Reading and writing by area; nothing beyond."""
    areas = {"/api/keys": "keys", "/api/usage": "usage", "/api/log": "usage"}
    areas |= {"/api/billing/overview": "billing", "/api/subscription": "billing"}
    for scope in SCOPES:
        key = await admin_key(tenants.served, scopes=(scope,))
        for path, area in areas.items():
            answer = await send(tenants.served, "GET", path, key)
            opens = scope in (READ, area, f"{area}:{READ}")
            assert answer.status == (200 if opens else 403), (scope, path)
        changed = await send(tenants.served, "POST", "/api/keys", key, {"name": "made"})
        assert changed.status == (201 if scope == "keys" else 403), scope
    assert {scope.partition(":")[0] for scope in SCOPES} == {READ, *AREAS}


async def test_what_is_another_organizations_does_not_exist(tenants: Tenants) -> None:
    """404, in the very words for what nobody has; reading and writing alike."""
    names = {
        "/api/log": tenants.row.call_id,
        "/api/keys": key_id(tenants.keys["standard"]),
    }
    bodies: dict[str, object] = {"PATCH": {"name": "x"}, "PUT": {"cap_usd": 1}}
    seen = 0
    for (method, path), (start, name) in itertools.product(under_api(), names.items()):
        if not path.startswith(start + "/{"):
            continue
        foreign = await send(
            tenants.served, method, filled(path, name), tenants.keys["foreign"], bodies.get(method)
        )
        absent = await send(
            tenants.served, method, filled(path, "n0"), tenants.keys["foreign"], bodies.get(method)
        )
        assert (foreign.status, foreign.code) == (404, "not_found"), (method, path)
        assert foreign.json["message"].replace(name, "n0") == absent.json["message"]
        seen += 1
    assert seen == 5


async def test_lists_hold_nothing_of_another_organization(tenants: Tenants) -> None:
    """Neither ids nor sums."""
    mine, theirs = tenants.keys["admin"], tenants.keys["foreign"]
    for method, path in under_api():
        if method != "GET" or "{" in path:
            continue
        for key, foreign in (
            (mine, [tenants.other, tenants.foreign_key, tenants.foreign_row.call_id]),
            (theirs, [tenants.served.org_id, key_id(mine), tenants.row.call_id, tenants.sub_id]),
        ):
            answer = await send(tenants.served, method, path, key)
            assert answer.status == 200 or answer.code == "payments_not_set_up", path
            for name in foreign:
                assert name not in answer.body.decode(), path


async def test_admin_keys_make_no_calls(tenants: Tenants) -> None:
    """403 that says which key to use, on everything that is not management; nobody is asked."""
    for method, path in of_calls():
        model = "small:generateContent" if method == "POST" else "small"
        target = path.replace("{id:path}", model).replace("{id}", "resp_1")
        answer = await send(tenants.served, method, target, tenants.keys["admin"], {})
        assert answer.status == 403, (method, target, answer.body)
        assert "sk-…" in answer.body.decode(), target
    assert tenants.served.wall.calls() == []


async def test_what_clients_ask_is_for_any_key(tenants: Tenants) -> None:
    """Of every kind, restricted or not."""
    for path in FOR_ANY_KEY:
        target = path if path.startswith(MINE) else f"/v1{path}"
        for kind, key in tenants.keys.items():
            assert (await tenants.served.get(target, key)).status == 200, (path, kind)
        assert (await tenants.served.get(target)).status == 401
    for path in OF_ONE_CALL:
        for name in (tenants.foreign_row.call_id, "nothing"):
            refused = await tenants.served.get(f"/v1{filled(path, name)}", tenants.keys["standard"])
            assert refused.status == 404


async def test_an_admin_key_is_judged_as_any_other(tenants: Tenants) -> None:
    """Disabled, expired, from elsewhere, of a suspended organization."""
    served = tenants.served
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"status": "disabled"}, "invalid_api_key"),
        ({"expires_at": 1}, "expired_api_key"),
        ({"addresses": ("10.0.0.0/8",)}, "ip_not_allowed"),
    ]
    for fields, code in wrong:
        answer = await served.get("/api/keys", await admin_key(served, **fields))
        assert answer.code == code
    await identity.set_organization_status(served.database, served.org_id, "suspended")
    assert (await served.get("/api/keys", tenants.keys["admin"])).code == "account_suspended"


async def test_management_counts_against_the_limits_of_its_key(tmp_path) -> None:
    """The key's own, and the one for questions about usage, which is told apart by its key."""
    async with gateway(tmp_path, limit_per_key="4/60", limit_queries="2/60") as served:
        one, two = await admin_key(served), await admin_key(served)
        assert (await served.get("/api/usage", one)).headers["x-ratelimit-remaining"] == "1"
        assert (await served.get("/api/log", one)).status == 200
        for path in ("/api/usage", "/api/log", "/api/log.csv", "/api/log/self"):
            refused = await served.get(path, one)
            assert (refused.status, refused.code) == (429, "rate_limit_exceeded"), path
            assert int(refused.headers["retry-after"]) >= 1
        assert (await served.get("/api/usage", two)).status == 200
        assert (await served.get("/api/keys", one)).status == 200
        assert (await served.get("/api/keys", one)).status == 200
        assert (await served.get("/api/keys", one)).status == 429


BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/keys", {"name": "x"}),
    ("PATCH", "/api/keys/{id}", {"name": "x"}),
    ("PUT", "/api/keys/{id}/budget", {"cap_usd": 1}),
    ("PUT", "/api/billing/budget", {"cap_usd": 1}),
    ("POST", "/api/subscription/change", {"plan": "lite"}),
    ("POST", "/api/subscription/fallback", {"enabled": False}),
    ("POST", "/api/billing/top-ups", {"amount_usd": 20}),
    ("POST", "/api/billing/plans", {"plan": "pro"}),
    ("POST", "/api/billing/plans/upgrade", {"plan": "pro"}),
    ("POST", "/api/billing/codes/redeem", {"code": "x"}),
    ("PUT", "/api/billing/alerts", {}),
    ("PUT", "/api/billing/contacts", {"emails": []}),
    ("PUT", "/api/billing/details", {}),
    ("PUT", "/api/billing/auto-top-up", {"enabled": False}),
    ("POST", "/api/subscription/cancel", {}),
    ("POST", "/api/subscription/key", {}),
    ("POST", "/v1/token/keys", {"name": "x"}),
]
FORBIDDEN = (
    *("org_id", "user_id", "kind", "digest", "scopes", "id", "key", "last4", "created_at"),
    *("role", "group", "used_usd", "quota_nano", "status_", "unlimited_quota", "left_usd"),
)


async def test_a_body_sets_only_what_it_may(tenants: Tenants) -> None:
    """Whatever else it names is refused by its name, and nothing of the body is done."""
    served = tenants.served
    key = key_id(await served.key(name="before"))
    for method, path, body in BODIES:
        by = tenants.keys["standard" if path.startswith("/v1/") else "admin"]
        for name in FORBIDDEN:
            target = filled(path, key)
            answer = await send(served, method, target, by, {**body, name: "x"})
            assert (answer.status, answer.code) == (400, "invalid_parameter"), (target, name)
            assert answer.json["error"]["param"] == name
    shown = exact(await send(served, "GET", f"/api/keys/{key}", tenants.keys["admin"]))
    assert (shown["name"], shown["budget"]) == ("before", None)


async def test_a_body_that_is_none_is_refused(tenants: Tenants) -> None:
    """No JSON, no object, of the wrong types, without what is required, too large."""
    served, admin = tenants.served, tenants.keys["admin"]
    for raw in (b"", b"{", b"[]", b'"x"', b"\xff", b"null", b"[" * 100_000):
        answer = await served.ask("POST", "/api/keys", admin, body=raw)
        assert (answer.status, answer.code) == (400, "invalid_request"), raw[:9]
    missing = await send(served, "POST", "/api/keys", admin, {})
    assert (missing.code, missing.json["error"]["param"]) == ("missing_parameter", "name")
    for name, value in {
        "name": 5,
        "models": "small",
        "addresses": [1],
        "quota_usd": [],
        "expires_at": 1,
    }.items():
        wrong = await send(served, "POST", "/api/keys", admin, {"name": "x", name: value})
        assert wrong.code == "invalid_parameter"
        assert wrong.json["error"]["param"].startswith(name)
    huge = b'{"name":"' + b"x" * (served.settings.max_body_mb << 20) + b'"}'
    assert (await served.ask("POST", "/api/keys", admin, body=huge)).status == 413


def test_an_admin_key_can_be_told_by_its_look() -> None:
    """So that nobody takes it for another."""
    minted = keys.mint(bytes(keys.RANDOM_BYTES), "admin")

    assert minted.key.startswith("sk-admin_")
    assert keys.masked("admin", minted.id, "wxyz") == f"sk-admin_{minted.id[:4]}…wxyz"
