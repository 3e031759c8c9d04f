"""POST /v1/completions: the older way to ask, by way of chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.refusals import check_limit, check_names, check_refusals
from tests.live import live
from tests.speakers import SPEAKERS
from tests.wall import Wall

WORDS = "w0 w1 w2 "
TEXT = SPEAKERS["openai_completions"]


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
async def test_completions_answers_under_each_base(
    wall: Wall, tmp_path: Path, lane: bool, base: str
) -> None:
    """Whole, as text."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = gateway.request(TEXT.body("ok", False), path=f"{base}/completions")
        answer = await gateway.ask(request)
        [row] = await gateway.rows()
    said = answer.json
    assert (said["object"], said["model"]) == ("text_completion", "ok")
    assert said["id"]
    [choice] = said["choices"]
    assert (choice["text"], choice["index"], choice["finish_reason"]) == (WORDS, 0, "stop")
    assert TEXT.usage(answer) == (9, 3) == (row.input, row.output)
    assert wall.calls("ok")[0].body["messages"] == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("asked", [False, True])
async def test_completions_streams(wall: Wall, tmp_path: Path, lane: bool, asked: bool) -> None:
    """Pieces of text; usage only to who asks for it, as an event of its own."""
    options = {"include_usage": asked}
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await TEXT.ask(gateway, "ok", stream=True, stream_options=options)
        [row] = await gateway.rows()
    assert (TEXT.text(answer), answer.done) == (WORDS, True)
    assert {event["object"] for event in answer.events} == {"text_completion"}
    assert len({event["id"] for event in answer.events}) == 1
    usage = [event for event in answer.events if event.get("usage")]
    assert [event["choices"] for event in usage] == [[]] * asked
    assert (row.output, row.estimated) == (3, 0)


@pytest.mark.parametrize(
    ("more", "param"), [({"prompt": ["a", "b"]}, "prompt"), ({"best_of": 3}, "best_of")]
)
async def test_what_chat_cannot_say_is_refused(
    wall: Wall, tmp_path: Path, more: dict[str, Any], param: str
) -> None:
    """400 naming the parameter, rather than another answer than was asked for."""
    async with live(wall, tmp_path) as gateway:
        answer = await TEXT.ask(gateway, "ok", **more)
    assert TEXT.error(answer) == (400, "invalid_request_error", "invalid_parameter")
    assert answer.json["error"]["param"] == param
    assert wall.calls() == []


async def test_refusals_have_the_public_envelope(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """As chat's."""
    await check_refusals(wall, tmp_path, TEXT, lane=lane)


async def test_a_limit_is_the_models_whatever_is_spoken(wall: Wall, tmp_path: Path) -> None:
    """Shared with chat."""
    await check_limit(wall, tmp_path, TEXT)


async def test_a_models_name_may_have_its_marks(wall: Wall, tmp_path: Path) -> None:
    """As everywhere."""
    await check_names(wall, tmp_path, TEXT)


@pytest.mark.parametrize(
    ("name", "inside"),
    [("reset-after-first-chunk", True), ("error-after-content", True), ("error-200", False)],
)
async def test_an_error_in_or_before_a_stream(
    wall: Wall, tmp_path: Path, name: str, inside: bool
) -> None:
    """In chat's envelope, and nothing is paid."""
    async with live(wall, tmp_path) as gateway:
        answer = await TEXT.ask(gateway, name, stream=True)
        [row] = await gateway.rows()
    if inside:
        assert TEXT.error_inside(answer) == ("server_error", "upstream_error")
    else:
        assert TEXT.error(answer) == (502, "server_error", "upstream_error")
    assert (row.outcome, row.cost) == ("failed", 0)
