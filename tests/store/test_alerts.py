"""Behaviour of alerts as they are kept: what is looked at, and what is told, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from apertura.domain.alerts import DEFAULTS, Level, Rule, Sighting, look
from apertura.domain.funds import budget_of
from apertura.domain.money import NANO_PER_USD as USD
from apertura.jobs.alerts import PAGE, Watch
from apertura.store import alerts, funds, identity, keys, outbox
from apertura.store.alerts import Judged
from apertura.store.database import Database, open_database
from tests.store.examples import NEW_YEAR_MS as NOW
from tests.store.examples import key_record

DAY_MS = 86_400_000
ALWAYS = 2**63 - 1


@pytest.fixture
async def org(db: Database) -> str:
    """An organization whose mail goes to one address."""
    made = await identity.create_organization(db, "acme", random=bytes(13), now_ms=NOW)
    await db.write(partial(outbox.set_contacts, org_id=made.id, emails=["ann@x.example"]))
    return made.id


@pytest.fixture
async def others(db: Database, url: str) -> AsyncIterator[list[Database]]:
    """This process and two others with the same database."""
    opened = [await open_database(url) for _ in range(2)]
    yield [db, *opened]
    for one in opened:
        await one.close()


async def fund(db: Database, name: str, posted: int, cap: int | None = None) -> None:
    """A fund as it stands from now on."""
    since, until = funds.span_of(name)
    values = (name, funds.kind_of(name), funds.owner_of(name), cap, since, until, posted)
    sql = (
        "INSERT INTO funds (id, kind, owner, cap, since_ms, until_ms, posted, held) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 0) "
        "ON CONFLICT (id) DO UPDATE SET posted = excluded.posted, cap = excluded.cap"
    )
    await db.write(lambda tx: tx.execute(sql, values))


async def wallet(db: Database, org: str, posted: int) -> None:
    await fund(db, f"org:{org}:wallet", posted)


async def told(db: Database) -> list[str]:
    """What was put, in order, as template and what is left or used."""
    rows = await db.read("SELECT template, facts FROM mails ORDER BY created_at, key")
    shown = ("percent", "left_usd", "left")
    facts = [(template, outbox._to_facts.decode(kept)) for template, kept in rows]
    return [f"{name} {next(f[x] for x in shown if x in f)}" for name, f in facts]


async def budget(db: Database, org: str, shelf: str, cap: int, used: int) -> str:
    """The budget of this month of an organization or its key `k`."""
    owner = org if shelf == "org" else "k"
    await db.write(partial(funds.set_budget, owner=owner, cap=cap, reset_day=1, now_ms=NOW))
    name = budget_of("org" if shelf == "org" else "key", owner, 1, NOW)
    await fund(db, name, cap - used, cap)
    return name


async def test_a_falling_balance_is_told_of_once_for_each_level(db: Database, org: str) -> None:
    """From what was paid in to nothing; what is between two looks is jumped over."""
    for step, left in enumerate((50, 21, 19, 15, 9, 8, 7, 6, 0, 0)):
        await wallet(db, org, left * USD)
        await Watch(db).step(NOW + step)

    assert await told(db) == ["low_balance 19.00", "low_balance 9.00", "low_balance 0.00"]


async def test_after_a_top_up_a_level_is_told_of_again(db: Database, org: str) -> None:
    """Only of those above which the balance has stood."""
    for step, left in enumerate((50, 4, 7, 4, 7, 30, 6)):
        await wallet(db, org, left * USD)
        await Watch(db).step(NOW + step)

    assert await told(db) == ["low_balance 4.00", "low_balance 4.00", "low_balance 6.00"]


async def test_a_small_top_up_is_no_news(db: Database, org: str) -> None:
    """Whoever has just paid five dollars knows that they are five."""
    await wallet(db, org, 5 * USD)
    await Watch(db).step(NOW)
    await wallet(db, org, 4 * USD)
    await Watch(db).step(NOW + 1)

    assert await told(db) == ["low_balance 4.00"]


async def test_looking_again_finds_nothing_to_do(db: Database, org: str) -> None:
    """Also after a restart, which remembers nothing by itself; nothing is written either."""
    await wallet(db, org, 50 * USD)
    await Watch(db).step(NOW)
    await wallet(db, org, 15 * USD)
    await Watch(db).step(NOW + 1)
    before = await db.read("SELECT * FROM alert_states")

    await wallet(db, org, 14 * USD)
    assert (await alerts.moved_funds(db, NOW + 2, after="", most=9)).seen == []
    await Watch(db).step(NOW + 2)

    assert await db.read("SELECT * FROM alert_states") == before
    assert await told(db) == ["low_balance 15.00"]


async def test_several_workers_put_one_mail(others: list[Database], org: str) -> None:
    """At once, each judging by what it has seen."""
    db = others[0]
    await wallet(db, org, 50 * USD)
    await Watch(db).step(NOW)
    await wallet(db, org, 9 * USD)

    await asyncio.gather(*(Watch(one).step(NOW + 1) for one in others * 3))

    assert await told(db) == ["low_balance 9.00"]
    assert await db.read("SELECT level, seq FROM alert_states") == [(Level.WARNING, 2)]


async def test_who_has_seen_it_before_another_wrote_writes_nothing(db: Database, org: str) -> None:
    """An old look does not undo a newer one."""
    await wallet(db, org, 50 * USD)
    await Watch(db).step(NOW)
    await wallet(db, org, 9 * USD)
    (old,) = (await alerts.moved_funds(db, NOW, after="", most=9)).seen
    await wallet(db, org, 4 * USD)
    await Watch(db).step(NOW + 1)

    judged = [Judged(old, look(old))]
    assert await db.write(partial(alerts.note, judged=judged, now_ms=NOW + 2)) == 0

    assert await told(db) == ["low_balance 4.00"]
    assert await alerts.level_of(db, f"org:{org}:wallet") == Level.CRITICAL


async def test_what_is_cut_off_before_it_is_kept_is_told_later(
    db: Database, org: str, monkeypatch
) -> None:
    """The level and the mail are one transaction: neither is there without the other."""
    await wallet(db, org, 50 * USD)
    await Watch(db).step(NOW)
    await wallet(db, org, 9 * USD)

    async def dies(*_: object, **__: object) -> bool:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(alerts.outbox, "put", dies)
        with pytest.raises(RuntimeError, match="in the middle"):
            await Watch(db).step(NOW + 1)
    assert await alerts.level_of(db, f"org:{org}:wallet") == Level.NORMAL

    await Watch(db).step(NOW + 2)
    assert await told(db) == ["low_balance 9.00"]


async def test_a_key_s_quota(db: Database, org: str) -> None:
    """Named by the key; a raised quota is a recovery, a deleted key is no news."""
    await keys.create(db, key_record("k", org, name="ci", quota_nano=10 * USD))
    await fund(db, "key:k:quota", 2 * USD, 10 * USD)
    await Watch(db).step(NOW)
    await fund(db, "key:k:quota", USD, 10 * USD)
    await Watch(db).step(NOW + 1)
    await fund(db, "key:k:quota", 91 * USD, 100 * USD)
    await Watch(db).step(NOW + 2)
    await fund(db, "key:k:quota", 0, 100 * USD)
    await Watch(db).step(NOW + 3)

    assert await told(db) == ["quota_low 2.00", "quota_low 1.00", "quota_low 0.00"]
    ((facts,),) = await db.read("SELECT facts FROM mails ORDER BY created_at LIMIT 1")
    assert '"key":"ci"' in facts

    await keys.delete(db, org, "k")
    await fund(db, "key:k:quota", 60 * USD, 100 * USD)
    await Watch(db).step(NOW + 4)
    assert len(await told(db)) == 3


async def test_a_lowered_cap_is_looked_at_though_nothing_was_used(db: Database, org: str) -> None:
    """The whole is another one."""
    await keys.create(db, key_record("k", org, name="ci", quota_nano=10 * USD))
    await fund(db, "key:k:quota", 5 * USD, 10 * USD)
    await Watch(db).step(NOW)
    await fund(db, "key:k:quota", 5 * USD, 100 * USD)  # 95 of it were used, then
    await Watch(db).step(NOW + 1)

    assert await told(db) == ["quota_low 5.00"]


async def test_budgets_of_an_organization_and_of_its_key(db: Database, org: str) -> None:
    """At 80 percent and when it is used up; each with its month in the facts."""
    await keys.create(db, key_record("k", org, name="ci"))
    for shelf in ("org", "key"):
        await budget(db, org, shelf, 10 * USD, 8 * USD - 1)
        await Watch(db).step(NOW)
        await budget(db, org, shelf, 10 * USD, 8 * USD)
        await Watch(db).step(NOW + 1)
        await budget(db, org, shelf, 10 * USD, 11 * USD)
        await Watch(db).step(NOW + 2)

    assert await told(db) == ["budget_reached 80 %"] * 2 + ["budget_reached 100 %"] * 2
    kept = [facts for (facts,) in await db.read("SELECT facts FROM mails ORDER BY key")]
    assert all('"month":"January 2026"' in facts for facts in kept)
    assert sum('"scope":"the organization"' in facts for facts in kept) == 2
    assert sum('"scope":"the key \\"ci\\""' in facts for facts in kept) == 2


async def test_a_month_that_is_over_is_not_looked_at(db: Database, org: str) -> None:
    """Nor one that another reset day has ended."""
    name = await budget(db, org, "org", 10 * USD, 9 * USD)
    await Watch(db).step(NOW + 31 * DAY_MS)
    assert await told(db) == []

    await db.write(partial(funds.set_budget, owner=org, cap=10 * USD, reset_day=15, now_ms=NOW))
    await fund(db, name, 0, 10 * USD)
    await Watch(db).step(NOW)
    assert await told(db) == []


async def test_the_allowance_of_a_cycle(db: Database, org: str) -> None:
    """In credits, of what was granted in this cycle; not of one that is over."""
    values = (org, NOW, NOW + 60 * DAY_MS)
    await db.write(
        lambda tx: tx.execute(
            "INSERT INTO subscriptions (id, org_id, key_id, plan, period, price, allowance, "
            "anchor_ms, paid_until_ms, status, cancel_at_end, next_at_ms, fallback) "
            "VALUES ('sub_1', ?, 'k', 'pro', 'monthly', 1, 900000, ?, ?, 'active', 0, 0, 0)",
            values,
        )
    )
    await db.write(
        lambda tx: tx.insert_many(
            "plan_cycles",
            ("subscription_id", "number", "granted", "upgrades"),
            [("sub_1", 0, 900_000, 0), ("sub_1", 1, 900_000, 0)],
        )
    )
    for step, left in enumerate((900_000, 180_000, 90_500, 90_000, 500)):
        await fund(db, f"org:{org}:plan:sub_1.0", left)
        await fund(db, f"org:{org}:plan:sub_1.1", 0)
        await Watch(db).step(NOW + step)

    assert await told(db) == ["cycle_low 180", "cycle_low 90", "cycle_low 0"]
    ((facts,),) = await db.read("SELECT facts FROM mails ORDER BY created_at LIMIT 1")
    for part in ('"cycle":"2026-01-01"', '"plan":"pro"', '"whole":"900"', '"until":"2026-02-01"'):
        assert part in facts


async def test_settings_are_an_organization_s_own(db: Database, org: str) -> None:
    """As shipped where it says nothing."""
    assert await alerts.settings(db, org) == DEFAULTS

    own = {"low_balance": Rule(threshold=7 * USD), "quota": Rule(on=False, threshold=30)}
    await db.write(partial(alerts.set_settings, org_id=org, rules=own))
    await db.write(
        partial(alerts.set_settings, org_id=org, rules={"quota": Rule(on=False, threshold=40)})
    )

    assert await alerts.settings(db, org) == DEFAULTS | own | {
        "quota": Rule(on=False, threshold=40)
    }
    assert await alerts.settings(db, "org_other") == DEFAULTS


async def test_another_threshold_holds_at_once(db: Database, org: str) -> None:
    """Nothing need be used for that; switched off, nothing is told; switched on again, it is."""

    async def rule(**fields: object) -> None:
        changed = {"low_balance": Rule(**fields)}  # type: ignore[arg-type]
        await db.write(partial(alerts.set_settings, org_id=org, rules=changed))

    await wallet(db, org, 30 * USD)
    await Watch(db).step(NOW)
    await rule(threshold=40 * USD)
    await Watch(db).step(NOW + 1)
    assert await told(db) == ["low_balance 30.00"]

    await rule(on=False, threshold=40 * USD)
    await Watch(db).step(NOW + 2)
    await wallet(db, org, 3 * USD)
    await Watch(db).step(NOW + 3)
    assert len(await told(db)) == 1

    await rule(on=True, threshold=40 * USD)
    await Watch(db).step(NOW + 4)
    assert await told(db) == ["low_balance 30.00", "low_balance 3.00"]


async def test_a_suspended_organization_is_not_told(db: Database, org: str) -> None:
    """Until it goes on."""
    await wallet(db, org, 50 * USD)
    await Watch(db).step(NOW)
    await identity.set_organization_status(db, org, "suspended")
    await wallet(db, org, USD)
    await Watch(db).step(NOW + 1)
    assert await told(db) == []

    await identity.set_organization_status(db, org, "active")
    await Watch(db).step(NOW + 2)
    assert await told(db) == ["low_balance 1.00"]


async def test_a_page_is_not_the_end(db: Database, org: str) -> None:
    """More funds than are read at once are all looked at, those of nobody between them too."""
    count = PAGE + 7
    records = [key_record(f"k{n:04}", org, quota_nano=USD) for n in range(count)]
    columns = ("id", "org_id", "name", "kind", "digest", "last4", "status", "models", "addresses")
    rows = [
        (r.id, r.org_id, r.name, r.kind, r.digest, r.last4, r.status, "[]", "[]", NOW)
        for r in records
    ]
    await db.write(lambda tx: tx.insert_many("keys", (*columns, "created_at"), rows))
    caps = [(f"key:{r.id}:quota", "key-quota", r.id, USD, 0, ALWAYS, 0, 0) for r in records]
    caps += [(f"key:gone{n}:quota", "key-quota", f"gone{n}", USD, 0, ALWAYS, 0, 0) for n in "ab"]
    named = ("id", "kind", "owner", "cap", "since_ms", "until_ms", "posted", "held")
    await db.write(lambda tx: tx.insert_many("funds", named, caps))

    await Watch(db).step(NOW)

    assert len(await told(db)) == count
    assert (await alerts.moved_funds(db, NOW, after="", most=9)).seen == []


async def test_what_is_over_is_forgotten(db: Database, org: str) -> None:
    """A month after its end; a balance never ends."""
    await wallet(db, org, USD)
    name = await budget(db, org, "org", 10 * USD, 9 * USD)
    await Watch(db).step(NOW)
    assert await alerts.level_of(db, name) == Level.WARNING

    await Watch(db).step(NOW + 40 * DAY_MS)

    assert await alerts.level_of(db, name) is None
    assert await alerts.level_of(db, f"org:{org}:wallet") == Level.CRITICAL


async def test_a_sighting_says_how_a_fund_stands(db: Database, org: str) -> None:
    """With the rule that holds, and what was seen before."""
    await wallet(db, org, 9 * USD)
    page = await alerts.moved_funds(db, NOW, after="", most=9)

    assert page.seen == [
        Sighting(
            fund=f"org:{org}:wallet",
            kind="low_balance",
            org_id=org,
            organization="acme",
            left=9 * USD,
            until_ms=ALWAYS,
            rule=DEFAULTS["low_balance"],
        )
    ]
    assert page.last is None
