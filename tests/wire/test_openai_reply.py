"""Behaviour of answers that are translated: the laws, and what providers really send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, Cut, Garbled, RateLimited
from apertura.wire import openai_encoder, openai_tools, state
from apertura.wire.chat import Part, ReasoningPart
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    Answer,
    Event,
    Failed,
    Finished,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.openai_chat import decoder, encoder, parse_reply, render_reply
from apertura.wire.openai_reply import ChatDecoder
from tests.wire.answers import answers, counts, per_kind
from tests.wire.said import (
    CUTS,
    FRAMINGS,
    STREAMS,
    chunk,
    pieces,
    report,
    transcript,
    usage,
)
from tests.wire.said import sse as stream

CALL = CallFacts(id="chatcmpl-ours", created=7, model="asked-for", include_usage=True)
STARTED = Started(id="chatcmpl-1", created=1_795_000_000, model="m-1")


def decoded(*reads: bytes) -> list[Event]:
    """All events of a stream."""
    reader = decoder()
    return [event for data in reads for event in reader.feed(data)] + reader.close()


def answered(*deltas: dict[str, Any], reason: str | None = "stop") -> Answer:
    """What a stream of these deltas adds up to."""
    return fold(decoded(stream(*map(chunk, deltas), chunk(reason=reason))))


def comparable(events: list[Event]) -> list[object]:
    """Events as values; errors by class, because no two exceptions are equal."""
    return [type(e.error) if isinstance(e, Failed) else e for e in events]


@given(st.sampled_from(STREAMS), st.sampled_from(sorted(FRAMINGS)), CUTS)
def test_any_cut_yields_the_same_events(name: str, framing: str, cuts: list[int]) -> None:
    """Also within a character, an escape or a line end."""
    reads = pieces(FRAMINGS[framing](transcript(name)), cuts)

    assert decoded(*reads) == decoded(transcript(name))


@pytest.mark.parametrize(
    ("streamed", "whole"),
    [
        ("llamacpp-chat-stream-usage.sse", "llamacpp-chat-whole.json"),
        ("written-tool-calls.sse", "written-tool-calls.json"),
        ("written-reasoning.sse", "written-reasoning.json"),
        ("written-refusal.sse", "written-refusal.json"),
        ("written-asides.sse", "written-asides.json"),
    ],
)
def test_a_folded_stream_equals_its_whole_reply(streamed: str, whole: str) -> None:
    """The same question, asked both ways."""
    folded, at_once = fold(decoded(transcript(streamed))), fold(parse_reply(transcript(whole)))

    assert folded.choices == at_once.choices
    if streamed.startswith("written"):
        assert folded == at_once


@pytest.mark.parametrize("name", STREAMS)
def test_what_the_encoder_writes_the_decoder_reads_back(name: str) -> None:
    """Streamed and whole."""
    events = decoded(transcript(name))
    writer = encoder(CALL)

    assert fold(decoded(writer.feed(events) + writer.close())) == fold(events)
    assert fold(parse_reply(render_reply(events, CALL))) == fold(events)


samples = st.lists(
    st.sampled_from(
        [
            chunk({"content": "a"}),
            chunk({"content": "é ☀"}, index=1),
            chunk({"content": ""}),
            chunk({"content": None, "reasoning_content": "t"}),
            chunk({"reasoning": "u", "content": "b"}),
            chunk({"reasoning": "u", "reasoning_details": [{"text": "u", "signature": "S"}]}),
            chunk({"content": [{"type": "text", "text": "c"}]}),
            chunk({"refusal": "r"}),
            chunk({"tool_calls": [{"index": 0, "id": "i", "function": {"name": "f"}}]}),
            chunk({"content": "d"}, index=-1),
            chunk({"content": "e"}, usage=report()),
            chunk({"content": "f"}, error={"message": "slow", "code": 429}),
            chunk(reason="stop"),
            {"choices": [{"delta": {"content": "g"}}]},
            {"choices": [{"delta": {"content": 5}}]},
            {"choices": [{"delta": {"content": "h"}}, {"delta": {"content": "i"}}]},
            "[DONE]",
            " ",
            "nonsense",
        ]
    ),
    max_size=10,
)


@given(samples)
def test_the_quick_way_and_the_careful_way_give_the_same_events(events: list[Any]) -> None:
    """Many at once, or each looked at closely."""
    said = stream(*events)
    careful = ChatDecoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChatDecoder, "_plain", lambda *_: False)
        expected = careful.feed(said) + careful.close()

    assert comparable(decoded(said)) == comparable(expected)


@given(answers(choices=3, usages=counts("cache_read", "cache_write_1h", "image_output")))
def test_any_answer_survives_the_way_there_and_back(events: list[Event]) -> None:
    """With several choices, interleaved calls, and all characters of all scripts: each kind in its
    order; the format does not keep the order between kinds.
    """
    writer = encoder(CALL)
    streamed = fold(decoded(writer.feed(events) + writer.close()))
    whole = fold(parse_reply(render_reply(events, CALL)))
    before = fold(events)

    for after in (streamed, whole):
        assert (after.started, after.usage) == (before.started, before.usage)
        assert natively(after) == natively(before)


@given(answers(choices=2), st.data())
def test_what_is_said_does_not_depend_on_how_it_is_fed(events: list[Event], data: Any) -> None:
    """One event at a time, or many."""
    at_once, one_by_one = encoder(CALL), encoder(CALL)

    assert at_once.feed(events) == b"".join(one_by_one.feed([event]) for event in events)


def natively(answer: Answer) -> dict[int, dict[str, object]]:
    """Each kind; states by the format that can read them, as a caller finds them."""
    found = per_kind(answer)
    for index, choice in answer.choices.items():
        found[index]["states"] = [
            native for part in choice.parts if (native := _native(part)) is not None
        ]
    return found


def _native(part: Part) -> tuple[str, object] | None:
    """State, unpacked from the entry that it came in; Google's second copy is left out."""
    if not isinstance(part, ReasoningPart) or not part.state:
        return None
    if part.origin != state.OPENAI_CHAT:
        return (part.origin, part.state)
    entry = json.loads(part.state)
    match entry.get("format"):
        case "anthropic-claude-v1" if "signature" in entry:
            return (state.ANTHROPIC, entry["signature"])
        case "anthropic-claude-v1":
            return (state.ANTHROPIC_REDACTED, entry["data"])
        case "google-gemini-v1":
            return (state.GEMINI, entry["data"])
        case "openai-responses-v1":
            return (state.OPENAI, f"{entry['id']}:{entry['data']}")
    return None if "extra_content" in entry else (state.OPENAI_CHAT, entry)


def test_the_order_of_events_is_fixed() -> None:
    """Started first, one end per choice, usage once and last, wherever the provider put it."""
    early = stream(
        usage(1, 0),
        chunk({"content": "a"}, usage=report(9, 1)),
        chunk(reason="stop", usage=report(9, 2)),
        chunk({"content": "b"}, index=1),
        chunk(reason="length", index=1),
        chunk(reason="stop"),
    )

    assert decoded(early) == [
        STARTED,
        Text(text="a"),
        Text(text="b", choice=1),
        Finished(reason="stop"),
        Finished(reason="length", choice=1),
        UsageReported(usage=Usage(input=9, output=2)),
    ]


@pytest.mark.parametrize(
    ("said", "called", "reason"),
    [
        ("stop", False, "stop"),
        ("length", False, "length"),
        ("content_filter", False, "content_filter"),
        ("SAFETY", False, "content_filter"),
        ("end_turn", False, "stop"),
        ("function_call", True, "tool_calls"),
        ("stop", True, "tool_calls"),
        (None, True, "tool_calls"),
        (None, False, "stop"),
        ("", False, "stop"),
    ],
)
def test_why_an_answer_ended(said: str | None, called: bool, reason: str) -> None:
    """Missing reasons are inferred; who called a tool ended because of it."""
    delta = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]} if called else {}

    assert answered(delta, reason=said).choices[0].reason == reason


def test_a_stream_without_its_end_marker_is_complete_if_it_finished() -> None:
    """Or cut, if it did not."""
    said = stream(chunk({"content": "a"}), chunk(reason="stop"), done=False)

    assert decoded(said)[-1] == Finished(reason="stop")
    assert decoded(said[:-1])[-1] == Finished(reason="stop")
    for cut in (said[:-20], stream(chunk({"content": "a"}), done=False), b""):
        assert comparable(decoded(cut))[-1] is Cut


def test_nothing_after_the_end_is_read() -> None:
    """Neither content nor nonsense."""
    said = stream(chunk({"content": "a"}), chunk(reason="stop"))

    assert decoded(said + stream(chunk({"content": "b"})), b"data: {\n\n") == decoded(said)


def test_an_end_without_content_is_an_empty_answer() -> None:
    """It has a beginning and an end."""
    assert comparable(decoded(stream())) == [
        Started(id="", created=0, model=""),
        Finished(reason="stop"),
    ]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("nonsense", Garbled),
        ("[]", Garbled),
        ("<html>", Garbled),
        ({"object": "x"}, Garbled),
        ({"choices": "x"}, Garbled),
        ({"choices": [5]}, Garbled),
        (chunk({"content": "x"}, index=-1), Garbled),
        (chunk({"content": "x"}, index=10**9), Garbled),
        ({"error": {"message": "slow", "code": 429}}, RateLimited),
    ],
)
def test_a_stream_that_breaks_ends_in_one_failure(event: Any, kind: type[AperturaError]) -> None:
    """After all that was understood, and nothing follows."""
    said = stream(chunk({"content": "a"}), event, chunk({"content": "b"}))

    assert comparable(decoded(said)) == [STARTED, Text(text="a"), kind]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":7}', b"\xff", b"[" * 99_999],
    ids=range(8),
)
def test_a_whole_reply_without_an_answer_is_garbled(body: bytes) -> None:
    """Not JSON, or JSON of another kind."""
    with pytest.raises(Garbled):
        parse_reply(body)


fragments = st.sampled_from(
    [
        b"data: ",
        b"\n\n",
        b'{"choices":[{"delta":',
        b'{"content":"x"}',
        b"}]}",
        b"null",
        b"[1]",
        b'{"tool_calls":[{"function":{"arguments":{}}}]}',
        b'{"content":[[{"text":7}]]}',
        b"data: [DONE]\n\n",
        b'"\\ud800"',
        b"1e999",
    ]
)


@given(st.lists(fragments | st.binary(max_size=12), max_size=12))
def test_any_bytes_yield_events_or_a_failure(reads: list[bytes]) -> None:
    """No exception comes out, and the last event says how it ended."""
    events = decoded(*reads)

    assert isinstance(events[-1], Finished | UsageReported | Failed)
    assert events == [] or b"".join(reads) == b"" or encoder(CALL).feed(events) is not None


def test_what_a_stream_can_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments without a name, calls without end, and what the encoder gathers."""
    nameless = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 99}}]})] * 20
    monkeypatch.setattr(openai_tools, "HELD_MAX", 1_000)
    assert comparable(decoded(stream(*nameless)))[-1] is Garbled

    many = [chunk({"tool_calls": [{"index": n, "function": {"name": "f"}}]}) for n in range(600)]
    assert comparable(decoded(stream(*many)))[-1] is Garbled

    monkeypatch.setattr(openai_encoder, "ARGUMENTS_MAX", 1_000)
    with pytest.raises(Garbled):
        encoder(CALL).feed([ToolCall(index=0, arguments="x" * 99)] * 20)


@pytest.mark.parametrize("odd", [b'"\xff"', b"1e999", b"-1e999", b"7" * 5_000, b'"\\ud800"'])
def test_what_nobody_reads_is_the_same_read_quickly_or_carefully(odd: bytes) -> None:
    """Bytes that are not Unicode, numbers that Python cannot hold, half a character."""
    said = [b'{"choices":[{"index":0,"delta":{"content":"a"}}],"x":%b}' % odd] * 4
    events = [stream(chunk({"content": "a"}), done=False), *(b"data: %b\n\n" % one for one in said)]
    end = stream(chunk(reason="stop"))

    together, apart = decoded(b"".join(events) + end), decoded(*events, end)

    assert comparable(together) == comparable(apart)
    assert isinstance(together[-1], Failed) is (odd == b'"\xff"')
