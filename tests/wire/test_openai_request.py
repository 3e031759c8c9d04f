"""Behaviour of chat requests: what is refused and how, what travels on, what is rendered."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import BadRequest
from apertura.wire.openai_chat import parse, render
from tests.wire.said import HI, body, part


def refusal(said: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(said)
    return caught.value


def sent(said: bytes, model: str = "m") -> dict[str, Any]:
    """What a provider gets for this body."""
    found: dict[str, Any] = json.loads(render(parse(said), model=model))
    return found


@pytest.mark.parametrize("name", ["model", "messages"])
def test_required_members_are_missed(name: str) -> None:
    """A required parameter that is absent has a code of its own."""
    members = {"model": "m", "messages": [HI]}
    del members[name]
    error = refusal(json.dumps(members).encode())

    assert (error.code, error.param) == ("missing_parameter", name)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        body() + b"x",
        body()[:-1],
        b"\xef\xbb\xbf" + body(),
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"other":"\xff"}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"\xff":1}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"other":Infinity}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"other":' + b"[" * 200_000,
        b'{"model":"m","messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"model":"m","messages":[{"role":"user","content":' + b'{"a":' * 200_000,
    ],
    ids=range(17),
)
def test_what_is_no_json_object_in_utf8_is_refused(said: bytes) -> None:
    """Of any kind, at any depth, and always with the same class and status."""
    error = refusal(said)

    assert (error.status, error.type) == (400, "invalid_request_error")


@pytest.mark.parametrize("number", ["1e400", "-1e999", "9" * 5_000])
def test_numbers_past_all_bounds_are_refused(number: str) -> None:
    """No number becomes infinite on its way in."""
    error = refusal(
        body(temperature=0).replace(b'"temperature": 0', f'"temperature": {number}'.encode())
    )

    assert error.param == "temperature"


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["model", "messages", "n", "role", "content", "stream_options", "extra_body"]
                ),
                x,
            )
        ),
    ).map(lambda x: json.dumps(x).encode())
)
def test_any_bytes_are_a_request_or_a_refusal(said: bytes) -> None:
    """No other exception comes out, whatever goes in."""
    with suppress(BadRequest):
        assert json.loads(render(parse(said), model="m"))


def test_null_is_the_same_as_absent() -> None:
    """All optional parameters may be null."""
    names = [
        "temperature",
        "top_p",
        "n",
        "stop",
        "stream",
        "stream_options",
        "max_tokens",
        "tools",
        "tool_choice",
        "response_format",
        "seed",
        "user",
        "logit_bias",
        "extra_body",
        "fallback_models",
        "compression",
        "web_search_options",
        "modalities",
        "audio",
        "reasoning",
    ]
    request = parse(body(**dict.fromkeys(names)))

    assert (request.stream, request.include_usage, request.max_output, request.choices) == (
        False,
        False,
        None,
        1,
    )
    assert request.needs == frozenset()


def test_of_names_given_twice_the_last_one_counts() -> None:
    """For us and for the provider alike."""
    twice = b'{"model":"a","model":"b","n":2,"n":1,"x":1,"x":2,'
    said = twice + b'"messages":[{"role":"user","content":"hi"}]}'
    request = parse(said)

    assert (request.model, request.choices) == ("b", 1)
    assert render(request, model="b").count(b'"n"') == 1
    assert sent(said, "b") == {"model": "b", "n": 1, "messages": [HI], "x": 2}


def test_names_in_escapes_are_the_same_names() -> None:
    """An escaped name cannot slip past a check."""
    assert refusal(body(xx=0).replace(b'"xx": 0', b'"\\u006e": 999')).param == "n"
    assert (
        refusal(body(xx=0).replace(b'"xx": 0', b'"extra_bod\\u0079": {"n": 5}')).param
        == "extra_body.n"
    )


def test_the_typed_view() -> None:
    """What the gateway acts on."""
    said = body(stream=True, stream_options={"include_usage": True}, max_tokens=7, n=3)
    request = parse(said)

    assert (request.stream, request.include_usage, request.max_output, request.choices) == (
        True,
        True,
        7,
        3,
    )
    assert request.size == len(said)


@pytest.mark.parametrize(
    ("limits", "height"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 9, "max_completion_tokens": 6}, 9),
    ],
)
def test_the_output_limit_is_seen_from_above(limits: dict[str, int], height: int | None) -> None:
    """Of two limits the larger counts, because providers differ in which one they follow."""
    assert parse(body(**limits)).max_output == height


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({"tools": [{"function": {"name": "f"}}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"messages": [HI, part("image_url", {"url": "x"})]}, {"vision"}),
        ({"messages": [part("video_url", {"url": "x"})]}, {"vision"}),
        ({"messages": [part("input_audio", {"data": "x", "format": "mp3"})]}, {"audio"}),
        ({"modalities": ["text", "audio"]}, {"audio"}),
        ({"modalities": ["text"]}, set()),
        ({"audio": {"voice": "v"}}, {"audio"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            {"json_schema"},
        ),
        ({"response_format": {"type": "json_object"}}, set()),
        (
            {"tools": [{"function": {"name": "f"}}], "messages": [part("image_url", {"url": "x"})]},
            {"tools", "vision"},
        ),
    ],
)
def test_needs_of_a_request(members: dict[str, Any], needs: set[str]) -> None:
    """Capabilities that an offer must have."""
    assert parse(body(**members)).needs == needs


def test_the_namespace_of_editors_is_stripped() -> None:
    """`apertis/m` is `m`; a slash elsewhere belongs to the name."""
    assert parse(body(model="apertis/m")).model == "m"
    assert parse(body(model="BAAI/m:free")).model == "BAAI/m:free"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"web_results_count": 5}, "web_results_count"),
        ({"web_content_length": "full"}, "web_content_length"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"compression": {"enabled": True}}, "compression"),
        ({"extra_body": {"compression": {"enabled": True}}}, "compression"),
    ],
)
def test_what_is_not_offered_yet_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    """Never lost in silence."""
    error = refusal(body(**members))

    assert (error.code, error.param) == ("invalid_parameter", param)
    assert "does not offer yet" in error.message


def test_its_disabled_forms_are_accepted_and_kept_from_providers() -> None:
    """A client may switch off what there is not."""
    off = {
        "web_results_count": None,
        "fallback_models": [],
        "fallback_timeout": 15_000,
        "fallback_enabled": False,
        "compression": {"enabled": False, "strategy": "on"},
    }

    assert sent(body(**off)) == json.loads(body())
    assert sent(body(fallback_models=["a"], fallback_enabled=False)) == json.loads(body())


def test_extra_body_is_merged_below_what_is_there() -> None:
    """Its members become top-level members; those that are there already win."""
    extra = {"enable_thinking": True, "temperature": 1, "seed": 3}
    said = body(temperature=0, extra_body=extra)

    assert sent(said) == {**json.loads(body(temperature=0)), "enable_thinking": True, "seed": 3}


@pytest.mark.parametrize(
    "name",
    ["model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"],
)
def test_extra_body_cannot_change_what_a_call_costs(name: str) -> None:
    """Neither by replacing such a member nor by bringing it."""
    assert refusal(body(extra_body={name: 1})).param == f"extra_body.{name}"


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"tools": 5}, "tools"),
        ({"fallback_timeout": 1}, "fallback_timeout"),
    ],
)
def test_extra_body_smuggles_nothing_past_a_check(extra: dict[str, Any], param: str) -> None:
    """What it brings is held to the same bounds."""
    assert refusal(body(extra_body=extra)).param == param


def test_needs_are_seen_within_extra_body() -> None:
    """Tools in there are tools."""
    assert parse(body(extra_body={"tools": [{"function": {"name": "f"}}]})).needs == {"tools"}


def test_a_stream_always_asks_the_provider_for_usage() -> None:
    """Whether the caller did or not; other stream options stay."""
    assert sent(body(stream=True))["stream_options"] == {"include_usage": True}
    assert sent(body(stream=True, stream_options=None))["stream_options"] == {"include_usage": True}
    options = {"include_usage": False, "include_obfuscation": False}
    assert sent(body(stream=True, stream_options=options))["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }
    assert "stream_options" not in sent(body())


def test_the_provider_reads_its_own_name_of_the_model() -> None:
    """Everything else is byte for byte what the caller wrote."""
    said = b'{"model":"m","messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}],"x":1.50}'

    assert render(parse(said), model='up"x') == said.replace(b'"m"', b'"up\\"x"', 1)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_members_that_nobody_knows_travel_on(members: dict[str, Any]) -> None:
    """Unless they happen to be known."""
    members = {f"x_{name}": value for name, value in members.items()}
    said = msgspec.json.encode({"model": "m", "messages": [HI], **members})

    assert sent(said) == {"model": "m", "messages": [HI], **members}
