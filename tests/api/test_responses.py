"""POST /v1/responses: OpenAI's newer format, at any provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.refusals import check_limit, check_names, check_refusals
from tests.api.responding import (
    GONE,
    RESPONSES,
    ask,
    create,
    whole,
)
from tests.live import live
from tests.speakers import named
from tests.wall import Wall

WORDS = "w0 w1 w2 "


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
async def test_responses_answers_under_each_base(
    wall: Wall, tmp_path: Path, lane: bool, base: str
) -> None:
    """Whole, with all that strict clients insist on; nothing is kept unasked."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = gateway.request(RESPONSES.body("ok", False), path=f"{base}/responses")
        answer = await gateway.ask(request)
        said = whole(answer)
        assert (await ask(gateway, "GET", f"{base}/responses/{said['id']}")).error == GONE
    assert said["id"] == "resp_" + answer.headers["x-request-id"].removeprefix("req_")
    assert (said["object"], said["status"], said["store"]) == (
        "response",
        "completed",
        False,
    )
    assert isinstance(said["created_at"], int)
    [item] = said["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["id"]
    assert item["content"][0]["text"] == WORDS
    assert RESPONSES.usage(answer) == (9, 3)


async def test_responses_streams(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """Events in the format's order, each numbered, the last with the whole response."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await RESPONSES.ask(gateway, "ok", stream=True)
        [row] = await gateway.rows()
    assert [kind.removeprefix("response.") for kind, _ in named(answer)] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * 3,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert (RESPONSES.text(answer), RESPONSES.usage(answer)) == (WORDS, (9, 3))
    assert (row.streamed, row.output) == (1, 3)


async def test_what_is_asked_reaches_a_provider_of_chat(wall: Wall, tmp_path: Path) -> None:
    """Instructions, turns, limits, format and tools, each in its place; a nested tool too."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 77,
        "text": {"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}},
        "tools": [
            {"type": "function", "name": "flat", "parameters": schema, "strict": True},
            {"type": "function", "function": {"name": "nested", "parameters": schema}},
        ],
        "truncation": "auto",
    }
    said = [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]
    async with live(wall, tmp_path) as gateway:
        answer = await create(gateway, said, **asked)
    sent = wall.calls("ok")[0].body
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["flat", "nested"]
    assert 77 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert "truncation" in answer.headers["x-dropped-params"]


async def test_a_request_passes_to_a_provider_of_responses(wall: Wall, tmp_path: Path) -> None:
    """As it came, but that the provider keeps nothing."""
    async with live(wall, tmp_path, dialect="openai_responses") as gateway:
        answer = await create(gateway, top_p=0.5, something_new=[1])
    assert whole(answer)["id"] == "resp_wall"
    sent = dict(wall.calls("ok")[0].body)
    assert sent.pop("store") is False
    assert sent == {"model": "ok", "input": "Hello", "top_p": 0.5, "something_new": [1]}


async def test_refusals_have_the_public_envelope(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """As chat's."""
    await check_refusals(wall, tmp_path, RESPONSES, lane=lane)


async def test_a_limit_is_the_models_whatever_is_spoken(wall: Wall, tmp_path: Path) -> None:
    """Shared with chat and the rest."""
    await check_limit(wall, tmp_path, RESPONSES)


async def test_a_models_name_may_have_its_marks(wall: Wall, tmp_path: Path) -> None:
    """As everywhere."""
    await check_names(wall, tmp_path, RESPONSES)
