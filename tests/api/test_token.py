"""Behaviour of the account of a key: exact, and current to the last call."""

from __future__ import annotations

import asyncio
import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from apertura.domain.ledger import top_up
from apertura.domain.money import Nano
from apertura.store import ledger
from tests.api.client import COST, WALLET_USD, Served, id_of
from tests.store.examples import record, usage_row

DAY_MS = 86_400_000


async def account(served: Served, key: str, query: str = "") -> dict[str, Any]:
    """The body, its numbers as exact decimals."""
    answer = await served.get(f"/v1/token/usage{query}", key)
    assert answer.status == 200
    body: dict[str, Any] = json.loads(answer.body, parse_float=Decimal)
    return body


def nano(usd: object) -> Fraction:
    return Fraction(str(usd)) * 1_000_000_000


@pytest.mark.parametrize("streamed", [False, True])
async def test_each_call_is_in_the_account_when_it_has_answered(
    served: Served, streamed: bool
) -> None:
    """Ten times: the difference of two readings is exactly the cost between them."""
    key = await served.key()
    for done in range(1, 11):
        assert (await served.chat(key, stream=streamed)).status == 200
        body = await account(served, key)
        assert nano(body["data"]["used_quota_usd"]) == done * COST
        assert body["data"]["total_requests"] == done
        assert body["data"]["total_tokens"] == done * 12


async def test_calls_at_once_are_all_in_the_account(served: Served) -> None:
    """Of several keys, none mixed up."""
    one, two = await served.key(), await served.key()
    calls = [served.chat(key, stream=n % 2 == 0) for n, key in enumerate([one, one, two] * 10)]

    assert {answer.status for answer in await asyncio.gather(*calls)} == {200}

    assert nano((await account(served, one))["data"]["used_quota_usd"]) == 20 * COST
    assert nano((await account(served, two))["data"]["used_quota_usd"]) == 10 * COST


async def test_both_clients_find_their_shape(served: Served) -> None:
    """The command line reads `data`, the tool server the top level."""
    key = await served.key(name="mine", quota_nano=1_000_000_000)
    await served.chat(key)
    await served.chat(key, "large")

    body = await account(served, key)

    cost = Decimal(COST) / 1_000_000_000
    (day,) = body.pop("daily_breakdown")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day["date"])
    assert (day["tokens"], day["cost"]) == (24, 2 * cost)
    assert body == {
        "success": True,
        "data": {
            "token_name": "mine",
            "is_unlimited": False,
            "total_tokens": 24,
            "total_requests": 2,
            "used_quota_usd": 2 * cost,
            "remain_quota_usd": 1 - 2 * cost,
            "total_quota_usd": 1,
            "used_credits": 0,
        },
        "period": "month",
        "total_tokens": 24,
        "total_requests": 2,
        "total_cost": 2 * cost,
        "models": [
            {"model": "large", "tokens": 12, "requests": 1, "cost": cost},
            {"model": "small", "tokens": 12, "requests": 1, "cost": cost},
        ],
    }


async def test_a_key_without_a_quota_draws_on_the_balance(served: Served) -> None:
    """What is left is the organization's; another organization's money is not in it."""
    movement = top_up(served.org_id, Nano(5_000_000_000), "r", transaction_id="t", at=0)
    await served.database.write(lambda tx: ledger.post(tx, movement))
    other = top_up("org_other", Nano(7_000_000_000), "s", transaction_id="u", at=0)
    await served.database.write(lambda tx: ledger.post(tx, other))

    data = (await account(served, await served.key()))["data"]

    assert data["is_unlimited"] is True
    assert (data["used_quota_usd"], data["remain_quota_usd"]) == (0, WALLET_USD + 5)


async def test_a_quota_that_does_not_cover_a_call_refuses_it(served: Served) -> None:
    """402, and nothing of it is used."""
    key = await served.key(quota_nano=1)

    refusal = await served.chat(key)

    assert (refusal.status, refusal.code) == (402, "quota_exceeded")
    data = (await account(served, key))["data"]
    assert (data["used_quota_usd"], data["total_requests"]) == (0, 0)


async def test_an_amount_is_exact_to_the_last_nano_dollar(served: Served) -> None:
    """Also where a float would have lost it."""
    key = await served.key()
    amount = 9_007_199_254_740_993  # 2**53 + 1
    await record(
        served.database, [usage_row("c", key_id=id_of(key), org_id=served.org_id, cost=amount)]
    )

    answer = await served.get("/v1/token/usage", key)

    assert b'"used_quota_usd":9007199.254740993,' in answer.body


@pytest.mark.parametrize(
    ("query", "period", "calls"),
    [
        ("?period=today", "today", 1),
        ("?period=week", "week", 3),
        ("?period=month", "month", 5),
        ("", "month", 5),
        ("?other=1&period=week", "week", 3),
    ],
)
async def test_periods_end_today(
    served: Served, monkeypatch, query: str, period: str, calls: int
) -> None:
    """Today; seven days; thirty days. Days are UTC's, the totals of `data` are of all time."""
    midnight = 20_000 * DAY_MS
    ages = [0, 1, 6, 7, 29, 30]  # in days
    key = await served.key()
    rows = [
        usage_row(
            f"call {age}",
            key_id=id_of(key),
            org_id=served.org_id,
            started_ms=midnight - age * DAY_MS,
            cost=2**age,
        )
        for age in ages
    ]
    await record(served.database, rows)
    monkeypatch.setattr("apertura.api.token.time.time", lambda: midnight / 1000 + 5)

    body = await account(served, key, query)

    assert (body["period"], body["total_requests"]) == (period, calls)
    assert nano(body["total_cost"]) == sum(2**age for age in ages[:calls])
    assert len(body["daily_breakdown"]) == calls
    assert sum(nano(day["cost"]) for day in body["daily_breakdown"]) == nano(body["total_cost"])
    assert body["data"]["total_requests"] == len(ages)


async def test_a_period_that_is_none_is_refused(served: Served) -> None:
    """400 naming the parameter and what would do."""
    answer = await served.get("/v1/token/usage?period=year", await served.key())

    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.json["error"]["param"] == "period"
    assert "today, week, month" in answer.json["error"]["message"]


async def test_failed_calls_cost_nothing_and_are_counted(served: Served) -> None:
    """The wall refuses; the account stays as it was but for the count."""
    key = await served.key()
    served.wall.script("ok", "500", "500", "reset-before-head", "reset-before-head")
    failed = await served.chat(key)

    assert failed.status >= 500
    data = (await account(served, key))["data"]
    assert (data["used_quota_usd"], data["total_requests"]) == (0, 1)
