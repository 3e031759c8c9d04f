"""Behaviour of delivery: from what is kept, through a real mail server, to what is marked."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from apertura.jobs.mail import Postman
from apertura.mail.base import Message, Outcome, Send, Unserved
from apertura.mail.messages import Brand
from apertura.mail.smtp import Sender, SmtpMailer, parse_server
from apertura.store import identity, outbox
from apertura.store.database import Database, open_database
from apertura.store.migrate import migrate
from apertura.store.outbox import BACKOFF_MS, CLAIM_MS, TRIES
from tests.databases import new_url
from tests.postbox import Postbox, postbox

NOW = 1_795_306_384_000
BRAND = Brand(name="Ours", public_url="https://api.example.com")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with new_url(request.param) as made:
        yield made


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    """With an organization `acme` whose mail goes to two people."""
    opened = await open_database(url)
    await migrate(opened)
    made = await identity.create_organization(opened, "acme", random=bytes(13), now_ms=NOW)
    emails = ["ann@x.example", "bob@x.example"]
    await opened.write(partial(outbox.set_contacts, org_id=made.id, emails=emails))
    yield opened
    await opened.close()


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as running:
        yield running


def mailer(box: Postbox) -> SmtpMailer:
    return SmtpMailer(parse_server(box.url), Sender(name="Ours", address="bills@ours.example"))


def postman(db: Database, box: Postbox, worker: str = "w") -> Postman:
    return Postman(db, mailer(box), BRAND, worker)


async def put(db: Database, key: str = "k", template: str = "low_balance") -> None:
    ((org,),) = await db.read("SELECT id FROM organizations")
    facts = {"organization": "acme", "state": "low", "left_usd": "9.50"}
    work = partial(
        outbox.put, key=key, org_id=org, template=template, facts=facts, now_ms=NOW - 5_000
    )
    assert await db.write(work)


async def statuses(db: Database) -> dict[str, tuple[str, int]]:
    rows = await db.read("SELECT recipient, status, attempts FROM mail_copies")
    return {recipient: (status, attempts) for recipient, status, attempts in rows}


async def test_mail_that_waits_is_delivered_once(db: Database, box: Postbox) -> None:
    """To each by itself, under its own id; the next step finds nothing."""
    await put(db)

    await postman(db, box).step(NOW)
    await postman(db, box).step(NOW + CLAIM_MS)

    assert sorted(letter.recipients[0] for letter in box.letters) == [
        "ann@x.example",
        "bob@x.example",
    ]
    letter = box.letters[0]
    assert letter.message["subject"] == "[Ours] Balance low: 9.50 USD left"
    assert "acme is low: 9.50 USD are left." in letter.text
    assert letter.message["from"] == "Ours <bills@ours.example>"
    assert {one.message["message-id"] for one in box.letters} == {
        f"<{outbox._copy_id('k', to)}@ours.example>" for to in ("ann@x.example", "bob@x.example")
    }
    assert set((await statuses(db)).values()) == {("sent", 1)}


async def test_several_workers_deliver_once(db: Database, box: Postbox, url: str) -> None:
    """Two processes, each with several workers, all at the same time."""
    for n in range(10):
        await put(db, key=f"k{n}")
    other = await open_database(url)

    steps = [postman(one, box, f"w{n}").step(NOW) for n, one in enumerate([db, other] * 4)]
    await asyncio.gather(*steps)
    await other.close()

    ids = [letter.message["message-id"] for letter in box.letters]
    assert len(ids) == len(set(ids)) == 20


async def test_a_worker_killed_between_claim_and_delivery_loses_nothing(
    db: Database, box: Postbox
) -> None:
    """Another delivers when its claim has run out."""
    await put(db)
    await outbox.claim(db, worker="dead", now_ms=NOW, most=9)

    await postman(db, box).step(NOW + CLAIM_MS - 1)
    assert box.letters == []
    await postman(db, box).step(NOW + CLAIM_MS)

    assert len(box.letters) == 2
    assert set((await statuses(db)).values()) == {("sent", 2)}


async def test_a_worker_killed_between_delivery_and_mark_sends_a_twin(
    db: Database, box: Postbox, monkeypatch
) -> None:
    """That one message only comes twice, and can be recognized by its id."""
    await put(db)
    killed = asyncio.Event()

    async def never(*_: object) -> bool:
        killed.set()
        await asyncio.Event().wait()
        return True

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "delivered", never)
        task = asyncio.create_task(postman(db, box, "dead").step(NOW))
        await asyncio.wait_for(killed.wait(), 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(box.letters) == 1

    await postman(db, box).step(NOW + CLAIM_MS)

    ids = [letter.message["message-id"] for letter in box.letters]
    assert (len(ids), len(set(ids))) == (3, 2)
    assert set((await statuses(db)).values()) == {("sent", 2)}


async def test_a_worker_stopped_while_the_server_thinks_hangs_up(
    db: Database, box: Postbox
) -> None:
    """And the copy is delivered by another."""
    await put(db)
    thinks, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        thinks.set()
        assert go_on.wait(60)
        return "451 you hung up"

    box.on_data = slow
    task = asyncio.create_task(postman(db, box).step(NOW))
    await asyncio.to_thread(thinks.wait, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not go_on.is_set()  # nobody has waited for the server's answer
    go_on.set()
    box.on_data = None

    await postman(db, box).step(NOW + CLAIM_MS)
    assert len(box.letters) == 2


async def test_a_full_mailbox_is_tried_again_and_a_closed_one_is_not(
    db: Database, box: Postbox, capsys
) -> None:
    """4xx and 5xx; the log names neither address nor content."""
    await put(db)
    box.answers = {"ann@x.example": "452 4.2.2 full", "bob@x.example": "550 5.1.1 no such user"}
    await postman(db, box).step(NOW)
    assert await statuses(db) == {"ann@x.example": ("waiting", 1), "bob@x.example": ("given-up", 1)}
    said = capsys.readouterr().err
    assert re.search(r'"event": "mail_failed", "mail": "\w+", "attempts": 1, "code": 452', said)
    assert re.search(r'"event": "mail_given_up", "mail": "\w+", "attempts": 1, "code": 550', said)
    assert "x.example" not in said
    assert "9.50" not in said

    box.answers.clear()
    await postman(db, box).step(NOW + BACKOFF_MS[0])

    assert [letter.recipients for letter in box.letters] == [["ann@x.example"]]
    assert (await statuses(db))["ann@x.example"] == ("sent", 2)


async def test_a_server_that_is_down_gets_its_mail_when_it_is_up(db: Database) -> None:
    """Tried at growing distances, and given up after the last."""
    await put(db)
    with postbox() as gone:
        pass
    now = NOW
    for wait in (*BACKOFF_MS, 0):
        await postman(db, gone).step(now)
        now += wait

    assert set((await statuses(db)).values()) == {("given-up", TRIES)}

    await put(db, key="later")
    await postman(db, gone).step(now)
    with postbox() as back:
        await postman(db, back).step(now + BACKOFF_MS[0])
        assert len(back.letters) == 2


async def test_without_a_server_mail_waits(db: Database, box: Postbox, capsys) -> None:
    """It is said, is no attempt, and goes out once there is one."""
    await put(db)
    alone = Postman(db, Unserved(), BRAND, "w")
    for hour in range(TRIES + 1):
        await alone.step(NOW + hour * outbox.WAIT_MS)

    assert set((await statuses(db)).values()) == {("waiting", 0)}
    said = capsys.readouterr().err
    assert said.count('"event": "mail_waits"') == 2 * (TRIES + 1)
    assert "x.example" not in said

    await postman(db, box).step(NOW + (TRIES + 1) * outbox.WAIT_MS)
    assert len(box.letters) == 2


async def test_a_template_of_a_newer_version_waits_for_it(db: Database, box: Postbox) -> None:
    """The others are delivered."""
    await put(db, key="a", template="of_tomorrow")
    await put(db, key="b")

    await postman(db, box).step(NOW)

    assert len(box.letters) == 2
    waiting = await outbox.queue(db)
    assert {(one.template, one.status, one.error) for one in waiting} == {
        ("of_tomorrow", "waiting", "there is no template 'of_tomorrow'")
    }


async def test_an_address_that_is_none_stops_nobody(db: Database, box: Postbox) -> None:
    """An owner's, say, from before addresses were looked at: given up, and never in an envelope."""
    ((org,),) = await db.read("SELECT id FROM organizations")
    emails = ["a@b>\r\nRCPT TO:<all@x.example", "ann@x.example"]
    await db.write(partial(outbox.set_contacts, org_id=org, emails=emails))
    await put(db)

    await postman(db, box).step(NOW)

    assert [letter.recipients for letter in box.letters] == [["ann@x.example"]]
    assert (await statuses(db))[emails[0]] == ("given-up", 1)


async def test_a_step_ends_before_its_claims_do(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never answers does not hold a worker; what is left is claimed again."""
    monkeypatch.setattr("apertura.jobs.mail.STEP_SECONDS", 0.01)

    class Stuck:
        @asynccontextmanager
        async def session(self) -> AsyncIterator[Send]:
            yield self._send

        async def _send(self, _: Message) -> Outcome:
            await asyncio.Event().wait()
            raise AssertionError

    await put(db)
    await Postman(db, Stuck(), BRAND, "w").step(NOW)

    assert set((await statuses(db)).values()) == {("waiting", 1)}
    assert len(await outbox.claim(db, worker="v", now_ms=NOW + CLAIM_MS, most=9)) == 2


async def test_what_is_old_is_swept_once_an_hour(db: Database, box: Postbox, capsys) -> None:
    """A week-old alert is no news; the operator is told that it was given up."""
    await put(db)
    worker = postman(db, box)
    box.answers = {"ann@x.example": "452 full", "bob@x.example": "452 full"}
    week = 7 * outbox.DAY_MS
    await Postman(db, Unserved(), BRAND, "w").step(NOW)

    await worker.step(NOW + week)

    assert set((await statuses(db)).values()) == {("given-up", 0)}
    assert '"event": "mail_given_up", "copies": 2' in capsys.readouterr().err
