"""Behaviour of /api/log, its file, and /api/usage: everything once, in order, and nothing else."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from decimal import Decimal
from typing import Any

import pytest

from apertura.api import log
from apertura.store import call_log
from tests.api.client import COST, Served, gateway, id_of
from tests.api.managing import DOLLAR, admin_key, call_at, exact, subscribe, used
from tests.live import live
from tests.store.examples import usage_row

NEW_YEAR_MS = 1_767_225_600_000
DAY_MS = 86_400_000
HIDDEN = ("offer", "price_id", "upstream_cost")
"""What is between the installation and its providers."""


@pytest.fixture
async def served(tmp_path):
    async with gateway(tmp_path, limit_queries="off") as running:
        yield running


async def fill(served: Served, count: int = 25) -> list[str]:
    """Calls, a minute apart, of two keys and models; their ids, the newest first."""
    rows = [
        call_at(
            NEW_YEAR_MS + n * 60_000,
            org_id=served.org_id,
            key_id=f"key_{n % 2}",
            model=("small", "large", "large")[n % 3],
            outcome=("answered", "answered", "answered", "failed", "cut")[n % 5],
            status=(200, 200, 200, 502, 499)[n % 5],
            cost=n,
            upstream_cost=n + 1,
        )
        for n in range(count)
    ]
    await used(served, *rows)
    return [row.call_id for row in reversed(rows)]


async def ids(served: Served, admin: str, query: str = "") -> list[str]:
    """All that the pages hold, in their order."""
    found: list[str] = []
    before = ""
    while True:
        page = exact(await served.get(f"/api/log?limit=7{query}{before}", admin))
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            return found
        before = f"&before={page['next']}"


async def test_pages_hold_every_call_once_the_newest_first(served: Served) -> None:
    """However they are cut; the alias is the same."""
    admin = await admin_key(served)
    expected = await fill(served)
    await used(served, call_at(NEW_YEAR_MS, 9, org_id="org_other"))

    assert await ids(served, admin) == expected
    page = exact(await served.get("/api/log", admin))
    assert [item["id"] for item in page["items"]] == expected
    assert page["next"] is None
    assert exact(await served.get("/api/log/self", admin)) == page


async def test_a_call_is_shown_as_its_caller_may_see_it(served: Served) -> None:
    """At once after it, with its tokens and cost, without what providers take."""
    admin, key = await admin_key(served), await served.key()
    answer = await served.chat(key)

    (item,) = exact(await served.get("/api/log", admin))["items"]

    assert item["id"] == answer.headers["x-request-id"]
    assert (item["key_id"], item["model"], item["provider"]) == (id_of(key), "small", "acme")
    assert (item["status"], item["outcome"], item["payer"]) == (200, "answered", "wallet")
    assert (item["tokens"]["input"], item["tokens"]["output"]) == (9, 3)
    assert item["cost_usd"] == Decimal(COST) / DOLLAR
    assert exact(await served.get(f"/api/log/{item['id']}", admin)) == item
    assert set(HIDDEN).isdisjoint(item)
    assert set(log.COLUMNS).isdisjoint(HIDDEN)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("&key=key_1", lambda n: n % 2 == 1),
        ("&model=small", lambda n: n % 3 == 0),
        ("&outcome=failed", lambda n: n % 5 == 3),
        ("&status=499", lambda n: n % 5 == 4),
        ("&key=key_0&outcome=cut", lambda n: n % 10 == 4),
        ("&from=2026-01-01T00:05:00Z", lambda n: n >= 5),
        ("&to=2026-01-01T00:05:00", lambda n: n < 5),
        ("&from=2026-01-01T01:03:00%2B01:00&to=2026-01-01T00:05:00Z", lambda n: 3 <= n < 5),
        ("&from=2026-01-02", lambda n: False),
        ("&model=none", lambda n: False),
    ],
)
async def test_a_filter_passes_what_it_says(served: Served, query: str, wanted: Any) -> None:
    """On every page, and in the file."""
    admin = await admin_key(served)
    all_ids = list(reversed(await fill(served)))
    expected = [all_ids[n] for n in reversed(range(25)) if wanted(n)]

    assert await ids(served, admin, query) == expected
    file = await served.get(f"/api/log.csv?{query[1:]}", admin)
    assert [row["id"] for row in csv.DictReader(io.StringIO(file.body.decode()))] == expected


async def test_a_filter_that_few_pass_still_ends(served: Served, monkeypatch) -> None:
    """A page looks through a bounded number of calls and then says where to go on."""
    monkeypatch.setattr(call_log, "SCANNED_MOST", 4)
    admin = await admin_key(served)
    all_ids = await fill(served)

    page = exact(await served.get("/api/log?status=418", admin))
    assert page == {"items": [], "next": all_ids[3]}
    assert await ids(served, admin, "&status=418") == []
    assert (
        await ids(served, admin, "&model=small")
        == [name for n, name in enumerate(reversed(all_ids)) if n % 3 == 0][::-1]
    )


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/api/log?limit=0", "limit"),
        ("/api/log?limit=501", "limit"),
        ("/api/log?limit=x", "limit"),
        ("/api/log?limit=", "limit"),
        ("/api/log?outcome=good", "outcome"),
        ("/api/log?status=99", "status"),
        ("/api/log?from=yesterday", "from"),
        ("/api/log?to=2026-13-01", "to"),
        ("/api/log?before=req_1", "before"),
        ("/api/log?before=req_' OR 1=1 --", "before"),
        ("/api/log?org_id=org_other", "org_id"),
        ("/api/log?key=a&key=b", "key"),
        ("/api/log.csv?limit=5", "limit"),
        ("/api/usage?group=org", "group"),
        ("/api/usage?from=2026-01-02&to=2026-01-01", "from"),
        ("/api/usage?from=2020-01-01&to=2026-01-01", "from"),
        ("/api/usage?from=20260", "from"),
        ("/api/usage?org=org_other", "org"),
    ],
)
async def test_a_question_that_is_none_is_refused(served: Served, path: str, param: str) -> None:
    """By the parameter's name: what is not understood does not look as if it had been heeded."""
    answer = await served.get(path.replace(" ", "%20"), await admin_key(served))

    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert answer.json["error"]["param"] == param


async def test_the_file_has_every_call(served: Served) -> None:
    """One line each, the newest first, amounts written out."""
    admin = await admin_key(served)
    expected = await fill(served)
    await used(served, call_at(NEW_YEAR_MS - 1, org_id="org_other"))

    answer = await served.get("/api/log.csv", admin)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    assert "x-next-before" not in answer.headers
    lines = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert tuple(lines[0]) == log.COLUMNS
    assert [line["id"] for line in lines] == expected
    assert [line["cost_usd"] for line in lines[-3:]] == ["0.000000002", "0.000000001", "0"]
    assert (lines[0]["streamed"], lines[0]["at"]) == ("true", "2026-01-01T00:24:00Z")


async def test_a_file_that_would_be_too_long_says_where_to_go_on(
    served: Served, monkeypatch
) -> None:
    """Together the files have every call once."""
    monkeypatch.setattr(log, "EXPORT_MOST", 10)
    monkeypatch.setattr(log, "EXPORT_PIECE", 3)
    admin = await admin_key(served)
    expected = await fill(served)

    found: list[str] = []
    query = ""
    for _ in range(3):
        answer = await served.get(f"/api/log.csv{query}", admin)
        found += [row["id"] for row in csv.DictReader(io.StringIO(answer.body.decode()))]
        query = f"?before={answer.headers.get('x-next-before')}"

    assert "x-next-before" not in answer.headers
    assert found == expected


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
async def test_no_cell_is_a_formula(served: Served, start: str) -> None:
    """What a spreadsheet would run is text there."""
    await used(
        served, call_at(NEW_YEAR_MS, org_id=served.org_id, model=f'{start}HYPERLINK("http://x")')
    )

    answer = await served.get("/api/log.csv", await admin_key(served))

    (line,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert line["model"] == f'\'{start}HYPERLINK("http://x")'


async def test_a_file_waits_for_a_slow_reader(wall, tmp_path, monkeypatch) -> None:
    """What is not read does not pile up: the file goes on when its reader does."""
    monkeypatch.setattr(log, "EXPORT_PIECE", 200)
    async with live(wall, tmp_path, limit_queries="off", wallet=0) as gateway:
        parts = gateway.application.parts
        ((org_id,),) = await parts.database.read("SELECT id FROM organizations")
        running = Served(gateway.application, wall, org_id, parts.settings)
        admin = await admin_key(running, secret=parts.settings.secret)
        count = 6_000
        rows = [
            call_at(NEW_YEAR_MS + n, org_id=org_id, cost=0, model="m" * 1_000) for n in range(count)
        ]
        await used(running, *rows)
        pages: list[int] = []
        real = call_log.page_of

        async def counting(*given: Any) -> Any:
            pages.append(1)
            return await real(*given)

        monkeypatch.setattr(call_log, "page_of", counting)
        line = await gateway.line(receive=4_096)
        line.send(
            b"GET /api/log.csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"
            % admin.encode()
        )
        await line.head()
        seen = -1
        while seen != len(pages):  # until no page is asked for any more
            seen = len(pages)
            await asyncio.sleep(0.2)
        assert 0 < seen < count // 200
        line.widen()
        body = b""
        while piece := await line.chunk():
            body += piece
        assert len(list(csv.reader(io.StringIO(body.decode())))) == count + 1


# Sums.


async def test_usage_is_summed_by_day_model_and_key(served: Served) -> None:
    """The totals are those of all groups; rates and averages are of their own calls."""
    admin = await admin_key(served)
    own = {"org_id": served.org_id, "input": 100, "output": 20}
    late = {**own, "key_id": "a", "model": "y", "started_ms": NEW_YEAR_MS + DAY_MS}
    await used(
        served,
        call_at(NEW_YEAR_MS, 1, **own, key_id="a", model="x", cost=5, total_ms=100),
        call_at(NEW_YEAR_MS, 2, **own, key_id="b", model="x", cost=7, total_ms=300),
        usage_row("req_3", **late, cost=0, total_ms=9_000, outcome="failed", status=502),
        usage_row("req_4", **late, cost=1, total_ms=50, outcome="cut", status=499),
        usage_row("req_5", **{**late, "org_id": "org_other", "key_id": "c"}, cost=99),
    )

    async def usage(query: str) -> Any:
        return exact(await served.get(f"/api/usage?from=2026-01-01&to=2026-01-02{query}", admin))

    by_day = await usage("")
    assert by_day["total"] == {
        "calls": 4,
        "failed": 1,
        "error_rate": Decimal("0.25"),
        "average_ms": 150,
        "input_tokens": 400,
        "output_tokens": 80,
        "tokens": 480,
        "cost_usd": Decimal("0.000000013"),
        "credits": 0,
    }
    assert [(one["day"], one["calls"], one["average_ms"]) for one in by_day["items"]] == [
        ("2026-01-01", 2, 200),
        ("2026-01-02", 2, 50),
    ]
    by_model = await usage("&group=model")
    assert [(one["model"], one["error_rate"]) for one in by_model["items"]] == [
        ("x", 0),
        ("y", Decimal("0.5")),
    ]
    by_key = await usage("&group=key")
    assert [(one["key"], one["calls"]) for one in by_key["items"]] == [("a", 3), ("b", 1)]
    assert by_model["total"] == by_key["total"] == by_day["total"]
    only = await usage("&key=b")
    assert (only["total"]["calls"], only["items"][0]["day"]) == (1, "2026-01-01")
    assert (await usage("&key=none"))["total"]["average_ms"] is None


async def test_usage_is_of_thirty_days_and_of_the_last_call(served: Served) -> None:
    """Unless it is asked otherwise; the day that runs is in it."""
    admin = await admin_key(served)
    _, plan_key = await subscribe(served, "pro")
    for key in (await served.key(), plan_key):
        assert (await served.chat(key)).status == 200

    data = exact(await served.get("/api/usage", admin))

    assert data["to"] == time.strftime("%Y-%m-%d", time.gmtime())
    assert data["total"]["calls"] == 2
    assert data["total"]["cost_usd"] == Decimal(COST) / DOLLAR
    taken = served.app.parts.plans.plans["pro"].multiplier("small")
    assert data["total"]["credits"] * 1000 == taken > 0
