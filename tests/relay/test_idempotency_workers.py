"""One key and several workers: two on one database, and one after another at the same place."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from apertura.app import Application, opened
from apertura.jobs.idempotency import Forgetting
from apertura.settings import load
from apertura.store import idempotency as store
from apertura.store import identity
from apertura.store.database import out_of_service
from tests.api.client import SECRET, Answer, ask, new_key
from tests.databases import new_url
from tests.live import catalogue
from tests.money import assert_exact, pay_in
from tests.relay.asking_again import SHAPES, Gate
from tests.wall import Wall

DAY_MS = 86_400_000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a database for the workers of one test."""
    with new_url(request.param) as made:
        yield made


class Place:
    """A folder with a worker's journal, a database that it may share, and a caller's key."""

    def __init__(self, wall: Wall, folder: Path, url: str) -> None:
        self.wall, self.folder, self.url = wall, folder, url
        self.key = ""

    @asynccontextmanager
    async def worker(self, name: str = "here", **flags: str) -> AsyncIterator[Application]:
        """A worker at the place of this name, with its books right at the end."""
        off = ("call_log", "limit_per_address", "limit_per_key", "limit_per_model")
        given = {"data": str(self.folder / name), "secret": SECRET, "database": self.url}
        settings = load(
            flags={**given, **dict.fromkeys(off, "off"), **flags},
            environment={},
            read_file=lambda _: "",
        )
        providers, offers = catalogue(self.wall.url, self.wall.behaviours)
        async with opened(settings, environment={}, providers=providers, offers=offers) as app:
            if not self.key:
                await self._first_key(app)
            yield app
            await app.parts.settlement.flush()
            await assert_exact(app.parts.database, app.parts.settlement.leases)

    async def _first_key(self, app: Application) -> None:
        database = app.parts.database
        made = await identity.create_organization(database, "acme", random=os.urandom(13), now_ms=1)
        await pay_in(database, made.id)
        self.org, self.key = made.id, await new_key(database, made.id)

    async def ask(
        self, app: Application, name: str, model: str = "ok", stream: bool = False
    ) -> Answer:
        """A chat call under the Idempotency-Key of this name."""
        path, body = SHAPES["chat"](model, stream)
        headers = {"authorization": f"Bearer {self.key}", "idempotency-key": name}
        return await ask(app, "POST", path, headers, _json(body), "203.0.113.9")


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


@pytest.fixture
def place(wall: Wall, tmp_path: Path, url: str) -> Place:
    return Place(wall, tmp_path, url)


async def books(app: Application) -> list[tuple[str, int]]:
    """Outcome and cost of every call."""
    await app.parts.settlement.flush()
    found = await app.parts.database.read("SELECT outcome, cost FROM usage ORDER BY call_id")
    return [(row[0], row[1]) for row in found]


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


IN_PROGRESS = (409, "idempotency_in_progress")
GONE = (409, "idempotency_result_gone")


async def test_of_two_workers_one_starts(wall: Wall, place: Place) -> None:
    """At the same moment, many times at each; the other says that it runs elsewhere."""
    gate = Gate(wall)
    async with place.worker("one") as one, place.worker("two") as two:
        calls = [
            asyncio.ensure_future(place.ask(app, "a", "held"))
            for _ in range(5)
            for app in (one, two)
        ]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 5:  # those of the worker that did not start
            done, _ = await asyncio.wait(calls, timeout=0.01)
        gate.set()
        answers = await asyncio.gather(*calls)
        assert len(wall.calls()) == 1
        assert sorted(answer.status for answer in answers) == [200] * 5 + [409] * 5
        for answer in answers:
            if answer.status == 409:
                assert refused(answer) == IN_PROGRESS
                assert answer.headers["retry-after"] == "1"
        rows = [*await books(one), *await books(two)]
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert rows[0][0] == "answered"
    assert len(set(rows)) == 1


async def test_another_worker_knows_the_end_and_not_the_reply(wall: Wall, place: Place) -> None:
    """It names the call and what it cost, and charges nothing."""
    async with place.worker("one") as one, place.worker("two") as two:
        first = await place.ask(one, "a")
        ((_, cost),) = await books(one)
        again = await place.ask(two, "a")
        assert refused(again) == GONE
        assert again.headers["x-original-request-id"] == first.headers["x-request-id"]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert again.headers["x-cost-usd"] == f"{cost / 10**9:.9f}".rstrip("0")
        assert again.headers["x-should-retry"] == "false"
        assert refused(await place.ask(two, "a", "any"))[1] == "idempotency_key_reused"
        assert len(wall.calls()) == len(await books(two)) == 1


async def test_a_failure_at_one_worker_frees_the_key_for_all(wall: Wall, place: Place) -> None:
    wall.script("any", "500", "ok")
    async with place.worker("one") as one, place.worker("two") as two:
        assert (await place.ask(one, "a", "any")).status == 502
        await books(one)
        answer = await place.ask(two, "a", "any")
        assert answer.status == 200
        assert [outcome for outcome, _ in await books(two)] == ["failed", "answered"]


async def test_after_a_restart_the_reply_is_gone(wall: Wall, place: Place) -> None:
    """But who asks learns the call and its cost, and is not charged again."""
    async with place.worker() as app:
        first = await place.ask(app, "a", stream=True)
        assert first.status == 200
    async with place.worker() as app:
        again = await place.ask(app, "a", stream=True)
        assert refused(again) == GONE
        assert again.headers["x-original-request-id"] == first.headers["x-request-id"]
        assert len(await books(app)) == 1
        assert app.parts.replays.bytes == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_stored_replies_are_given_anywhere(wall: Wall, place: Place, stream: bool) -> None:
    """Where the organization allows it: by another worker, and after a restart."""
    async with place.worker("one") as one:
        await store.allow(one.parts.database, place.org, allowed=True)
        first = await place.ask(one, "a", stream=stream)
    async with place.worker("one") as one, place.worker("two") as two:
        for app in (one, two, one, two):
            again = await place.ask(app, "a", stream=stream)
            assert (again.status, again.body) == (200, first.body)
            for name in ("x-request-id", "content-type"):
                assert again.headers[name] == first.headers[name]
            assert again.headers["idempotent-replayed"] == "true"
        assert refused(await place.ask(two, "a", "any"))[1] == "idempotency_key_reused"
        assert len(wall.calls()) == len(await books(two)) == 1


async def test_a_reply_that_is_too_large_is_not_stored(wall: Wall, place: Place) -> None:
    wall.script("any", "ok?chunks=9000")
    async with place.worker(replay_reply_mb="1") as app:
        await store.allow(app.parts.database, place.org, allowed=True)
        first = await place.ask(app, "a", "any", stream=True)
        assert len(first.body) > 1 << 20
        await books(app)
        assert refused(await place.ask(app, "a", "any", stream=True)) == GONE
        assert await app.parts.database.read("SELECT * FROM idempotency_replies") == []
        assert app.parts.replays.bytes == 0


async def test_a_day_later_a_key_is_new(wall: Wall, place: Place) -> None:
    """In the database and in memory; and the job has forgotten it."""
    async with place.worker() as app:
        first = await place.ask(app, "a")
        await books(app)
        now_ms = int(first.headers["x-request-id"][4:16], 16)
        forgetting = Forgetting(app.parts.database, app.parts.replays)
        await forgetting.step(now_ms + DAY_MS - 1000)
        assert (await place.ask(app, "a")).headers["idempotent-replayed"] == "true"
        await forgetting.step(now_ms + DAY_MS + 1000)
        assert app.parts.replays.bytes == 0
        assert await app.parts.database.read("SELECT * FROM idempotency") == []
        assert "idempotent-replayed" not in (await place.ask(app, "a")).headers
        assert len(await books(app)) == 2


# --- a worker that dies ---


async def pretend(app: Application, place: Place, worker: str) -> None:
    """The record of key `a` is of a call that another worker began."""
    sql = "UPDATE idempotency SET worker = ?, call_id = ? RETURNING call_id"
    assert await app.parts.database.write(lambda tx: tx.execute(sql, (worker, "req_lost")))


async def test_what_died_unsettled_may_run_again(wall: Wall, place: Place) -> None:
    """Once the place where it ran is back, which has the journal; before that nobody knows."""
    async with place.worker("one") as one:
        await place.ask(one, "a")
        home = one.parts.settlement.leases.worker.partition("/")[0]
        await pretend(one, place, f"{home}/1")
    async with place.worker("two") as two:
        assert refused(await place.ask(two, "a")) == IN_PROGRESS
        async with place.worker("one") as one:
            answer = await place.ask(two, "a")
            assert answer.status == 200
            assert "idempotent-replayed" not in answer.headers
            await books(two)
            assert refused(await place.ask(one, "a")) == GONE


async def test_a_key_that_could_not_be_freed_is_freed_later(wall: Wall, place: Place) -> None:
    """Until then it is free where its call came to nothing."""
    wall.script("any", "500", "500", "ok")
    async with place.worker("one") as one, place.worker("two") as two:
        replays = one.parts.replays
        database = replays._database
        call = asyncio.ensure_future(place.ask(one, "a", "any"))
        await wall.arrival("any")
        replays._database = Away()
        assert (await call).status == 502
        replays._database = database
        assert (await place.ask(one, "a", "any")).status == 502
        await Forgetting(one.parts.database, replays).step(0)
        assert await one.parts.database.read("SELECT * FROM idempotency") == []
        assert (await place.ask(two, "a", "any")).status == 200


async def test_a_database_that_is_away_starts_nothing(wall: Wall, place: Place) -> None:
    """Without a claim there is no call; without a key nothing of it matters."""
    async with place.worker() as app:
        await place.ask(app, "a")
        await books(app)
        database = app.parts.replays._database
        app.parts.replays._database = Away()
        answer = await place.ask(app, "b")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await place.ask(app, "a")).headers["idempotent-replayed"] == "true"
        app.parts.replays._database = database
        assert (await place.ask(app, "b")).status == 200
        assert len(await books(app)) == 2


class Away:
    """A database that nobody reaches."""

    async def write(self, work: object) -> None:
        raise out_of_service("away")
