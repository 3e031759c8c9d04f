"""The fast lane's own promises, beside what the suites at the socket hold for both adapters."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.live import live
from tests.wall import Wall


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_leaves_nothing_for_the_collector(
    wall: Wall, tmp_path: Path, stream: bool
) -> None:
    """What a call used is free when it ends: garbage that waits makes every later call slower."""
    async with live(wall, tmp_path) as gateway:
        await gateway.chat("ok", stream=stream)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(5):
                await gateway.chat("ok", stream=stream)
            gc.collect()
            left = {type(thing).__module__ for thing in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert {name for name in left if name.startswith("apertura")} == set()
