"""The wall does what its names say: a fault that does not happen would make other tests vacuous."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import zlib
from typing import Any

import pytest

from tests.wall import BEHAVIOURS, Call, Talk, Wall, content, deaf, refused

ENDLESS = {"huge-body", "endless-event"}
SILENT = {"stall-before-head", "stall-before-first-token", "stall-in-the-middle"}
RESET = {"reset-before-head", "reset-after-head", "reset-after-first-chunk"}


def request(model: str, *, stream: bool = False, close: bool = True, **more: Any) -> bytes:
    """One chat request on the wire."""
    body = json.dumps({"model": model, "stream": stream, "messages": [], **more}).encode()
    path = "embeddings" if "input" in more else "chat/completions"
    connection = "close" if close else "keep-alive"
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: wall\r\nConnection: {connection}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(wall: Wall, model: str, **more: Any) -> bytes:
    """All that comes back until the wall closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", wall.port)
    try:
        writer.write(request(model, **more))
        return await reader.read()
    finally:
        writer.close()


def events(answer: bytes) -> list[Any]:
    """The JSON of each event in a chunked answer."""
    lines = answer.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


async def test_a_good_answer_says_the_same_whole_and_streamed() -> None:
    """Text and usage agree; usage is an event of its own, only when asked for."""
    async with Wall() as wall:
        whole = json.loads((await ask(wall, "ok?chunks=4")).partition(b"\r\n\r\n")[2])
        asked = {"stream_options": {"include_usage": True}}
        stream = events(await ask(wall, "ok?chunks=4", stream=True, **asked))
        bare = events(await ask(wall, "ok?chunks=4", stream=True))
    text = "".join(each["choices"][0]["delta"].get("content", "") for each in stream[:-1])
    assert text == whole["choices"][0]["message"]["content"] == "".join(content(4))
    assert stream[-1]["choices"] == []
    assert stream[-1]["usage"] == whole["usage"]
    assert whole["usage"]["completion_tokens"] == 4
    assert not any("usage" in each for each in bare)


async def test_embeddings_have_a_vector_for_each_input() -> None:
    """In order, as numbers or as base64."""
    async with Wall() as wall:
        answer = await ask(wall, "ok", input=["a", "bc"])
        packed = await ask(wall, "ok", input="a", encoding_format="base64")
    rows = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    assert [row["embedding"][:2] for row in rows] == [[0.0, 1.0], [1.0, 2.0]]
    assert isinstance(json.loads(packed.partition(b"\r\n\r\n")[2])["data"][0]["embedding"], str)


async def test_calls_are_recorded_and_a_script_goes_before_the_name() -> None:
    """Bodies, headers and connections per model; after its script a model is well."""
    async with Wall() as wall:
        wall.script("gpt", "500", "429?after=3", "ok?chunks=1")
        answers = [await ask(wall, "gpt") for _ in range(4)]
        assert (await ask(wall, "no-such-behaviour")).startswith(b"HTTP/1.1 404 ")
        calls = wall.calls("gpt")
        assert wall.connections == len(wall.calls()) == 5
    assert [answer[9:12] for answer in answers] == [b"500", b"429", b"200", b"200"]
    assert b"\r\nRetry-After: 3\r\n" in answers[1]
    assert [call.body["model"] for call in calls] == ["gpt"] * 4
    assert calls[0].headers["host"] == "wall"
    assert calls[0].path == "/v1/chat/completions"
    assert wall.hangups == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted(set(BEHAVIOURS) - ENDLESS - SILENT - RESET))
async def test_what_ends_by_itself_ends(name: str, stream: bool) -> None:
    """Each of these closes, or leaves a connection that the client asked to be closed."""
    async with Wall() as wall:
        answer = await asyncio.wait_for(ask(wall, name, stream=stream), 10)
        assert len(wall.calls(name)) == 1
    assert answer.startswith(b"HTTP/1.1 ") or name in {"not-http", "close-before-head"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("reset-before-head", (b"", b"")),
        ("reset-after-head", (b"\r\n\r\n", b"\r\n\r\n")),
        ("reset-after-first-chunk", (b'"chat.c', b"w0 ")),
    ],
)
async def test_a_reset_is_a_reset(name: str, seen: tuple[bytes, bytes], stream: bool) -> None:
    """The client reads what was said before, then gets ECONNRESET, not an orderly end."""
    async with Wall() as wall:
        reader, writer = await asyncio.open_connection("127.0.0.1", wall.port)
        writer.write(request(name, stream=stream))
        got: list[bytes] = []
        with pytest.raises(ConnectionResetError):
            await read_all(reader, got)
        writer.close()
        assert wall.hangups == []
    assert seen[stream] in b"".join(got)
    assert (got == []) == (name == "reset-before-head")


async def read_all(reader: asyncio.StreamReader, into: list[bytes]) -> None:
    while piece := await reader.read(65536):
        into.append(piece)


@pytest.mark.parametrize("name", sorted(SILENT | ENDLESS))
@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_the_wall_knows_when_the_client_left(name: str, how: str) -> None:
    """At once, with the call that was cut, and whether it was by FIN or by RST."""
    async with Wall() as wall:
        reader, writer = await asyncio.open_connection("127.0.0.1", wall.port)
        writer.write(request(name, stream=True))
        await wall.arrival(name)
        if name != "stall-before-head":
            assert (await reader.read(15)).startswith(b"HTTP/1.1 200")
        left = time.monotonic()
        if how == "reset":
            linger = b"\x01\0\0\0\0\0\0\0"
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        hangup = await wall.hangup(name)
    assert hangup.at >= left
    assert hangup.call is wall.calls(name)[0]
    assert hangup.call.hangup is hangup
    if name in SILENT:  # unread data turns a FIN into an RST
        assert hangup.how == ("reset" if how == "reset" else hangup.how)


async def test_a_client_that_does_not_read_holds_the_wall_back() -> None:
    """What is endless is sent no faster than it is read."""
    async with Wall() as wall:
        _, writer = await asyncio.open_connection("127.0.0.1", wall.port)
        writer.write(request("huge-body"))
        await wall.arrival("huge-body")
        sent = -1
        while sent != wall.talks[0].sent:
            sent = wall.talks[0].sent
            await asyncio.sleep(0.1)
        assert sent < 32 * 2**20
        writer.close()


async def test_a_connection_announced_as_kept_may_be_closed() -> None:
    """`keepalive-lie` closes after a stream; `close-on-reuse` drops the second request."""
    async with Wall() as wall:
        lie = await ask(wall, "keepalive-lie", stream=True, close=False)
        assert b"Keep-Alive: timeout=5" in lie
        assert lie.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", wall.port)
        writer.write(request("close-on-reuse", close=False))
        assert await reader.readuntil(b"}}")
        writer.write(request("ok", close=False))
        assert await reader.read() == b""
        writer.close()
        assert [call.model for call in wall.lost] == ["ok"]
        assert wall.calls("ok") == []


async def test_lengths_lie_as_named() -> None:
    """The announced length against what is there."""
    async with Wall() as wall:
        for name, over in [("length-too-long", -10), ("length-too-short", 10)]:
            head, _, body = (await ask(wall, name)).partition(b"\r\n\r\n")
            announced = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
            assert len(body) - announced == over
        both = await ask(wall, "both-lengths", stream=True)
        assert b"Content-Length: 5\r\nTransfer-Encoding: chunked" in both


async def test_compressed_streams_can_be_read_event_by_event() -> None:
    """The first events can be unpacked before the last has come; the bomb is small on the wire."""
    async with Wall() as wall:
        reader, writer = await asyncio.open_connection("127.0.0.1", wall.port)
        writer.write(request("gzip?delay=0.2", stream=True))
        await reader.readuntil(b"\r\n\r\n")
        size = int(await reader.readline(), 16)
        first = zlib.decompressobj(wbits=31).decompress(await reader.readexactly(size))
        writer.close()
        assert first.startswith(b'data: {"id":"chatcmpl-wall"')
        bomb = await ask(wall, "gzip-bomb")
    packed = bomb.partition(b"\r\n\r\n")[2]
    assert len(packed) < 2**19
    assert len(zlib.decompressobj(wbits=31).decompress(packed)) > 2**27


async def test_addresses_at_which_nothing_works() -> None:
    """One refuses at once, the other never answers."""
    with refused() as url, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port_of(url))
    with deaf() as url, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.open_connection("127.0.0.1", port_of(url))


def port_of(url: str) -> int:
    return int(url.split(":")[2].removesuffix("/v1"))


async def test_a_behaviour_of_a_tests_own_and_its_failure() -> None:
    """What raises inside the wall fails the test that asked for it."""

    async def mine(talk: Talk, call: Call) -> None:
        await talk.whole(418, b"{}")
        assert call.path == "/nowhere"

    wall = Wall()
    wall.behaviours["mine"] = mine
    with pytest.raises(AssertionError, match="nowhere"):
        async with wall:
            assert (await ask(wall, "mine")).startswith(b"HTTP/1.1 418")
