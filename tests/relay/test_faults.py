"""Whatever a provider does, the caller gets an answer or a clear error, and one true usage row."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.live import MIB, PATIENCE, Answer, Live, live
from tests.wall import BEHAVIOURS, Call, Talk, Wall, content, deaf, refused
from tests.wall.speech import pieces

UPSTREAM = (502, "server_error", "upstream_error")
LIMITED = (429, "rate_limit_error", "rate_limit_exceeded")
CROWDED = (503, "server_error", "model_overloaded")
OK = "an answer"
CUT_SHORT = "an answer of two words"
INSIDE = "an error inside the stream"

COST = 9 * 1000 + 3 * 2000
"""Of a good answer, in nano-dollars: what the wall says it used, at the gateway's prices."""
SMALL: dict[str, Any] = {
    "timeout_first": 0.4,
    "timeout_idle": 0.4,
    "timeout_total": 1,
    "max_reply_mb": 1,
}

# What a caller sees of each behaviour: of a whole answer, and of a stream.
SEEN: dict[str, tuple[Any, Any]] = {
    "ok": (OK, OK),
    "reset-before-head": (UPSTREAM, UPSTREAM),
    "reset-after-head": (UPSTREAM, UPSTREAM),
    "reset-after-first-chunk": (UPSTREAM, INSIDE),
    "close-before-head": (UPSTREAM, UPSTREAM),
    "close-in-the-middle": (UPSTREAM, INSIDE),
    "stall-before-head": (UPSTREAM, UPSTREAM),
    "stall-before-first-token": (UPSTREAM, UPSTREAM),
    "stall-in-the-middle": (UPSTREAM, INSIDE),
    "drip": (OK, OK),
    "keepalive-lie": (OK, OK),
    "close-on-reuse": (OK, OK),
    "400": ((400, "invalid_request_error", "invalid_request"),) * 2,
    "401": (UPSTREAM, UPSTREAM),
    "404": (UPSTREAM, UPSTREAM),
    "429": (LIMITED, LIMITED),
    "500": (UPSTREAM, UPSTREAM),
    "502": (UPSTREAM, UPSTREAM),
    "503": (CROWDED, CROWDED),
    "529": (CROWDED, CROWDED),
    "error-200": (UPSTREAM, UPSTREAM),
    "error-after-content": (UPSTREAM, INSIDE),
    "html-200": (UPSTREAM, UPSTREAM),
    "html-502": (UPSTREAM, UPSTREAM),
    "no-content": (UPSTREAM, UPSTREAM),
    "empty-200": (UPSTREAM, UPSTREAM),
    "redirect": (UPSTREAM, UPSTREAM),
    "not-http": (UPSTREAM, UPSTREAM),
    "no-done": (OK, OK),
    "no-finish": (OK, INSIDE),
    "done-without-finish": (OK, CUT_SHORT),
    "after-done": (OK, OK),
    "malformed-event": (OK, INSIDE),
    "crlf": (OK, OK),
    "comments": (OK, OK),
    "no-space": (OK, OK),
    "one-write": (OK, OK),
    "malformed-body": (UPSTREAM, UPSTREAM),
    "usage-absent": (OK, OK),
    "usage-on-choice": (OK, OK),
    "usage-cumulative": (OK, OK),
    "close-delimited": (OK, OK),
    "length-too-long": (UPSTREAM, OK),
    "length-too-short": (UPSTREAM, OK),
    "trailing-garbage": (OK, OK),
    "two-lengths": (UPSTREAM, UPSTREAM),
    "both-lengths": (UPSTREAM, UPSTREAM),
    "bad-chunk-size": (UPSTREAM, UPSTREAM),
    "interim": (OK, OK),
    "gzip": (OK, OK),
    "huge-body": (UPSTREAM, INSIDE),
    "endless-event": (UPSTREAM, UPSTREAM),
    "gzip-bomb": (UPSTREAM, UPSTREAM),
    "header-flood": (OK, OK),
    "header-huge": (UPSTREAM, UPSTREAM),
}
THROUGH_ASGI = [
    "ok",
    "reset-after-first-chunk",
    "stall-before-first-token",
    "stall-in-the-middle",
    "drip",
    "429",
    "error-200",
    "error-after-content",
    "no-finish",
    "gzip",
    "huge-body",
]
WORDS = "".join(content())


def test_every_behaviour_is_expected() -> None:
    """A new way to misbehave gets a line in the table."""
    assert set(SEEN) == set(BEHAVIOURS)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", SEEN)
async def test_a_caller_sees(wall: Wall, tmp_path: Path, name: str, stream: bool) -> None:
    """An answer, an error before it, or an error within it; and the gateway goes on."""
    await check(wall, tmp_path, name, stream=stream, lane=True)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", THROUGH_ASGI)
async def test_a_caller_sees_through_asgi(
    wall: Wall, tmp_path: Path, name: str, stream: bool
) -> None:
    """The same under a server that is not ours."""
    await check(wall, tmp_path, name, stream=stream, lane=False)


async def check(wall: Wall, folder: Path, name: str, *, stream: bool, lane: bool) -> None:
    async with live(wall, folder, lane=lane, **SMALL) as gateway:
        answer = await gateway.chat(name, stream=stream)
        check_answer(answer, SEEN[name][stream], stream=stream)
        await check_row(gateway, answer, SEEN[name][stream], stream=stream)
        assert len(wall.calls(name)) == len(wall.calls()) == 1
        assert (await gateway.chat("ok", stream=stream)).text == WORDS
        assert len(await gateway.rows()) == 2
        assert gateway.upstream_connections() <= 1


def check_answer(answer: Answer, seen: Any, *, stream: bool) -> None:
    assert answer.whole
    assert answer.headers["x-request-id"].startswith("req_")
    if seen == INSIDE:
        assert answer.status == 200
        assert answer.error_inside == UPSTREAM[1:]
    elif seen == OK:
        assert answer.status == 200
        assert answer.text == WORDS
        assert answer.done == stream
    elif seen == CUT_SHORT:
        assert answer.text == "w0 w1 "
        assert answer.done
    else:
        assert answer.error == seen


async def check_row(gateway: Live, answer: Answer, seen: Any, *, stream: bool) -> None:
    [row] = await gateway.rows()
    assert row.call_id == answer.headers["x-request-id"]
    assert (bool(row.streamed), row.attempts) == (stream, 1)
    assert (row.first_ms is not None) == (stream and seen in (OK, CUT_SHORT, INSIDE))
    if seen in (OK, CUT_SHORT):
        assert (row.outcome, row.status, row.error_code) == ("answered", 200, "")
        assert row.cost == row.input * 1000 + row.output * 2000 > 0
        assert row.output == (3 if seen == OK else 2)
        assert row.cost == COST or row.estimated
    else:
        status, _, code = UPSTREAM if seen == INSIDE else seen
        assert (row.outcome, row.status, row.error_code) == ("failed", status, code)
        assert (row.input, row.output, row.cost) == (0, 0, 0)


# --- what a table cannot say ---


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_nobody_answers_for(wall: Wall, tmp_path: Path, stream: bool) -> None:
    """Refused, or silent: an error within the time to connect."""
    with refused() as nobody, deaf() as silent:
        extra = '[[providers]]\nname = "{}"\nbase_url = "{}"\n'
        text = extra.format("nobody", nobody) + extra.format("silent", silent)
        for name in ("nobody", "silent"):
            text += (
                f'[[offers]]\nmodel = "{name}"\nprovider = "{name}"\n'
                'input_usd_per_million = "1"\noutput_usd_per_million = "1"\n'
            )
        async with live(wall, tmp_path, timeout_connect=0.3, config=text) as gateway:
            for name in ("nobody", "silent"):
                assert (await gateway.chat(name, stream=stream)).error == UPSTREAM
            rows = await gateway.rows()
    assert [(row.outcome, row.cost) for row in rows] == [("failed", 0)] * 2


async def test_time_to_connect_counts_against_the_call(wall: Wall, tmp_path: Path) -> None:
    """The whole call's time is up although a connection would be given longer."""
    with deaf() as silent:
        text = (
            f'[[providers]]\nname = "silent"\nbase_url = "{silent}"\n'
            '[[offers]]\nmodel = "silent"\nprovider = "silent"\n'
            'input_usd_per_million = "1"\noutput_usd_per_million = "1"\n'
        )
        async with live(wall, tmp_path, timeout_call=0.3, config=text) as gateway:
            answer = await gateway.chat("silent")
            assert answer.error == (408, "timeout", "request_timeout")
            [row] = await gateway.rows()
    assert (row.outcome, row.status, row.cost) == ("failed", 408, 0)


async def test_a_server_that_closes_what_it_said_it_keeps(
    wall: Wall, tmp_path: Path, lane: bool
) -> None:
    """llama.cpp's habit: thirty streams in a row, and none is lost."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        for _ in range(30):
            line.send(gateway.asking("keepalive-lie", stream=True))
            async with asyncio.timeout(PATIENCE):
                answer = await line.answer()
            assert (answer.text, answer.done) == (WORDS, True)
        rows = await gateway.rows()
    assert [(row.outcome, row.cost) for row in rows] == [("answered", COST)] * 30


async def test_good_connections_are_kept(wall: Wall, tmp_path: Path) -> None:
    """One after the other, streams and whole answers need one connection to the provider."""
    async with live(wall, tmp_path) as gateway:
        for stream in (True, True, False, False, True, False):
            assert (await gateway.chat("ok", stream=stream)).text == WORDS
    assert wall.connections == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_that_dies_on_reuse(wall: Wall, tmp_path: Path, stream: bool) -> None:
    """The request that was lost with it is sent once more, on a fresh one: one attempt, one row."""
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("close-on-reuse", stream=stream)).text == WORDS
        assert (await gateway.chat("ok", stream=stream)).text == WORDS
        rows = await gateway.rows()
    assert [call.model for call in wall.lost] == ["ok"]
    assert [row.attempts for row in rows] == [1, 1]
    assert len(wall.calls("ok")) == 1


async def test_a_fresh_connection_that_dies_is_not_tried_again(wall: Wall, tmp_path: Path) -> None:
    """Its request may have been worked on."""
    wall.script("any", "close-before-head", "ok")
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("any")).error == UPSTREAM
    assert len(wall.calls("any")) == 1


@pytest.mark.parametrize(
    ("said", "passed_on"), [("7", "7"), ("0.3", "1"), ("999999", "3600"), ("soon", "1")]
)
async def test_a_limit_of_the_provider_says_when_to_come_back(
    wall: Wall, tmp_path: Path, said: str, passed_on: str
) -> None:
    """In whole seconds, within reason."""
    wall.script("any", f"429?after={said}")
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.chat("any")
    assert answer.error == LIMITED
    assert answer.headers["retry-after"] == passed_on


@pytest.mark.parametrize("name", ["stall-before-head", "stall-before-first-token"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_ends_when_its_whole_time_is_up(
    wall: Wall, tmp_path: Path, name: str, stream: bool, lane: bool
) -> None:
    """408, with how often and how long was tried."""
    async with live(wall, tmp_path, lane=lane, timeout_call=0.3) as gateway:
        answer = await gateway.chat(name, stream=stream)
        assert answer.error == (408, "timeout", "request_timeout")
        assert answer.headers["x-timeout-attempts"] == "1"
        assert answer.headers["x-timeout-elapsed-ms"] == "300"
        [row] = await gateway.rows()
        await wall.hangup(name)
    assert (row.outcome, row.status, row.error_code) == ("failed", 408, "request_timeout")
    assert row.cost == 0


async def test_the_callers_own_time_is_kept_within_bounds(wall: Wall, tmp_path: Path) -> None:
    """X-Timeout is in milliseconds and at least 5000; what is no number is refused."""
    async with live(wall, tmp_path, timeout_call=0.1) as gateway:
        answer = await gateway.chat("ok", "X-Timeout: soon")
        assert answer.error == (400, "invalid_request_error", "invalid_parameter")
        wall.script("any", "ok?first=0.3")
        assert (await gateway.chat("any", "X-Timeout: 5000")).text == WORDS


async def test_time_is_up_no_more_once_content_has_come(wall: Wall, tmp_path: Path) -> None:
    """The call's time is for the first content; from there on the idle timer watches."""
    wall.script("any", "ok?chunks=8&delay=0.1")
    async with live(wall, tmp_path, timeout_call=0.3, timeout_idle=5) as gateway:
        answer = await gateway.chat("any", stream=True)
    assert (answer.text, answer.done) == ("".join(content(8)), True)


async def test_a_redirect_is_not_followed(wall: Wall, tmp_path: Path) -> None:
    """A provider cannot send our credential elsewhere."""
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("redirect")).error == UPSTREAM
    assert [call.path for call in wall.calls()] == ["/v1/chat/completions"]


@pytest.mark.parametrize("end", ["stall", "reset", "close"])
async def test_the_answer_is_whole_with_its_end_marker(
    wall: Wall, tmp_path: Path, end: str
) -> None:
    """What the connection does after `[DONE]` is not the caller's loss, nor ours."""

    async def said_it_all(talk: Talk, call: Call) -> None:
        await talk.begin(call, 0)
        for part in pieces(call):
            await talk.piece(part)
        talk.call = None
        if end == "close":
            talk.close()
        else:
            await (talk.reset if end == "reset" else talk.stall)()

    wall.behaviours["said-it-all"] = said_it_all
    async with live(wall, tmp_path, timeout_idle=1) as gateway:
        answer = await gateway.chat("said-it-all", stream=True)
        assert (answer.text, answer.done, answer.whole) == (WORDS, True, True)
        [row] = await gateway.rows()
    assert (row.outcome, row.cost) == ("answered", COST)


async def test_a_header_without_end_is_not_kept(wall: Wall, tmp_path: Path) -> None:
    """A provider's head is bounded while it arrives, not only when it is there."""

    async def endless_head(talk: Talk, call: Call) -> None:
        await talk.send(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        for _ in range(256):
            await talk.send(b"a" * MIB)

    wall.behaviours["endless-head"] = endless_head
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("endless-head")).error == UPSTREAM
    assert wall.talks[0].sent < 32 * MIB


async def test_trailers_without_end_are_not_kept(wall: Wall, tmp_path: Path) -> None:
    """Nor is what follows the last chunk."""

    async def endless_trailers(talk: Talk, call: Call) -> None:
        await talk.head(200, "Content-Type: application/json", "Transfer-Encoding: chunked")
        await talk.send(b"2\r\n{}\r\n0\r\n")
        for _ in range(256):
            await talk.send(b"x-more: and more\r\n" * 50_000)

    wall.behaviours["endless-trailers"] = endless_trailers
    async with live(wall, tmp_path) as gateway:
        assert (await gateway.chat("endless-trailers")).error == UPSTREAM
    assert wall.talks[0].sent < 32 * MIB


async def test_no_word_of_the_provider_is_passed_on(wall: Wall, tmp_path: Path) -> None:
    """But what it says of the request itself, without addresses and keys."""

    async def chatty(talk: Talk, call: Call) -> None:
        words = "key sk-secret1234 at http://10.0.0.1:99/v1 is bad"
        body = json.dumps({"error": {"message": words, "type": "x"}}).encode()
        await talk.whole(int(call.option("status", 500)), body)

    wall.behaviours["chatty"] = chatty
    async with live(wall, tmp_path) as gateway:
        for status in (400, 401, 500):
            wall.script("any", f"chatty?status={status}")
            answer = await gateway.chat("any")
            assert b"sk-secret" not in answer.body and b"10.0.0.1" not in answer.body
            assert (b"is bad" in answer.body) == (status == 400)


async def test_embeddings_fail_and_answer_likewise(wall: Wall, tmp_path: Path) -> None:
    """The other hot path: charged by its input alone."""
    async with live(wall, tmp_path, **SMALL) as gateway:
        for name, status in [("ok", 200), ("500", 502), ("html-200", 502), ("429", 429)]:
            request = gateway.request({"model": name, "input": "Hello"}, path="/v1/embeddings")
            assert (await gateway.ask(request)).status == status
        rows = await gateway.rows()
    assert [row.cost for row in rows] == [9000, 0, 0, 0]
    assert [row.operation for row in rows] == ["embeddings"] * 4
