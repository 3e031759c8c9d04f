"""Behaviour of answers in the Messages format, as they are read: the laws, and what hosts send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, Cut, Garbled
from apertura.wire.anthropic_messages import check_reply, decoder, listen, parse_reply
from apertura.wire.chat import CallPart, Citation, ReasoningPart, TextPart
from apertura.wire.events import (
    Event,
    Failed,
    Finished,
    Reasoning,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED
from tests.wire.anthropic_said import (
    FRAMINGS,
    STREAMS,
    begun,
    decoded,
    delta,
    ended,
    event,
    started,
    stopped,
    text,
    transcript,
)
from tests.wire.said import CUTS, pieces

STARTED = Started(id="msg_1", created=0, model="m-1")


@given(st.sampled_from(STREAMS), st.sampled_from(sorted(FRAMINGS)), CUTS)
def test_any_cut_yields_the_same_events(name: str, framing: str, cuts: list[int]) -> None:
    """Also within a character, an escape or a line end."""
    whole = transcript(f"{name}.sse")

    assert decoded(*pieces(FRAMINGS[framing](whole), cuts)) == decoded(whole)


@pytest.mark.parametrize("name", STREAMS)
def test_a_folded_stream_equals_its_whole_reply(name: str) -> None:
    """The same question, asked both ways."""
    folded = fold(decoded(transcript(f"{name}.sse")))

    assert folded == fold(parse_reply(transcript(f"{name}.json")))


@pytest.mark.parametrize("name", STREAMS)
def test_what_passes_passes_as_it_came(name: str) -> None:
    """Streamed and whole, with the end only once the call is settled."""
    whole = transcript(f"{name}.sse")
    tap = listen(include_usage=False)
    out = tap.feed(whole)

    assert b"message_stop" not in out
    assert tap.ended and not tap.finished
    assert out + tap.close() == whole
    assert tap.finished and tap.usage is not None
    body = transcript(f"{name}.json")
    facts = check_reply(body)
    assert (facts.body, facts.usage, facts.chars) == (body, tap.usage, tap.chars)
    assert facts.content == tap.content


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b'{"type":'])))
def test_any_bytes_yield_events_or_one_failure(reads: list[bytes]) -> None:
    """Nothing else is raised."""
    failures = [event.error for event in decoded(*reads) if isinstance(event, Failed)]

    assert len(failures) <= 1
    assert all(isinstance(error, Garbled | Cut | AperturaError) for error in failures)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["type", "index", "text", "delta", "usage", "error", "input", "citation"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)
MEMBERS = ("index", "delta", "content_block", "message", "usage", "error")
KINDS = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "unheard_of",
)


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(MEMBERS), values)),
        max_size=5,
    )
)
def test_members_of_any_type_are_read_or_garbled(events: list[tuple[str, dict[str, Any]]]) -> None:
    """Wrong types are read over; what is raised is the provider's own error, or ours for it."""
    said = b"".join(event(kind, **members) for kind, members in events)

    assert all(isinstance(found, Event) for found in decoded(said))


@given(values)
def test_whole_replies_of_any_shape_are_read_or_refused(value: Any) -> None:
    """With an error of ours."""
    for body in (value, {"content": value}, {"content": [value]}, {"content": [], "usage": value}):
        try:
            parse_reply(json.dumps(body).encode())
        except AperturaError:
            continue


def test_the_order_of_events_is_fixed() -> None:
    """Begun once, usage once and last, from both reports together."""
    said = (
        started(input_tokens=9, cache_read_input_tokens=5, output_tokens=1)
        + event("ping")
        + begun(0, type="text", text="")
        + text(0, "a")
        + started(input_tokens=9)
        + stopped(0)
        + event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 3})
        + event("message_stop")
    )

    assert decoded(said) == [
        STARTED,
        Text(text="a"),
        Finished(reason="length"),
        UsageReported(usage=Usage(input=14, cache_read=5, output=3)),
    ]


def test_thoughts_keep_their_state() -> None:
    """Byte for byte, each at its place; redacted ones too."""
    parts = fold(decoded(transcript("published-thinking.sse"))).choices[0].parts

    assert parts[:2] == (
        ReasoningPart(
            text="Let me\nsee.", state="EqQBCgIYAhIM1gbcDa9GJwZA2b3h+Zg==", origin=ANTHROPIC
        ),
        ReasoningPart(state="EmwKAhgBEgy3va3pzix/LafPsn4aDFIT==", origin=ANTHROPIC_REDACTED),
    )


def test_a_signature_in_pieces_is_one_state() -> None:
    """State always comes whole."""
    said = started() + begun(0, type="thinking", thinking="")
    for piece in ("Eq", "QB", "=="):
        said += delta(0, type="signature_delta", signature=piece)

    events = decoded(said + stopped(0) + ended())
    assert [e for e in events if isinstance(e, Reasoning)] == [
        Reasoning(state="EqQB==", origin=ANTHROPIC)
    ]


def test_citations_know_what_they_are_of() -> None:
    """The words of their block, counted within the text that they are in."""
    parts = fold(decoded(transcript("published-citations.sse"))).choices[0].parts
    cite = Citation(url="https://example.org/claude", title="Claude Shannon", start=13, end=32)

    assert parts == (TextPart(text="I look it up.He was born in 1916.", cited=(cite,)),)


def test_calls_come_in_all_shapes() -> None:
    """In pieces, all at the beginning, or without arguments: JSON, and none is lost."""
    said = (
        started()
        + begun(0, type="tool_use", id="a", name="f", input={})
        + delta(0, type="input_json_delta", partial_json='{"x"')
        + delta(0, type="input_json_delta", partial_json=":1}")
        + stopped(0)
        + begun(1, type="tool_use", id="b", name="g", input={"y": 2})
        + stopped(1)
        + begun(2, type="tool_use", name="h")
        + ended("end_turn")
    )
    choice = fold(decoded(said)).choices[0]

    assert choice.reason == "tool_calls"
    assert choice.calls == {
        0: CallPart(id="a", name="f", arguments='{"x":1}'),
        1: CallPart(id="b", name="g", arguments='{"y": 2}'),
        2: CallPart(id="toolu_2", name="h", arguments="{}"),
    }


def test_interleaved_blocks_are_told_apart() -> None:
    """By their index."""
    said = started() + begun(0, type="tool_use", id="a", name="f")
    said += begun(1, type="tool_use", id="b", name="g")
    for index, piece in ((1, '{"y"'), (0, '{"x":1}'), (1, ":2}")):
        said += delta(index, type="input_json_delta", partial_json=piece)

    calls = fold(decoded(said + ended("tool_use"))).choices[0].calls
    assert [call.arguments for call in calls.values()] == ['{"x":1}', '{"y":2}']


def test_what_hosts_leave_out_is_made_good() -> None:
    """No `message_start`, no begun blocks, no ends, no reason, no usage."""
    said = text(0, "a") + delta(1, type="thinking_delta", thinking="b") + event("message_stop")

    assert decoded(said) == [
        Started(id="", created=0, model=""),
        Text(text="a"),
        Reasoning(text="b"),
        Finished(reason="stop"),
    ]


@pytest.mark.parametrize(
    "strange",
    [
        event("unheard_of", index="x"),
        event("content_block_delta", index=0, delta={"type": "unheard_of", "x": 1}),
        event("content_block_delta", index=7, delta={"type": "input_json_delta"}),
        begun(5, type="server_tool_use", input={"a": 1}) + stopped(5),
        begun(5, type="web_search_tool_result", content=[{"type": "x"}]) + stopped(5),
        event("content_block_delta", index=0),
        event("content_block_stop", index=99),
        event("ping", error=None),
        b"data: [DONE]\n\n",
        b": comment\n\n",
        b"event: ping\ndata:\n\n",
    ],
)
def test_what_is_not_known_is_read_over(strange: bytes) -> None:
    """Newer events, blocks and deltas, and what some hosts add."""
    plain = started() + begun(0, type="text", text="") + text(0, "a")
    rest = text(0, "b") + stopped(0) + ended(output_tokens=1)

    assert decoded(plain + strange + rest) == decoded(plain + rest)


def test_wrong_types_are_made_good() -> None:
    """Counts with a point, an index or an id of another type."""
    said = (
        event("message_start", message={"id": 5, "model": "m-1", "usage": {"input_tokens": 9.0}})
        + event("content_block_start", index="0", content_block={"type": "text", "text": None})
        + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a", "x": 1})
        + event("message_delta", delta={"stop_reason": 5}, usage={"output_tokens": 2.0})
        + event("message_stop")
    )

    assert decoded(said) == [
        Started(id="", created=0, model="m-1"),
        Text(text="a"),
        Finished(reason="stop"),
        UsageReported(usage=Usage(input=9, output=2)),
    ]


@pytest.mark.parametrize(
    ("said", "called", "reason"),
    [
        ("end_turn", False, "stop"),
        ("stop_sequence", False, "stop"),
        ("pause_turn", False, "stop"),
        ("max_tokens", False, "length"),
        ("model_context_window_exceeded", False, "length"),
        ("refusal", False, "content_filter"),
        ("tool_use", True, "tool_calls"),
        ("end_turn", True, "tool_calls"),
        (None, True, "tool_calls"),
        ("unheard_of", False, "stop"),
        (None, False, "stop"),
    ],
)
def test_why_an_answer_ended(said: str | None, called: bool, reason: str) -> None:
    """Missing reasons are inferred; who called a tool ended because of it."""
    call = begun(0, type="tool_use", id="a", name="f") if called else b""

    assert fold(decoded(started() + call + ended(said))).choices[0].reason == reason


def test_pieces_are_tool_calls_too() -> None:
    """The first has id and name; no later one has."""
    calls = [e for e in decoded(transcript("published-tools.sse")) if isinstance(e, ToolCall)]

    assert [(call.index, call.id, call.name) for call in calls if call.id or call.name] == [
        (0, "toolu_01A", "weather"),
        (1, "toolu_01B", "time"),
        (2, "toolu_01C", "now"),
    ]


def test_a_decoder_is_over_once_it_ended() -> None:
    """It says so, for the relay to close the connection."""
    reader = decoder()
    reader.feed(transcript("published-text.sse"))

    assert reader.ended
