"""What every endpoint where one chats refuses, and in whose words it does.

await check_refusals(wall, tmp_path, SPEAKERS["gemini"])
"""

from __future__ import annotations

from pathlib import Path

from tests.live import MIB, Live, live
from tests.speakers import SPEAKERS, Speaker
from tests.wall import Wall

INVALID = "invalid_request_error"


async def check_refusals(wall: Wall, folder: Path, speaker: Speaker, *, lane: bool) -> None:
    """Key, model, body, method, size, time: each in the caller's own envelope, nobody asked,
    nothing in the books.
    """
    config = (
        '[[offers]]\nmodel = "unpriced"\nprovider = "wall"\n'
        f'[[providers]]\nname = "wall"\nbase_url = "{wall.url}"\n'
    )
    async with live(wall, folder, lane=lane, max_body_mb=1, config=config) as gateway:
        path, body = speaker.path("ok", False), speaker.body("ok", False)
        for key, code in [("sk-wrong", "invalid_api_key"), ("  ", "missing_api_key")]:
            answer = await gateway.ask(gateway.request(body, path=path, key=key))
            assert speaker.error(answer) == speaker.expected((401, "authentication_error", code))
        for model, seen in [
            ("none", (404, INVALID, "model_not_found")),
            ("ok:web", (400, INVALID, "invalid_parameter")),
            ("unpriced", (503, "server_error", "service_unavailable")),
        ]:
            answer = await speaker.ask(gateway, model)
            assert speaker.error(answer) == speaker.expected(seen)
        await check_bodies(gateway, speaker)
        huge = gateway.request(b"x" * (MIB + 1), path=path)
        too_large = (413, INVALID, "request_too_large")
        assert speaker.error(await gateway.ask(huge)) == speaker.expected(too_large)
        odd = await speaker.ask(gateway, "ok", "X-Timeout: soon")
        assert speaker.error(odd) == speaker.expected((400, INVALID, "invalid_parameter"))
        await check_method(gateway, speaker)
        assert await gateway.rows() == []
    assert wall.calls() == []


async def check_bodies(gateway: Live, speaker: Speaker) -> None:
    """What is no JSON, no object, or says nothing."""
    path = speaker.path("ok", False)
    for body in (b"", b"{", b"[]", b"\xff", b'{"model": 5}'):
        answer = await gateway.ask(gateway.request(body, path=path))
        status, kind, code = speaker.error(answer)
        expected = speaker.expected((status, INVALID, code))
        assert (status, kind) == (400, expected[1]), body


async def check_method(gateway: Live, speaker: Speaker) -> None:
    """405 with `Allow`, or for a path that other methods know, what these answer."""
    request = speaker.asking(gateway, "ok").replace(b"POST ", b"PUT ", 1)
    answer = await gateway.ask(request)
    expected = speaker.expected((405, INVALID, "method_not_allowed"))
    assert speaker.error(answer) == expected
    assert "POST" in answer.headers["allow"]


async def check_limit(wall: Wall, folder: Path, speaker: Speaker) -> None:
    """429 with `Retry-After`; variants of a model share its limit, in whatever format."""
    async with live(wall, folder, limit_per_model="3/60") as gateway:
        others = [each for each in SPEAKERS.values() if each is not speaker]
        assert (await others[0].ask(gateway, "apertis/ok")).status == 200
        assert (await others[1].ask(gateway, "code:ok")).status == 200
        assert (await speaker.ask(gateway, "ok")).status == 200
        answer = await speaker.ask(gateway, "ok", stream=True)
        limited = (429, "rate_limit_error", "rate_limit_exceeded")
        assert speaker.error(answer) == speaker.expected(limited)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["x-ratelimit-limit"] == "3"
        assert (await speaker.ask(gateway, "no-space")).status == 200
    assert len(wall.calls("ok")) == 3


async def check_names(wall: Wall, folder: Path, speaker: Speaker) -> None:
    """A namespace and a mark are taken off; `:free` never leads to what costs."""
    async with live(wall, folder) as gateway:
        for name in ("ok", "apertis/ok", "code:ok", "apertis/code:ok"):
            assert speaker.text(await speaker.ask(gateway, name)) == "w0 w1 w2 "
        answer = await speaker.ask(gateway, "ok:free")
        expected = speaker.expected((404, INVALID, "model_not_found"))
        assert speaker.error(answer) == expected
        assert {row.model for row in await gateway.rows()} == {"ok"}
    assert {call.body["model"] for call in wall.calls()} == {"ok"}
