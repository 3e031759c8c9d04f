"""POST /v1/rerank: documents in the order of their relevance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live import Answer, Live, live
from tests.wall import Call, Talk, Wall

DOCUMENTS = ["medium size", "s", "the longest of all"]
INVALID = "invalid_request_error"


async def rank(gateway: Live, model: str = "ok", path: str = "/v1/rerank", **more: Any) -> Answer:
    body = {"model": model, "query": "What?", "documents": DOCUMENTS, **more}
    return await gateway.ask(gateway.request(body, path=path))


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v1/chat/completions/rerank"])
async def test_the_best_comes_first(wall: Wall, tmp_path: Path, lane: bool, path: str) -> None:
    """Whatever order the provider has; charged by its input."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        answer = await rank(gateway, path=path)
        [row] = await gateway.rows()
    assert answer.json == {
        "object": "list",
        "model": "ok",
        "results": [
            {"index": 2, "relevance_score": 0.18},
            {"index": 0, "relevance_score": 0.11},
            {"index": 1, "relevance_score": 0.01},
        ],
        "usage": {"total_tokens": 9},
    }
    assert (row.operation, row.input, row.output, row.cost) == ("rerank", 9, 0, 9000)
    [call] = wall.calls("ok")
    assert call.path == "/v1/rerank"
    assert call.body["return_documents"] is False


async def test_no_more_than_were_asked_for(wall: Wall, tmp_path: Path) -> None:
    """Though the provider sent all; more than there are is all."""
    async with live(wall, tmp_path) as gateway:
        two = await rank(gateway, top_n=2)
        many = await rank(gateway, top_n=99)
    assert [each["index"] for each in two.json["results"]] == [2, 0]
    assert len(many.json["results"]) == 3


async def test_documents_come_back_as_text(wall: Wall, tmp_path: Path) -> None:
    """Where they are asked for: the caller's own, in the order of the results."""
    async with live(wall, tmp_path) as gateway:
        answer = await rank(gateway, return_documents=True, top_n=2)
        objects = await rank(
            gateway, return_documents=True, documents=[{"text": "a"}, {"text": "bc"}]
        )
    assert [each["document"] for each in answer.json["results"]] == [DOCUMENTS[2], DOCUMENTS[0]]
    assert [each["document"] for each in objects.json["results"]] == ["bc", "a"]


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"documents": []}, "invalid_parameter", "documents"),
        ({"documents": "one"}, "invalid_parameter", "documents"),
        ({"documents": None}, "invalid_parameter", "documents"),
        ({"query": ""}, "invalid_parameter", "query"),
        ({"top_n": 0}, "invalid_parameter", "top_n"),
        ({"model": "none"}, "model_not_found", "model"),
        ({"model": "ok:web"}, "invalid_parameter", "model"),
    ],
)
async def test_nonsense_is_refused(
    wall: Wall, tmp_path: Path, more: dict[str, Any], code: str, param: str
) -> None:
    """400 or 404, naming the parameter; nobody is asked."""
    async with live(wall, tmp_path) as gateway:
        answer = await rank(gateway, **more)
        assert await gateway.rows() == []
    assert answer.error == (404 if code == "model_not_found" else 400, INVALID, code)
    assert answer.json["error"]["param"] == param
    assert wall.calls() == []


LIES = [
    [{"index": 3, "relevance_score": 0.5}],
    [{"index": -1, "relevance_score": 0.5}],
    [{"index": 0, "relevance_score": 0.5}] * 2,
    [{"index": 0}],
    [{"index": "0", "relevance_score": 0.5}],
    [],
    "none",
]


@pytest.mark.parametrize("results", LIES)
async def test_a_provider_that_lies_is_not_believed(
    wall: Wall, tmp_path: Path, results: object
) -> None:
    """502, and nothing is paid."""

    async def lie(talk: Talk, call: Call) -> None:
        await talk.whole(200, json.dumps({"results": results}).encode())

    wall.behaviours["lie"] = lie
    async with live(wall, tmp_path) as gateway:
        answer = await rank(gateway, "lie")
        [row] = await gateway.rows()
    assert answer.error == (502, "server_error", "upstream_error")
    assert (row.outcome, row.cost, row.operation) == ("failed", 0, "rerank")


@pytest.mark.parametrize(
    ("name", "status"),
    [("429", 429), ("500", 502), ("503", 503), ("400", 400), ("html-200", 502), ("empty-200", 502)],
)
async def test_faults_are_as_for_chat(wall: Wall, tmp_path: Path, name: str, status: int) -> None:
    """A clear error, one row, no cost."""
    async with live(wall, tmp_path) as gateway:
        assert (await rank(gateway, name)).error[0] == status
        [row] = await gateway.rows()
    assert (row.outcome, row.status, row.cost) == ("failed", status, 0)


async def test_a_model_for_chat_ranks_nothing(wall: Wall, tmp_path: Path) -> None:
    """400 naming the model."""
    async with live(wall, tmp_path) as gateway:
        answer = await rank(gateway, "two")
        wrong = await gateway.ask(gateway.request({}, path="/v1/rerank").replace(b"POST", b"GET"))
    assert answer.error == (400, INVALID, "invalid_parameter")
    assert wrong.error == (405, INVALID, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
