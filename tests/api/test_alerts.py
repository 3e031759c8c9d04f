"""Behaviour of the settings of alerts and of contacts over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apertura.api.manage import now_ms
from apertura.jobs.alerts import Watch
from apertura.store import outbox
from tests.api.client import Answer, Served, gateway
from tests.api.managing import admin_key, subscribe
from tests.postbox import postbox

ALERTS, CONTACTS = "/api/billing/alerts", "/api/billing/contacts"
SHIPPED = {
    "low_balance": {"enabled": True, "threshold_usd": 20},
    "quota": {"enabled": True, "threshold_percent_left": 20},
    "budget": {"enabled": True, "threshold_percent_used": 80},
    "cycle": {"enabled": True, "threshold_percent_left": 20},
}


async def put(served: Served, path: str, key: str, body: object) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await served.ask("PUT", path, key, body=raw)


async def shown(served: Served, path: str, key: str) -> Any:
    answer = await served.get(path, key)
    assert answer.status == 200
    body = json.loads(answer.body, parse_float=Decimal)
    assert body.keys() == {"success", "data"}
    return body["data"]


async def test_alerts_are_as_shipped_until_somebody_changes_them(served: Served) -> None:
    """What a change leaves out stays; it is answered with what holds now."""
    key = await admin_key(served)
    assert await shown(served, ALERTS, key) == SHIPPED

    changed = await put(
        served, ALERTS, key, {"low_balance": {"threshold_usd": 12.5}, "budget": {"enabled": False}}
    )

    expected = SHIPPED | {
        "low_balance": {"enabled": True, "threshold_usd": Decimal("12.5")},
        "budget": {"enabled": False, "threshold_percent_used": 80},
    }
    assert changed.status == 200
    assert json.loads(changed.body, parse_float=Decimal)["data"] == expected
    assert await shown(served, ALERTS, key) == expected

    await put(served, ALERTS, key, {"budget": {"threshold_percent_used": 90}})
    budget = (await shown(served, ALERTS, key))["budget"]
    assert budget == {"enabled": False, "threshold_percent_used": 90}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"low_balance": {"threshold_usd": 0}}, "low_balance.threshold_usd"),
        ({"low_balance": {"threshold_usd": -1}}, "low_balance.threshold_usd"),
        ({"low_balance": {"threshold_usd": "much"}}, "low_balance.threshold_usd"),
        (b'{"low_balance": {"threshold_usd": 1e400}}', "low_balance.threshold_usd"),
        (b'{"low_balance": {"threshold_usd": 0.0000000001}}', "low_balance.threshold_usd"),
        ({"quota": {"threshold_percent_left": 100}}, "quota.threshold_percent_left"),
        ({"quota": {"threshold_percent_left": 1.5}}, "quota.threshold_percent_left"),
        ({"quota": {"threshold_percent_used": 20}}, "quota.threshold_percent_used"),
        ({"budget": {"threshold_percent_used": 0}}, "budget.threshold_percent_used"),
        ({"cycle": {"enabled": "yes"}}, "cycle.enabled"),
        ({"weather": {}}, "weather"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(served: Served, body: Any, param: str) -> None:
    """And nothing of it holds."""
    key = await admin_key(served)
    if isinstance(body, dict):
        body = {"cycle": {"threshold_percent_left": 50}} | body

    answer = await put(served, ALERTS, key, body)

    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.json["error"]["param"] == param
    assert await shown(served, ALERTS, key) == SHIPPED


async def test_contacts_are_named_and_replaced(served: Served) -> None:
    """In order, each once; none are none."""
    key = await admin_key(served)
    assert await shown(served, CONTACTS, key) == {"emails": []}

    emails = ["b@X.example", "a@x.example", "b@x.example"]
    answer = await put(served, CONTACTS, key, {"emails": emails})

    assert answer.status == 200
    assert answer.json["data"] == {"emails": ["a@x.example", "b@x.example"]}
    await put(served, CONTACTS, key, {"emails": []})
    assert await shown(served, CONTACTS, key) == {"emails": []}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"emails": ["a@x.example", "b@x.example\r\nBcc: c@x.example"]}, "emails[1]"),
        ({"emails": ["nobody"]}, "emails[0]"),
        ({"emails": [f"u{n}@x.example" for n in range(21)]}, "emails"),
        ({"emails": "a@x.example"}, "emails"),
    ],
)
async def test_contacts_that_are_none_are_refused(served: Served, body: Any, param: str) -> None:
    """Those that were there stay."""
    key = await admin_key(served)
    await put(served, CONTACTS, key, {"emails": ["old@x.example"]})

    answer = await put(served, CONTACTS, key, body)

    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.json["error"]["param"] == param
    assert await shown(served, CONTACTS, key) == {"emails": ["old@x.example"]}


@pytest.mark.parametrize("path", [ALERTS, CONTACTS])
async def test_only_an_admin_key_may(served: Served, path: str) -> None:
    """One that may only read changes nothing; one that makes calls reads nothing either."""
    reader = await admin_key(served, scopes=("billing:read",))
    assert (await served.get(path, reader)).status == 200
    assert (await put(served, path, reader, {"emails": []})).status == 403
    assert (await served.get(path, await served.key())).status == 403
    assert (await served.get(path)).status == 401


async def test_from_a_plan_s_calls_to_the_mail_about_its_cycle(tmp_path: Path) -> None:
    """Through everything: contacts by HTTP, calls that take credits, the look, the letter."""
    with postbox() as box:
        async with gateway(tmp_path, smtp_url=box.url, mail_from="bills@ours.example") as served:
            admin = await admin_key(served)
            await put(served, CONTACTS, admin, {"emails": ["ann@x.example"]})
            _, key = await subscribe(served, "pro")
            await call(served, key)
            set_left = "UPDATE funds SET posted = 180001 WHERE kind = 'allowance'"
            await served.database.write(lambda tx: tx.execute(set_left))
            await Watch(served.database).step(now_ms())
            assert await outbox.counts(served.database) == {}

            await call(served, key)
            await Watch(served.database).step(now_ms())
            async with asyncio.timeout(30):  # the application's own job sends it
                while not box.letters:
                    await asyncio.sleep(0.02)

    (letter,) = box.letters
    assert letter.recipients == ["ann@x.example"]
    subject = str(letter.message["subject"])
    assert re.fullmatch(
        r"\[Apertura\] Plan pro, cycle from \d{4}-\d\d-\d\d: 178 of 900 credits left", subject
    )


async def call(served: Served, key: str) -> None:
    """One that is in the books afterwards."""
    assert (await served.chat(key)).status == 200
    await served.app.parts.settlement.flush()
