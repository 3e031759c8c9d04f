"""Gemini's clients: model and verb in the path, streams as events or as an array, embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import gateway as served_gateway
from tests.api.refusals import check_limit, check_refusals
from tests.api.test_leaks import files_of
from tests.live import Answer, Live, live
from tests.speakers import SPEAKERS
from tests.wall import Wall
from tests.wall.tongues import played

WORDS = "w0 w1 w2 "
GEMINI = SPEAKERS["gemini"]
CONTENTS = [{"role": "user", "parts": [{"text": "Hello"}]}]
INVALID = "invalid_request_error"


async def call(
    gateway: Live, verb: str, model: str = "ok", base: str = "/v1beta", **body: Any
) -> Answer:
    path = f"{base}/models/{model}:{verb}"
    return await gateway.ask(gateway.request(body or {"contents": CONTENTS}, path=path))


@pytest.mark.parametrize("base", ["/v1beta", "/v1", ""])
async def test_it_answers_under_each_base(
    wall: Wall, tmp_path: Path, lane: bool, base: str
) -> None:
    """Whole, in the format's own form."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await call(gateway, "generateContent", base=base)
        [row] = await gateway.rows()
    [candidate] = answer.json["candidates"]
    assert candidate["content"] == {"role": "model", "parts": [{"text": WORDS}]}
    assert candidate["finishReason"] == "STOP"
    assert answer.json["usageMetadata"]["totalTokenCount"] == 12
    assert answer.json["modelVersion"] and answer.json["responseId"]
    assert (row.model, row.streamed, row.input, row.output) == ("ok", 0, 9, 3)


async def test_it_streams_events(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """With `alt=sse`: each event an answer's piece, the last with the reason of its end."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await GEMINI.ask(gateway, "ok", stream=True)
        [row] = await gateway.rows()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (GEMINI.text(answer), GEMINI.done(answer)) == (WORDS, True)
    assert GEMINI.usage(answer) == (9, 3)
    assert len({event["responseId"] for event in answer.events}) == 1
    assert (row.streamed, row.output) == (1, 3)


@pytest.mark.parametrize("upstream", ["openai_chat", "gemini", "anthropic_messages"])
@pytest.mark.parametrize("query", ["", "?alt=json"])
async def test_it_streams_an_array(
    wall: Wall, tmp_path: Path, lane: bool, query: str, upstream: str
) -> None:
    """Without `alt=sse`, as Google does it: valid JSON at the end, and the same answer."""
    async with live(wall, tmp_path, lane=lane, dialect=upstream) as gateway:
        answer = await call(gateway, f"streamGenerateContent{query}")
        [row] = await gateway.rows()
    assert answer.headers["content-type"] == "application/json"
    assert answer.whole and len(answer.json) >= 3
    assert (GEMINI.text(answer), GEMINI.done(answer)) == (WORDS, True)
    assert (row.streamed, row.output) == (1, 3)


@pytest.mark.parametrize("upstream", ["openai_chat", "gemini"])
@pytest.mark.parametrize(
    "name", ["error-after-content", "reset-after-first-chunk", "malformed-event", "no-finish"]
)
async def test_an_array_is_closed_whatever_happens(
    wall: Wall, tmp_path: Path, lane: bool, name: str, upstream: str
) -> None:
    """What came first, then the error, then the bracket; nothing is paid."""
    async with live(wall, tmp_path, lane=lane, dialect=upstream) as gateway:
        answer = await call(gateway, "streamGenerateContent", name)
        [row] = await gateway.rows()
    assert answer.status == 200
    assert GEMINI.text(answer).startswith("w0 ") and not GEMINI.done(answer)
    assert GEMINI.error_inside(answer) == ("UNAVAILABLE", "UPSTREAM_ERROR")
    assert (row.outcome, row.cost) == ("failed", 0)


async def test_an_array_whose_attempts_fail_begins_anew(wall: Wall, tmp_path: Path) -> None:
    """Before content another offer answers, and the array is opened once."""
    wall.script("two-first", "reset-after-head")
    wall.script("two-second", "ok")
    async with live(wall, tmp_path) as gateway:
        answer = await call(gateway, "streamGenerateContent", "two")
        failed = await call(gateway, "streamGenerateContent", "error-200")
    assert answer.json[0] and GEMINI.text(answer) == WORDS
    assert GEMINI.error(failed) == (502, "UNAVAILABLE", "UPSTREAM_ERROR")


async def test_what_is_asked_reaches_a_provider_of_chat(wall: Wall, tmp_path: Path) -> None:
    """In either spelling of JSON's names."""
    config = {"temperature": 0.5, "maxOutputTokens": 50, "stopSequences": ["END"], "topK": 3}
    other = {"temperature": 0.5, "max_output_tokens": 50, "stop_sequences": ["END"], "top_k": 3}
    system: Any = {"parts": [{"text": "Be brief."}]}
    async with live(wall, tmp_path) as gateway:
        bodies: list[dict[str, Any]] = [
            {"systemInstruction": system, "generationConfig": config},
            {"system_instruction": system, "generation_config": other},
        ]
        for body in bodies:
            answer = await call(gateway, "generateContent", contents=CONTENTS, **body)
            assert "opK" in answer.headers["x-dropped-params"].replace("op_k", "opK")
    one, two = (each.body for each in wall.calls("ok"))
    assert one == two
    assert [each["role"] for each in one["messages"]] == ["system", "user"]
    assert (one["stop"], one["temperature"]) == (["END"], 0.5)


async def test_a_request_passes_to_a_provider_of_gemini(wall: Wall, tmp_path: Path) -> None:
    """As it came; the model stands in the path by the provider's name, the key in a header."""
    body: dict[str, Any] = {"contents": CONTENTS, "somethingNew": {"deep": 1}}
    async with live(wall, tmp_path, dialect="gemini") as gateway:
        await call(gateway, "generateContent", "apertis/ok", **body)
        await call(gateway, "streamGenerateContent?alt=sse", **body)
    one, two = wall.calls("ok")
    assert one.body == two.body == body
    assert one.path.endswith("/models/ok:generateContent")
    assert two.path.endswith("/models/ok:streamGenerateContent?alt=sse")


@pytest.mark.parametrize("upstream", ["openai_chat", "gemini"])
async def test_a_call_to_a_tool(wall: Wall, tmp_path: Path, upstream: str) -> None:
    """Streamed, as an array, and whole: the same calls, each in one piece."""
    names = {"openai_chat": "written-tool-calls", "gemini": "gemini/written-tools"}
    wall.behaviours["said"] = played(names[upstream])
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        whole = await GEMINI.ask(gateway, "said")
        streamed = await GEMINI.ask(gateway, "said", stream=True)
        array = await call(gateway, "streamGenerateContent", "said")
    assert GEMINI.calls(whole) == GEMINI.calls(streamed) == GEMINI.calls(array)
    assert len(GEMINI.calls(whole)) == 2


# --- who asks, and for what ---


@pytest.mark.parametrize("place", ["x-goog-api-key", "?key=", "&key=", "x-api-key"])
async def test_a_key_may_stand_where_google_has_it(
    wall: Wall, tmp_path: Path, lane: bool, place: str
) -> None:
    """In a header of its own, or in the query."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        path = "/v1beta/models/ok:generateContent"
        if place.endswith("="):
            path += f"{place}{gateway.key}" if place[0] == "?" else f"?alt=json{place}{gateway.key}"
        request = gateway.request({"contents": CONTENTS}, path=path)
        bearer = f"Authorization: Bearer {gateway.key}".encode()
        other = f"{place}: {gateway.key}" if place.startswith("x-") else "X-Other: 1"
        answer = await gateway.ask(request.replace(bearer, other.encode()))
        wrong = await gateway.ask(
            request.replace(bearer, b"X-Other: 1").replace(gateway.key.encode(), b"sk-wrong")
        )
    assert GEMINI.text(answer) == WORDS
    code = "INVALID_API_KEY" if place.endswith("=") else "MISSING_API_KEY"
    assert GEMINI.error(wrong) == (401, "UNAUTHENTICATED", code)


async def test_a_key_in_the_query_is_told_to_nobody(
    wall: Wall, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """No log line, no provider, no error and no byte of the data folder has it."""
    async with live(wall, tmp_path, call_log="on") as gateway:
        key = gateway.key
        for path in (
            f"/v1beta/models/ok:generateContent?key={key}",
            f"/v1beta/models/500:streamGenerateContent?key={key}",
            f"/v1beta/models/none:generateContent?key={key}",
            f"/v1beta/models/ok:unknownVerb?key={key}",
            f"/v1beta/nothing?key={key}",
        ):
            request = gateway.request({"contents": CONTENTS}, path=path)
            bearer = f"Authorization: Bearer {key}\r\n".encode()
            answer = await gateway.ask(request.replace(bearer, b""))
            assert key.encode() not in answer.body
            assert key not in str(answer.headers)
        await gateway.rows()
    out, err = capfdbinary.readouterr()
    assert out.count(b"req_") >= 2
    assert key.encode() not in out + err
    assert not any(key in each.path or key in str(each.headers) for each in wall.calls())
    kept = files_of(tmp_path).values()
    assert kept and not any(key.encode() in each for each in kept)


async def test_refusals_have_googles_envelope(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """Status names of Google's, our codes as reasons."""
    await check_refusals(wall, tmp_path, GEMINI, lane=lane)


async def test_what_is_wrong_is_named(wall: Wall, tmp_path: Path) -> None:
    """As a violation of a field."""
    async with live(wall, tmp_path) as gateway:
        answer = await call(gateway, "generateContent", contents=[])
        limited = await call(gateway, "generateContent", "429")
    [violation] = [
        found
        for detail in answer.json["error"]["details"]
        for found in detail.get("fieldViolations", ())
    ]
    assert violation["field"] == "contents"
    [retry] = [d["retryDelay"] for d in limited.json["error"]["details"] if "retryDelay" in d]
    assert (retry, limited.headers["retry-after"]) == ("7s", "7")


async def test_a_limit_is_the_models_whatever_is_spoken(wall: Wall, tmp_path: Path) -> None:
    """Shared with chat and the rest."""
    await check_limit(wall, tmp_path, GEMINI)


@pytest.mark.parametrize("name", ["apertis/ok", "code:ok", "apertis/code:ok", "code%3Aok"])
async def test_a_models_name_may_have_its_marks(wall: Wall, tmp_path: Path, name: str) -> None:
    """Though it stands before the verb's colon, with colons and slashes of its own."""
    async with live(wall, tmp_path) as gateway:
        assert GEMINI.text(await GEMINI.ask(gateway, name)) == WORDS
        [row] = await gateway.rows()
    assert row.model == "ok"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1beta/models/ok:unknownVerb", 404),
        ("POST", "/v1beta/models/:generateContent", 404),
        ("POST", "/v1beta/models/ok", 404),
        ("POST", "/v1beta/else", 404),
        ("GET", "/v1beta/models/ok:generateContent", 405),
    ],
)
async def test_a_path_that_is_none(
    wall: Wall, tmp_path: Path, method: str, path: str, status: int
) -> None:
    """404 or 405 in Google's envelope."""
    async with live(wall, tmp_path) as gateway:
        request = gateway.request({"contents": CONTENTS}, path=path)
        answer = await gateway.ask(request.replace(b"POST ", f"{method} ".encode(), 1))
    name = {404: "NOT_FOUND", 405: "UNIMPLEMENTED"}[status]
    assert GEMINI.error(answer)[:2] == (status, name)
    assert wall.calls() == []


# --- embeddings ---


async def test_one_text_is_embedded(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """By way of OpenAI's format; charged by its input."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        content = {"parts": [{"text": "four"}]}
        answer = await call(gateway, "embedContent", content=content, taskType="RETRIEVAL_QUERY")
        [row] = await gateway.rows()
    assert answer.json["embedding"]["values"] == [0.0, 4.0, 0.5, -0.25]
    assert (row.operation, row.input, row.output, row.cost) == ("embeddings", 9, 0, 9000)
    [sent] = wall.calls("ok")
    assert sent.path == "/v1/embeddings"
    assert sent.body["input"] in ("four", ["four"])


async def test_a_batch_is_embedded(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """One call, in the order of the requests."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        requests = [
            {"model": "models/ok", "content": {"parts": [{"text": text}]}, "title": "x"}
            for text in ("a", "bcd")
        ]
        answer = await call(gateway, "batchEmbedContents", requests=requests)
        [row] = await gateway.rows()
    assert [each["values"][1] for each in answer.json["embeddings"]] == [1.0, 3.0]
    assert answer.headers["x-dropped-params"] == "title"
    assert (row.operation, row.attempts, row.cost) == ("embeddings", 1, 9000)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("embedContent", {"content": {"parts": []}}),
        ("embedContent", {"content": {"parts": [{"inlineData": {}}]}}),
        ("embedContent", {"contents": CONTENTS}),
        ("batchEmbedContents", {"requests": []}),
        ("batchEmbedContents", {"content": {"parts": [{"text": "a"}]}}),
    ],
)
async def test_nonsense_is_not_embedded(
    wall: Wall, tmp_path: Path, verb: str, body: dict[str, Any]
) -> None:
    """400 in Google's envelope."""
    async with live(wall, tmp_path) as gateway:
        answer = await call(gateway, verb, **body)
    assert GEMINI.error(answer)[:2] == (400, "INVALID_ARGUMENT")
    assert wall.calls() == []


@pytest.mark.parametrize(("name", "status"), [("500", 502), ("429", 429), ("html-200", 502)])
async def test_embeddings_fail_in_googles_envelope(
    wall: Wall, tmp_path: Path, name: str, status: int
) -> None:
    """And cost nothing."""
    async with live(wall, tmp_path) as gateway:
        answer = await call(gateway, "embedContent", name, content={"parts": [{"text": "a"}]})
        [row] = await gateway.rows()
    assert GEMINI.error(answer)[0] == status
    assert (row.outcome, row.cost) == ("failed", 0)


async def test_a_models_name_with_slash_and_colon(tmp_path: Path) -> None:
    """It ends at the last colon."""
    async with served_gateway(tmp_path) as served:
        key = await served.key()
        body = json.dumps({"contents": CONTENTS}).encode()
        path = "/v1beta/models/org/with:tag:generateContent"
        answer = await served.ask("POST", path, key, body=body)
        shown = await served.get("/v1/models/org/with:tag", key)
    assert answer.status == 200
    assert shown.json["id"] == "org/with:tag"
