"""Counting input tokens: free, without asking anybody, and not without limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.live import Answer, Live, live
from tests.speakers import SPEAKERS
from tests.wall import Wall

TEXT = "How many tokens might this sentence have?"
MESSAGES = SPEAKERS["anthropic_messages"]
GEMINI = SPEAKERS["gemini"]


async def count_message(gateway: Live, model: str = "ok", **more: Any) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": TEXT}], **more}
    return await gateway.ask(gateway.request(body, path="/v1/messages/count_tokens"))


async def count_content(gateway: Live, model: str = "ok", **more: Any) -> Answer:
    body = {"contents": [{"role": "user", "parts": [{"text": TEXT}]}], **more}
    return await gateway.ask(gateway.request(body, path=f"/v1beta/models/{model}:countTokens"))


async def test_a_message_is_counted(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """A likely number, of the format's own shape; no provider is asked, no row is written."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await count_message(gateway)
        longer = await count_message(gateway, system=TEXT)
        with_tools = await count_message(
            gateway, tools=[{"name": "look", "input_schema": {"type": "object"}}]
        )
        blocks = [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]
        assert (await count_message(gateway, messages=blocks)).json == answer.json
        assert await gateway.rows() == []
    assert list(answer.json) == ["input_tokens"]
    assert 8 <= answer.json["input_tokens"] <= 20
    assert longer.json["input_tokens"] > answer.json["input_tokens"]
    assert with_tools.json["input_tokens"] > answer.json["input_tokens"]
    assert wall.calls() == []
    assert answer.headers["x-request-id"].startswith("req_")


async def test_contents_are_counted(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """The same for Gemini's clients; also what they wrap into a whole request."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await count_content(gateway)
        wrapped = {"contents": [{"role": "user", "parts": [{"text": TEXT}]}], "model": "models/ok"}
        whole = await gateway.ask(
            gateway.request(
                {"generateContentRequest": wrapped}, path="/v1beta/models/ok:countTokens"
            )
        )
        assert await gateway.rows() == []
    assert 8 <= answer.json["totalTokens"] <= 20
    assert whole.json["totalTokens"] == answer.json["totalTokens"]
    assert wall.calls() == []


@pytest.mark.parametrize("model", ["none", "ok:web"])
async def test_a_model_that_is_none_is_not_counted_for(
    wall: Wall, tmp_path: Path, model: str
) -> None:
    """In the format's own envelope."""
    status, code = (404, "model_not_found") if model == "none" else (400, "invalid_parameter")
    seen = (status, "invalid_request_error", code)
    async with live(wall, tmp_path) as gateway:
        assert MESSAGES.error(await count_message(gateway, model)) == MESSAGES.expected(seen)
        assert GEMINI.error(await count_content(gateway, model)) == GEMINI.expected(seen)


async def test_who_is_nobody_counts_nothing(wall: Wall, tmp_path: Path) -> None:
    """401 in the format's own envelope."""
    seen = (401, "authentication_error", "invalid_api_key")
    async with live(wall, tmp_path) as gateway:
        gateway.key = "sk-nobody"
        assert MESSAGES.error(await count_message(gateway)) == MESSAGES.expected(seen)
        assert GEMINI.error(await count_content(gateway)) == GEMINI.expected(seen)


@pytest.mark.parametrize("body", [b"{", b'{"model": "ok"}', b'{"model": "ok", "messages": 5}'])
async def test_nonsense_is_not_counted(wall: Wall, tmp_path: Path, body: bytes) -> None:
    """400."""
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.ask(gateway.request(body, path="/v1/messages/count_tokens"))
    assert MESSAGES.error(answer)[:2] == (400, "invalid_request_error")


async def test_counting_is_taken_from_the_models_limit(wall: Wall, tmp_path: Path) -> None:
    """Free, but not faster than calls."""
    async with live(wall, tmp_path, limit_per_model="2/60") as gateway:
        statuses = [
            (await count_message(gateway)).status,
            (await count_content(gateway, "apertis/ok")).status,
            (await count_message(gateway)).status,
            (await gateway.chat("ok")).status,
        ]
    assert statuses == [200, 200, 429, 429]


async def test_counting_is_posted(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """405 otherwise."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = gateway.request({}, path="/v1/messages/count_tokens").replace(b"POST", b"GET", 1)
        answer = await gateway.ask(request)
    seen = (405, "invalid_request_error", "method_not_allowed")
    assert MESSAGES.error(answer) == MESSAGES.expected(seen)
