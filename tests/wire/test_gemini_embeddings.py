"""Behaviour of embeddings for Gemini's clients: what they ask, and what they read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import BadRequest, Garbled
from apertura.wire import embeddings
from apertura.wire.gemini_embeddings import (
    TASKS,
    Embeddings,
    parse_gemini,
    render_gemini_reply,
    request_of,
)

HI = {"content": {"parts": [{"text": "hi"}]}}


def single(**members: Any) -> Embeddings:
    return parse_gemini(json.dumps({**HI, **members}).encode(), batch=False)


def batch(*requests: Any) -> Embeddings:
    return parse_gemini(json.dumps({"requests": requests}).encode(), batch=True)


def test_one_text_or_many() -> None:
    """The parts of one content have one vector together."""
    there = {"content": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}}

    assert single() == Embeddings(inputs=("hi",))
    assert single(model="models/x", **there) == Embeddings(inputs=("a\nb",))
    assert batch({"model": "models/x", **HI}, {"model": "models/x", **there}) == Embeddings(
        inputs=("hi", "a\nb")
    )


@pytest.mark.parametrize(
    "said",
    [
        {"taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 8, "title": "t"},
        {"task_type": "RETRIEVAL_DOCUMENT", "output_dimensionality": 8, "title": "t"},
        {
            "embedContentConfig": {
                "taskType": "RETRIEVAL_DOCUMENT",
                "outputDimensionality": 8,
                "title": "t",
            }
        },
        {
            "embed_content_config": {
                "task_type": "RETRIEVAL_DOCUMENT",
                "output_dimensionality": 8,
                "title": "t",
            }
        },
    ],
    ids=range(4),
)
def test_parameters_are_read_wherever_and_however_they_are_named(said: dict[str, Any]) -> None:
    """And what cannot be passed on is listed."""
    expected = Embeddings(
        inputs=("hi",), dimensions=8, task="retrieval.passage", dropped=("title",)
    )

    assert single(**said) == expected
    assert batch({**HI, **said}) == expected


@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_its_word_in_the_public_api(name: str) -> None:
    """One that the parser of the public API takes."""
    asked = single(taskType=name)
    body = embeddings.render(request_of(asked, model="m"), model="m")

    assert asked.task == TASKS[name]
    assert embeddings.parse(body).inputs == 1


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"content": None}, "content"),
        ({"content": {"parts": []}}, "content.parts"),
        ({"content": {"parts": [{"text": ""}]}}, "content"),
        ({"content": {"parts": [{"inlineData": {}}]}}, "content.parts[0].text"),
        ({"taskType": "GUESS"}, "taskType"),
        ({"outputDimensionality": 0}, "outputDimensionality"),
        ({"embedContentConfig": {"taskType": 5}}, "embedContentConfig.taskType"),
    ],
    ids=range(7),
)
def test_what_is_out_of_bounds_is_refused_by_name(said: dict[str, Any], param: str) -> None:
    """Alone, and with its place in a batch."""
    with pytest.raises(BadRequest) as alone:
        single(**said)
    with pytest.raises(BadRequest) as second:
        batch(HI, {**HI, **said})

    assert (alone.value.param, second.value.param) == (param, f"requests[1].{param}")


def test_requests_of_a_batch_ask_for_the_same() -> None:
    """Because the provider is asked once."""
    for other in ({"taskType": "CLUSTERING"}, {"outputDimensionality": 8}, {"model": "models/x"}):
        with pytest.raises(BadRequest):
            batch(HI, {**HI, **other})


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"{}", b'{"requests":[]}', b'{"requests":5}', b'{"requests":[5]}'], ids=str
)
def test_what_is_no_request_is_refused(said: bytes) -> None:
    """In either form."""
    for many in (False, True):
        with pytest.raises(BadRequest):
            parse_gemini(said, many)


def test_a_provider_is_asked_in_openais_format() -> None:
    """All texts at once."""
    asked = Embeddings(inputs=("a", "b"), dimensions=2, task="separation")
    request = request_of(asked, model="m", size=9)

    assert (request.inputs, request.dimensions, request.base64, request.size) == (2, 2, False, 9)
    assert json.loads(embeddings.render(request, model="up")) == {
        "model": "up",
        "input": ["a", "b"],
        "dimensions": 2,
        "task": "separation",
    }


@given(st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_client_reads_the_vectors_that_the_provider_sent(rows: list[list[float]]) -> None:
    """Number for number, with what they consumed."""
    asked = Embeddings(inputs=("x" * 40,) * len(rows))
    data = [{"index": n, "embedding": row} for n, row in enumerate(rows)]
    facts = embeddings.check_reply(
        json.dumps({"data": data}).encode(), request_of(asked, model="m")
    )
    usage = {"promptTokenCount": 10 * len(rows)}

    assert json.loads(render_gemini_reply(facts.body, batch=True)) == {
        "embeddings": [{"values": row} for row in rows],
        "usageMetadata": usage,
    }
    assert json.loads(render_gemini_reply(facts.body, batch=False)) == {
        "embedding": {"values": rows[0]},
        "usageMetadata": usage,
    }


def test_what_was_not_checked_is_garbled() -> None:
    """It should not come here."""
    with pytest.raises(Garbled):
        render_gemini_reply(b"{}", batch=True)
