"""Behaviour of the calls of an organization as they are read, with both engines."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apertura.store import call_log, standing
from apertura.store.call_log import Wanted, Window, first_id
from apertura.store.database import Database
from apertura.store.migrate import available
from apertura.store.usage import UsageRow
from tests.store.examples import NEW_YEAR_MS, record, usage_row

DAY_MS = 86_400_000


def row(ms: int, number: int = 0, **fields: Any) -> UsageRow:
    return usage_row(f"req_{(ms << 80) + number:032x}", started_ms=ms, **fields)


async def test_a_row_is_read_as_it_was_written(db: Database) -> None:
    """Its truth values too; and only by its organization."""
    written = row(NEW_YEAR_MS, streamed=False, estimated=True, first_ms=None)
    await record(db, [written])

    assert await call_log.find(db, "org_1", written.call_id) == written
    assert await call_log.find(db, "org_2", written.call_id) is None
    assert await call_log.find(db, "org_1", "req_0") is None
    page = await call_log.page(db, "org_1", Wanted(), before=None, limit=1)
    assert page == call_log.Page([written], None)


async def test_pages_go_on_where_they_stopped(db: Database, monkeypatch) -> None:
    """Whatever passes the filter, and however little one page may look through."""
    rows = [row(NEW_YEAR_MS + n, status=200 + n % 3) for n in range(30)]
    await record(db, [*rows, row(NEW_YEAR_MS + 3, 1, org_id="org_2")])

    for most in (1, 4, 7, 30, 100):
        monkeypatch.setattr(call_log, "SCANNED_MOST", most)
        for limit in (1, 3, 50):
            found: list[str] = []
            before, pages = None, 0
            while pages == 0 or before is not None:
                page = await call_log.page(
                    db, "org_1", Wanted(status=201), before=before, limit=limit
                )
                assert len(page.rows) <= limit
                found += [one.call_id for one in page.rows]
                before, pages = page.next, pages + 1
            assert found == [one.call_id for one in reversed(rows) if one.status == 201]


async def test_times_bound_a_window(db: Database) -> None:
    """From is in it, until is not; a window that is whole says so."""
    await record(db, [row(NEW_YEAR_MS + n) for n in range(10)])

    wanted = Wanted(from_ms=NEW_YEAR_MS + 2, until_ms=NEW_YEAR_MS + 8)
    page = await call_log.page(db, "org_1", wanted, before=None, limit=50)
    assert [one.started_ms - NEW_YEAR_MS for one in page.rows] == [7, 6, 5, 4, 3, 2]
    cut = await call_log.window(db, "org_1", wanted, None, 2)
    assert cut == Window(row(NEW_YEAR_MS + 6).call_id, first_id(NEW_YEAR_MS + 8), True)
    whole = await call_log.window(db, "org_1", wanted, None, 7)
    assert not whole.more


@given(st.integers(0, 2**48 - 2), st.integers(0, 2**80 - 1))
def test_the_first_id_of_a_time_bounds_its_calls(ms: int, number: int) -> None:
    """Nothing of that time stands below it, nothing of an earlier one above."""
    call_id = f"req_{(ms << 80) + number:032x}"

    assert first_id(ms) <= call_id < first_id(ms + 1)
    assert first_id(-5) <= first_id(0) <= call_id
    assert call_id < first_id(2**63)


async def test_sums_are_those_of_the_rows(db: Database) -> None:
    """By day, model and key, within a span, of one organization."""
    rows = [
        row(
            NEW_YEAR_MS + n * DAY_MS // 2,
            key_id=f"key_{n % 3}",
            model=f"m{n % 2}",
            outcome="failed" if n % 4 == 0 else "answered",
            total_ms=n,
            cost=10**n,
        )
        for n in range(12)
    ]
    await record(db, [*rows, row(NEW_YEAR_MS, 5, org_id="org_2", key_id="key_9", cost=5)])
    span = ("2026-01-02", "2026-01-04")
    inside = rows[2:8]
    groups = {"day": lambda one: one, "model": lambda one: one.model, "key": lambda one: one.key_id}

    for group in ("day", "model", "key"):
        sums = await standing.sums(db, "org_1", group, span)  # type: ignore[arg-type]
        assert sum(one.calls for one in sums) == len(inside)
        assert sum(one.cost for one in sums) == sum(one.cost for one in inside)
        assert sum(one.failed for one in sums) == 1
        assert sum(one.took_ms for one in sums) == sum(
            one.total_ms for one in inside if one.outcome != "failed"
        )
        if group != "day":
            assert [one.name for one in sums] == sorted({groups[group](one) for one in inside})
    (only,) = await standing.sums(db, "org_1", "key", span, "key_1")
    assert (only.name, only.calls) == ("key_1", 2)


async def test_days_before_are_counted_by_the_migration(db: Database) -> None:
    """What the sums did not have is made up for from the rows: here it says what they say."""
    rows = [
        row(NEW_YEAR_MS + n * DAY_MS, n, total_ms=n, outcome=o)
        for n, o in enumerate(("answered", "failed", "cut"))
    ]
    await record(db, rows)
    before = await standing.sums(db, "org_1", "day", ("2026-01-01", "2026-01-09"))
    (script,) = [one.sql for one in migrations(db.engine) if one.name == "0010_management.sql"]
    again = script[script.index("UPDATE usage_days") :].rstrip().rstrip(";")

    async def forget(tx: Any) -> None:
        await tx.execute("UPDATE usage_days SET failed = 0, took_ms = 0")
        await tx.execute(again)

    await db.write(forget)

    assert await standing.sums(db, "org_1", "day", ("2026-01-01", "2026-01-09")) == before
    assert [(one.failed, one.took_ms) for one in before] == [(0, 0), (1, 0), (0, 2)]


def migrations(engine: str) -> Any:
    return available(files("apertura.store") / "migrations", engine)


async def test_what_nobody_used_is_nothing(db: Database) -> None:
    """No row is no error."""
    assert await standing.key_use(db, "none") == standing.KeyUse()
    assert await standing.key_uses(db, "none") == {}
    assert await standing.sums(db, "none", "day", ("2026-01-01", "2026-01-02")) == []
    assert await standing.budget(db, "org", "none", NEW_YEAR_MS) is None
    assert await standing.money(db, "none", NEW_YEAR_MS) == standing.Money(
        balance=0, held=0, promos=()
    )


async def test_uses_of_keys_are_of_all_time(db: Database) -> None:
    """With the last day on which each was used."""
    await record(
        db,
        [
            row(NEW_YEAR_MS, 1, key_id="a", cost=3),
            row(NEW_YEAR_MS + DAY_MS, 2, key_id="a", cost=4),
            row(NEW_YEAR_MS, 3, key_id="b", cost=5),
        ],
    )

    uses = await standing.key_uses(db, "org_1")

    assert uses["a"] == standing.KeyUse(2, 240, 7, "2026-01-02") == await standing.key_use(db, "a")
    assert uses["b"] == standing.KeyUse(1, 120, 5, "2026-01-01")
