"""Behaviour of mail that waits, as it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from apertura.store import identity, outbox
from apertura.store.database import Conflict, Database, Tx, open_database
from apertura.store.outbox import BACKOFF_MS, CLAIM_MS, DAY_MS, TRIES, WAIT_MS, Copy
from tests.store.examples import NEW_YEAR_MS as NOW


@pytest.fixture
async def org(db: Database) -> str:
    """An organization without anybody."""
    made = await identity.create_organization(db, "acme", random=bytes(13), now_ms=NOW)
    return made.id


@pytest.fixture
async def other(db: Database, url: str) -> AsyncIterator[Database]:
    """Another process with the same database."""
    opened = await open_database(url)
    yield opened
    await opened.close()


async def contact(db: Database, org: str, *emails: str) -> None:
    await db.write(partial(outbox.set_contacts, org_id=org, emails=emails))


async def put(db: Database, org: str, key: str = "k", now_ms: int = NOW, **facts: str) -> bool:
    work = partial(
        outbox.put, key=key, org_id=org, template="low_balance", facts=facts, now_ms=now_ms
    )
    return await db.write(work)


async def claim(db: Database, now_ms: int = NOW, worker: str = "w", most: int = 10) -> list[Copy]:
    return await outbox.claim(db, worker=worker, now_ms=now_ms, most=most)


async def shown(db: Database) -> list[tuple[Any, ...]]:
    return [(one.recipient, one.status, one.attempts, one.error) for one in await outbox.queue(db)]


async def test_a_mail_is_put_once_for_its_key(db: Database, org: str) -> None:
    """A second time changes nothing, also if the contacts have changed meanwhile."""
    await contact(db, org, "ann@x.example")

    assert await put(db, org, left_usd="9.50")
    await contact(db, org, "bob@x.example")
    assert not await put(db, org, left_usd="1.00")

    (copy,) = await claim(db)
    assert (copy.recipient, copy.template) == ("ann@x.example", "low_balance")
    assert (copy.facts, copy.created_at, copy.attempts) == ({"left_usd": "9.50"}, NOW, 1)
    assert await put(db, org, key="another")


async def test_what_is_undone_puts_no_mail(db: Database, org: str) -> None:
    """The mail and its reason are one transaction."""
    await contact(db, org, "ann@x.example")

    async def work(tx: Tx) -> None:
        await outbox.put(tx, key="k", org_id=org, template="test", facts={}, now_ms=NOW)
        raise Conflict("no, after all")

    with pytest.raises(Conflict):
        await db.write(work)

    assert await outbox.counts(db) == {}
    assert await put(db, org)


async def test_each_contact_gets_a_copy_with_an_id_of_its_own(db: Database, org: str) -> None:
    """The id depends on the key and the recipient alone: a duplicate can be recognized."""
    await contact(db, org, "bob@x.example", "ann@x.example", "ann@x.example")
    await put(db, org)

    copies = await claim(db)

    assert sorted(copy.recipient for copy in copies) == ["ann@x.example", "bob@x.example"]
    assert len({copy.id for copy in copies}) == 2
    again = {outbox._copy_id("k", copy.recipient): copy.recipient for copy in copies}
    assert again == {copy.id: copy.recipient for copy in copies}


async def test_without_contacts_mail_goes_to_the_owners(db: Database, org: str) -> None:
    """Those who may use it still; readers get none."""
    for email, role in (("own@x.example", "owner"), ("read@x.example", "reader")):
        user = await identity.create_user(db, email, email, random=email.encode() * 2, now_ms=NOW)
        await identity.add_member(db, org, user.id, role)
    await put(db, org)

    assert [copy.recipient for copy in await claim(db)] == ["own@x.example"]

    await contact(db, org, "bills@x.example")
    await put(db, org, key="next")
    assert [copy.recipient for copy in await claim(db)] == ["bills@x.example"]


async def test_mail_for_nobody_is_kept_and_shown(db: Database, org: str) -> None:
    """It is never tried."""
    assert await put(db, org)
    assert not await put(db, org)

    assert await claim(db) == []
    assert await shown(db) == [("", "nobody", 0, "no contact, no owner")]


async def test_contacts_are_replaced(db: Database, org: str) -> None:
    """Of this organization only."""
    other = await identity.create_organization(db, "b", random=b"b" * 13, now_ms=NOW)
    await contact(db, other.id, "z@x.example")
    await contact(db, org, "b@x.example", "a@x.example")
    assert await outbox.contacts(db, org) == ["a@x.example", "b@x.example"]

    await contact(db, org)

    assert await outbox.contacts(db, org) == []
    assert await outbox.contacts(db, other.id) == ["z@x.example"]
    with pytest.raises(Conflict):
        await contact(db, "org_nobody", "a@x.example")


async def test_what_is_claimed_is_nobody_else_s_for_a_time(db: Database, org: str) -> None:
    """And then it is: a worker that died in the middle loses no mail."""
    await contact(db, org, "ann@x.example")
    await put(db, org)

    (first,) = await claim(db, worker="dead")
    assert await claim(db, NOW + CLAIM_MS - 1) == []
    assert not await outbox.is_due(db, NOW + CLAIM_MS - 1)
    (second,) = await claim(db, NOW + CLAIM_MS, worker="alive")

    assert (second.id, second.attempts) == (first.id, 2)


async def test_several_workers_claim_a_copy_once(db: Database, other: Database, org: str) -> None:
    """At the same moment, from two processes."""
    await contact(db, org, *(f"u{n}@x.example" for n in range(12)))
    await put(db, org)

    claims = await asyncio.gather(
        *(claim(one, worker=f"w{n}", most=5) for n, one in enumerate([db, other] * 4))
    )

    claimed = [copy.id for copies in claims for copy in copies]
    assert len(claimed) == len(set(claimed)) == 12


async def test_the_oldest_are_claimed_first(db: Database, org: str) -> None:
    """And no more than was asked for."""
    await contact(db, org, "ann@x.example")
    for n in (3, 1, 2):
        await put(db, org, key=f"k{n}", now_ms=NOW + n, n=str(n))

    assert [copy.facts["n"] for copy in await claim(db, NOW + 9, most=2)] == ["1", "2"]
    assert [copy.facts["n"] for copy in await claim(db, NOW + 9, most=2)] == ["3"]


async def test_what_was_delivered_is_over(db: Database, org: str) -> None:
    """It is not in the queue, and not claimed again."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    (copy,) = await claim(db)

    assert await outbox.delivered(db, copy, NOW + 5)

    assert await shown(db) == []
    assert await claim(db, NOW + DAY_MS) == []
    assert await outbox.counts(db) == {"sent": 1}
    assert not await outbox.delivered(db, copy, NOW + 6)


async def test_what_fails_is_tried_again_after_longer_and_longer(db: Database, org: str) -> None:
    """One minute, five, thirty, two hours, twelve; then it is given up, and stays visible."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    now = NOW
    for wait in BACKOFF_MS:
        (copy,) = await claim(db, now)
        assert await outbox.failed(db, copy, "451 later", now) == now + wait
        assert await claim(db, now + wait - 1) == []
        now += wait

    (copy,) = await claim(db, now)
    assert copy.attempts == TRIES
    assert await outbox.failed(db, copy, "451 still not", now) is None

    assert await shown(db) == [("ann@x.example", "given-up", TRIES, "451 still not")]
    assert await claim(db, now + DAY_MS) == []
    assert [wait // 60_000 for wait in BACKOFF_MS] == [1, 5, 30, 120, 720]


async def test_what_is_refused_for_good_is_given_up_at_once(db: Database, org: str) -> None:
    """With the reason."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    (copy,) = await claim(db)

    assert await outbox.refused(db, copy, "550 no such user", NOW)

    assert await shown(db) == [("ann@x.example", "given-up", 1, "550 no such user")]


async def test_waiting_for_a_server_is_no_attempt(db: Database, org: str) -> None:
    """However often."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    for n in range(TRIES + 2):
        (copy,) = await claim(db, NOW + n * WAIT_MS)
        await outbox.postpone(db, copy, "no server", NOW + n * WAIT_MS)

    assert await shown(db) == [("ann@x.example", "waiting", 0, "no server")]


async def test_a_worker_that_was_taken_for_dead_changes_only_for_the_better(
    db: Database, org: str
) -> None:
    """Its failure is no longer heard; its success is, so that nobody sends it a third time."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    (slow,) = await claim(db, worker="slow")
    (quick,) = await claim(db, NOW + CLAIM_MS, worker="quick")

    await outbox.failed(db, slow, "451 later", NOW + CLAIM_MS)
    await outbox.postpone(db, slow, "no server", NOW + CLAIM_MS)
    assert await claim(db, NOW + CLAIM_MS + BACKOFF_MS[0]) == []  # it is quick's still
    assert await outbox.delivered(db, slow, NOW + CLAIM_MS)

    assert await outbox.failed(db, quick, "451 later", NOW + CLAIM_MS) is not None
    assert await outbox.counts(db) == {"sent": 1}


async def test_a_mail_that_kills_its_workers_is_given_up(db: Database, org: str) -> None:
    """It is not tried for ever."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    for n in range(TRIES):
        assert len(await claim(db, NOW + n * CLAIM_MS)) == 1

    over = NOW + TRIES * CLAIM_MS
    assert await claim(db, over) == []
    assert await outbox.sweep(db, over - 1) == 0
    assert await outbox.sweep(db, over) == 1
    assert await shown(db) == [("ann@x.example", "given-up", TRIES, "never answered")]


async def test_what_is_no_news_any_more_is_not_sent(db: Database, org: str) -> None:
    """After a week without a server; but not while a worker has it."""
    await contact(db, org, "ann@x.example")
    await put(db, org)
    (copy,) = await claim(db)
    await outbox.postpone(db, copy, "no server", NOW)
    await claim(db, NOW + 7 * DAY_MS)

    assert await outbox.sweep(db, NOW + 7 * DAY_MS) == 0
    assert await outbox.sweep(db, NOW + 7 * DAY_MS + CLAIM_MS) == 1

    assert await shown(db) == [("ann@x.example", "given-up", 1, "no server")]


async def test_old_mail_is_forgotten(db: Database, org: str) -> None:
    """With its addresses and facts; what is younger stays."""
    await contact(db, org, "ann@x.example")
    await put(db, org, key="old")
    await put(db, org, key="new", now_ms=NOW + DAY_MS)
    for copy in await claim(db, NOW + DAY_MS):
        await outbox.delivered(db, copy, NOW + DAY_MS)

    await outbox.sweep(db, NOW + 90 * DAY_MS)

    assert await db.read("SELECT key FROM mails") == [("new",)]
    assert await db.read("SELECT mail_key FROM mail_copies") == [("new",)]


async def test_what_was_given_up_is_tried_again_on_demand(db: Database, org: str) -> None:
    """All, or one by its id; with all its tries before it. What is too old is no news, and what
    was sent is not sent again.
    """
    await contact(db, org, "ann@x.example", "bob@x.example", "cy@x.example")
    await put(db, org)
    ann, bob, cy = sorted(await claim(db), key=lambda copy: copy.recipient)
    for copy in (ann, bob):
        await outbox.refused(db, copy, "550 no such user", NOW)
    await outbox.delivered(db, cy, NOW)

    async def retry(now_ms: int, copy_id: str = "") -> int:
        return await db.write(partial(outbox.retry, now_ms=now_ms, copy_id=copy_id))

    assert [await retry(NOW + 1, copy_id) for copy_id in ("none", cy.id, ann.id)] == [0, 0, 1]
    (again,) = await claim(db, NOW + 1)
    assert (again.id, again.attempts) == (ann.id, 1)
    assert await retry(NOW + 1) == 1
    assert [one.id for one in await claim(db, NOW + 1)] == [bob.id]
    await outbox.refused(db, bob, "550 no such user", NOW)
    assert await retry(NOW + 7 * DAY_MS) == 0
