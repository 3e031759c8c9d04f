"""Who leaves is not kept waiting for: the provider is told at once, and what was said is paid for.

And who cannot leave, because we do: calls that run when the server is stopped.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.live import PATIENCE, Answer, Line, live
from tests.wall import Wall, content
from tests.wall.talk import Hangup

MANY = 80_000
"""Chunks: 14 MB, more than all buffers between the wall and a caller can hold."""
AT_MOST = 1.0
"""Seconds between a caller's leaving and the wall's learning of it; far more than it takes."""


async def leave(
    wall: Wall, line: Line, model: str, record: pytest.FixtureRequest, *, reset: bool
) -> Hangup:
    """The caller leaves; the wall hears of it after that, and soon."""
    left = line.hang_up(reset=reset)
    hangup = await wall.hangup(model)
    took = hangup.at - left
    record.node.user_properties.append(("milliseconds", round(took * 1000, 2)))
    assert 0 <= took < AT_MOST
    return hangup


@pytest.mark.parametrize("how", ["whole-fin", "whole-rst", "stream-fin", "stream-rst"])
@pytest.mark.parametrize("name", ["stall-before-head", "stall-before-first-token"])
async def test_before_the_first_byte(
    wall: Wall, tmp_path: Path, lane: bool, name: str, how: str, request: pytest.FixtureRequest
) -> None:
    """Nothing was said, so nothing is paid."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        line.send(gateway.asking(name, stream=how.startswith("stream")))
        await wall.arrival(name)
        await asyncio.sleep(0.02)
        await leave(wall, line, name, request, reset=how.endswith("rst"))
        [row] = await gateway.rows()
        assert gateway.upstream_connections() == 0
    assert (row.outcome, row.status, row.error_code) == ("cut", 499, "caller_hung_up")
    assert (row.cost, row.first_ms, row.attempts) == (0, None, 1)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_in_the_middle_of_a_stream(
    wall: Wall, tmp_path: Path, lane: bool, reset: bool, request: pytest.FixtureRequest
) -> None:
    """What was relayed is paid for, as an estimate, with the input."""
    wall.script("any", "ok?chunks=1000&delay=0.01")
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("any", stream=True))
        seen = await read_until(line, b"w9 ")
        await leave(wall, line, "any", request, reset=reset)
        [row] = await gateway.rows()
        [talk] = wall.talks
        assert gateway.upstream_connections() == 0
    assert (row.outcome, row.status, row.estimated) == ("cut", 499, 1)
    words = seen.count(b'"content":"w')
    relayed = talk.sent // len(seen) * words + words
    assert len("".join(content(10))) / 4 <= row.output <= -(-4 * relayed // 4)
    assert row.cost == row.input * 1000 + row.output * 2000


async def read_until(line: Line, end: bytes) -> bytes:
    """A stream's head and chunks, up to the one with these bytes."""
    got = b""
    async with asyncio.timeout(PATIENCE):
        await line.head()
        while end not in got:
            got += await line.chunk()
    return got


async def test_the_estimate_is_bounded_by_the_callers_limit(wall: Wall, tmp_path: Path) -> None:
    """A call can cost no more than it was allowed to put out: by the request, by the offer."""
    wall.script("any", "ok?chunks=1000&delay=0.001")
    async with live(wall, tmp_path) as gateway:
        for model, limit in [("any", {"max_tokens": 2}), ("bounded", {})]:
            line = await gateway.line()
            line.send(gateway.asking(model, stream=True, **limit))
            await read_until(line, b"w0 " if model == "bounded" else b"w99 ")
            line.hang_up()
            await gateway.rows()
        rows = await gateway.rows()
    assert [row.output for row in rows] == [2, 1]


async def test_by_half(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """A caller who says that it will send no more has left, as far as one can tell."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("stall-in-the-middle", stream=True))
        await read_until(line, b"w0 ")
        line.half_close()
        await wall.hangup("stall-in-the-middle")
        [row] = await gateway.rows()
    assert row.outcome == "cut"


async def test_before_the_request_was_whole(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """There was no call."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        for cut in (10, 100, -1):
            line = await gateway.line()
            line.send(gateway.asking("ok")[:cut])
            await asyncio.sleep(0.02)
            line.hang_up()
        assert await gateway.rows() == wall.calls() == []


async def test_at_any_moment(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """Wherever a storm of callers leaves, each call ends in one row, and nothing is left of it."""
    wall.script("any", *["ok?chunks=10&delay=0.004&first=0.01"] * 60)
    async with live(wall, tmp_path, lane=lane) as gateway:

        async def one(number: int) -> None:
            line = await gateway.line()
            line.send(gateway.asking("any", stream=number % 3 > 0))
            await asyncio.sleep(number * 0.0015)
            line.hang_up(reset=number % 2 > 0)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for number in range(60):
                group.create_task(one(number))
        rows = await gateway.rows()
        assert len(rows) == len({row.call_id for row in rows}) <= 60
        assert len(rows) >= len(wall.calls("any"))
        assert {row.outcome for row in rows} <= {"cut", "answered"}
        assert all(row.cost == 0 for row in rows if row.first_ms is None and row.streamed)
        await asyncio.sleep(0.05)
        kept = gateway.upstream_connections()
        answers = await asyncio.gather(*(gateway.chat("ok") for _ in range(kept)))
        assert {answer.status for answer in answers} <= {200}
        assert gateway.upstream_connections() <= kept  # all that were left can be used


@pytest.mark.xfail(reason="nothing is read, not even an end, while a request waits", strict=True)
async def test_behind_another_request(wall: Wall, tmp_path: Path) -> None:
    """Requests that wait their turn when the caller leaves never run."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("stall-before-head") + gateway.asking("ok") * 3)
        await wall.arrival("stall-before-head")
        line.hang_up()
        await wall.hangup("stall-before-head", within=1)
        [row] = await gateway.rows()
    assert (row.model, row.outcome) == ("stall-before-head", "cut")
    assert len(wall.calls()) == 1


async def test_the_other_calls_go_on(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """One caller's leaving is nobody else's loss."""
    wall.script("any", "ok?chunks=20&delay=0.02")
    async with live(wall, tmp_path, lane=lane) as gateway:
        staying = asyncio.ensure_future(gateway.chat("any", stream=True))
        await wall.arrival("any")
        for _ in range(5):
            line = await gateway.line()
            line.send(gateway.asking("stall-in-the-middle", stream=True))
            await read_until(line, b"w0 ")
            line.hang_up()
        assert (await staying).text == "".join(content(20))


# --- who reads slowly ---


async def test_a_slow_reader_holds_the_provider_back(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """The wall can send no more until the caller reads; nothing of it is lost then."""
    wall.script("any", f"ok?chunks={MANY}")
    async with live(wall, tmp_path, lane=lane, timeout_idle=0.5) as gateway:
        line = await gateway.line(receive=4096)
        line.send(gateway.asking("any", stream=True))
        await wall.arrival("any")
        assert 0 < await stuck(wall) < MANY * 150  # of about 180 bytes each
        assert gateway.application.parts.relay.running == 1
        await asyncio.sleep(0.8)  # silence that is not the provider's
        line.widen()
        async with asyncio.timeout(PATIENCE):
            answer = await line.answer()
        assert answer.done and answer.whole
        assert answer.body.count(b'"content":"w') == MANY
        [row] = await gateway.rows()
    assert row.outcome == "answered"


async def stuck(wall: Wall) -> int:
    """What the wall had sent when it could send no more."""
    sent = -1
    async with asyncio.timeout(PATIENCE):
        while sent != (sent := wall.talks[-1].sent) or sent == 0:
            await asyncio.sleep(0.15)
    return sent


async def test_a_slow_reader_who_leaves(
    wall: Wall, tmp_path: Path, lane: bool, request: pytest.FixtureRequest
) -> None:
    """Is noticed although there is much to send, and the provider is told."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line(receive=4096)
        line.send(gateway.asking("huge-body", stream=True))
        await wall.arrival("huge-body")
        await stuck(wall)
        await leave(wall, line, "huge-body", request, reset=True)
        [row] = await gateway.rows()
    assert (row.outcome, row.estimated) == ("cut", 1)


async def test_a_slow_reader_is_not_waited_for_for_ever(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """The time of one attempt in all counts also while the caller does not read."""
    async with live(wall, tmp_path, lane=lane, timeout_total=0.6) as gateway:
        line = await gateway.line(receive=4096)
        line.send(gateway.asking("huge-body", stream=True))
        await wall.hangup("huge-body")
        [row] = await gateway.rows()
    assert (row.outcome, row.cost) == ("failed", 0)


# --- when we leave ---


async def test_running_calls_end_before_we_do(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """Streams and whole answers that are under way are answered; nobody new is."""
    wall.script("any", *["ok?chunks=6&delay=0.1"] * 2)
    async with live(wall, tmp_path, lane=lane, grace=10) as gateway:
        calls = [asyncio.ensure_future(gateway.chat("any", stream=s)) for s in (False, True)]
        await gateway.until(lambda: len(wall.calls("any")) == 2)
        idle = await gateway.line()
        idle.send(gateway.asking("ok"))
        await idle.answer()
        async with asyncio.timeout(PATIENCE):
            await gateway.stop()
            assert await idle.is_closed()
            answers = await asyncio.gather(*calls)
        assert [answer.text for answer in answers] == ["".join(content(6))] * 2
        assert all(answer.whole for answer in answers)
        with pytest.raises(ConnectionRefusedError):
            await gateway.line()
        rows = await gateway.rows()
    assert [row.outcome for row in rows] == ["answered"] * 3


async def test_after_the_grace_a_call_ends_with_an_error(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """Inside a stream, or as the answer; it was not the caller's doing and is not charged. (Under
    ASGI the server breaks the connection instead.)
    """
    async with live(wall, tmp_path, lane=lane, grace=0.6) as gateway:
        calls = [
            asyncio.ensure_future(gateway.chat("stall-in-the-middle", stream=True)),
            asyncio.ensure_future(gateway.chat("stall-before-head")),
        ]
        await gateway.until(lambda: len(wall.calls()) == 2)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(PATIENCE):
            await gateway.stop()
            inside, before = await asyncio.gather(*calls)
        if lane:
            check_stopped(inside, before)
        rows = await gateway.rows()
        await gateway.until(lambda: gateway.upstream_connections() == 0)
    assert [(row.outcome, row.status, row.cost) for row in rows] == [("failed", 503, 0)] * 2


def check_stopped(inside: Answer, before: Answer) -> None:
    assert inside.error_inside == ("server_error", "service_unavailable")
    assert inside.whole
    assert before.error == (503, "server_error", "service_unavailable")
    assert before.headers["retry-after"]


async def test_who_is_sending_when_we_leave(wall: Wall, tmp_path: Path) -> None:
    """A request that never becomes whole does not hold us up past the grace."""
    async with live(wall, tmp_path, grace=0.6) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("ok")[:-5])
        await asyncio.sleep(0.05)
        async with asyncio.timeout(PATIENCE):
            await gateway.stop()
