"""What a call cost, in its reply: the number of its usage row, to the nano-dollar, everywhere."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apertura.domain.money import NANO_PER_USD, Nano, format_usd
from apertura.store.usage import UsageRow
from tests import live as live_module
from tests.live import Answer, Live, live
from tests.speakers import SPEAKERS
from tests.wall import Wall
from tests.wall.tongues import TRANSCRIPTS, played

UPSTREAMS = ["anthropic_messages", "gemini", "openai_chat", "openai_responses"]
OPENAI = ["openai_chat", "openai_completions", "openai_responses"]
ASKED = "X-Include-Cost: true"
WORDS = "w0 w1 w2 "
USAGES = ("usage", "usageMetadata")
PRICES = {
    "input_usd_per_million": "0.137",
    "output_usd_per_million": "9.871",
    "cache_read_usd_per_million": "0.0131",
}
"""Nano-dollars that end in other digits than zeros."""


@pytest.fixture(autouse=True)
def odd_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = live_module._offer

    def dear(model: str, **fields: Any) -> Any:
        return offer(model, **PRICES, **fields)

    monkeypatch.setattr(live_module, "_offer", dear)


def documents(answer: Answer) -> list[Any]:
    """All JSON of a reply, its numbers with all their digits."""
    if "event-stream" in answer.headers["content-type"]:
        lines = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line, parse_float=Decimal) for line in lines if line != b"[DONE]"]
    found = json.loads(answer.body, parse_float=Decimal)
    return found if isinstance(found, list) else [found]


def usages(answer: Answer) -> list[dict[str, Any]]:
    """Each report of usage in a reply, in order."""
    found = []
    for said in documents(answer):
        for place in (said, said.get("message") or {}, said.get("response") or {}):
            found += [place[name] for name in USAGES if isinstance(place.get(name), dict)]
    return found


def cost(answer: Answer) -> int:
    """The cost that a reply states, once and in its last report of usage; in nano-dollars."""
    *before, last = usages(answer)
    assert not any("cost" in usage for usage in before)
    amount = last["cost"] * NANO_PER_USD
    assert amount == int(amount)
    return int(amount)


def header(row_cost: int) -> str:
    return format_usd(Nano(row_cost), places=0)


async def rows_of(gateway: Live, answers: list[Answer]) -> list[UsageRow]:
    """The row of each, by its id: ids of the same millisecond have no order."""
    found = {row.call_id: row for row in await gateway.rows()}
    return [found[answer.headers["x-request-id"]] for answer in answers]


async def check_rows(gateway: Live, answers: list[Answer]) -> list[int]:
    """Every reply states what its row says."""
    rows = await rows_of(gateway, answers)
    assert [cost(answer) for answer in answers] == [row.cost for row in rows]
    for answer, row in zip(answers, rows, strict=True):
        said = answer.headers.get("x-cost-usd")
        assert said == (None if row.streamed else header(row.cost))
    return [row.cost for row in rows]


@pytest.mark.parametrize("caller", SPEAKERS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_the_cost_in_a_reply_is_the_rows(
    wall: Wall, tmp_path: Path, upstream: str, caller: str
) -> None:
    """Passing or translated, whole or streamed; and nothing else in the reply is another."""
    speaker = SPEAKERS[caller]
    behaviours = ("ok?cached=4", "ok?input=123457&chunks=7", "ok?input=1000003")
    wall.script("any", *(each for each in behaviours for _ in range(4)))
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        answers: list[Answer] = []
        for _, stream in itertools.product(behaviours, (False, True)):
            plain = await speaker.ask(gateway, "any", stream=stream)
            asked = await speaker.ask(gateway, "any", ASKED, stream=stream)
            assert speaker.text(asked) == speaker.text(plain)
            assert speaker.usage(asked) == speaker.usage(plain)
            assert speaker.done(asked) and asked.whole
            assert b'"cost"' not in plain.body
            answers += [plain, asked]
        rows = await rows_of(gateway, answers)
    assert [cost(answer) for answer in answers[1::2]] == [row.cost for row in rows[1::2]]
    assert [row.cost for row in rows[::2]] == [row.cost for row in rows[1::2]]
    assert len({row.cost for row in rows}) == len(behaviours)
    for answer, row in zip(answers, rows, strict=True):
        said = answer.headers.get("x-cost-usd")
        assert said == (None if row.streamed else header(row.cost))


@pytest.mark.parametrize("caller", SPEAKERS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_an_estimated_usage_has_its_cost(
    wall: Wall, tmp_path: Path, upstream: str, caller: str
) -> None:
    """Then the reply also says how many tokens were charged for."""
    speaker = SPEAKERS[caller]
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        answers = [
            await speaker.ask(gateway, "usage-absent", ASKED, stream=stream)
            for stream in (False, True)
        ]
        assert all(speaker.done(answer) for answer in answers)
        whole, streamed = await check_rows(gateway, answers)
        rows = await rows_of(gateway, answers)
    assert whole == streamed > 0
    assert all(row.estimated for row in rows)
    for answer, row in zip(answers, rows, strict=True):
        assert speaker.usage(answer) == (row.input, row.output)


@pytest.mark.parametrize("caller", SPEAKERS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_an_answer_of_nothing_costs_nothing(
    wall: Wall, tmp_path: Path, upstream: str, caller: str
) -> None:
    wall.script("any", "ok?chunks=0", "ok?chunks=0")
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        answers = [
            await SPEAKERS[caller].ask(gateway, "any", ASKED, stream=stream)
            for stream in (False, True)
        ]
        await check_rows(gateway, answers)
        for row in await gateway.rows():
            assert bool(row.output) == bool(row.cost)


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


@pytest.mark.slow
@pytest.mark.parametrize(("upstream", "name"), TRANSCRIBED)
async def test_a_transcript_has_its_cost_for_every_caller(
    wall: Wall, tmp_path: Path, upstream: str, name: str
) -> None:
    """Tools, thoughts and whatever else: the same answer as without the wish, and its cost."""
    wall.behaviours["said"] = played(name)
    answers: list[Answer] = []
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for caller, stream in itertools.product(SPEAKERS, (False, True)):
            speaker = SPEAKERS[caller]
            plain = speaker.read(await speaker.ask(gateway, "said", stream=stream))
            asked = await speaker.ask(gateway, "said", ASKED, stream=stream)
            assert speaker.read(asked) == plain, (caller, stream)
            answers.append(asked)
        rows = await rows_of(gateway, answers)
    assert [cost(answer) for answer in answers] == [row.cost for row in rows]


@pytest.mark.parametrize("behaviour", ["usage-on-choice", "usage-cumulative"])
@pytest.mark.parametrize("include_usage", [True, False])
async def test_usage_comes_once_and_last_wherever_the_provider_has_it(
    wall: Wall, tmp_path: Path, behaviour: str, include_usage: bool
) -> None:
    options = {"include_cost": True, "include_usage": include_usage}
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.chat(behaviour, stream=True, stream_options=options)
        await check_rows(gateway, [answer])
    assert answer.done and answer.text == WORDS
    assert [event["choices"] for event in answer.events if event.get("usage")] == [[]]
    assert answer.events[-1]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "cost": answer.events[-1]["usage"]["cost"],
    }
    assert {event["id"] for event in answer.events} == {"chatcmpl-wall"}


WISHES: list[dict[str, Any]] = [
    {"usage": {"include": True}},
    {"stream_options": {"include_cost": True}},
    {"stream_options": {"include_cost": True}, "usage": None},
]
NO_WISHES: list[dict[str, Any]] = [
    {"usage": {"include": False}},
    {"usage": {}},
    {"stream_options": {"include_cost": False}},
    {"stream_options": {"include_cost": None}, "usage": None},
]


@pytest.mark.parametrize("caller", OPENAI)
async def test_it_can_be_asked_for_in_the_body_and_no_provider_sees_that(
    wall: Wall, tmp_path: Path, caller: str
) -> None:
    speaker = SPEAKERS[caller]
    for upstream in ("openai_chat", "openai_responses"):
        async with live(wall, tmp_path / upstream, dialect=upstream) as gateway:
            answers = [
                await speaker.ask(gateway, "ok", stream=stream, **wish)
                for wish, stream in itertools.product(WISHES, (False, True))
            ]
            await check_rows(gateway, answers)
            assert not any("x-dropped-params" in answer.headers for answer in answers)
            for wish, stream in itertools.product(NO_WISHES, (False, True)):
                answer = await speaker.ask(gateway, "ok", stream=stream, **wish)
                assert answer.status == 200 and b'"cost"' not in answer.body, answer.body
    assert len(wall.calls()) == 2 * 2 * (len(WISHES) + len(NO_WISHES))
    for call in wall.calls():
        assert "usage" not in call.body
        assert set(call.body.get("stream_options") or ()) <= {"include_usage"}
        assert b"include_cost" not in call.raw


async def test_extra_body_can_ask(wall: Wall, tmp_path: Path) -> None:
    async with live(wall, tmp_path) as gateway:
        answer = await gateway.chat("ok", extra_body={"usage": {"include": True}})
        await check_rows(gateway, [answer])
    [call] = wall.calls()
    assert "usage" not in call.body


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"usage": {"include": "yes"}}, "usage.include"),
        ({"usage": True}, "usage"),
        ({"stream_options": {"include_cost": 1}}, "stream_options.include_cost"),
    ],
)
@pytest.mark.parametrize("caller", OPENAI)
async def test_a_wish_that_is_none_is_refused(
    wall: Wall, tmp_path: Path, caller: str, more: dict[str, Any], param: str
) -> None:
    async with live(wall, tmp_path) as gateway:
        answer = await SPEAKERS[caller].ask(gateway, "ok", **more)
    assert answer.status == 400
    assert answer.json["error"]["param"] == param


async def test_the_header_is_true_or_false(wall: Wall, tmp_path: Path) -> None:
    """False leaves what the body asks for."""
    async with live(wall, tmp_path) as gateway:
        wrong = await gateway.chat("ok", "X-Include-Cost: please")
        no = await gateway.chat("ok", "X-Include-Cost: false")
        yes = await gateway.chat("ok", "X-Include-Cost:  True ")
        both = await gateway.chat("ok", "X-Include-Cost: FALSE", usage={"include": True})
        assert len(await gateway.rows()) == 3
        rows = await rows_of(gateway, [yes, both])
    assert wrong.error == (400, "invalid_request_error", "invalid_parameter")
    assert wrong.json["error"]["param"] == "X-Include-Cost"
    assert "cost" not in no.json["usage"]
    assert [cost(yes), cost(both)] == [row.cost for row in rows]


async def test_without_a_wish_a_stream_passes_as_it_came(wall: Wall, tmp_path: Path) -> None:
    """To the byte; and with one, the same but for the chunk that has the cost."""
    async with live(wall, tmp_path) as gateway:
        plain = await gateway.chat("ok", stream=True)
        asked = await gateway.chat("ok", ASKED, stream=True)
    head, tail = asked.body.split(b'"usage":{', 1)
    begun = head.rfind(b"data: ")
    assert head[:begun] == plain.body.removesuffix(b"data: [DONE]\n\n")
    assert tail.endswith(b"}\n\ndata: [DONE]\n\n")
    assert "x-cost-usd" not in plain.headers


async def test_plain_asgi_says_the_same(wall: Wall, tmp_path: Path, lane: bool) -> None:
    async with live(wall, tmp_path, lane=lane) as gateway:
        answers = [await gateway.chat("ok", ASKED, stream=stream) for stream in (False, True)]
        await check_rows(gateway, answers)


@pytest.mark.parametrize("upstream", ["gemini", "openai_chat"])
async def test_a_stream_that_is_an_array(wall: Wall, tmp_path: Path, upstream: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    path = "/v1beta/models/{}:streamGenerateContent"
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for model in ("ok", "usage-absent", "ok?chunks=0"):
            name = "any" if "?" in model else model
            wall.script("any", model)
            answer = await gateway.ask(gateway.request(body, ASKED, path=path.format(name)))
            assert isinstance(answer.json, list)
            [row] = await rows_of(gateway, [answer])
            assert cost(answer) == row.cost
        broken = await gateway.ask(
            gateway.request(body, ASKED, path=path.format("error-after-content"))
        )
    assert "error" in broken.json[-1]
    assert b'"cost"' not in broken.body


@pytest.mark.parametrize("caller", SPEAKERS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_stream_that_fails_states_no_cost(
    wall: Wall, tmp_path: Path, upstream: str, caller: str
) -> None:
    speaker = SPEAKERS[caller]
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for behaviour in ("error-after-content", "close-in-the-middle"):
            answer = await speaker.ask(gateway, behaviour, ASKED, stream=True)
            assert not speaker.done(answer)
            assert speaker.error_inside(answer)[1]
            assert b'"cost"' not in answer.body
        assert [row.cost for row in await gateway.rows()] == [0, 0]


async def test_embeddings_and_ranks(wall: Wall, tmp_path: Path) -> None:
    texts = {"model": "ok", "input": ["a", "b"]}
    content = {"content": {"parts": [{"text": "a"}]}}
    named = [{"model": "models/ok", **content}]
    asked = [
        ("/v1/embeddings", {**texts, "usage": {"include": True}}, ""),
        ("/v1/embeddings", texts, ASKED),
        ("/v1/rerank", {"model": "ok", "query": "q", "documents": ["a", "b"]}, ASKED),
        ("/v1beta/models/ok:embedContent", content, ASKED),
        ("/v1beta/models/ok:batchEmbedContents", {"requests": named}, ASKED),
    ]
    async with live(wall, tmp_path) as gateway:
        answers = [
            await gateway.ask(gateway.request(body, *filter(None, [wish]), path=path))
            for path, body, wish in asked
        ]
        assert [answer.status for answer in answers] == [200] * len(asked)
        costs = await check_rows(gateway, answers)
        plain = await gateway.ask(gateway.request(texts, path="/v1/embeddings"))
    assert all(costs)
    assert "cost" not in plain.json["usage"]
    assert plain.headers["x-cost-usd"] == header(costs[0])
    assert all("usage" not in call.body for call in wall.calls())


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
async def test_a_response_is_kept_without_its_cost(
    wall: Wall, tmp_path: Path, upstream: str
) -> None:
    """It is kept before its call is settled; but for that it is the one that was answered."""
    body = {"model": "ok", "input": "Hello", "store": True}
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        for stream in (False, True):
            answer = await gateway.ask(
                gateway.request({**body, "stream": stream}, ASKED, path="/v1/responses")
            )
            said = answer.events[-1]["response"] if stream else answer.json
            assert said["usage"].pop("cost") > 0
            path = f"/v1/responses/{said['id']}"
            asking = gateway.request(b"", path=path).replace(b"POST", b"GET", 1)
            assert (await gateway.ask(asking)).json["usage"] == said["usage"]
