"""Behaviour of responses that callers asked to keep."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from apertura.errors import TooLarge
from apertura.store import identity, responses
from apertura.store.database import Conflict, Database
from tests.store.examples import NEW_YEAR_MS

NOW = NEW_YEAR_MS
LATER = NOW + 1_000


@pytest.fixture
async def org(db: Database) -> str:
    return (await identity.create_organization(db, "A", random=os.urandom(13), now_ms=NOW)).id


@pytest.fixture
async def other(db: Database) -> str:
    return (await identity.create_organization(db, "B", random=os.urandom(13), now_ms=NOW)).id


def kept(response_id: str, org_id: str, **fields: Any) -> responses.Kept:
    """A response whose one input and output items are named after it."""
    said = {"id": response_id, "output": [{"id": f"msg_{response_id}", "text": "é"}]}
    given: dict[str, Any] = {
        "key_id": "key_1",
        "model": "m",
        "input": json.dumps([{"said": response_id}]).encode(),
        "response": json.dumps(said, ensure_ascii=False).encode(),
        "created_at": NOW,
        "expires_at": LATER,
    }
    return responses.Kept(id=response_id, org_id=org_id, **{**given, **fields})


async def history(db: Database, org_id: str, response_id: str) -> list[str] | None:
    """The names in a history, in order."""
    found = await responses.history(db, org_id, response_id, now_ms=NOW)
    if found is None:
        return None
    items = [json.loads(bytes(item)) for item in found]
    return [item.get("said") or item["id"] for item in items]


async def test_a_response_comes_back_as_it_was_kept(db: Database, org: str) -> None:
    """All fields, to the byte."""
    for record in (kept("r1", org), kept("r2", org, previous_id="r1")):
        await responses.keep(db, record)
        assert record == await responses.find(db, org, record.id, now_ms=NOW)

    assert await responses.find(db, org, "r3", now_ms=NOW) is None


async def test_another_organization_reaches_nothing(db: Database, org: str, other: str) -> None:
    """Not by the response's id, not by a history, not by an item's id, and it deletes nothing."""
    await responses.keep(db, kept("r1", org))
    await responses.keep(db, kept("r2", other, previous_id="r1"))

    assert await responses.find(db, other, "r1", now_ms=NOW) is None
    assert await history(db, other, "r1") is None
    assert await history(db, other, "r2") is None
    assert {} == await responses.find_items(db, other, ["msg_r1"], now_ms=NOW)
    assert not await responses.delete(db, other, "r1")
    assert await responses.find(db, org, "r1", now_ms=NOW) is not None


async def test_the_same_id_in_two_organizations_is_two_responses(
    db: Database, org: str, other: str
) -> None:
    """Ids may come from providers; one organization cannot take another's."""
    mine, theirs = kept("r1", org), kept("r1", other, model="n")
    await responses.keep(db, mine)
    await responses.keep(db, theirs)

    assert mine == await responses.find(db, org, "r1", now_ms=NOW)
    assert theirs == await responses.find(db, other, "r1", now_ms=NOW)
    assert await responses.delete(db, org, "r1")
    assert theirs == await responses.find(db, other, "r1", now_ms=NOW)
    assert {"msg_r1"} == set(await responses.find_items(db, other, ["msg_r1"], now_ms=NOW))


async def test_keeping_twice_changes_nothing(db: Database, org: str) -> None:
    """The first stays."""
    await responses.keep(db, kept("r1", org))
    await responses.keep(db, kept("r1", org, model="another"))

    found = await responses.find(db, org, "r1", now_ms=NOW)
    assert found is not None and "m" == found.model


async def test_a_response_belongs_to_an_organization_that_exists(db: Database) -> None:
    with pytest.raises(Conflict):
        await responses.keep(db, kept("r1", "org_none"))


async def test_a_history_is_all_items_in_order(db: Database, org: str) -> None:
    """Input and output of each response, the oldest first, whatever else is kept."""
    await responses.keep(db, kept("r1", org))
    await responses.keep(db, kept("r2", org, previous_id="r1"))
    await responses.keep(db, kept("side", org, previous_id="r1"))
    await responses.keep(db, kept("r3", org, previous_id="r2"))

    assert ["r1", "msg_r1", "r2", "msg_r2", "r3", "msg_r3"] == await history(db, org, "r3")
    assert ["r1", "msg_r1"] == await history(db, org, "r1")


async def test_a_history_with_a_gap_is_none(db: Database, org: str) -> None:
    """Where a response before it was deleted, has expired or never was."""
    await responses.keep(db, kept("r1", org))
    await responses.keep(db, kept("r2", org, previous_id="r1"))
    await responses.keep(db, kept("old", org, expires_at=NOW))
    await responses.keep(db, kept("r3", org, previous_id="old"))
    await responses.delete(db, org, "r1")

    assert await history(db, org, "r2") is None
    assert await history(db, org, "r3") is None
    assert await history(db, org, "never") is None


async def test_a_history_is_bounded(
    db: Database, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In depth and in bytes; what fits just so is given."""
    await responses.keep(db, kept("r1", org))
    await responses.keep(db, kept("r2", org, previous_id="r1"))
    await responses.keep(db, kept("r3", org, previous_id="r2"))

    monkeypatch.setattr(responses, "DEPTH_MAX", 2)
    assert await history(db, org, "r2") is not None
    with pytest.raises(TooLarge):
        await history(db, org, "r3")
    monkeypatch.setattr(responses, "DEPTH_MAX", 9)
    monkeypatch.setattr(responses, "HISTORY_MAX", 2 * kept("r1", org).size)
    assert await history(db, org, "r2") is not None
    with pytest.raises(TooLarge):
        await history(db, org, "r3")


async def test_a_response_that_names_itself_ends(db: Database, org: str) -> None:
    """Ids come from providers; a circle is a history that is too long."""
    await responses.keep(db, kept("r1", org, previous_id="r1"))

    with pytest.raises(TooLarge):
        await history(db, org, "r1")


async def test_items_are_found_by_their_ids(db: Database, org: str) -> None:
    """Those of the answers; the ones that are not kept are not there."""
    await responses.keep(db, kept("r1", org))
    await responses.keep(db, kept("r2", org))
    await responses.keep(db, kept("old", org, expires_at=NOW))

    asked = ["msg_r2", "msg_old", "never", "msg_r1", "msg_r1"]
    found = await responses.find_items(db, org, asked, now_ms=NOW)
    assert ["msg_r2", "msg_r1"] == list(found)
    assert {"id": "msg_r1", "text": "é"} == json.loads(bytes(found["msg_r1"]))
    assert {} == await responses.find_items(db, org, [], now_ms=NOW)


async def test_a_deletion_is_final(db: Database, org: str) -> None:
    """Also of its items; a second time says so."""
    await responses.keep(db, kept("r1", org))

    assert await responses.delete(db, org, "r1")
    assert not await responses.delete(db, org, "r1")
    assert await responses.find(db, org, "r1", now_ms=NOW) is None
    assert [] == await db.read("SELECT * FROM response_items")


async def test_what_has_expired_is_not_found_and_is_purged(
    db: Database, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not found from the moment on; purged a part at a time, the oldest first."""
    for number in range(3):
        await responses.keep(db, kept(f"r{number}", org, expires_at=NOW + number))

    assert await responses.find(db, org, "r0", now_ms=NOW) is None
    assert await responses.find(db, org, "r1", now_ms=NOW) is not None
    monkeypatch.setattr(responses, "PURGE_MAX", 1)
    assert [1, 1, 0] == [await responses.purge(db, now_ms=NOW + 1) for _ in range(3)]
    assert [("r2",)] == await db.read("SELECT id FROM responses")
    assert [("r2",)] == await db.read("SELECT response_id FROM response_items")
