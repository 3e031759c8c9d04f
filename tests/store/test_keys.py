"""Behaviour of keys in the database."""

from __future__ import annotations

import asyncio
import os

import msgspec
import pytest

from apertura.domain.funds import Fund, quota_of
from apertura.store import funds, identity, keys
from apertura.store.audit import audit
from apertura.store.database import Conflict, Database, open_database
from tests.store import examples
from tests.store.examples import NEW_YEAR_MS, key_record, usage_row


@pytest.fixture
async def org(db: Database) -> identity.Organization:
    return await identity.create_organization(db, "Acme", random=os.urandom(13), now_ms=NEW_YEAR_MS)


async def test_a_key_comes_back_as_it_was_made(db: Database, org: identity.Organization) -> None:
    """All fields survive, found by digest or by id; nothing else is found."""
    plain = key_record("key_1", org.id)
    rich = key_record(
        "key_2",
        org.id,
        models=("small", 'odd "name"'),
        addresses=("10.0.0.0/8",),
        quota_nano=2**62,
        expires_at=NEW_YEAR_MS + 1,
        status="disabled",
    )
    for record in (plain, rich):
        await keys.create(db, record)
        assert await keys.find(db, record.digest) == record
        assert await keys.find_by_id(db, record.id) == record

    assert await keys.find(db, "another digest") is None
    assert await keys.find_by_id(db, "key_3") is None


async def test_a_key_brings_the_status_of_its_organization(
    db: Database, org: identity.Organization
) -> None:
    """Suspending the organization shows on each of its keys."""
    record = key_record("key_1", org.id)
    await keys.create(db, record)
    await identity.set_organization_status(db, org.id, "suspended")

    found = await keys.find(db, record.digest)

    assert found == msgspec.structs.replace(record, org_status="suspended")


@pytest.mark.parametrize(
    ("key_id", "fields"),
    [
        ("key_1", {"digest": "new"}),
        ("key_2", {"digest": "digest of key_1"}),
        ("key_2", {"org_id": "org_none"}),
        ("key_2", {"user_id": "user_none"}),
    ],
)
async def test_a_key_that_collides_is_a_conflict(
    db: Database, org: identity.Organization, key_id: str, fields: dict[str, object]
) -> None:
    """Ids and digests are unique, and a key belongs to what exists."""
    await keys.create(db, key_record("key_1", org.id))

    with pytest.raises(Conflict):
        await keys.create(db, key_record(key_id, **{"org_id": org.id, **fields}))

    assert [key.id for key in await keys.listing(db, org.id)] == ["key_1"]


async def test_a_change_touches_only_what_it_names(
    db: Database, org: identity.Organization
) -> None:
    """Fields left out stay; a bound can be taken away; other keys are not touched."""
    first = key_record("key_1", org.id, quota_nano=5, models=("small",))
    second = key_record("key_2", org.id)
    for record in (first, second):
        await keys.create(db, record)

    change = keys.KeyChange(name="new", quota_nano=None, models=("large",), status="disabled")
    assert await keys.change(db, org.id, "key_1", change)
    assert await keys.change(db, org.id, "key_1", keys.KeyChange())

    changed = msgspec.structs.replace(
        first, name="new", quota_nano=None, models=("large",), status="disabled"
    )
    assert await keys.listing(db, org.id) == [changed, second]


async def test_another_organization_reaches_no_key(
    db: Database, org: identity.Organization
) -> None:
    """A change or deletion under another organization finds nothing and changes nothing."""
    other = await identity.create_organization(
        db, "Other", random=os.urandom(13), now_ms=NEW_YEAR_MS
    )
    record = key_record("key_1", org.id)
    await keys.create(db, record)

    assert not await keys.change(db, other.id, "key_1", keys.KeyChange(status="disabled"))
    assert not await keys.delete(db, other.id, "key_1")
    assert await keys.listing(db, other.id) == []
    assert await keys.listing(db, org.id) == [record]


async def test_a_deletion_is_final(db: Database, org: identity.Organization) -> None:
    """The key is not found any more, and a second deletion says so."""
    record = key_record("key_1", org.id)
    await keys.create(db, record)

    assert await keys.delete(db, org.id, "key_1")
    assert not await keys.delete(db, org.id, "key_1")
    assert await keys.find(db, record.digest) is None


async def test_every_change_of_a_key_is_noticed_elsewhere(
    db: Database, org: identity.Organization, url: str
) -> None:
    """A second opening of the same database, as by a command, is heard of by a running server."""
    changed = asyncio.Event()
    db.on_change(changed.set)
    other = await open_database(url)

    for act in (
        keys.create(other, key_record("key_1", org.id)),
        keys.change(other, org.id, "key_1", keys.KeyChange(status="disabled")),
        keys.delete(other, org.id, "key_1"),
    ):
        await act
        await asyncio.wait_for(changed.wait(), 10)
        changed.clear()
    await other.close()


async def test_a_quota_is_taken_out_of_another(db: Database, org: identity.Organization) -> None:
    """As far as neither used nor lent; both together have what one had; else none is made."""
    await keys.create(db, key_record("key_1", org.id, quota_nano=100))
    used = usage_row("call", org_id=org.id, key_id="key_1", cost=30)
    await examples.record(db, [used])
    lent = await db.write(
        lambda tx: funds.lend(tx, "here/1", quota_of("key_1"), [20], free=0, expires_at=2**60)
    )
    assert lent.amount >= 20

    left = 100 - 30 - lent.amount
    for quota in (left + 1, 100, 10**18):
        with pytest.raises(Conflict):
            await keys.create_out_of(db, key_record("key_2", org.id, quota_nano=quota), "key_1")
    assert await keys.count(db, org.id) == 1
    await keys.create_out_of(db, key_record("key_2", org.id, quota_nano=left), "key_1")

    made = {one.id: one.quota_nano for one in await keys.listing(db, org.id)}
    assert made == {"key_1": 100 - left, "key_2": left}
    assert await funds.find(db, quota_of("key_1")) == Fund(lent.amount, lent.amount)
    assert await keys.count(db, org.id) == 2
    assert [check.findings for check in await audit(db) if check.findings] == []


async def test_quotas_taken_at_once_are_not_more_than_there_is(
    db: Database, org: identity.Organization
) -> None:
    """Of ten that want three of ten each, three get it."""
    await keys.create(db, key_record("key_1", org.id, quota_nano=10))
    wanted = [key_record(f"made_{n}", org.id, quota_nano=3) for n in range(10)]

    done = await asyncio.gather(
        *(keys.create_out_of(db, each, "key_1") for each in wanted), return_exceptions=True
    )

    assert sum(end is None for end in done) == 3
    assert {type(end) for end in done} == {type(None), Conflict}
    quotas = [one.quota_nano or 0 for one in await keys.listing(db, org.id)]
    assert sum(quotas) == 10


async def test_a_key_without_a_quota_passes_none_on(
    db: Database, org: identity.Organization
) -> None:
    """There is nothing to take it out of."""
    await keys.create(db, key_record("key_1", org.id))

    with pytest.raises(Conflict):
        await keys.create_out_of(db, key_record("key_2", org.id, quota_nano=1), "key_1")
    with pytest.raises(Conflict):
        await keys.create_out_of(db, key_record("key_2", org.id, quota_nano=1), "none")
    assert await keys.count(db, org.id) == 1
