"""Behaviour of embeddings: what is refused, what passes, what is mended, what is counted."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import BadRequest, Garbled, RateLimited
from apertura.wire.embeddings import (
    EmbeddingRequest,
    check_reply,
    input_tokens,
    parse,
    render,
)
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


def test_what_a_provider_refuses_is_left_out() -> None:
    """The kind of vectors, because they are mended; or what they are for."""
    request = parse(body(encoding_format="base64", task="separation"))

    def rendered(**takes: bool) -> Any:
        return json.loads(render(request, model="up", **takes))

    assert rendered(takes_format=False) == {"model": "up", "input": "hi", "task": "separation"}
    assert "task" not in rendered(takes_task=False)


@pytest.mark.parametrize("name", ["float", "base64"])
def test_recorded_replies_pass(name: str) -> None:
    """As they came, with what they consumed."""
    said = transcript(f"llamacpp-embeddings{'-base64' * (name == 'base64')}.json")
    facts = check_reply(said, parse(body(encoding_format=name)))

    assert facts.body is said
    assert facts.usage == Usage(input=1)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data":[]}',
        b'{"data":5}',
        b"\xff",
        b'{"data":[{"index":0}]}',
        b'{"data":[{"index":0,"embedding":[]}]}',
        b'{"data":[{"index":0,"embedding":null}]}',
        b'{"data":[{"index":"0","embedding":[1]}]}',
    ],
    ids=range(11),
)
def test_a_reply_without_vectors_is_garbled(said: bytes) -> None:
    """Not JSON, or JSON of another kind."""
    with pytest.raises(Garbled):
        check_reply(said, parse(body()))


def test_an_error_in_a_reply_of_status_200_is_raised() -> None:
    """Unless it is empty: then it is taken out."""
    with pytest.raises(RateLimited):
        check_reply(b'{"error":{"message":"x","code":429}}', parse(body()))
    good = {"data": [{"index": 0, "embedding": [0.5]}], "usage": USAGE}
    facts = check_reply(json.dumps({**good, "error": None}).encode(), parse(body()))

    assert json.loads(facts.body) == good


USAGE = {"prompt_tokens": 3, "total_tokens": 3}


def reply(*found: Any, usage: Any = USAGE, **others: Any) -> bytes:
    """A reply with these vectors, in order unless they are pairs of index and vector."""
    pairs = [each if isinstance(each, tuple) else (n, each) for n, each in enumerate(found)]
    data = [{"object": "embedding", "index": n, "embedding": each} for n, each in pairs]
    return json.dumps({"object": "list", "data": data, "usage": usage, **others}).encode()


def asked(inputs: int = 1, **members: Any) -> EmbeddingRequest:
    return parse(body(input=["some text"] * inputs, **members))


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_a_caller_gets_base64_from_a_provider_that_only_has_numbers() -> None:
    """Each as 32 bits, least byte first; and whatever else there is, as it was."""
    said = reply([0.5, -1, 2], [0.1, 0, 3e-9], model="m", x=[1])
    facts = check_reply(said, asked(2, encoding_format="base64"))

    expected = reply(packed(0.5, -1, 2), packed(0.1, 0, 3e-9), model="m", x=[1])
    assert json.loads(facts.body) == json.loads(expected)
    assert facts.usage == Usage(input=3)


def test_a_caller_gets_numbers_from_a_provider_that_only_has_base64() -> None:
    """Which is also what one gets who does not say."""
    for members in ({}, {"encoding_format": "float"}):
        facts = check_reply(reply(packed(0.5, -1, 2)), asked(**members))

        assert json.loads(facts.body) == json.loads(reply([0.5, -1, 2]))


def test_kinds_may_be_mixed() -> None:
    """Each vector is looked at."""
    facts = check_reply(reply([0.5], packed(0.25)), asked(2))

    assert json.loads(facts.body) == json.loads(reply([0.5], [0.25]))


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    """A provider may have finished them in another."""
    facts = check_reply(reply((2, [2.5]), (0, [0.5]), (1, [1.5])), asked(3))

    assert json.loads(facts.body) == json.loads(reply([0.5], [1.5], [2.5]))


@pytest.mark.parametrize("index", [0, None])
def test_an_index_that_says_nothing_is_mended(index: int | None) -> None:
    """Without one, or with the same for all, vectors are in order."""
    facts = check_reply(reply((index, [0.5]), (index, [1.5])), asked(2))

    assert json.loads(facts.body) == json.loads(reply([0.5], [1.5]))


@pytest.mark.parametrize(
    ("said", "inputs"),
    [
        (reply([0.5]), 2),
        (reply([0.5], [0.5]), 1),
        (reply((0, [0.5]), (2, [0.5])), 2),
        (reply((0, [0.5]), (None, [0.5])), 2),
        (reply((1, [0.5]), (1, [0.5]), (0, [0.5])), 3),
        (reply("!!!!"), 1),
        (reply("AAAAA="), 1),
        (reply("AAAA"), 1),
        (reply(""), 1),
        (reply("é"), 1),
        (reply(packed(float("nan"))), 1),
        (reply(packed(float("inf"))), 1),
        (reply({"a": 1}), 1),
        (reply(5), 1),
    ],
    ids=range(14),
)
def test_vectors_that_belong_to_no_input_or_cannot_be_read_are_garbled(
    said: bytes, inputs: int
) -> None:
    """Rather than handed on as if they were right."""
    with pytest.raises(Garbled):
        check_reply(said, asked(inputs))


@pytest.mark.parametrize("vector", [["a"], [None], [1e39], [[0.5]]], ids=range(4))
def test_what_does_not_fit_32_bits_is_not_made_base64(vector: Any) -> None:
    """Nor what is no number."""
    with pytest.raises(Garbled):
        check_reply(reply(vector), asked(encoding_format="base64"))


@pytest.mark.parametrize("size", range(1, 8))
def test_vectors_have_the_length_that_was_asked_for(size: int) -> None:
    """A provider that ignores it is found out, in either kind."""
    vector = [0.5] * size
    request = asked(dimensions=size)
    for said in (reply(vector), reply(packed(*vector))):
        assert json.loads(check_reply(said, request).body) == json.loads(reply(vector))
        with pytest.raises(Garbled):
            check_reply(said, asked(dimensions=size + 1))


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, None),
        ({}, None),
        ("x", None),
        ({"prompt_tokens": 0, "total_tokens": 0}, None),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": 9}, 9),
    ],
    ids=range(6),
)
def test_usage_is_always_there(usage: Any, told: int | None) -> None:
    """Estimated in the reply, and only there, if nobody told; the vectors stay as they are."""
    facts = check_reply(reply([0.5], usage=usage), asked())
    tokens = told or input_tokens(asked())

    assert facts.usage == (None if told is None else Usage(input=told))
    expected = reply([0.5], usage={"prompt_tokens": tokens, "total_tokens": tokens})
    assert json.loads(facts.body) == json.loads(expected)


@pytest.mark.parametrize(
    ("value", "tokens"), [("x" * 40, 10), (["x" * 40] * 2, 20), ([1, 2, 3], 3), ([[1, 2], [3]], 3)]
)
def test_inputs_are_estimated(value: Any, tokens: int) -> None:
    """As text, or as the tokens that a caller made."""
    assert input_tokens(parse(body(input=value))) == tokens


SINGLES = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(st.lists(SINGLES, min_size=1, max_size=9), min_size=1, max_size=5), st.data())
def test_numbers_survive_the_way_there_and_back(rows: list[list[float]], data: Any) -> None:
    """As base64 and as numbers again, in any order, they are what they were."""
    order = data.draw(st.permutations(range(len(rows))))
    said = reply(*[(place, rows[place]) for place in order])
    there = check_reply(said, asked(len(rows), encoding_format="base64"))
    back = check_reply(there.body, asked(len(rows)))

    assert json.loads(there.body) == json.loads(reply(*[packed(*row) for row in rows]))
    assert json.loads(back.body) == json.loads(reply(*rows))


@given(st.lists(st.lists(SINGLES, min_size=1, max_size=9), min_size=1, max_size=5))
def test_what_was_mended_passes(rows: list[list[float]]) -> None:
    """What we write ourselves needs no mending, and so is the same bytes."""
    for kind in ("float", "base64"):
        request = asked(len(rows), encoding_format=kind)
        mended = check_reply(reply(*rows, usage=None), request).body

        assert check_reply(mended, request).body is mended


@given(st.binary() | st.text(alphabet='{}[]":,01.edata index mbing').map(str.encode))
def test_any_bytes_are_vectors_or_garbled(said: bytes) -> None:
    """No other exception comes out."""
    with suppress(Garbled):
        check_reply(said, asked())
