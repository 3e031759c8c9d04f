"""Behaviour of answers that pass: what leaves, what is heard, what ends a stream."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import (
    Cut,
    Garbled,
    RateLimited,
    UpstreamFailed,
)
from apertura.wire import openai_listen, sse
from apertura.wire.openai_chat import check_reply, listen
from tests.wire.said import (
    CUTS,
    FRAMINGS,
    STREAMS,
    chunk,
    documents,
    heard,
    pieces,
    report,
    transcript,
    usage,
)
from tests.wire.said import sse as stream

DONE = b"data: [DONE]\n\n"


def says(tap: openai_listen.Tap) -> tuple[object, ...]:
    return (tap.content, tap.usage, tap.finished, tap.ended, tap.pieces, tap.chars)


@pytest.mark.parametrize("name", STREAMS)
def test_same_dialect_same_bytes(name: str) -> None:
    """A canonical stream whose caller asked for usage passes untouched."""
    out, tap = heard(transcript(name))

    assert out == transcript(name)
    assert tap.content and tap.finished and tap.ended


@pytest.mark.parametrize("name", STREAMS)
def test_plain_reads_are_not_copied(name: str) -> None:
    """What one read yields leaves as the very same object, event by event or many at once."""
    events = [part + b"\n\n" for part in transcript(name).split(b"\n\n")[:-2]]
    tap = listen(include_usage=True)

    assert all(tap.feed(event) is event for event in events)
    plain = b"".join(events[1:4])
    assert listen(include_usage=True).feed(plain) is plain


@given(st.sampled_from(STREAMS), st.sampled_from(sorted(FRAMINGS)), CUTS, st.booleans())
def test_any_cut_and_framing_says_the_same(
    name: str, framing: str, cuts: list[int], include_usage: bool
) -> None:
    """Only whole events leave, in canonical form; what is heard does not depend on the network."""
    plain, tap = heard(transcript(name), include_usage=include_usage)
    reads = pieces(FRAMINGS[framing](transcript(name)), cuts)
    other, also = heard(*reads, include_usage=include_usage)

    assert documents(other) == documents(plain)
    assert says(also) == says(tap)
    assert sse.canonical(other.replace(b"{\ndata: ", b"{")) is not None


@given(st.sampled_from(STREAMS), CUTS)
def test_each_return_is_whole_events(name: str, cuts: list[int]) -> None:
    """A partial tail is held back."""
    tap = listen(include_usage=True)
    for data in pieces(transcript(name), cuts):
        out = tap.feed(data)
        assert out == b"" or sse.canonical(out) is not None


def test_the_usage_chunk_is_for_those_who_asked() -> None:
    """We always ask the provider; from other callers it is kept."""
    said = stream(chunk({"content": "hi"}), chunk(reason="stop"), usage(9, 4))
    out, tap = heard(said, include_usage=False)

    assert out == stream(chunk({"content": "hi"}), chunk(reason="stop"))
    assert tap.usage == Usage(input=9, output=4)


def test_usage_beside_choices_is_taken_out_of_its_chunk() -> None:
    """The chunk itself stays; the last report counts."""
    said = [chunk({"content": "hi"}, usage=report(9, 1)), chunk(reason="stop", usage=report(9, 4))]
    out, tap = heard(stream(*said), include_usage=False)

    assert documents(out) == [chunk({"content": "hi"}), chunk(reason="stop"), b"[DONE]"]
    assert tap.usage == Usage(input=9, output=4)
    assert heard(stream(*said))[0] == stream(*said)


def test_nothing_after_the_end_leaves() -> None:
    """Trailing bytes are dropped, in the same read and in later ones."""
    said = stream(chunk({"content": "x"}), chunk(reason="stop"))
    trailing = stream(chunk({"content": "more"})) + b"nonsense\n\n"

    assert heard(said + trailing, trailing)[0] == said
    assert heard(said, trailing, b"data: {")[0] == said


def test_the_end_is_ours_to_say() -> None:
    """`feed` never forwards `[DONE]`; `close` says it."""
    tap = listen(include_usage=True)

    assert DONE not in tap.feed(stream(chunk({"content": "x"}), chunk(reason="stop")))
    assert tap.ended
    assert tap.close() == DONE


def test_a_finished_stream_needs_no_end_marker() -> None:
    """Some providers just close."""
    said = stream(chunk({"content": "x"}), chunk(reason="stop"), done=False)
    out, tap = heard(said)

    assert out == said + DONE
    assert tap.finished and not tap.ended


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n"])
def test_an_end_marker_without_its_blank_line_counts(end: bytes) -> None:
    """The provider's last line is whole, even if it forgot to end the event."""
    out, tap = heard(stream(chunk({"content": "x"}), done=False) + end)

    assert out == stream(chunk({"content": "x"}))
    assert tap.ended


def test_a_last_event_without_its_blank_line_is_passed() -> None:
    """If it is whole JSON."""
    said = stream(chunk({"content": "x"}), chunk(reason="stop"), done=False)

    assert heard(said[:-2])[0] == said + DONE
    assert heard(said[:-1])[0] == said + DONE


@pytest.mark.parametrize(
    "said",
    [
        b"",
        stream(chunk({"content": "x"}), done=False),
        stream(chunk({"content": "x"}), chunk(reason="stop"), done=False)[:-9],
        stream(chunk({"content": "x"}), chunk(reason="stop"), done=False) + b"data: {",
        stream(chunk({"content": "x"}, index=1), chunk(reason="stop", index=0), done=False),
    ],
)
def test_a_stream_that_ends_too_early_is_cut(said: bytes) -> None:
    """Without finish reasons, or in the middle of an event."""
    with pytest.raises(Cut):
        heard(said)


def test_an_end_without_content_is_an_end() -> None:
    """The relay sees that there was no content."""
    out, tap = heard(DONE)

    assert out == DONE
    assert (tap.content, tap.pieces, tap.finished, tap.ended) == (False, 0, False, True)


def test_several_choices_finish_together() -> None:
    """The stream is finished when each choice that spoke is."""
    tap = listen(include_usage=True)
    tap.feed(stream(chunk({"content": "a"}), chunk({"content": "b"}, index=1), done=False))
    tap.feed(stream(chunk(reason="stop"), done=False))
    assert not tap.finished
    tap.feed(stream(chunk(reason="length", index=1), done=False))
    assert tap.finished


@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from(
            [
                stream(chunk({"content": "é"}), done=False),
                stream(usage(), done=False),
                b"data: ",
                b"\n\n",
                b'{"choices":[',
                b'{"delta":',
                b"]}",
                b"}",
                b"null",
                DONE,
            ]
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_bytes_pass_or_fail_as_ours(reads: list[bytes], include_usage: bool) -> None:
    """No other exception comes out, and what leaves is always whole."""
    tap = listen(include_usage)
    out = b""
    try:
        for data in reads:
            out += tap.feed(data)
        out += tap.close()
    except UpstreamFailed:
        out += tap.salvage
    assert out == b"" or out.endswith(b"\n\n")


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event without an end is garbled at last, in small reads or large."""
    monkeypatch.setattr(sse, "EVENT_MAX", 100_000)
    for read in (b"x" * 100, b"x" * 30_000):
        tap = listen(include_usage=True)
        tap.feed(b"data: ")
        with pytest.raises(Garbled):
            assert [tap.feed(read) for _ in range(2_000)] == []


def test_a_large_event_passes_whole() -> None:
    """Larger than any read, cut anywhere."""
    said = stream(chunk({"content": "x" * 100_000}), chunk(reason="stop"))
    reads = [said[i : i + 7_000] for i in range(0, len(said), 7_000)]

    assert heard(*reads)[0] == said


def test_a_whole_reply_passes() -> None:
    """As it came, with what it consumed and whether it says anything."""
    body = transcript("llamacpp-chat-whole.json")
    facts = check_reply(body)

    assert facts.body is body
    assert facts.usage == Usage(input=27, cache_read=26, output=8)
    assert (facts.content, facts.chars) == (True, 31)


@pytest.mark.parametrize("name", ["written-tool-calls", "written-reasoning", "written-refusal"])
def test_a_whole_reply_counts_as_its_stream(name: str) -> None:
    """Streamed or not, the same usage and the same content."""
    facts = check_reply(transcript(f"{name}.json"))
    _, tap = heard(transcript(f"{name}.sse"))

    assert (facts.usage, facts.content, facts.chars) == (tap.usage, tap.content, tap.chars)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>oops</html>",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":5}',
        b'{"choices":[1]}',
        b'{"object":"x"}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(13),
)
def test_a_reply_without_an_answer_is_garbled(body: bytes) -> None:
    """Not JSON, or JSON of another kind."""
    with pytest.raises(Garbled):
        check_reply(body)


def test_an_error_in_a_reply_of_status_200_is_raised() -> None:
    """Unless it is empty: then it is taken out."""
    with pytest.raises(RateLimited):
        check_reply(b'{"error":{"message":"slow down","code":429}}')
    good = json.loads(transcript("llamacpp-chat-whole.json"))
    facts = check_reply(json.dumps({**good, "error": {"message": "", "code": None}}).encode())
    assert json.loads(facts.body) == good


def test_an_empty_answer_is_an_answer() -> None:
    """It is the relay that knows what nothing costs."""
    facts = check_reply(
        json.dumps(
            {"choices": [{"index": 0, "message": {"role": "assistant", "content": None}}]}
        ).encode()
    )

    assert (facts.content, facts.chars, facts.usage) == (False, 0, None)
