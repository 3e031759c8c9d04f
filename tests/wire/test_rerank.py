"""Behaviour of reranking: what is refused, how providers are asked, what a caller gets."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import BadRequest, Garbled, RateLimited
from apertura.wire.rerank import RerankRequest, check_reply, input_tokens, parse, render

ASKED = RerankRequest(model="m", query="q", documents=("a", "b", "c"), top_n=3)


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "query": "q", "documents": ["a", "b"], **members}).encode()


def reply(**members: Any) -> bytes:
    scores = [{"index": 1, "relevance_score": 0.25}, {"index": 2, "relevance_score": 0.5}]
    return json.dumps({"results": scores, **members}).encode()


def got(said: bytes, request: RerankRequest = ASKED) -> Any:
    return json.loads(check_reply(said, request).body)


def test_documents_are_texts_however_they_come() -> None:
    """As strings, or as objects with a text; other members of such an object are not ranked."""
    request = parse(body(documents=["a", {"text": "b", "title": "t"}, ""], model="apertis/x"))

    assert (request.model, request.query, request.documents) == ("x", "q", ("a", "b", ""))
    assert (request.top_n, request.return_documents) == (3, False)


@pytest.mark.parametrize(("asked", "expected"), [(None, 2), (1, 1), (2, 2), (99, 2)])
def test_no_more_results_are_asked_for_than_there_are_documents(
    asked: int | None, expected: int
) -> None:
    """All of them if nothing else is said."""
    assert parse(body(top_n=asked)).top_n == expected


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": None}, "documents"),
        ({"documents": ["a"] * 10_001}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"documents": [{"text": 5}]}, "documents[0].text"),
        ({"query": ""}, "query"),
        ({"query": ["q"]}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": 1.5}, "top_n"),
        ({"return_documents": 1}, "return_documents"),
        ({"max_chunks_per_doc": 0}, "max_chunks_per_doc"),
        ({"rank_fields": ["title"]}, "rank_fields"),
        ({"model": ""}, "model"),
    ],
    ids=range(14),
)
def test_what_is_out_of_bounds_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    """With the parameter, in plain words."""
    with pytest.raises(BadRequest) as caught:
        parse(body(**members))

    assert (caught.value.code, caught.value.param) == ("invalid_parameter", param)


@pytest.mark.parametrize("name", ["model", "query", "documents"])
def test_required_members_are_missed(name: str) -> None:
    """All three."""
    members = json.loads(body())
    del members[name]
    with pytest.raises(BadRequest) as caught:
        parse(json.dumps(members).encode())

    assert (caught.value.code, caught.value.param) == ("missing_parameter", name)


def test_a_document_without_text_is_named() -> None:
    """A picture, say."""
    with pytest.raises(BadRequest) as caught:
        parse(body(documents=["a", {"image": "x"}]))

    assert (caught.value.code, caught.value.param) == ("missing_parameter", "documents[1].text")


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b"\xff", b'{"a":' * 99_999], ids=range(5))
def test_what_is_no_json_object_is_refused(said: bytes) -> None:
    """No other exception comes out."""
    with pytest.raises(BadRequest):
        parse(said)


def test_each_provider_is_asked_in_its_own_way() -> None:
    """What we do not know travels on; documents are texts, and are never asked back."""
    said = body(top_n=1, return_documents=True, max_chunks_per_doc=5, rank_fields=None, x=[1])
    request = parse(said)
    common = {"model": "up", "query": "q", "documents": ["a", "b"]}
    others = {"max_chunks_per_doc": 5, "x": [1]}

    def asked(**shape: Any) -> Any:
        return json.loads(render(request, model="up", **shape))

    assert asked() == {**common, **others, "top_n": 1, "return_documents": False}
    assert asked(shape="bare") == {**common, **others, "top_n": 1}
    top_k = {**common, **others, "top_k": 1, "return_documents": False}
    assert asked(shape="top_k") == top_k
    pairs = {"queries": ["q", "q"], "documents": ["a", "b"], **others}
    assert asked(shape="pairs") == pairs


def test_the_best_comes_first() -> None:
    """Whatever order the provider had, in the caller's model's name."""
    expected = {
        "object": "list",
        "model": "m",
        "results": [
            {"index": 2, "relevance_score": 0.5},
            {"index": 1, "relevance_score": 0.25},
        ],
        "usage": {"total_tokens": 7},
    }

    assert got(reply(usage={"total_tokens": 7}, model="other", id="x")) == expected


def test_a_caller_gets_as_many_as_asked_with_documents_of_their_own() -> None:
    """What the provider calls a document is not looked at."""
    scores = [
        {"index": n, "relevance_score": n - 5, "document": {"text": "forged"}} for n in range(3)
    ]
    asked = RerankRequest(
        model="m", query="q", documents=("a", "b", "c"), top_n=2, return_documents=True
    )

    assert got(reply(results=scores), asked)["results"] == [
        {"index": 2, "relevance_score": -3.0, "document": "c"},
        {"index": 1, "relevance_score": -4.0, "document": "b"},
    ]


def test_equals_keep_the_order_of_the_provider() -> None:
    """It may know more than its scores say."""
    scores = [{"index": n, "relevance_score": 1} for n in (2, 0, 1)]

    assert [each["index"] for each in got(reply(results=scores))["results"]] == [2, 0, 1]


@pytest.mark.parametrize(
    ("said", "usage", "units"),
    [
        (reply(usage={"prompt_tokens": 5, "total_tokens": 5}), 5, None),  # Jina, vLLM, Together
        (reply(meta={"billed_units": {"search_units": 1}}), None, 1),  # Cohere
        (reply(meta={"tokens": {"input_tokens": 9}, "billed_units": {"input_tokens": 8}}), 9, None),
        (reply(meta={"billed_units": {"input_tokens": 8, "search_units": 0}}), 8, 0),
        (reply(tokens={"input_tokens": 6, "output_tokens": 0}), 6, None),  # SiliconFlow
        (reply(results=None, scores=[0.1, 0.2, 0.3], input_tokens=4), 4, None),  # DeepInfra
        (reply(results=None, data=[{"index": 0, "relevance_score": 1}]), None, None),  # Voyage
        (reply(results=[{"index": 0, "score": 1}], usage=None), None, None),
        (reply(usage={"total_tokens": 0}), None, None),
        (reply(usage={"total_tokens": "7"}, meta=[], tokens=5), None, None),
        (reply(usage={"total_tokens": -7}), None, None),
        (reply(usage={"total_tokens": 12.0}), 12, None),
    ],
    ids=range(12),
)
def test_replies_of_known_providers_are_read(
    said: bytes, usage: int | None, units: int | None
) -> None:
    """What is not reported is estimated in the reply, and only there."""
    facts = check_reply(said, ASKED)

    assert facts.usage == (None if usage is None else Usage(input=usage))
    assert facts.search_units == units
    assert json.loads(facts.body)["usage"] == {"total_tokens": usage or input_tokens(ASKED)}


def test_a_query_is_read_with_each_document() -> None:
    """So it is estimated once for each."""
    asked = RerankRequest(model="m", query="x" * 40, documents=("y" * 8, "z" * 4), top_n=1)

    assert input_tokens(asked) == 2 * 10 + 2 + 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"\xff",
        reply(results=[]),
        reply(results=5),
        reply(results=[{"index": 3, "relevance_score": 1}]),
        reply(results=[{"index": -1, "relevance_score": 1}]),
        reply(results=[{"index": 0}]),
        reply(results=[{"relevance_score": 1}]),
        reply(results=[{"index": 0, "relevance_score": "1"}]),
        reply(results=[{"index": 0, "relevance_score": 1}] * 2),
        b'{"results":[{"index":0,"relevance_score":NaN}]}',
        b'{"results":[{"index":0,"relevance_score":1e999}]}',
        reply(results=None, scores=[1, 2]),
    ],
    ids=range(16),
)
def test_scores_that_belong_to_no_document_are_garbled(said: bytes) -> None:
    """And what is no list of scores at all."""
    with pytest.raises(Garbled):
        check_reply(said, ASKED)


def test_an_error_in_a_reply_of_status_200_is_raised() -> None:
    """Unless it is empty."""
    with pytest.raises(RateLimited):
        check_reply(b'{"error":{"message":"x","code":429}}', ASKED)

    assert len(got(reply(error=None))["results"]) == 2


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_a_ranking_holds_the_best_in_order(scores: list[float], top_n: int, chance: Any) -> None:
    """Each document once, each with its own score, none better left out."""
    documents = tuple(f"d{n}" for n in range(len(scores)))
    asked = parse(body(documents=documents, top_n=top_n, return_documents=True))
    rows = [{"index": n, "relevance_score": score} for n, score in enumerate(scores)]
    chance.shuffle(rows)
    results = got(reply(results=rows), asked)["results"]

    found = [each["relevance_score"] for each in results]
    assert found == sorted(scores, reverse=True)[:top_n]
    assert len({each["index"] for each in results}) == len(results)
    for each in results:
        assert each["relevance_score"] == scores[each["index"]]
        assert each["document"] == documents[each["index"]]


@given(st.binary() | st.text(alphabet='{}[]":,01.eresults scor index data').map(str.encode))
def test_any_bytes_are_a_ranking_or_garbled(said: bytes) -> None:
    """No other exception comes out."""
    with suppress(Garbled):
        check_reply(said, ASKED)
