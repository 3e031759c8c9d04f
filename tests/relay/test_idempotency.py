"""A call that is asked for again gets the first asking's reply, and is charged once.

Keys here are `Idempotency-Key`s. The facts about SDKs are those of openai-python: a key goes only
where its user sends the header; retries say `x-stainless-retry-count`, from 0 on.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.live import PATIENCE, live
from tests.relay.asking_again import (
    SHAPES,
    STREAMED,
    Gate,
    asking,
    finish,
    key,
    opening,
    same,
    sent,
    until_going,
)
from tests.relay.test_hangup import read_until
from tests.wall import Wall, content

WORDS = "".join(content())
TRY = "x-stainless-retry-count: {}"


# --- while it runs, and after ---


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_whole_reply_is_given_again(wall: Wall, tmp_path: Path, shape: str) -> None:
    """To who asks while it runs and to who asks after, in every format."""
    gate = Gate(wall)
    async with live(wall, tmp_path) as gateway:
        request = asking(gateway, "held" if shape in STREAMED else "ok", key("a"), shape=shape)
        calls = [asyncio.ensure_future(gateway.ask(request)) for _ in range(2)]
        if shape in STREAMED:
            await until_going(gateway.application, 2)
        gate.set()
        answers = sorted(
            await asyncio.gather(*calls), key=lambda answer: "idempotent-replayed" in answer.headers
        )
        assert answers[0].status == 200
        same(*answers)
        same(answers[0], await gateway.ask(request))
        [row] = await gateway.rows()
        assert len(wall.calls()) == 1
    assert row.call_id == answers[0].headers["x-request-id"]
    assert row.cost > 0


@pytest.mark.parametrize("shape", STREAMED)
async def test_a_stream_is_given_again_as_a_stream(
    wall: Wall, tmp_path: Path, lane: bool, shape: str
) -> None:
    """Who comes in the middle gets at once what was sent, then what comes; later, all of it."""
    gate = Gate(wall)
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = asking(gateway, "held", key("a"), shape=shape, stream=True)
        first = await sent(gateway, request)
        begun = await opening(first)
        late = await sent(gateway, request)
        joined = await opening(late)
        assert (joined.status, joined.body) == (begun.status, begun.body)
        gate.set()
        whole = await finish(first, begun)
        same(whole, await finish(late, joined))
        replayed = await gateway.ask(request)
        same(whole, replayed)
        assert "transfer-encoding" in replayed.headers
        [row] = await gateway.rows()
        assert len(wall.calls()) == 1
    assert (row.outcome, row.streamed) == ("answered", 1)


async def test_limits_are_told_anew(wall: Wall, tmp_path: Path) -> None:
    """A repeated asking counts against the limits, and is told how it stands with them."""
    async with live(wall, tmp_path, limit_per_key="3/60") as gateway:
        request = asking(gateway, "ok", key("a"))
        answers = [await gateway.ask(request) for _ in range(4)]
    assert [a.headers["x-ratelimit-remaining"] for a in answers[:3]] == ["2", "1", "0"]
    assert [a.status for a in answers] == [200, 200, 200, 429]


async def test_twenty_at_once_are_one_call(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """One question to the provider, one row, one charge; twenty equal replies."""
    wall.script("any", "ok?chunks=5&delay=0.005")
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        answers = await asyncio.gather(*(gateway.ask(request) for _ in range(20)))
        assert {answer.text for answer in answers} == {"".join(content(5))}
        assert len({answer.body for answer in answers}) == 1
        assert len({answer.headers["x-request-id"] for answer in answers}) == 1
        assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
        rows = await gateway.rows()
        assert len(wall.calls()) == len(rows) == 1
        assert gateway.application.parts.replays.replayed == 19


async def test_keys_and_bodies_are_told_apart(wall: Wall, tmp_path: Path) -> None:
    """Another key is another call; another body, path or kind of stream under the key is refused;
    and without a key nothing is shared.
    """
    async with live(wall, tmp_path) as gateway:
        first = await gateway.ask(asking(gateway, "ok", key("a")))
        other = await gateway.ask(asking(gateway, "ok", key("b")))
        assert other.headers["x-request-id"] != first.headers["x-request-id"]
        for request in (
            asking(gateway, "any", key("a")),
            asking(gateway, "ok", key("a"), stream=True),
            asking(gateway, "ok", key("a"), shape="messages"),
        ):
            refused = await gateway.ask(request)
            said = refused.json["error"]
            assert (refused.status, said["code"]) == (400, "idempotency_key_reused")
            assert said["param"] == "Idempotency-Key"
        plain = [await gateway.ask(asking(gateway, "ok")) for _ in range(2)]
        assert plain[0].headers["x-request-id"] != plain[1].headers["x-request-id"]
        assert len(await gateway.rows()) == 4


@pytest.mark.parametrize("name", ["", "x" * 256, "caf\u00e9", "a\tb"])
async def test_what_is_no_key_is_refused(wall: Wall, tmp_path: Path, name: str) -> None:
    async with live(wall, tmp_path) as gateway:
        refused = await gateway.ask(asking(gateway, "ok", key(name)))
        assert refused.error == (400, "invalid_request_error", "invalid_parameter")
        assert refused.json["error"]["param"] == "Idempotency-Key"
        assert not wall.calls()


async def test_every_printable_character_may_be_in_a_key(wall: Wall, tmp_path: Path) -> None:
    name = "".join(map(chr, range(0x21, 0x7F))) + " " + "x" * 160
    async with live(wall, tmp_path) as gateway:
        request = asking(gateway, "ok", key(name))
        same(await gateway.ask(request), await gateway.ask(request))


# --- callers who hang up ---


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_who_comes_back_gets_the_whole_answer(
    wall: Wall, tmp_path: Path, lane: bool, stream: bool
) -> None:
    """The call goes on without its caller, is charged in full, once, and its reply is there."""
    gate = Gate(wall)
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = asking(gateway, "held", key("a"), stream=stream)
        line = await sent(gateway, request)
        await (read_until(line, b"w0 ") if stream else wall.arrival("held"))
        line.hang_up()
        await until_going(gateway.application, 0)
        assert gateway.application.parts.relay.running == 1
        if stream:
            coming = asyncio.ensure_future(gateway.ask(request))
            await until_going(gateway.application, 1)
            gate.set()
            answer = await coming
        else:
            gate.set()
            answer = await gateway.ask(request)
        assert answer.text == WORDS
        assert answer.headers["idempotent-replayed"] == "true"
        [row] = await gateway.rows()
        assert len(wall.calls()) == 1
        assert not wall.hangups
    assert (row.outcome, row.output, row.estimated) == ("answered", 3, 0)
    assert row.call_id == answer.headers["x-request-id"]


async def test_a_call_that_nobody_waits_for_ends_with_the_server(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """It is not charged, and its key is free."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await sent(gateway, asking(gateway, "stall-in-the-middle", key("a"), stream=True))
        await read_until(line, b"w0 ")
        line.hang_up()
        await until_going(gateway.application, 0)
        async with asyncio.timeout(PATIENCE):
            await gateway.stop()
            await gateway.application.parts.replays.close()
        [row] = await gateway.rows()
        database = gateway.application.parts.database
        assert await database.read("SELECT * FROM idempotency") == []
    assert (row.outcome, row.status, row.cost) == ("failed", 503, 0)


async def test_who_waits_when_the_server_stops_is_told(wall: Wall, tmp_path: Path) -> None:
    """As callers without a key are."""
    async with live(wall, tmp_path, grace=0.6) as gateway:
        inside = asyncio.ensure_future(
            gateway.ask(asking(gateway, "stall-in-the-middle", key("a"), stream=True))
        )
        before = asyncio.ensure_future(gateway.ask(asking(gateway, "stall-before-head", key("b"))))
        await until_going(gateway.application, 2)
        await gateway.until(lambda: len(wall.calls()) == 2)
        async with asyncio.timeout(PATIENCE):
            await gateway.stop()
            assert (await inside).error_inside == ("server_error", "service_unavailable")
            assert (await before).error == (503, "server_error", "service_unavailable")


# --- what comes to nothing ---


@pytest.mark.parametrize("bad", ["500", "429", "reset-before-head", "400", "garbled-json"])
async def test_a_failure_does_not_use_up_the_key(wall: Wall, tmp_path: Path, bad: str) -> None:
    wall.script("any", bad if bad != "garbled-json" else "html-200", "ok")
    async with live(wall, tmp_path) as gateway:
        request = asking(gateway, "any", key("a"))
        failed = await gateway.ask(request)
        assert failed.status >= 400
        answer = await gateway.ask(request)
        assert answer.text == WORDS
        assert "idempotent-replayed" not in answer.headers
        same(answer, await gateway.ask(request))
        rows = await gateway.rows()
    assert [row.outcome for row in rows] == ["failed", "answered"]
    assert [row.cost > 0 for row in rows] == [False, True]


async def test_a_failure_inside_a_stream_does_not_either(wall: Wall, tmp_path: Path) -> None:
    """It was not charged; who was attached saw the same error."""
    wall.script("any", "error-after-content", "ok")
    async with live(wall, tmp_path) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        failed = await gateway.ask(request)
        assert failed.error_inside
        assert (await gateway.ask(request)).text == WORDS
        rows = await gateway.rows()
    assert [row.cost > 0 for row in rows] == [False, True]


async def test_all_who_wait_hear_of_a_failure(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """With the id of the call that failed, and nobody else's."""
    gate = asyncio.Event()

    async def fail(talk, call):
        await gate.wait()
        await wall.behaviours["500"](talk, call)

    wall.behaviours["late-500"] = fail
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = asking(gateway, "late-500", key("a"))
        calls = [asyncio.ensure_future(gateway.ask(request)) for _ in range(3)]
        await until_going(gateway.application, 3)
        gate.set()
        answers = await asyncio.gather(*calls)
        [row] = await gateway.rows()
    assert {answer.status for answer in answers} == {502}
    assert {answer.headers["x-request-id"] for answer in answers} == {row.call_id}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 2


async def test_a_refusal_does_not_use_up_the_key(wall: Wall, tmp_path: Path) -> None:
    """Neither for what is asked, nor for a want of money, nor for a limit."""
    async with live(wall, tmp_path, wallet=0) as gateway:
        bad = gateway.request({"model": "nothing"}, key("a"))
        assert (await gateway.ask(bad)).status in (400, 404)
        poor = await gateway.ask(asking(gateway, "ok", key("a")))
        assert poor.error == (402, "billing_error", "insufficient_balance")
        assert (await gateway.ask(asking(gateway, "ok", key("a")))).status == 402
        assert not wall.calls()
        database = gateway.application.parts.database
        await gateway.application.parts.replays.close()
        assert await database.read("SELECT * FROM idempotency") == []
        assert gateway.application.parts.replays.bytes == 0


# --- retries of SDKs, recognised ---


async def test_an_sdks_retry_joins_its_first_attempt(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """Whose caller gave up and hung up; one call, one charge."""
    gate = Gate(wall)
    async with live(wall, tmp_path, lane=lane, recognise_retries="on") as gateway:
        line = await sent(gateway, asking(gateway, "held", TRY.format(0), stream=True))
        await read_until(line, b"w0 ")
        line.hang_up()
        await until_going(gateway.application, 0)
        coming = asyncio.ensure_future(
            gateway.ask(asking(gateway, "held", TRY.format(1), stream=True))
        )
        await until_going(gateway.application, 1)
        gate.set()
        answer = await coming
        same_again = await gateway.ask(asking(gateway, "held", TRY.format(2), stream=True))
        same_again.headers.pop("idempotent-replayed")
        assert same_again.body == answer.body
        [row] = await gateway.rows()
        database = gateway.application.parts.database
        assert await database.read("SELECT * FROM idempotency") == []
    assert answer.text == WORDS
    assert (answer.headers["idempotent-replayed"], row.outcome) == ("true", "answered")


async def test_first_attempts_are_calls_of_their_own(wall: Wall, tmp_path: Path) -> None:
    """Equal or not; so is a retry of what nobody knows, and every call that is no SDK's."""
    async with live(wall, tmp_path, recognise_retries="on") as gateway:
        for header in (TRY.format(0), TRY.format(0), ""):
            given = [header] if header else []
            answer = await gateway.ask(asking(gateway, "ok", *given))
            assert "idempotent-replayed" not in answer.headers
        unknown = await gateway.ask(asking(gateway, "any", TRY.format(1)))
        assert "idempotent-replayed" not in unknown.headers
        assert len(await gateway.rows()) == 4


async def test_retries_are_not_recognised_unless_asked_for(wall: Wall, tmp_path: Path) -> None:
    async with live(wall, tmp_path) as gateway:
        for number in (0, 1):
            answer = await gateway.ask(asking(gateway, "ok", TRY.format(number)))
            assert "idempotent-replayed" not in answer.headers
        assert len(await gateway.rows()) == 2


async def test_a_retry_after_a_failure_is_a_new_call(wall: Wall, tmp_path: Path) -> None:
    """The usual reason for an SDK to try again."""
    wall.script("any", "500", "ok")
    async with live(wall, tmp_path, recognise_retries="on") as gateway:
        assert (await gateway.ask(asking(gateway, "any", TRY.format(0)))).status == 502
        answer = await gateway.ask(asking(gateway, "any", TRY.format(1)))
        assert answer.text == WORDS
        assert "idempotent-replayed" not in answer.headers
