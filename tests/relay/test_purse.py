"""Behaviour of money on the path of a call: held before it, charged after it, never below zero."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from apertura import urls
from apertura.domain.funds import wallet_of
from apertura.domain.identity import OrgId
from apertura.store import funds
from tests.live import Answer, Live, live
from tests.speakers import SPEAKERS
from tests.wall import Wall

COST = 9 * 1_000 + 3 * 2_000
"""Nano-dollars of a call at the wall: 9 tokens in, 3 out, at $1 and $2 per million."""
SAYING = {"messages": [{"role": "user", "content": "hi"}]}


async def wallet(gateway: Live) -> int:
    """What is left, once everything is in the books."""
    await gateway.application.parts.settlement.flush()
    [(org,)] = await gateway.application.parts.database.read("SELECT id FROM organizations")
    fund = await funds.find(gateway.application.parts.database, wallet_of(OrgId(str(org))))
    return 0 if fund is None else fund.posted


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error[2]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_call_costs_what_it_used(wall: Wall, tmp_path: Path, stream: bool) -> None:
    """Not what was held for it."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        answer = await gateway.chat("ok", stream=stream)

        assert answer.status == 200
        assert await wallet(gateway) == 10**9 - COST


@pytest.mark.parametrize("name", sorted(SPEAKERS))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_empty_wallet_refuses_in_every_format(
    wall: Wall, tmp_path: Path, name: str, stream: bool
) -> None:
    """402 before any provider is asked, and no row."""
    speaker = SPEAKERS[name]
    async with live(wall, tmp_path, wallet=0) as gateway:
        answer = await speaker.ask(gateway, "ok", stream=stream)

        assert answer.status == 402
        assert await gateway.rows() == []
    assert wall.calls() == []


async def test_no_hot_path_is_free_of_money(wall: Wall, tmp_path: Path) -> None:
    """Each path of the hot table that answers with a model's work; counting is free."""
    bodies = {
        "/chat/completions": SAYING,
        "/completions": {"prompt": "hi"},
        "/embeddings": {"input": "hi"},
        "/messages": {**SAYING, "max_tokens": 5},
        "/rerank": {"query": "q", "documents": ["a"]},
        "/responses": {"input": "hi"},
    }
    free = {"/messages/count_tokens"}
    assert bodies.keys() | free == urls.HOT.keys()
    async with live(wall, tmp_path, wallet=0) as gateway:
        for path, body in bodies.items():
            answer = await gateway.ask(gateway.request({"model": "ok", **body}, path=f"/v1{path}"))
            assert answer.status == 402, path
    assert wall.calls() == []


async def test_just_so_many_calls_as_are_paid_for(wall: Wall, tmp_path: Path) -> None:
    """However many come at once; the wallet is never below zero."""
    bound = 1_000 * 200 + 2_000 * 20  # more than one call can cost
    wall.script("any", *["ok?delay=0.05"] * 40)
    async with live(wall, tmp_path, wallet=bound) as gateway:
        answers = await asyncio.gather(*(gateway.chat("any", max_tokens=20) for _ in range(40)))
        left = await wallet(gateway)

    done = sum(answer.status == 200 for answer in answers)
    assert {answer.status for answer in answers} <= {200, 402, 429}
    assert 1 <= done
    assert left == bound - done * COST >= 0
    assert len(wall.calls()) == done


async def test_what_is_tied_up_can_be_waited_for(wall: Wall, tmp_path: Path) -> None:
    """429 with Retry-After while a call runs, and an answer once it has ended."""
    async with live(wall, tmp_path, wallet=250_000) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("stall-in-the-middle", stream=True, max_tokens=60))
        await line.head()
        await line.chunk()

        refused = await gateway.chat("ok", max_tokens=60)
        line.hang_up()
        await gateway.until(lambda: not gateway.application.parts.relay.running)
        answered = await gateway.chat("ok", max_tokens=60)

    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert answered.status == 200


async def test_a_failed_call_gives_its_hold_back(wall: Wall, tmp_path: Path) -> None:
    """All of it: nothing is charged."""
    async with live(wall, tmp_path, wallet=10**9) as gateway:
        assert (await gateway.chat("500")).status == 502
        assert await wallet(gateway) == 10**9


async def test_less_output_is_asked_for_where_funds_cover_no_more(
    wall: Wall, tmp_path: Path
) -> None:
    """The provider is told the lower limit, and the caller too."""
    async with live(wall, tmp_path, wallet=200_000 + 2_000 * 50) as gateway:
        answer = await gateway.chat("ok", max_tokens=100_000)

    [call] = wall.calls()
    limit = call.body["max_tokens"]
    assert answer.status == 200
    assert answer.headers["x-output-limit"] == str(limit)
    assert 16 <= limit < 200


async def test_a_long_stream_holds_more_as_it_grows(wall: Wall, tmp_path: Path) -> None:
    """A caller without a limit: the hold grows with the answer, and ends with it."""
    wall.script("any", "ok?chunks=400")
    async with live(wall, tmp_path, wallet=10**9, output_held=16) as gateway:
        answer = await gateway.chat("any", stream=True)

        assert answer.done
        assert 0 < await wallet(gateway) < 10**9


async def test_a_long_stream_ends_where_money_ends(wall: Wall, tmp_path: Path) -> None:
    """With an error inside, and without its success marker; what is left is not below zero."""
    wall.script("any", "ok?chunks=400&delay=0.002")
    async with live(wall, tmp_path, wallet=150_000, output_held=16) as gateway:
        answer = await gateway.chat("any", stream=True)

        assert answer.error_inside == ("billing_error", "insufficient_balance")
        assert await wallet(gateway) >= 0
