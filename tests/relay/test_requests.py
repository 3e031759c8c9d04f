"""Requests that are allowed, if odd: each form of HTTP/1, several on a connection, and callers who
do not read their answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from tests.live import MIB, PATIENCE, Answer, Gone, live
from tests.relay.callers import BAD, HOT, WORDS, everything, gateway_body, head, serves
from tests.wall import Call, Talk, Wall, content

# --- methods, versions and forms that are allowed, if odd ---


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_methods_on_hot_paths(
    wall: Wall, tmp_path: Path, method: str, lane: bool
) -> None:
    """405, and which would do; the connection goes on."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        line.send(head(gateway, "Content-Length: 0", method=method))
        async with asyncio.timeout(PATIENCE):
            answer = await line.head()
            if method != "HEAD":
                body = await line.reader.readexactly(int(answer.headers["content-length"]))
                assert json.loads(body)["error"]["code"] == "method_not_allowed"
            line.send(gateway.asking("ok"))
            assert (await line.answer()).text == WORDS
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("stream", [False, True])
async def test_http_1_0(wall: Wall, tmp_path: Path, stream: bool) -> None:
    """Without chunks, ended by closing. (uvicorn itself sends chunks all the same.)"""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("ok", stream=stream).replace(b"HTTP/1.1", b"HTTP/1.0"))
        async with asyncio.timeout(PATIENCE):
            got = await everything(line)
        answer_head, _, body = got.partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" not in answer_head.lower()
        assert body.count(b"w2 ") == 1
        assert body.endswith(b"data: [DONE]\n\n") == stream
        assert len(await gateway.rows()) == 1


async def test_a_whole_address_for_a_path(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """As proxies send it."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("ok").replace(b"POST /v1", b"POST http://gateway/v1", 1))
        async with asyncio.timeout(PATIENCE):
            assert (await line.answer()).text == WORDS


@pytest.mark.parametrize("path", [HOT, "/v1/chat/completions/", "/v1//models", "/v1/models"])
async def test_a_query_or_a_slash_more(wall: Wall, tmp_path: Path, path: str) -> None:
    """A query does not matter to a hot path; another path is another path."""
    async with live(wall, tmp_path) as gateway:
        request = gateway.request({"model": "ok", "messages": []}, path=path + "?a=b")
        answer = await gateway.ask(request)
    status = {HOT: 400, "/v1/models": 405}.get(path, 404)
    assert answer.error[0] == status


async def test_expect_100_continue(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """The body is asked for, unless it will be refused."""
    body = gateway_body()
    async with live(wall, tmp_path, lane=lane, max_body_mb=1) as gateway:
        line = await gateway.line()
        line.send(head(gateway, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        async with asyncio.timeout(PATIENCE):
            assert (await line.head()).status == 100
            line.send(body)
            assert (await line.answer()).text == WORDS


async def test_expect_100_continue_of_too_much(wall: Wall, tmp_path: Path) -> None:
    """It is refused before a byte of it was sent."""
    async with live(wall, tmp_path, max_body_mb=1) as gateway:
        line = await gateway.line()
        line.send(head(gateway, f"Content-Length: {50 * MIB}", "Expect: 100-continue"))
        async with asyncio.timeout(PATIENCE):
            assert (await line.head()).status == 413


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cut", [False, True], ids=["at-once", "in-pieces"])
async def test_a_wish_for_http_2_is_passed_over(
    wall: Wall, tmp_path: Path, stream: bool, cut: bool
) -> None:
    """Java's client sends one with every first request, the body with it. (uvicorn loses that.)"""
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIA")
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        request = gateway.asking("ok", *wish, stream=stream)
        step = 40 if cut else len(request)
        for at in range(0, len(request), step):
            line.send(request[at : at + step])
            await asyncio.sleep(0.002)
        async with asyncio.timeout(PATIENCE):
            assert (await line.answer()).text == WORDS
            line.send(gateway.asking("ok"))
            assert (await line.answer()).text == WORDS
        assert len(await gateway.rows()) == 2


@pytest.mark.parametrize("wish", ["websocket", "nonsense", "h2c, h3"])
async def test_other_wishes_are_passed_over(wall: Wall, tmp_path: Path, wish: str) -> None:
    """On a path of each kind."""
    async with live(wall, tmp_path) as gateway:
        for path, status in ((HOT, 200), ("/v1/models", 405)):
            wishes = ("Connection: upgrade", f"Upgrade: {wish}")
            request = gateway.request(gateway_body(), *wishes, path=path)
            assert (await gateway.ask(request)).status == status


async def test_a_request_byte_by_byte(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """However it is cut."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        line = await gateway.line()
        for byte in gateway.asking("ok", stream=True):
            line.send(bytes([byte]))
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert (await line.answer()).text == WORDS


# --- several requests on one connection ---

COLD = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"


@pytest.mark.parametrize(
    "order", ["HH", "HC", "CH", "CC", "HCH", "CHC", "SSS", "SHC", "CSH", "HSHSHS"]
)
@pytest.mark.parametrize("gap", [False, True], ids=["at-once", "in-pieces"])
async def test_requests_that_do_not_wait(wall: Wall, tmp_path: Path, order: str, gap: bool) -> None:
    """Hot (whole and streamed) and cold ones are answered in their order, each as if alone."""
    async with live(wall, tmp_path) as gateway:
        kinds = {
            "H": gateway.asking("ok"),
            "S": gateway.asking("ok", stream=True),
            "C": COLD % gateway.key.encode(),
        }
        line = await gateway.line()
        sent = b"".join(kinds[kind] for kind in order)
        step = 100 if gap else len(sent)
        for at in range(0, len(sent), step):
            line.send(sent[at : at + step])
            await asyncio.sleep(0.001)
        async with asyncio.timeout(PATIENCE):
            for kind in order:
                answer = await line.answer()
                assert answer.whole and answer.status == 200
                if kind == "C":
                    assert answer.json["object"] == "list"
                else:
                    assert answer.text == WORDS
                    assert answer.done == (kind == "S")
        assert len(await gateway.rows()) == len(order) - order.count("C")


async def test_twenty_requests_at_once(wall: Wall, tmp_path: Path) -> None:
    """However many are taken, those are answered in order; a refusal closes, and is no bug."""
    wall.script("any", *["ok?first=0.02"] * 20)
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("any") * 20)
        answers: list[Answer] = []
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(Gone):
                while True:
                    answers.append(await line.answer())
        good = [answer for answer in answers if answer.status == 200]
        assert 1 <= len(good)
        assert all(answer.text == WORDS for answer in good)
        assert answers[: len(good)] == good
        assert all(answer.status == 400 for answer in answers[len(good) :])
        charged = [row for row in await gateway.rows() if row.cost]
        assert len(charged) == len(good)
        await serves(gateway)


@pytest.mark.parametrize("stream", [False, True])
async def test_nonsense_after_a_good_request(wall: Wall, tmp_path: Path, stream: bool) -> None:
    """The good one is answered: it is being paid for."""
    wall.script("any", "ok?delay=0.05")
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(gateway.asking("any", stream=stream))
        await wall.arrival("any")
        line.send(b"nonsense\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            answer = await line.answer()
            assert (answer.text, answer.whole) == (WORDS, True)
            await everything(line)
        [row] = await gateway.rows()
        assert row.outcome == "answered"


async def test_a_length_that_is_one_too_short(wall: Wall, tmp_path: Path) -> None:
    """What clients do that count characters for bytes: they are told, not just dropped."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        body = gateway_body()
        line.send(head(gateway, f"Content-Length: {len(body) - 1}") + body)
        async with asyncio.timeout(PATIENCE):
            assert (await line.answer()).error == BAD


async def test_a_cold_request_does_not_cut_a_stream(wall: Wall, tmp_path: Path) -> None:
    """The server's patience with an idle connection is over when the next request comes."""
    wall.script("any", "ok?chunks=10&delay=0.1")
    async with live(wall, tmp_path) as gateway:
        gateway.server.config.timeout_keep_alive = 1
        line = await gateway.line()
        async with asyncio.timeout(PATIENCE):
            line.send(COLD % gateway.key.encode())
            assert (await line.answer()).status == 200
            await asyncio.sleep(0.3)
            line.send(gateway.asking("any", stream=True))
            answer = await line.answer()
        assert (answer.text, answer.done) == ("".join(content(10)), True)


@pytest.mark.parametrize("first", ["ok", "400"])
async def test_nothing_is_done_after_the_last_request(
    wall: Wall, tmp_path: Path, first: str
) -> None:
    """What follows a request that closes the connection is not worked on, nor charged."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(gateway.asking(first, "Connection: close") + gateway.asking("gzip") * 3)
        async with asyncio.timeout(PATIENCE):
            got = await everything(line)
        assert got.count(b"HTTP/1.1 ") == 1
        assert len(await gateway.rows()) == len(wall.calls()) == 1


async def test_nothing_is_done_after_a_refusal(wall: Wall, tmp_path: Path) -> None:
    """Nor what follows a request that was refused here."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(gateway.request(b"nonsense", "Connection: close") + gateway.asking("ok") * 3)
        async with asyncio.timeout(PATIENCE):
            got = await everything(line)
        assert got.count(b"HTTP/1.1 ") == 1
        assert await gateway.rows() == wall.calls() == []


# --- callers who do not read ---


async def test_replies_that_nobody_reads_do_not_pile_up(wall: Wall, tmp_path: Path) -> None:
    """Requests are read no faster than their answers are."""
    wall.behaviours["large"] = large
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line(receive=4096)
        for number in range(60):  # of 1 MiB each
            line.send(gateway.asking("large"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while len(wall.calls("large")) == number:
                        await asyncio.sleep(0.002)
            if len(wall.calls("large")) == number:
                break
        assert len(wall.calls("large")) < 30
        await serves(gateway)


async def large(talk: Talk, call: Call) -> None:
    body = {
        "choices": [{"message": {"content": "x" * MIB * int(call.option("mib", 1))}}],
        "usage": {},
    }
    await talk.whole(200, json.dumps(body).encode())


async def test_a_stream_behind_an_unread_answer_is_held_back(wall: Wall, tmp_path: Path) -> None:
    """The pause of the one before holds for the next."""

    wall.behaviours["large"] = large
    wall.script("any", "large?mib=8")
    async with live(wall, tmp_path, timeout_idle=60) as gateway:
        line = await gateway.line(receive=4096)
        line.send(gateway.asking("any"))
        await wall.arrival("any")
        line.send(gateway.asking("huge-body", stream=True))
        sent = await settled(wall, within=3)
        assert sent < 64 * MIB
        line.hang_up()
        await serves(gateway)


async def settled(wall: Wall, within: float) -> int:
    """How much the wall could send until it could send no more, or time was up."""
    loop = asyncio.get_running_loop()
    until, sent, still = loop.time() + within, -1, 0
    while loop.time() < until and still < 5:
        now = sum(talk.sent for talk in wall.talks)
        sent, still = now, still + 1 if now == sent else 0
        await asyncio.sleep(0.1)
    return sent
