"""Whatever providers and callers do, a key is charged for once at most, and in the end answered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.live import PATIENCE, Live, live
from tests.relay.asking_again import asking, key
from tests.wall import Wall
from tests.wall.talk import Call, Talk

KEYS = 10
CALLERS = 6
"""Who ask with the same key."""
OUTCOMES = ("ok", "ok", "500", "429", "reset-after-first-chunk", "error-after-content", "html-200")


def fickle(wall: Wall, name: str, chance: random.Random) -> None:
    """A model that answers some time, in some way."""

    async def answer(talk: Talk, call: Call) -> None:
        await talk.pause(chance.random() * 0.02)
        call.options = {"chunks": "6", "delay": "0.003"}
        await wall.behaviours[chance.choice(OUTCOMES)](talk, call)

    wall.behaviours[name] = answer


async def insist(gateway: Live, name: str, chance: random.Random, stream: bool) -> bytes:
    """Ask, hang up, ask again, until there is a whole good answer."""
    request = asking(gateway, name, key(name), stream=stream)
    while True:
        line = await gateway.line()
        line.send(request)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.03)
            line.hang_up(reset=chance.random() < 0.5)
            continue
        answer = await line.answer()
        line.hang_up()
        good = answer.done if stream else answer.whole
        if answer.status == 200 and good and b'"error"' not in answer.body:
            return answer.body


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm(wall: Wall, tmp_path: Path, lane: bool, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"model-{number}" for number in range(KEYS)]
    for name in names:
        fickle(wall, name, chance)
    async with live(wall, tmp_path, lane=lane) as gateway, asyncio.timeout(2 * PATIENCE):
        said = await asyncio.gather(
            *(
                insist(gateway, name, chance, stream=number % 2 > 0)
                for number, name in enumerate(names)
                for _ in range(CALLERS)
            )
        )
        rows = await gateway.rows()
    charged = Counter(row.model for row in rows if row.cost)
    assert charged == dict.fromkeys(names, 1)
    assert Counter(row.model for row in rows if row.outcome == "answered") == charged
    for number in range(KEYS):
        assert len(set(said[number * CALLERS : (number + 1) * CALLERS])) == 1
