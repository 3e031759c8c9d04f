"""Behaviour of single chunks on their way through: counted, mended, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from apertura.domain.usage import Usage
from apertura.errors import (
    AperturaError,
    BadRequest,
    Garbled,
    Overloaded,
    RateLimited,
    UpstreamFailed,
)
from apertura.wire.openai_chat import listen
from tests.wire.said import FRAMINGS, chunk, documents, heard, report, usage
from tests.wire.said import sse as stream


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        (None, None),
        ({}, None),
        ("many", None),
        (report(9, 4, prompt_tokens_details=None), Usage(input=9, output=4)),
        (
            report(9, 4, prompt_tokens_details={"cached_tokens": 99}),
            Usage(input=9, cache_read=9, output=4),
        ),
        ({"prompt_tokens": 9.0, "completion_tokens": 4.0}, Usage(input=9, output=4)),
        ({"prompt_tokens": -5, "completion_tokens": 2**80}, Usage(output=2**40)),
        ({"prompt_tokens": 9, "total_tokens": 13}, Usage(input=9, output=4)),
        ({"prompt_tokens": "9", "completion_tokens": 4}, Usage(output=4)),
        ({"prompt_tokens": True, "completion_tokens": 4}, Usage(output=4)),
        (
            report(9, 4, completion_tokens_details={"reasoning_tokens": 3, "audio_tokens": 1}),
            Usage(input=9, output=4, reasoning=3, audio_output=1),
        ),
        (report(9, 4, prompt_cache_hit_tokens=8), Usage(input=9, cache_read=8, output=4)),
    ],
)
def test_usage_of_any_shape(said: Any, counted: Usage | None) -> None:
    """Absent, empty, null, too large or of other types: bounded, or not there; never an error."""
    _, tap = heard(
        stream(chunk({"content": "x"}), {**usage(), "usage": said}, chunk(reason="stop"))
    )

    assert tap.usage == counted


def test_usage_without_choices_gets_some() -> None:
    """Clients need `choices` in each chunk."""
    out, tap = heard(stream({"usage": report()}, chunk(reason="stop")))

    assert documents(out)[0] == {"usage": report(), "choices": []}
    assert tap.usage == Usage(input=9, output=4)


@pytest.mark.parametrize("empty", [None, {}, "", {"message": "", "type": None, "code": None}])
def test_an_empty_error_is_stripped(empty: object) -> None:
    """Some providers add one to each chunk; clients would take it for a failure."""
    out, _ = heard(stream(chunk({"content": "x"}, error=empty), chunk(reason="stop")))

    assert documents(out) == [chunk({"content": "x"}), chunk(reason="stop"), b"[DONE]"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "code": 429}, RateLimited),
        ({"message": "x", "type": "overloaded_error"}, Overloaded),
        ({"message": "x", "code": "502"}, UpstreamFailed),
        ({"message": "x", "type": "invalid_request_error"}, BadRequest),
        ({"message": "x", "code": "context_length_exceeded"}, BadRequest),
        ("boom", UpstreamFailed),
        (["boom"], UpstreamFailed),
        ({"unheard": 1}, UpstreamFailed),
    ],
)
@pytest.mark.parametrize("beside", [{}, chunk({"content": ""}, reason="error")])
def test_an_error_within_the_stream_is_raised(
    error: object, kind: type[AperturaError], beside: dict[str, Any]
) -> None:
    """As what it means; what came before it in the same read may still be sent."""
    good = stream(chunk({"content": "x"}), done=False)
    tap = listen(include_usage=True)
    with pytest.raises(AperturaError) as caught:
        tap.feed(good + stream({**beside, "error": error}))

    assert type(caught.value) is kind
    assert tap.salvage == good


@pytest.mark.parametrize(
    "event",
    [
        "{",
        "nonsense",
        "[]",
        "7",
        '{"object":"ping"}',
        '{"choices":5}',
        '{"choices":["x"]}',
        "<html>",
        '{"choices":[],"x":NaN}',
        "[DONE",
        '{"x":' + "[" * 100_000,
    ],
    ids=range(11),
)
def test_what_is_no_chunk_is_garbled(event: str) -> None:
    """With what preceded it saved, whatever the framing."""
    good = stream(chunk({"content": "x"}), done=False)
    for framing in (FRAMINGS["canonical"], FRAMINGS["crlf"]):
        tap = listen(include_usage=True)
        with pytest.raises(Garbled):
            tap.feed(framing(good + stream(event)))
        assert tap.salvage == good


def test_bytes_that_are_no_text_are_garbled() -> None:
    """Also where nobody looks."""
    for said in (b'{"choices":[],"x":"\xff"}', b'{"choices":[{"delta":{"content":"\xff"}}]}'):
        with pytest.raises(Garbled):
            listen(include_usage=True).feed(b"data: " + said + b"\n\n")


@pytest.mark.parametrize(
    ("delta", "chars"),
    [
        ({"role": "assistant", "content": ""}, None),
        ({"role": "assistant", "content": None}, None),
        ({}, None),
        ({"content": "héé"}, 3),
        ({"refusal": "no"}, 2),
        ({"content": None, "reasoning_content": "hm"}, 2),
        ({"content": "", "reasoning": "hm"}, 2),
        ({"content": [{"type": "text", "text": "hi"}]}, 2),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, 2),
        (
            {
                "content": "hi",
                "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}],
            },
            5,
        ),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": {"a": 1}}}]}, 1),
        ({"tool_calls": []}, None),
        ({"function_call": {"name": "f", "arguments": ""}}, 1),
        ({"audio": {"data": "AAAA"}}, 1),
        ({"audio": None}, None),
        ({"content": "hi", "images": [{"image_url": {"url": "data:x"}}]}, 3),
        ({"tool_calls": 5}, None),
    ],
    ids=repr,
)
def test_what_counts_as_content(delta: dict[str, Any], chars: int | None) -> None:
    """Words of any kind, calls to tools and sound commit a call; roles and nothing do not."""
    said = stream(chunk(delta), done=False)
    tap = listen(include_usage=True)

    assert documents(tap.feed(said)) == documents(said)
    assert (tap.content, tap.chars) == (chars is not None, chars or 0)
    assert tap.pieces == (chars is not None)


def test_content_in_a_closing_message_counts() -> None:
    """Some providers end with the whole message instead of deltas."""
    whole = {
        **chunk(),
        "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
    }
    _, tap = heard(stream(whole))

    assert (tap.content, tap.chars, tap.finished) == (True, 2, True)


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("", None),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("safety", "content_filter"),
        ("tool_use", "tool_calls"),
        ("what?", "stop"),
    ],
)
def test_finish_reasons_are_those_that_clients_know(said: str, known: str | None) -> None:
    """Strict clients break on others, the empty one among them."""
    out, tap = heard(stream(chunk({"content": "x"}, reason=said)))

    assert documents(out)[0] == chunk({"content": "x"}, reason=known)
    assert tap.finished is (known is not None)


def test_half_a_character_does_not_break_a_stream() -> None:
    """Some providers cut a surrogate pair in two."""
    said = stream(chunk({"content": "x"}), chunk(reason="stop"))
    halves = said.replace(b'"x"', rb'"a\\\ud83d\ud83d\ude00\ude00"')
    out, tap = heard(halves)

    assert documents(out)[0] == chunk({"content": "a\\\ufffd\U0001f600\ufffd"})
    assert tap.chars == 5
