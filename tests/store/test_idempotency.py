"""Which call a key stands for: one at a time, whoever asks, until it came to nothing or is over."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from apertura.store import idempotency as store
from apertura.store import identity
from apertura.store.database import Conflict, Database, open_database
from apertura.store.idempotency import KEPT_MS, PURGE_MAX, Claimed, Earlier, Record, Reply
from tests.store.examples import NEW_YEAR_MS, record, usage_row

REPLY = Reply(
    status=200, streamed=True, head=b"content-type: text/plain\r\n", body="schön\n".encode()
)


@pytest.fixture
async def org(db: Database) -> str:
    made = await identity.create_organization(db, "acme", random=b"o" * 13, now_ms=1)
    return made.id


def wanted(org: str, call_id: str = "req_1", **fields: Any) -> Record:
    given = {
        "org_id": org,
        "name": "name",
        "body": "body",
        "call_id": call_id,
        "key_id": "key_1",
        "worker": "here/1",
        "started_ms": NEW_YEAR_MS,
    }
    return Record(**{**given, **fields})


async def ended(db: Database, org: str, call_id: str = "req_1", **fields: Any) -> None:
    await record(db, [usage_row(call_id, org_id=org, **fields)])


async def test_the_first_gets_the_key(db: Database, org: str) -> None:
    """And whoever comes later learns who has it."""
    assert await store.claim(db, wanted(org)) == Claimed(stores=False)
    found = await store.claim(db, wanted(org, "req_2", body="other", worker="there/1"))
    assert found == Earlier(
        body="body", call_id="req_1", worker="here/1", started_ms=NEW_YEAR_MS, outcome=None
    )


async def test_organizations_have_keys_of_their_own(db: Database, org: str) -> None:
    other = await identity.create_organization(db, "other", random=b"p" * 13, now_ms=1)
    assert isinstance(await store.claim(db, wanted(org)), Claimed)
    assert isinstance(await store.claim(db, wanted(other.id, "req_2")), Claimed)


async def test_of_many_at_once_one_gets_it(db: Database, url: str, org: str) -> None:
    """Through two connections, as two processes have them."""
    beside = await open_database(url)
    both = [(db, "here/1"), (beside, "there/1")]
    found = await asyncio.gather(
        *(
            store.claim(base, wanted(org, f"req_{n}_{worker[0]}", worker=worker))
            for n in range(10)
            for base, worker in both
        )
    )
    await beside.close()
    assert sum(isinstance(one, Claimed) for one in found) == 1
    assert len({one.call_id for one in found if isinstance(one, Earlier)}) == 1


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({}, False),
        ({"cost": 0}, False),
        ({"outcome": "cut", "cost": 0}, True),
        ({"outcome": "cut", "cost": 7}, False),
        ({"outcome": "failed", "cost": 0}, True),
    ],
)
async def test_how_a_call_ended_decides(
    db: Database, org: str, fields: dict[str, Any], free: bool
) -> None:
    """A call that was answered keeps its key, and so does whatever was charged."""
    await store.claim(db, wanted(org))
    await ended(db, org, **fields)
    found = await store.claim(db, wanted(org, "req_2", body="other"))
    assert isinstance(found, Claimed) == free
    if isinstance(found, Earlier):
        row = usage_row("req_1", **fields)
        assert (found.outcome, found.cost, found.credits) == (row.outcome, row.cost, 0)


async def test_an_earlier_life_of_the_same_place_is_over(db: Database, org: str) -> None:
    """Its journal is in the books; what is not there never will be. Of other places who knows."""
    await store.claim(db, wanted(org))
    assert isinstance(await store.claim(db, wanted(org, "req_2", worker="there/9")), Earlier)
    assert isinstance(await store.claim(db, wanted(org, "req_3", worker="here/1")), Earlier)
    assert isinstance(await store.claim(db, wanted(org, "req_4", worker="here/2")), Claimed)
    found = await store.claim(db, wanted(org, "req_5", worker="there/9"))
    assert isinstance(found, Earlier)
    assert found.call_id == "req_4"


async def test_a_settled_call_of_an_earlier_life_is_not_over(db: Database, org: str) -> None:
    await store.claim(db, wanted(org))
    await ended(db, org)
    found = await store.claim(db, wanted(org, "req_2", worker="here/2"))
    assert isinstance(found, Earlier)
    assert (found.outcome, found.cost) == ("answered", 7)


async def test_a_place_frees_what_its_earlier_lives_left(db: Database, org: str) -> None:
    """Not what is settled, not what runs, and not another place's, however alike its name."""
    for number, worker in enumerate(("here/1", "here/1", "here/2", "here2/1", "there/1")):
        one = wanted(org, f"req_{number}", name=str(number), worker=worker)
        await store.claim(db, one)
    await ended(db, org, "req_1", outcome="failed", cost=0)
    assert await store.free_dead(db, "here/2") == 1
    left = await db.read("SELECT call_id FROM idempotency ORDER BY call_id")
    assert left == [(f"req_{number}",) for number in (1, 2, 3, 4)]


async def test_a_freed_key_is_free(db: Database, org: str) -> None:
    """Said to the database, or known to the worker before the database hears of it."""
    await store.claim(db, wanted(org))
    assert isinstance(await store.claim(db, wanted(org, "req_2"), failed={"req_1"}), Claimed)
    await store.free(db, wanted(org, "req_1"))  # late: no longer its key
    assert isinstance(await store.claim(db, wanted(org, "req_3")), Earlier)
    await store.free(db, wanted(org, "req_2"))
    assert isinstance(await store.claim(db, wanted(org, "req_3")), Claimed)


async def test_a_key_lasts_a_day(db: Database, org: str) -> None:
    await store.claim(db, wanted(org))
    await ended(db, org)
    last = wanted(org, "req_2", started_ms=NEW_YEAR_MS + KEPT_MS - 1)
    assert isinstance(await store.claim(db, last), Earlier)
    after = msgspec.structs.replace(last, started_ms=NEW_YEAR_MS + KEPT_MS)
    assert isinstance(await store.claim(db, after), Claimed)


# --- replies ---


async def test_replies_are_stored_only_where_allowed(db: Database, org: str) -> None:
    assert await store.claim(db, wanted(org)) == Claimed(stores=False)
    assert not await store.store(db, wanted(org), REPLY)
    await store.allow(db, org, allowed=True)
    await store.allow(db, org, allowed=True)
    assert await store.allows(db, org)
    assert await store.claim(db, wanted(org, "req_2", name="b")) == Claimed(stores=True)
    assert await store.store(db, wanted(org, "req_2", name="b"), REPLY)
    found = await store.claim(db, wanted(org, "req_3", name="b", worker="there/1"))
    assert isinstance(found, Earlier)
    assert (found.call_id, found.reply) == ("req_2", REPLY)


async def test_a_no_deletes_what_is_stored(db: Database, org: str) -> None:
    await store.allow(db, org, allowed=True)
    await store.claim(db, wanted(org))
    await store.store(db, wanted(org), REPLY)
    await store.allow(db, org, allowed=False)
    assert await db.read("SELECT * FROM idempotency_replies") == []
    found = await store.claim(db, wanted(org, "req_2"))
    assert isinstance(found, Earlier)
    assert found.reply is None


async def test_there_must_be_an_organization(db: Database) -> None:
    with pytest.raises(Conflict):
        await store.allow(db, "org_nobody", allowed=True)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a\0b"])
async def test_what_is_no_text_is_not_stored(db: Database, org: str, body: bytes) -> None:
    await store.allow(db, org, allowed=True)
    reply = msgspec.structs.replace(REPLY, body=body)
    assert not await store.store(db, wanted(org), reply)


async def test_a_key_that_passes_on_takes_no_reply_along(db: Database, org: str) -> None:
    await store.allow(db, org, allowed=True)
    await store.claim(db, wanted(org))
    await store.store(db, wanted(org), REPLY)
    after = wanted(org, "req_2", started_ms=NEW_YEAR_MS + KEPT_MS)
    assert await store.claim(db, after) == Claimed(stores=True)
    assert await db.read("SELECT * FROM idempotency_replies") == []


async def test_no_content_is_kept_in_a_record(db: Database, org: str) -> None:
    """What a record says is all there is to it."""
    await store.claim(db, wanted(org))
    values = msgspec.structs.astuple(wanted(org))
    assert await db.read("SELECT * FROM idempotency") == [(*values, 0)]


# --- what is over ---


async def test_what_is_over_is_purged(db: Database, org: str) -> None:
    """Keys and replies, and none before its time."""
    await store.allow(db, org, allowed=True)
    for number, started_ms in enumerate((NEW_YEAR_MS, NEW_YEAR_MS + 1)):
        one = wanted(org, f"req_{number}", name=str(number), started_ms=started_ms)
        await store.claim(db, one)
        await store.store(db, one, REPLY)
    assert await store.purge(db, now_ms=NEW_YEAR_MS + KEPT_MS - 1) == 0
    assert await store.purge(db, now_ms=NEW_YEAR_MS + KEPT_MS) == 1
    for table in ("idempotency", "idempotency_replies"):
        assert await db.read(f"SELECT call_id FROM {table}") == [("req_1",)]


async def test_a_purge_is_not_without_bounds(db: Database, org: str) -> None:
    columns = [*Record.__struct_fields__, "stores"]
    rows = [
        (*msgspec.structs.astuple(wanted(org, f"req_{n}", name=str(n))), 0)
        for n in range(PURGE_MAX + 1)
    ]
    await db.write(lambda tx: tx.insert_many("idempotency", columns, rows))
    over = NEW_YEAR_MS + KEPT_MS
    assert [await store.purge(db, now_ms=over) for _ in range(3)] == [PURGE_MAX, 1, 0]
