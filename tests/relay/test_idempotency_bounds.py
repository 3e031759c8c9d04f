"""Replies that are kept for who asks again take no more memory than they may, whoever reads how."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.live import MIB, PATIENCE, Answer, Live, live
from tests.relay.asking_again import asking, finish, key, opening, same, sent, until_going
from tests.relay.test_hangup import MANY, stuck
from tests.wall import Wall

SOME = 8_000
"""Chunks: 1.4 MB."""


def words(answer: Answer) -> int:
    return answer.body.count(b'"content":"w')


async def gone(gateway: Live, request: bytes) -> None:
    """The call is over, and its reply is not kept."""
    await gateway.rows()
    answer = await gateway.ask(request)
    assert answer.error == (409, "invalid_request_error", "idempotency_result_gone")


async def test_within_the_bound_the_first_may_be_slow(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """Neither the provider nor who reads faster waits for it."""
    wall.script("any", f"ok?chunks={SOME}")
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        slow = await gateway.line(receive=4096)
        slow.send(request)
        await wall.arrival("any")
        fast = await gateway.ask(request)
        assert words(fast) == SOME
        [row] = await gateway.rows()
        slow.widen()
        async with asyncio.timeout(PATIENCE):
            first = await slow.answer()
        same(first, fast)
    assert row.outcome == "answered"


async def test_past_the_bound_the_first_sets_the_pace(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """As a caller without a key does; nothing is lost, and little is held."""
    wall.script("any", f"ok?chunks={MANY}")
    async with live(wall, tmp_path, lane=lane, replay_reply_mb=1) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        slow = await gateway.line(receive=4096)
        slow.send(request)
        await wall.arrival("any")
        assert 0 < await stuck(wall) < MANY * 150
        assert gateway.application.parts.replays.bytes < MIB
        late = await gateway.ask(request)
        assert late.error == (409, "invalid_request_error", "idempotency_in_progress")
        slow.widen()
        async with asyncio.timeout(PATIENCE):
            answer = await slow.answer()
        assert answer.done
        assert answer.whole
        assert words(answer) == MANY
        await gone(gateway, request)
        assert gateway.application.parts.replays.bytes == 0


async def test_past_the_bound_who_joined_and_does_not_read_is_cut(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """The first caller gets everything meanwhile, and so does who joined and reads."""
    wall.script("any", f"ok?chunks={MANY}&first=0.2")
    async with live(wall, tmp_path, lane=lane, replay_reply_mb=1) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        first = asyncio.ensure_future(gateway.ask(request))
        await until_going(gateway.application, 1)
        slow = await gateway.line(receive=4096)
        slow.send(request)
        await until_going(gateway.application, 2)
        answer = await first
        assert words(answer) == MANY
        slow.widen()
        async with asyncio.timeout(PATIENCE):
            cut = await slow.answer()
        assert not cut.whole
        assert answer.body.startswith(cut.body)
        assert len(await gateway.rows()) == 1
        assert gateway.application.parts.replays.bytes == 0


async def test_past_the_bound_a_call_goes_on_without_its_caller(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """Even one who held it up; it is charged, and its reply is gone."""
    wall.script("any", f"ok?chunks={MANY}")
    async with live(wall, tmp_path, lane=lane, replay_reply_mb=1) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        slow = await gateway.line(receive=4096)
        slow.send(request)
        await wall.arrival("any")
        await stuck(wall)
        slow.hang_up(reset=True)
        [row] = await gateway.rows()
        await gone(gateway, request)
    assert (row.outcome, row.output) == ("answered", MANY)


async def test_a_large_whole_reply_is_not_kept(wall: Wall, tmp_path: Path) -> None:
    wall.script("any", "ok?chunks=200000")
    async with live(wall, tmp_path, replay_reply_mb=1) as gateway:
        request = asking(gateway, "any", key("a"))
        first = await gateway.ask(request)
        assert len(first.body) > MIB
        await gone(gateway, request)
        assert gateway.application.parts.replays.bytes == 0


async def test_the_oldest_make_room(wall: Wall, tmp_path: Path) -> None:
    """So that all of them together stay below the bound."""
    size = f"ok?chunks={SOME // 4}"
    wall.script("any", *[size] * 6)
    async with live(wall, tmp_path, replay_memory_mb=1) as gateway:
        requests = [asking(gateway, "any", key(name), stream=True) for name in "abcdef"]
        answers = []
        for request in requests:
            answers.append(await gateway.ask(request))
            assert gateway.application.parts.replays.bytes <= MIB
        assert len(await gateway.rows()) == 6
        for answer, request in zip(answers[-2:], requests[-2:], strict=True):
            same(answer, await gateway.ask(request))
        await gone(gateway, requests[0])
        assert len(wall.calls()) == 6


async def test_when_all_that_is_kept_runs_the_rest_is_not_kept(wall: Wall, tmp_path: Path) -> None:
    """But answered as ever."""
    wall.script("any", *[f"ok?chunks={SOME}&first=0.05"] * 4)
    async with live(wall, tmp_path, replay_memory_mb=2) as gateway:
        requests = [asking(gateway, "any", key(name), stream=True) for name in "abcd"]
        answers = await asyncio.gather(*map(gateway.ask, requests))
        assert {words(answer) for answer in answers} == {SOME}
        assert gateway.application.parts.replays.bytes <= 2 * MIB
        assert len(await gateway.rows()) == 4


async def test_who_joins_a_stream_late_is_given_it_piece_by_piece(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """Many who do not read take no copy each of what is kept."""
    wall.script("any", f"ok?chunks={MANY // 2}")
    async with live(wall, tmp_path, lane=lane, replay_reply_mb=16) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        whole = await gateway.ask(request)
        lines = []
        for _ in range(5):
            line = await gateway.line(receive=4096)
            line.send(request)
            lines.append(line)
        await until_going(gateway.application, 5)
        written = [
            transport.get_write_buffer_size()
            for connection in gateway.server.server_state.connections
            if (transport := connection.transport) is not None
        ]
        assert max(written) < MIB // 2
        lines[0].widen()
        async with asyncio.timeout(PATIENCE):
            same(whole, await lines[0].answer())


async def test_a_reader_who_leaves_is_no_loss_to_others(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    wall.script("any", "ok?chunks=40&delay=0.01")
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = asking(gateway, "any", key("a"), stream=True)
        lines = [await sent(gateway, request) for _ in range(4)]
        heads = [await opening(line) for line in lines]
        for line in lines[::2]:
            line.hang_up(reset=True)
        rest = [await finish(lines[n], heads[n]) for n in (1, 3)]
        assert {words(answer) for answer in rest} == {40}
        [row] = await gateway.rows()
    assert row.outcome == "answered"
