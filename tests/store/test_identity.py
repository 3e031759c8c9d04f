"""Behaviour of organizations, users and memberships in the database."""

from __future__ import annotations

import os

import pytest

from apertura.store import identity
from apertura.store.database import Conflict, Database

NOW = 1_767_225_600_000


async def organization(db: Database, name: str) -> identity.Organization:
    return await identity.create_organization(db, name, random=os.urandom(13), now_ms=NOW)


async def user(db: Database, email: str) -> identity.User:
    return await identity.create_user(db, email, "Ada", random=os.urandom(13), now_ms=NOW)


async def revision(db: Database) -> int:
    rows = await db.read("SELECT value FROM revision")
    value: int = rows[0][0]
    return value


def test_ids_come_from_the_bytes_given() -> None:
    """The same bytes make the same id; fewer than are needed make none."""
    assert identity.mint_id("org_", bytes(13)) == "org_" + "a" * 20
    assert identity.mint_id("org_", bytes(range(13))) == "org_aaaqeayeaudaocajbifq"
    with pytest.raises(ValueError, match="random bytes"):
        identity.mint_id("org_", bytes(12))


async def test_an_organization_is_found_by_id_and_by_name(db: Database) -> None:
    """Both lead to the same organization; what nobody is called leads to none."""
    made = await organization(db, "Acme")

    assert await identity.find_organization(db, made.id) == made
    assert await identity.find_organization(db, "Acme") == made
    assert await identity.find_organization(db, "acme ") is None
    assert await identity.organizations(db) == [made]


async def test_a_name_that_two_have_is_not_guessed(db: Database) -> None:
    """Then the ids are asked for, and still work."""
    first, second = await organization(db, "Acme"), await organization(db, "Acme")

    with pytest.raises(Conflict, match=second.id):
        await identity.find_organization(db, "Acme")
    assert await identity.find_organization(db, first.id) == first


async def test_an_organization_can_be_suspended(db: Database) -> None:
    """Its status is changed, and an unknown one is said to be unknown."""
    made = await organization(db, "Acme")

    assert await identity.set_organization_status(db, made.id, "suspended")
    assert not await identity.set_organization_status(db, "org_none", "suspended")
    found = await identity.find_organization(db, made.id)
    assert found
    assert found.status == "suspended"


async def test_an_email_address_is_one_user(db: Database) -> None:
    """However it is written; the user is found by it and by id."""
    made = await user(db, "Ada@Example.com")

    with pytest.raises(Conflict):
        await user(db, "ada@example.COM")
    assert await identity.find_user(db, "ADA@example.com") == made
    assert await identity.find_user(db, made.id) == made
    assert await identity.find_user(db, "nobody@example.com") is None


async def test_a_membership_joins_what_exists_once(db: Database) -> None:
    """A member of an unknown organization, or twice, is a conflict."""
    org, ada = await organization(db, "Acme"), await user(db, "ada@example.com")
    await identity.add_member(db, org.id, ada.id, "owner")

    with pytest.raises(Conflict):
        await identity.add_member(db, org.id, ada.id, "owner")
    with pytest.raises(Conflict):
        await identity.add_member(db, "org_none", ada.id, "owner")


async def test_every_change_moves_the_revision(db: Database) -> None:
    """What a running server watches moves with each change, and not with a refused one."""
    seen = [await revision(db)]
    org = await organization(db, "Acme")
    seen.append(await revision(db))
    ada = await user(db, "ada@example.com")
    seen.append(await revision(db))
    await identity.add_member(db, org.id, ada.id, "owner")
    seen.append(await revision(db))
    await identity.set_organization_status(db, org.id, "suspended")
    seen.append(await revision(db))
    with pytest.raises(Conflict):
        await user(db, "ada@example.com")
    seen.append(await revision(db))

    assert seen == [0, 1, 2, 3, 4, 4]
