"""Behaviour of usage rows and their sums."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertura.store import usage
from apertura.store.database import Database, open_database
from apertura.store.migrate import migrate
from apertura.store.usage import Part, Totals, UsageRow
from tests.databases import new_url
from tests.store.examples import NEW_YEAR_MS, record, usage_row

DAY_MS = 86_400_000
SUMS = (
    "SELECT key_id, day, model, calls, input, output, cost, credits, upstream_cost "
    "FROM usage_days ORDER BY 1, 2, 3"
)


@st.composite
def rows_with_replays(draw: st.DrawFn) -> list[list[UsageRow]]:
    """Batches in which some rows come again, in the same batch or in a later one."""
    count = draw(st.integers(1, 30))
    rows = [
        usage_row(
            f"call_{number}",
            key_id=draw(st.sampled_from(["key_1", "key_2"])),
            model=draw(st.sampled_from(["small", "large"])),
            started_ms=NEW_YEAR_MS + draw(st.integers(0, 3)) * DAY_MS // 2,
            input=draw(st.integers(0, 2**40)),
            cost=draw(st.integers(0, 2**53)),
        )
        for number in range(count)
    ]
    order = draw(st.permutations(rows + draw(st.lists(st.sampled_from(rows), max_size=10))))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@given(rows_with_replays())
def test_a_replayed_row_changes_nothing(batches: list[list[UsageRow]]) -> None:
    """However rows are cut into batches and repeated, rows and sums are those of the set."""
    assert_each_counts_once("sqlite", batches)


@settings(max_examples=10)
@given(rows_with_replays())
def test_a_replayed_row_changes_nothing_on_postgres(batches: list[list[UsageRow]]) -> None:
    """So there."""
    assert_each_counts_once("postgres", batches)


def assert_each_counts_once(engine: str, batches: list[list[UsageRow]]) -> None:
    distinct = {row.call_id: row for batch in batches for row in batch}

    async def run() -> tuple[int, int, list[tuple[object, ...]]]:
        with new_url(engine) as url:
            db = await open_database(url)
            await migrate(db)
            new = sum([await record(db, batch) for batch in batches])
            kept = await db.read("SELECT COUNT(*) FROM usage")
            sums = await db.read(SUMS)
            await db.close()
            return new, kept[0][0], sums

    new, kept, sums = asyncio.run(run())

    expected: dict[tuple[str, str, str], list[int]] = {}
    for row in distinct.values():
        total = expected.setdefault((row.key_id, usage.day_of(row.started_ms), row.model), [0] * 6)
        for place, value in enumerate((1, row.input, row.output, row.cost, 0, 0)):
            total[place] += value
    assert new == kept == len(distinct)
    assert sums == [(*key, *total) for key, total in sorted(expected.items())]


async def test_a_row_is_kept_as_it_was(db: Database) -> None:
    """Each field stands in its column."""
    row = usage_row("call_1", first_ms=None, estimated=True, outcome="cut", error_code="stalled")
    await record(db, [row])

    stored = await db.read(f"SELECT {', '.join(UsageRow.__struct_fields__)} FROM usage")

    assert stored == [msgspec.structs.astuple(row)]


@given(
    st.builds(
        usage_row,
        st.text(max_size=30),
        model=st.text(max_size=20),
        first_ms=st.none() | st.integers(0, 2**40),
        cost=st.integers(0, 2**63 - 1),
        streamed=st.booleans(),
    )
)
def test_a_line_of_the_journal_reads_back(row: UsageRow) -> None:
    """What is encoded holds no line feed and decodes to the same row."""
    line = usage.encode(row)

    assert b"\n" not in line
    assert usage.decode(line) == row


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'["call_1"]', b"\xff"])
def test_a_line_of_something_else_is_refused(line: bytes) -> None:
    """Bytes that are no row are a ValueError, never a half filled row."""
    with pytest.raises(ValueError):
        usage.decode(line)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
async def test_sums_of_many_keys_go_in_together(db: Database, count: int) -> None:
    """A batch of as many keys as you like adds to each of them, twice."""
    for turn in "ab":
        rows = [usage_row(f"call_{turn}{n}", key_id=f"key_{n}") for n in range(count)]
        assert await record(db, rows) == count

    sums = [await usage.totals(db, f"key_{n}") for n in range(count)]
    assert sums == [Totals(calls=2, input=200, output=40, cost=14)] * count
    assert await usage.org_totals(db, "org_1") == Totals(
        calls=2 * count, input=200 * count, output=40 * count, cost=14 * count
    )


async def test_nothing_used_is_zero(db: Database) -> None:
    """A key without a call has totals of zero and no parts; an empty batch is no change."""
    assert await record(db, []) == 0
    assert await usage.totals(db, "key_1") == Totals()
    assert await usage.by_day(db, "key_1", "2026-01-01", "2026-12-31") == []


async def test_a_period_is_its_days_both_included(db: Database) -> None:
    """By model and by day, of a key and of its organization; a day ends at midnight UTC."""
    await record(
        db,
        [
            usage_row("call_1", started_ms=NEW_YEAR_MS - 1),
            usage_row("call_2", started_ms=NEW_YEAR_MS),
            usage_row("call_3", started_ms=NEW_YEAR_MS + DAY_MS - 1, model="large", cost=50),
            usage_row("call_4", started_ms=NEW_YEAR_MS + DAY_MS),
            usage_row("call_5", key_id="key_2", started_ms=NEW_YEAR_MS),
            usage_row("call_6", key_id="key_3", org_id="org_2", started_ms=NEW_YEAR_MS),
        ],
    )

    def part(name: str, calls: int, cost: int) -> Part:
        return Part(name=name, calls=calls, input=100 * calls, output=20 * calls, cost=cost)

    day, next_day = "2026-01-01", "2026-01-02"
    assert await usage.by_day(db, "key_1", day, day) == [part(day, 2, 57)]
    assert await usage.by_day(db, "key_1", "2025-12-01", next_day) == [
        part("2025-12-31", 1, 7),
        part(day, 2, 57),
        part(next_day, 1, 7),
    ]
    assert await usage.by_model(db, "key_1", day, next_day) == [
        part("large", 1, 50),
        part("small", 2, 14),
    ]
    assert await usage.org_by_day(db, "org_1", day, day) == [part(day, 3, 64)]
    assert await usage.org_by_model(db, "org_1", day, day) == [
        part("large", 1, 50),
        part("small", 2, 14),
    ]
