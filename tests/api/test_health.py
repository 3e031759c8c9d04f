"""Behaviour of what operators and their machines ask."""

from __future__ import annotations

import pytest

from apertura.errors import Unavailable
from tests.api.client import COST, Served, gateway


async def gone(*_: object) -> None:
    raise Unavailable("The database cannot serve right now.")


async def test_a_gateway_that_can_serve_is_ready(served: Served) -> None:
    """No key is asked for."""
    assert (await served.get("/health/live")).json == {"status": "live"}
    ready = await served.get("/health/ready")
    assert (ready.status, ready.json) == (200, {"status": "ready"})
    assert ready.headers["x-request-id"].startswith("req_")


async def test_without_its_database_it_lives_and_is_not_ready(served: Served, monkeypatch) -> None:
    """503 with what is missing; a restart would not mend it."""
    monkeypatch.setattr(served.database, "read", gone)

    ready = await served.get("/health/ready")

    assert ready.status == 503
    assert ready.json == {"status": "not ready", "missing": ["database"]}
    assert (await served.get("/health/live")).status == 200
    monkeypatch.undo()
    assert (await served.get("/health/ready")).status == 200


async def test_with_full_books_it_is_not_ready(served: Served) -> None:
    """And takes no more calls: 503 with Retry-After, none lost."""
    key = await served.key()
    served.app.parts.settlement.full = True

    assert (await served.get("/health/ready")).json["missing"] == ["books"]
    refused = await served.chat(key)
    assert (refused.status, refused.code) == (503, "service_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert served.wall.calls() == []


async def test_the_front_says_what_this_is(tmp_path) -> None:
    """With the name of the installation."""
    async with gateway(tmp_path, name="Ours") as served:
        assert (await served.get("/")).json["name"] == "Ours"


async def test_metrics_hold_the_counts(served: Served) -> None:
    """Calls, tokens and cost by model, provider and outcome; and the gauges."""
    key = await served.key()
    for stream in (False, True):
        await served.chat(key, stream=stream)

    answer = await served.get("/metrics", peer="127.0.0.1")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    page = answer.body.decode()
    labels = 'model="small",operation="chat",outcome="answered",provider="acme",status="200"'
    assert f"apertura_calls_total{{{labels}}} 2.0" in page
    assert f"apertura_output_tokens_total{{{labels}}} 6.0" in page
    assert f"apertura_cost_nano_usd_total{{{labels}}} {2 * COST}.0" in page
    for gauge in ("calls_running", "calls_refused"):
        assert f"\napertura_{gauge} 0.0" in page
    assert "\napertura_books_waiting " in page
    assert "\napertura_connections_open " in page


async def test_refused_calls_are_counted(tmp_path) -> None:
    """Those over a limit."""
    async with gateway(tmp_path, limit_per_key="1/60") as served:
        key = await served.key()
        for _ in range(3):
            await served.chat(key)
        page = (await served.get("/metrics", peer="::1")).body

    assert b"\napertura_calls_refused 2.0" in page


@pytest.mark.parametrize(
    ("flags", "peer", "forwarded", "status"),
    [
        ({}, "127.0.0.1", "", 200),
        ({}, "::ffff:127.0.0.1", "", 200),
        ({}, "::1", "", 200),
        ({}, "203.0.113.9", "", 403),
        ({}, "203.0.113.9", "127.0.0.1", 403),
        ({"trusted_proxies": "203.0.113.9"}, "203.0.113.9", "127.0.0.1, 198.51.100.1", 403),
        ({"trusted_proxies": "127.0.0.1"}, "127.0.0.1", "198.51.100.1", 403),
        ({"metrics_from": "203.0.113.0/24"}, "203.0.113.9", "", 200),
        ({"metrics_from": "203.0.113.0/24"}, "127.0.0.1", "", 403),
    ],
)
async def test_metrics_are_for_chosen_addresses(
    tmp_path, flags: dict[str, str], peer: str, forwarded: str, status: int
) -> None:
    """This machine's by default; a header of the caller's own opens nothing."""
    async with gateway(tmp_path, **flags) as served:
        headers = {"x-forwarded-for": forwarded} if forwarded else {}
        answer = await served.get("/metrics", peer=peer, headers=headers)

    assert answer.status == status
    if status == 403:
        assert answer.code == "access_denied"
        assert b"apertura_calls" not in answer.body
