"""Behaviour of the audit that runs by itself: what it counts, what it says, and when it rests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apertura.errors import Unavailable
from apertura.jobs.audit import REST, TOLD_MOST, Auditor
from apertura.store.audit_rules import RULES
from apertura.store.database import Database, open_database
from apertura.store.migrate import migrate
from tests.databases import new_url, tampered
from tests.money import pay_in


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_url(request.param) as made:
        yield made


class Clock:
    """Seconds, moved by hand; or by each question to the database."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """A database whose questions take a second each, or fail."""

    def __init__(self, inner: Database, clock: Clock) -> None:
        self._inner, self._clock = inner, clock
        self.asked, self.away = 0, False
        self.engine = inner.engine

    async def read(self, sql: str, params: tuple[object, ...] = ()) -> Any:
        if self.away:
            raise Unavailable("away")
        self.asked += 1
        self._clock.now += 1
        return await self._inner.read(sql, params)

    async def write(self, work: Callable[..., Any]) -> Any:
        raise AssertionError("an audit writes nothing")


async def tampered_wallet(url: str, amount: int) -> None:
    await tampered(url, f"UPDATE funds SET posted = posted + {amount} WHERE id = 'org:o:wallet'")


def told(text: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [event for event in events if event["event"] == "audit_found"]


async def test_what_is_wrong_is_counted_and_named_once(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it stands it stays in the gauges; in the log it is named when it shows."""
    db = await open_database(url)
    await migrate(db)
    await pay_in(db, "o", 500)
    clock = Clock()
    auditor = Auditor(db, clock)
    assert (auditor.findings(), auditor.checked()) == (0, 0)

    await auditor.step(1)
    assert auditor.findings() == 0
    assert auditor.checked() > 0
    assert told(capsys.readouterr().err) == []

    await tampered_wallet(url, 7)
    await auditor.step(2)
    assert auditor.findings() == 1
    [event] = told(capsys.readouterr().err)
    assert {**event, "time": ""} == {
        "time": "",
        "event": "audit_found",
        "rule": event["rule"],
        "subject": "org:o:wallet",
        "expected": 500,
        "found": 507,
    }
    assert event["rule"] in {rule.name for rule in RULES}

    await auditor.step(3)
    assert (auditor.findings(), told(capsys.readouterr().err)) == (1, [])
    await tampered_wallet(url, -7)
    await auditor.step(4)
    assert auditor.findings() == 0
    await tampered_wallet(url, 7)
    await auditor.step(5)
    assert len(told(capsys.readouterr().err)) == 1, "it came back"
    await db.close()


async def test_the_log_is_not_flooded(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation shows in the gauge in full, in the log by its first findings."""
    db = await open_database(url)
    await migrate(db)
    for number in range(TOLD_MOST + 5):
        await pay_in(db, f"o{number}", 500)
    await tampered(url, "UPDATE funds SET posted = posted + 1")
    auditor = Auditor(db)

    await auditor.step(1)

    assert auditor.findings() == TOLD_MOST + 5
    assert len(told(capsys.readouterr().err)) == TOLD_MOST
    await db.close()


async def test_a_long_audit_is_followed_by_a_longer_rest() -> None:
    """So that questions about a large past take a small part of the time."""
    with new_url("sqlite") as url:
        inner = await open_database(url)
        await migrate(inner)
        clock = Clock()
        slow = Slow(inner, clock)
        auditor = Auditor(slow, clock)
        await auditor.step(1)
        took = slow.asked
        assert auditor.age_seconds() == 0

        clock.now += REST * took - 1
        await auditor.step(2)
        assert slow.asked == took
        clock.now += 1
        await auditor.step(3)
        assert slow.asked == 2 * took
        await inner.close()


async def test_an_audit_that_fails_shows_in_its_age() -> None:
    """The gauges keep what was last known, and say how old it is; the next turn makes up for it."""
    with new_url("sqlite") as url:
        inner = await open_database(url)
        await migrate(inner)
        await pay_in(inner, "o", 500)
        clock = Clock()
        slow = Slow(inner, clock)
        auditor = Auditor(slow, clock)
        await auditor.step(1)
        known = auditor.checked()
        slow.away = True
        clock.now += 100_000

        with pytest.raises(Unavailable):
            await auditor.step(2)

        assert (auditor.checked(), auditor.age_seconds()) == (known, 100_000)
        slow.away = False
        await auditor.step(3)
        assert auditor.age_seconds() == 0
        await inner.close()


async def test_writes_go_on_beside_it(url: str) -> None:
    """An audit sees each write whole or not at all: what comes in meanwhile is no finding."""
    db = await open_database(url)
    await migrate(db)
    auditor = Auditor(db, Clock())

    async def payments() -> None:
        for number in range(40):
            await pay_in(db, f"o{number}", 500)

    task = asyncio.create_task(payments())
    audits = 0
    while not task.done():
        await auditor.step(audits)
        audits += 1
        assert auditor.findings() == 0
    assert audits >= 2
    await db.close()
