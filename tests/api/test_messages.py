"""POST /v1/messages: Anthropic's clients, at any provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.refusals import check_limit, check_names, check_refusals
from tests.live import live
from tests.speakers import SPEAKERS, named
from tests.wall import Wall
from tests.wall.tongues import played

WORDS = "w0 w1 w2 "
MESSAGES = SPEAKERS["anthropic_messages"]
ASKED: dict[str, Any] = {
    "model": "ok",
    "max_tokens": 50,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "any"},
}


@pytest.mark.parametrize("base", ["", "/v1", "/v1/chat/completions"])
async def test_messages_answers_under_each_base(
    wall: Wall, tmp_path: Path, lane: bool, base: str
) -> None:
    """Whole, in the format's own form, by the key that its SDK sends."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        request = gateway.request(MESSAGES.body("ok", False), path=f"{base}/messages")
        bearer = f"Authorization: Bearer {gateway.key}".encode()
        answer = await gateway.ask(request.replace(bearer, f"x-api-key: {gateway.key}".encode()))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "id": "msg_" + answer.headers["x-request-id"].removeprefix("req_"),
        "type": "message",
        "role": "assistant",
        "model": "ok",
        "content": [{"type": "text", "text": WORDS}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": answer.json["usage"],
    }
    assert (answer.json["usage"]["input_tokens"], answer.json["usage"]["output_tokens"]) == (9, 3)


async def test_messages_streams(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """The events in the format's order, to the end marker."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await MESSAGES.ask(gateway, "ok", stream=True)
        [row] = await gateway.rows()
    assert answer.headers["content-type"].startswith("text/event-stream")
    kinds = [kind for kind, _ in named(answer)]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert (MESSAGES.text(answer), MESSAGES.usage(answer)) == (WORDS, (9, 3))
    assert (row.streamed, row.input, row.output) == (1, 9, 3)


async def test_what_is_asked_reaches_a_provider_of_chat(wall: Wall, tmp_path: Path) -> None:
    """Each parameter under the name that it has there; what has none is listed."""
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.ask(gateway.request({**ASKED, "top_k": 3}, path="/v1/messages"))
    assert answer.headers["x-dropped-params"] == "top_k"
    sent = wall.calls("ok")[0].body
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]
    assert (sent["stop"], sent["temperature"], sent["tool_choice"]) == (["END"], 0.5, "required")
    assert sent["tools"][0]["function"]["name"] == "look"
    assert "top_k" not in sent


async def test_what_is_asked_passes_to_a_provider_of_messages(wall: Wall, tmp_path: Path) -> None:
    """As it came, what we do not know included; only the model has the provider's name."""
    body = {**ASKED, "model": "apertis/ok", "top_k": 3, "something_new": {"deep": [1]}}
    async with live(wall, tmp_path, dialect="anthropic_messages") as gateway:
        answer = await gateway.ask(gateway.request(body, path="/v1/messages"))
    assert answer.json["id"] == "msg_wall"
    assert "x-dropped-params" not in answer.headers
    [call] = wall.calls("ok")
    assert call.body == {**body, "model": "ok"}
    assert call.path == "/v1/messages"
    assert call.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic_messages"])
async def test_a_call_to_a_tool(wall: Wall, tmp_path: Path, upstream: str) -> None:
    """Streamed and whole: the same calls, with the reason `tool_use`."""
    names = {
        "openai_chat": "written-tool-calls",
        "anthropic_messages": f"{upstream}/published-tools",
    }
    wall.behaviours["said"] = played(names[upstream])
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        whole = await MESSAGES.ask(gateway, "said")
        streamed = await MESSAGES.ask(gateway, "said", stream=True)
    assert whole.json["stop_reason"] == MESSAGES.read(streamed)["finish"] == "tool_use"
    assert MESSAGES.calls(whole) == MESSAGES.calls(streamed)
    assert len(MESSAGES.calls(whole)) >= 2
    ids = [block["id"] for block in whole.json["content"] if block["type"] == "tool_use"]
    assert len(set(ids)) == len(ids)


async def test_refusals_have_the_formats_envelope(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """Whatever is refused, and with the call's id, as its own API has it."""
    await check_refusals(wall, tmp_path, MESSAGES, lane=lane)


@pytest.mark.parametrize(
    ("without", "param"), [("max_tokens", "max_tokens"), ("messages", "messages")]
)
async def test_what_must_be_said_is_named(
    wall: Wall, tmp_path: Path, without: str, param: str
) -> None:
    """400 with the parameter, and the id that support asks for."""
    body = {name: value for name, value in ASKED.items() if name != without}
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.ask(gateway.request(body, path="/v1/messages"))
    assert MESSAGES.error(answer) == (400, "invalid_request_error", "missing_parameter")
    assert answer.json["error"]["param"] == param
    assert answer.json["request_id"] == answer.headers["x-request-id"]


async def test_a_limit_is_the_models_whatever_is_spoken(wall: Wall, tmp_path: Path) -> None:
    """Chat, Messages and the rest share it."""
    await check_limit(wall, tmp_path, MESSAGES)


async def test_a_models_name_may_have_its_marks(wall: Wall, tmp_path: Path) -> None:
    """As everywhere."""
    await check_names(wall, tmp_path, MESSAGES)


async def test_a_provider_that_is_full_is_said_to_be(wall: Wall, tmp_path: Path) -> None:
    """In the words on which the SDK tries again."""
    async with live(wall, tmp_path, dialect="anthropic_messages") as gateway:
        full = await MESSAGES.ask(gateway, "529")
        limited = await MESSAGES.ask(gateway, "429", stream=True)
    assert MESSAGES.error(full) == (503, "overloaded_error", "model_overloaded")
    assert MESSAGES.error(limited) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert limited.headers["retry-after"] == "7"


async def test_a_free_variant_costs_nothing(wall: Wall, tmp_path: Path) -> None:
    """Where the model is free; one that is not has none."""
    config = (
        '[[offers]]\nmodel = "gift"\nprovider = "wall"\nupstream_model = "ok"\n'
        'input_usd_per_million = "0"\noutput_usd_per_million = "0"\n'
        f'[[providers]]\nname = "wall"\nbase_url = "{wall.url}"\n'
    )
    async with live(wall, tmp_path, config=config) as gateway:
        answer = await MESSAGES.ask(gateway, "apertis/gift:free")
        refused = await MESSAGES.ask(gateway, "ok:free")
        [row] = await gateway.rows()
    assert MESSAGES.text(answer) == WORDS
    assert (row.model, row.output, row.cost) == ("gift", 3, 0)
    assert MESSAGES.error(refused) == (404, "not_found_error", "model_not_found")
