"""Behaviour of keys in the database."""

from __future__ import annotations

import asyncio
import os

import msgspec
import pytest

from apertura.store import identity, keys
from apertura.store.database import Conflict, Database, open_database
from tests.store.examples import NEW_YEAR_MS, key_record


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
