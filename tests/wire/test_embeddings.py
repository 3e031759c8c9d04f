"""Behaviour of embeddings: what is refused, what passes, what is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.domain.usage import Usage
from apertura.errors import BadRequest, Garbled, RateLimited
from apertura.wire.embeddings import check_reply, parse, render
from tests.wire.said import transcript


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **members}).encode()


@pytest.mark.parametrize(
    ("value", "inputs"),
    [
        ("hi", 1),
        (["a"], 1),
        (["a", "b"], 2),
        ([1, 2, 3], 1),
        ([[1], [2, 3]], 2),
        (["a"] * 2048, 2048),
    ],
    ids=range(6),
)
def test_texts_and_tokens_are_accepted(value: Any, inputs: int) -> None:
    """One, or up to 2048 at once."""
    request = parse(body(input=value))

    assert (request.model, request.inputs, request.size) == ("m", inputs, len(body(input=value)))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": [""]}, "input[0]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": [-1]}, "input[0]"),
        ({"input": [[1.5]]}, "input[0][0]"),
        ({"input": [True]}, "input[0]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1, [1]]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 2**70}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"user": 5}, "user"),
        ({"task": "guess"}, "task"),
        ({"model": ""}, "model"),
        ({"model": "a\n"}, "model"),
    ],
    ids=range(19),
)
def test_what_is_out_of_bounds_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    """With the parameter, in plain words."""
    with pytest.raises(BadRequest) as caught:
        parse(body(**members))

    assert (caught.value.code, caught.value.param) == ("invalid_parameter", param)


@pytest.mark.parametrize("name", ["model", "input"])
def test_required_members_are_missed(name: str) -> None:
    """Both of them."""
    members = json.loads(body())
    del members[name]
    with pytest.raises(BadRequest) as caught:
        parse(json.dumps(members).encode())

    assert (caught.value.code, caught.value.param) == ("missing_parameter", name)


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b"\xff", b'{"a":' * 99_999], ids=range(5))
def test_what_is_no_json_object_is_refused(said: bytes) -> None:
    """No other exception comes out."""
    with pytest.raises(BadRequest):
        parse(said)


def test_what_travels_on() -> None:
    """Everything but the model's name, known or not."""
    members = {"dimensions": 8, "encoding_format": "base64", "task": "separation", "x": [1]}
    request = parse(body(model="apertis/m", **members))

    assert request.model == "m"
    assert json.loads(render(request, model="up")) == {"model": "up", "input": "hi", **members}


@pytest.mark.parametrize("name", ["llamacpp-embeddings.json", "llamacpp-embeddings-base64.json"])
def test_recorded_replies_pass(name: str) -> None:
    """As they came, with what they consumed."""
    facts = check_reply(transcript(name))

    assert facts.body == transcript(name)
    assert facts.usage == Usage(input=1)


@pytest.mark.parametrize(
    "said", [b"", b"<html>", b"[]", b"{}", b'{"data":[]}', b'{"data":5}', b"\xff"], ids=range(7)
)
def test_a_reply_without_vectors_is_garbled(said: bytes) -> None:
    """Not JSON, or JSON of another kind."""
    with pytest.raises(Garbled):
        check_reply(said)


def test_an_error_in_a_reply_of_status_200_is_raised() -> None:
    """Unless it is empty: then it is taken out."""
    with pytest.raises(RateLimited):
        check_reply(b'{"error":{"message":"x","code":429}}')
    good = {"data": [{"embedding": [0.5]}], "usage": None}
    facts = check_reply(json.dumps({**good, "error": None}).encode())

    assert json.loads(facts.body) == good
    assert facts.usage is None
