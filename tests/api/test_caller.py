"""Behaviour of keys at the door: how one is sent, and in which order it is judged."""

from __future__ import annotations

import os
import time

import pytest

from apertura.domain import keys
from apertura.errors import Unavailable
from apertura.store import identity
from tests.api.client import Served, gateway, id_of, well_formed_stranger

UNKNOWN = "sk-" + "0" * 48  # of the right length, with wrong check digits
ENDPOINTS = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/small"),
    ("GET", "/v1/token/usage"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_every_endpoint_asks_for_a_key(served: Served, method: str, path: str) -> None:
    """Without one 401 `missing_api_key`, with a wrong one `invalid_api_key`, body unread."""
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Basic dTpw"}):
        answer = await served.ask(method, path, headers=headers, body=b"no JSON")
        assert (answer.status, answer.code) == (401, "missing_api_key")
    for key in (UNKNOWN, well_formed_stranger(), "x", "sk-é", "sk-" + "a" * 10_000):
        answer = await served.ask(method, path, key, body=b"no JSON")
        assert (answer.status, answer.code) == (401, "invalid_api_key")
        assert key not in answer.body.decode()


async def test_refusals_come_in_the_order_of_the_contract(tmp_path) -> None:
    """Missing, invalid, disabled, expired, suspended, address, model, rate limit, then the call."""
    async with gateway(tmp_path, limit_per_key="1/60") as served:
        wrong = {
            "status": "disabled",
            "expires_at": 1,
            "addresses": ("10.0.0.0/8",),
            "models": ("large",),
        }
        await identity.set_organization_status(served.database, served.org_id, "suspended")
        expected = [
            ("status", 401, "invalid_api_key", "disabled"),
            ("expires_at", 401, "expired_api_key", "expired"),
            ("", 403, "account_suspended", "suspended"),
            ("addresses", 403, "ip_not_allowed", "203.0.113.9"),
            ("models", 403, "model_access_denied", "model list"),
        ]
        for field, status, code, words in expected:
            answer = await served.chat(await served.key(**wrong))
            assert (answer.status, answer.code) == (status, code)
            assert words in answer.json["error"]["message"]
            if field:
                del wrong[field]
            else:
                await identity.set_organization_status(served.database, served.org_id, "active")

        key = await served.key()
        assert (await served.chat(key)).status == 200
        assert (await served.chat(key, model="none")).code == "rate_limit_exceeded"
        assert (await served.chat(key)).code == "rate_limit_exceeded"


async def test_a_key_may_be_sent_in_several_ways(served: Served) -> None:
    """Either header, any case of Bearer, blanks around it."""
    key = await served.key()
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
        {"authorization": f"BEARER   {key}   "},
        {"x-api-key": key},
        {"x-api-key": f"  {key} "},
        {"authorization": "Basic dTpw", "x-api-key": key},
        {"authorization": "Bearer ", "x-api-key": key},
    ):
        assert (await served.get("/v1/models", headers=headers)).status == 200


async def test_bearer_wins_over_x_api_key(served: Served) -> None:
    """Also when it is the wrong one of the two."""
    key = await served.key()

    good = await served.get("/v1/models", key, headers={"x-api-key": UNKNOWN})
    bad = await served.get("/v1/models", UNKNOWN, headers={"x-api-key": key})

    assert good.status == 200
    assert (bad.status, bad.code) == (401, "invalid_api_key")


async def test_a_key_expires_while_it_is_in_use(served: Served, monkeypatch) -> None:
    """The snapshot of callers does not outlive the key."""
    soon = time.time_ns() // 1_000_000 + 60_000
    key = await served.key(expires_at=soon)
    assert (await served.get("/v1/models", key)).status == 200

    monkeypatch.setattr("apertura.api.caller.time.time_ns", lambda: soon * 1_000_000)

    assert (await served.get("/v1/models", key)).code == "expired_api_key"


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        # Nobody is trusted: the header says nothing.
        ("", "10.0.0.1", "1.2.3.4", "10.0.0.1"),
        # The peer is not a proxy of ours.
        ("10.0.0.0/8", "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        # One proxy, and what the caller wrote itself stands further left.
        ("10.0.0.0/8", "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.0/8", "10.0.0.1", "10.0.0.7, 1.2.3.4", "1.2.3.4"),
        # Two of them.
        ("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "1.2.3.4,10.0.0.2", "1.2.3.4"),
        ("10.0.0.0/8, 2001:db8::/32", "2001:db8::1", "1.2.3.4, 10.0.0.2", "1.2.3.4"),
        # Ports and brackets, as some proxies write.
        ("10.0.0.0/8", "10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        ("10.0.0.0/8", "10.0.0.1", "[2001:db8::9]:5678", "2001:db8::9"),
        ("10.0.0.0/8", "10.0.0.1", "2001:db8::9", "2001:db8::9"),
        # Nothing, or nonsense: never the caller's own word for somebody else.
        ("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "1.2.3.4,", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "1.2.3.4, unknown", "unknown"),
        ("10.0.0.0/8", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
    ],
)
async def test_an_address_is_told_by_trusted_proxies_only(
    tmp_path, proxies: str, peer: str, forwarded: str, address: str
) -> None:
    """Read from the right, past trusted hops; the key's list of addresses shows which was meant."""
    async with gateway(tmp_path, trusted_proxies=proxies) as served:
        key = await served.key(addresses=("192.0.2.1",))

        answer = await served.get(
            "/v1/models", key, peer=peer, headers={"x-forwarded-for": forwarded}
        )

    assert answer.code == "ip_not_allowed"
    assert f" {address}:" in answer.json["error"]["message"]


@pytest.mark.parametrize("peer", ["192.0.2.77", "::ffff:192.0.2.77", "2001:db8::1"])
async def test_a_key_is_good_from_its_addresses(served: Served, peer: str) -> None:
    """Single ones and subnets; IPv4 within IPv6 too."""
    key = await served.key(addresses=("192.0.2.0/24", "2001:db8::1"))

    assert (await served.get("/v1/models", key, peer=peer)).status == 200
    assert (await served.get("/v1/models", key, peer="198.51.100.1")).code == "ip_not_allowed"


async def test_strangers_are_counted_by_address(tmp_path) -> None:
    """Guessing keys is limited, and so is knocking with a key from a wrong place."""
    async with gateway(tmp_path, limit_per_address="3/60") as served:
        elsewhere = await served.key(addresses=("192.0.2.1",))
        for key, code in (
            (None, "missing_api_key"),
            (UNKNOWN, "invalid_api_key"),
            (elsewhere, "ip_not_allowed"),
        ):
            assert (await served.get("/v1/models", key, peer="2001:db8::1")).code == code

        refused = await served.get("/v1/models", UNKNOWN, peer="2001:db8::2")

        assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
        assert (await served.get("/v1/models", UNKNOWN, peer="2001:db8:0:1::1")).status == 401


async def gone(*_: object) -> None:
    raise Unavailable("The database cannot serve right now.", headers={"Retry-After": "1"})


async def test_a_database_that_is_away_is_no_wrong_key(served: Served, monkeypatch) -> None:
    """503 with Retry-After for a key that is not known yet; who is known goes on being served."""
    known, unknown = await served.key(), await served.key()
    assert (await served.chat(known)).status == 200
    monkeypatch.setattr(served.database, "read", gone)
    monkeypatch.setattr(served.database, "write", gone)

    for key in (unknown, well_formed_stranger()):
        for answer in (await served.chat(key), await served.get("/v1/models", key)):
            assert (answer.status, answer.code) == (503, "service_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
    assert (await served.chat(known)).status == 200
    assert (await served.get("/v1/token/usage", known)).status == 503
    assert (await served.chat(UNKNOWN)).status == 401  # its check digits tell

    monkeypatch.undo()

    used = (await served.get("/v1/token/usage", known)).json["data"]
    assert used["total_requests"] == 2
    assert (await served.chat(unknown)).status == 200


async def test_a_refused_key_reaches_no_provider_and_no_books(served: Served) -> None:
    """Not one row, not one call."""
    await served.chat(UNKNOWN)
    await served.chat(await served.key(models=("large",)))
    await served.chat(await served.key(status="disabled"))

    assert served.wall.calls() == []
    assert await served.database.read("SELECT COUNT(*) FROM usage") == [(0,)]


async def test_two_spellings_of_a_subscription_key_are_one(served: Served) -> None:
    """`sk-sub_` is taken for `sk-sub-`."""
    minted = keys.mint(os.urandom(keys.RANDOM_BYTES), "subscription")
    await served.key(minted=minted, kind="subscription")

    for key in (minted.key, minted.key.replace("sk-sub-", "sk-sub_")):
        answer = await served.get("/v1/models", key)
        assert (answer.status, answer.code) == (402, "subscription_expired")  # it is known


async def test_a_key_is_known_by_its_id_in_the_books(served: Served) -> None:
    """Never by itself."""
    key = await served.key()
    await served.chat(key)
    await served.get("/v1/token/usage", key)

    assert await served.database.read("SELECT key_id FROM usage") == [(id_of(key),)]


async def test_a_subscriptions_key_without_one_is_refused(served: Served) -> None:
    """It does not fall back on the wallet."""
    refusal = await served.chat(await served.key(kind="subscription"))

    assert (refusal.status, refusal.code) == (402, "subscription_expired")
