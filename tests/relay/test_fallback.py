"""Two offers of one model: which failures lead to the second, and which must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import live
from tests.relay.test_faults import COST, LIMITED, SMALL, UPSTREAM, WORDS
from tests.wall import Wall

RETRYABLE = [
    "reset-before-head",
    "close-before-head",
    "stall-before-first-token",
    "500",
    "429",
    "529",
    "401",
    "html-502",
    "error-200",
    "empty-200",
    "header-huge",
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", RETRYABLE)
async def test_another_offer_is_tried(wall: Wall, tmp_path: Path, name: str, stream: bool) -> None:
    """Before content the caller notices nothing, and pays for the one that answered."""
    wall.script("two-first", name)
    wall.script("two-second", "ok")
    async with live(wall, tmp_path, **SMALL) as gateway:
        answer = await gateway.chat("two", stream=stream)
        assert answer.text == WORDS
        [row] = await gateway.rows()
    assert (row.attempts, row.provider, row.cost) == (2, "wall2", COST)
    assert (len(wall.calls("two-first")), len(wall.calls("two-second"))) == (1, 1)


async def test_all_offers_fail(wall: Wall, tmp_path: Path) -> None:
    """The last one's error is the caller's."""
    wall.script("two-first", "500")
    wall.script("two-second", "429")
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("two")).error == LIMITED
        [row] = await gateway.rows()
    assert (row.attempts, row.outcome, row.cost) == (2, "failed", 0)


@pytest.mark.parametrize("name", ["reset-after-first-chunk", "error-after-content", "no-finish"])
async def test_no_other_offer_after_content(wall: Wall, tmp_path: Path, name: str) -> None:
    """What the caller has read cannot be taken back."""
    wall.script("two-first", name)
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.chat("two", stream=True)
        assert answer.error_inside == UPSTREAM[1:]
        [row] = await gateway.rows()
    assert (row.attempts, row.outcome, row.cost) == (1, "failed", 0)
    assert wall.calls("two-second") == []


async def test_no_other_offer_for_a_bad_request(wall: Wall, tmp_path: Path) -> None:
    """What one provider calls wrong the next would, too."""
    wall.script("two-first", "400")
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("two")).status == 400
    assert wall.calls("two-second") == []
