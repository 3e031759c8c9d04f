"""A question in one format and an offer in another: what is asked, what is heard, what is paid."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.live import PATIENCE, Answer, Line, Live, live
from tests.speakers import SPEAKERS
from tests.wall import Wall
from tests.wall.tongues import TRANSCRIPTS, played

UPSTREAMS = ["anthropic_messages", "gemini", "openai_chat", "openai_responses"]
PAIRS = list(itertools.product(UPSTREAMS, SPEAKERS))
WORDS = "w0 w1 w2 "
COST = 9 * 1000 + 3 * 2000
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "time")
]


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
async def test_what_a_call_costs_depends_on_its_answer_alone(
    wall: Wall, tmp_path: Path, upstream: str, caller: str
) -> None:
    """Whatever both speak, streamed or not: same text, same tokens, same cost, to the nano-dollar;
    and what the caller reads of its usage is what it pays for.
    """
    speaker = SPEAKERS[caller]
    wall.script("any", "ok?cached=4", "ok?cached=4", "ok", "ok")
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for stream in (False, True, False, True):
            answer = await speaker.ask(gateway, "any", stream=stream)
            assert (speaker.text(answer), speaker.done(answer)) == (WORDS, True)
            assert speaker.usage(answer) == (9, 3)
        rows = await gateway.rows()
    assert [(row.input, row.output, row.cost, row.estimated) for row in rows] == [
        (9, 3, COST, 0)
    ] * 4
    assert [row.cache_read for row in rows] == [4, 4, 0, 0]
    assert [(row.outcome, row.operation, row.model) for row in rows] == [
        ("answered", "chat", "any")
    ] * 4


@pytest.mark.parametrize("caller", ["anthropic_messages", "gemini", "openai_responses"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_usage_that_nobody_reports_is_estimated(
    wall: Wall, tmp_path: Path, upstream: str, caller: str
) -> None:
    """The same from a stream and from a whole answer."""
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for stream in (False, True):
            answer = await SPEAKERS[caller].ask(gateway, "usage-absent", stream=stream)
            assert SPEAKERS[caller].text(answer) == WORDS
        whole, streamed = await gateway.rows()
    assert whole.estimated and streamed.estimated
    assert (whole.input, whole.output) == (streamed.input, streamed.output)
    assert whole.cost == streamed.cost > 0


SAID = {
    "anthropic_messages": sorted((TRANSCRIPTS / "anthropic_messages").glob("*.sse")),
    "gemini": sorted((TRANSCRIPTS / "gemini").glob("*.sse")),
    "openai_chat": sorted(TRANSCRIPTS.glob("written-*.sse")),
    "openai_responses": sorted((TRANSCRIPTS / "openai_responses").glob("published-*.sse")),
}
TRANSCRIBED = [
    pytest.param(upstream, str(path.relative_to(TRANSCRIPTS))[:-4], id=f"{upstream}-{path.stem}")
    for upstream, paths in SAID.items()
    for path in paths
]


@pytest.mark.parametrize(("upstream", "name"), TRANSCRIBED)
async def test_a_transcript_is_the_same_to_every_caller(
    wall: Wall, tmp_path: Path, upstream: str, name: str
) -> None:
    """Text, calls to tools and price, in each format, streamed or not."""
    wall.behaviours["said"] = played(name)
    seen: dict[tuple[str, bool], tuple[Any, ...]] = {}
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for caller, stream in itertools.product(SPEAKERS, (False, True)):
            speaker = SPEAKERS[caller]
            answer = await speaker.ask(gateway, "said", stream=stream)
            assert answer.status == 200, (caller, stream, answer.body)
            assert speaker.done(answer), (caller, stream)
            calls = [] if caller == "openai_completions" else speaker.calls(answer)
            seen[caller, stream] = (speaker.text(answer), calls, speaker.usage(answer))
        rows = await gateway.rows()
    assert len({(row.input, row.cache_read, row.cache_write, row.output) for row in rows}) == 1
    assert len({row.cost for row in rows}) == 1
    assert not any(row.estimated for row in rows)
    for (caller, _), heard in seen.items():
        assert heard == seen[caller, False], caller
    whole = seen["openai_chat", False]
    for caller in ("anthropic_messages", "gemini", "openai_responses"):
        assert seen[caller, False][1] == whole[1], caller
        assert seen[caller, False][2] == (rows[0].input, rows[0].output), caller


# --- calls to tools that come in one piece ---


def deltas(answer: Answer) -> list[dict[str, Any]]:
    found = [event["choices"][0]["delta"] for event in answer.events if event["choices"]]
    return [call for delta in found for call in delta.get("tool_calls") or ()]


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic_messages"])
async def test_the_contracts_own_sdk_gets_each_call_in_one_piece(
    wall: Wall, tmp_path: Path, upstream: str
) -> None:
    """It names just its HTTP library; others get pieces as they come."""
    names = {
        "openai_chat": "written-tool-calls",
        "anthropic_messages": f"{upstream}/published-tools",
    }
    wall.behaviours["said"] = played(names[upstream])
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        agent = "User-Agent: python-httpx/0.28.1"
        whole = await gateway.chat("said", agent, stream=True, tools=TOOLS)
        sdk = await gateway.chat(
            "said", agent, "X-Stainless-Lang: python", stream=True, tools=TOOLS
        )
        rows = await gateway.rows()
    assert whole.done and sdk.done
    for place, call in enumerate(deltas(whole)):
        assert call["index"] == place
        assert call["type"] == "function"
        assert call["id"] and call["function"]["name"]
        assert isinstance(json.loads(call["function"]["arguments"]), dict)
    speaker = SPEAKERS["openai_chat"]
    assert speaker.calls(whole) == speaker.calls(sdk)
    assert len(deltas(whole)) == len(speaker.calls(whole)) >= 2
    assert len(deltas(sdk)) > len(deltas(whole)) or upstream != "openai_chat"
    assert rows[0].cost == rows[1].cost > 0


async def test_a_stream_without_tools_passes_as_it_came(wall: Wall, tmp_path: Path) -> None:
    """The SDK's streams are read anew only where it asks for tools."""
    async with live(wall, tmp_path) as gateway:
        agent = "User-Agent: python-httpx/0.28.1"
        answer = await gateway.chat("ok", agent, stream=True)
        with_tools = await gateway.chat("ok", agent, stream=True, tools=TOOLS)
    assert answer.events[0]["id"] == "chatcmpl-wall"
    assert with_tools.text == answer.text == WORDS


# --- what is dropped, and who is told what ---


async def test_what_cannot_be_said_is_listed(wall: Wall, tmp_path: Path) -> None:
    """By the caller's own names, whole and streamed; what is said is not listed."""
    async with live(wall, tmp_path, dialect="anthropic_messages") as gateway:
        for stream in (False, True):
            answer = await gateway.chat("ok", stream=stream, seed=1, temperature=0.5, stop="x")
            assert answer.headers["x-dropped-params"] == "seed"
            plain = await gateway.chat("ok", stream=stream, temperature=0.5)
            assert "x-dropped-params" not in plain.headers
        sent = wall.calls("ok")[0]
    assert (sent.body["temperature"], sent.body["stop_sequences"]) == (0.5, ["x"])
    assert "seed" not in sent.body
    assert sent.path == "/v1/messages"


async def test_what_is_dropped_cannot_break_out_of_its_header(wall: Wall, tmp_path: Path) -> None:
    """A name of the caller's is listed only if it can stand in a header."""
    odd: dict[str, Any] = {"x\r\nSet-Cookie: a": 1, "ü": 2, "harmless": 3, "a,b": 4}
    async with live(wall, tmp_path, dialect="anthropic_messages") as gateway:
        answer = await gateway.chat("ok", **odd)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-dropped-params"] == "harmless"


OFFER = """
[[providers]]
name = "{name}"
dialect = "{dialect}"
base_url = "{url}"
api_key = "upstream-secret"

[[offers]]
model = "mixed"
provider = "{name}"
upstream_model = "{upstream}"
weight = {weight}
input_usd_per_million = "1"
output_usd_per_million = "2"
"""


def mixed(wall: Wall, *offers: tuple[str, str]) -> str:
    """A model `mixed`, whose offers speak different formats."""
    return "".join(
        OFFER.format(name=f"p{n}", dialect=d, url=wall.url, upstream=u, weight=100 - n)
        for n, (d, u) in enumerate(offers)
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("caller", sorted(SPEAKERS))
async def test_the_next_offer_may_speak_another_format(
    wall: Wall, tmp_path: Path, caller: str, stream: bool
) -> None:
    """Each attempt says the request anew, and begins the answer anew; one row, of the last."""
    speaker = SPEAKERS[caller]
    offers = [
        ("openai_chat", "503"),
        ("gemini", "reset-after-head"),
        ("anthropic_messages", "error-200"),
        ("openai_responses", "ok"),
    ]
    config = mixed(wall, *offers)
    async with live(wall, tmp_path, config=config) as gateway:
        answer = await speaker.ask(gateway, "mixed", stream=stream)
        [row] = await gateway.rows()
    assert (speaker.text(answer), speaker.done(answer)) == (WORDS, True)
    assert (row.attempts, row.outcome, row.cost) == (4, "answered", COST)
    assert [call.dialect for call in wall.calls()] == [dialect for dialect, _ in offers]
    assert [call.model for call in wall.calls()] == [model for _, model in offers]


async def test_what_is_dropped_is_said_of_the_offer_that_answers(
    wall: Wall, tmp_path: Path
) -> None:
    """What an earlier attempt could not say is of no interest."""
    config = mixed(wall, ("anthropic_messages", "500"), ("openai_chat", "ok"))
    async with live(wall, tmp_path, config=config) as gateway:
        answer = await gateway.chat("mixed", seed=5)
    assert answer.status == 200
    assert "x-dropped-params" not in answer.headers
    assert wall.calls("ok")[0].body["seed"] == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_one_format_cannot_say_is_refused(
    wall: Wall, tmp_path: Path, stream: bool
) -> None:
    """400 naming the parameter; nobody is asked, nothing is paid."""
    async with live(wall, tmp_path, dialect="anthropic_messages") as gateway:
        answer = await gateway.chat("ok", stream=stream, n=2)
        rows = await gateway.rows()
    assert answer.error == (400, "invalid_request_error", "invalid_parameter")
    assert answer.json["error"]["param"] == "n"
    assert wall.calls() == []
    assert [row.cost for row in rows] in ([], [0])


BETAS = ["context-1m-2025-08-07", "a-2025-01-01, b-2025-02-02"]
ODD = ["a;b", "é", "x" * 1001, "{}", ""]


@pytest.mark.parametrize("beta", [*BETAS, *ODD])
async def test_a_beta_reaches_providers_of_its_format_alone(
    wall: Wall, tmp_path: Path, beta: str
) -> None:
    """And only if it is made of what such a header is made of."""
    config = mixed(wall, ("openai_chat", "500"), ("anthropic_messages", "ok"))
    speaker = SPEAKERS["anthropic_messages"]
    async with live(wall, tmp_path, config=config) as gateway:
        answer = await speaker.ask(gateway, "mixed", f"anthropic-beta: {beta}")
        await gateway.chat("mixed", f"anthropic-beta: {beta}")
    assert speaker.text(answer) == WORDS
    [(passed), (translated)] = wall.calls("ok")
    assert [call.headers.get("anthropic-beta") for call in wall.calls("500")] == [None, None]
    assert passed.headers.get("anthropic-beta") == (beta if beta in BETAS else None)
    assert translated.headers.get("anthropic-beta") is None
    assert passed.headers["anthropic-version"] == "2023-06-01"


# --- callers who leave ---


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("caller", ["anthropic_messages", "gemini", "openai_responses"])
async def test_who_leaves_a_translated_stream_ends_it(
    wall: Wall, tmp_path: Path, lane: bool, caller: str, upstream: str
) -> None:
    """The provider is told, and what was relayed is paid for."""
    wall.script("any", "ok?chunks=1000&delay=0.01")
    async with live(wall, tmp_path, lane=lane, dialect=upstream) as gateway:
        line = await gateway.line()
        line.send(SPEAKERS[caller].asking(gateway, "any", stream=True))
        await read_until(line, b"w9 ")
        line.hang_up()
        await wall.hangup("any")
        [row] = await gateway.rows()
        assert gateway.upstream_connections() == 0
    assert (row.outcome, row.status, row.error_code) == ("cut", 499, "caller_hung_up")
    assert row.output >= 7
    assert row.cost == row.input * 1000 + row.output * 2000 > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("caller", ["anthropic_messages", "gemini", "openai_responses"])
async def test_who_leaves_before_the_answer_pays_nothing(
    wall: Wall, tmp_path: Path, caller: str, stream: bool
) -> None:
    """The provider is told all the same."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        name = "stall-before-first-token"
        line.send(SPEAKERS[caller].asking(gateway, name, stream=stream))
        await wall.arrival(name)
        line.hang_up()
        await wall.hangup(name)
        [row] = await gateway.rows()
    assert (row.outcome, row.cost) == ("cut", 0)


async def read_until(line: Line, end: bytes) -> bytes:
    got = b""
    async with asyncio.timeout(PATIENCE):
        await line.head()
        while end not in got:
            got += await line.chunk()
    return got


async def test_a_slow_stream_is_not_gathered(wall: Wall, tmp_path: Path) -> None:
    """What a provider has said is with the caller before it says more."""
    wall.script("any", "stall-in-the-middle")
    async with live(wall, tmp_path, dialect="openai_chat") as gateway:
        for caller in ("anthropic_messages", "openai_responses", "gemini"):
            wall.script("any", "stall-in-the-middle")
            line = await gateway.line()
            line.send(SPEAKERS[caller].asking(gateway, "any", stream=True))
            await read_until(line, b"w0 ")
            line.hang_up()
        await every_row(gateway, 3)


async def every_row(gateway: Live, count: int) -> None:
    rows = await gateway.rows()
    assert [row.outcome for row in rows] == ["cut"] * count
