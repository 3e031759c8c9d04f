"""Behaviour of server-sent events on bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import Garbled
from apertura.wire import sse
from apertura.wire.sse import Reader, SseEvent, canonical, frame
from tests.wire.said import CUTS, FRAMINGS, STREAMS, pieces, transcript


def read(*reads: bytes) -> list[SseEvent]:
    reader = Reader()
    return [event for data in reads for event in reader.feed(data)]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"data: a\n\n", [SseEvent(b"a")]),
        (b"data:a\n\n", [SseEvent(b"a")]),
        (b"data:  a\n\n", [SseEvent(b" a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [SseEvent(b"a"), SseEvent(b"b")]),
        (b"data: a\r\rdata: b\n\n", [SseEvent(b"a"), SseEvent(b"b")]),
        (b"data: a\ndata: b\n\n", [SseEvent(b"a\nb")]),
        (b"data\n\n", [SseEvent(b"")]),
        (b"data: \n\n", [SseEvent(b"")]),
        (b": only a comment\n\n", []),
        (b"event: ping\n\n", []),
        (b"event: ping\n\ndata: a\n\n", [SseEvent(b"a")]),
        (b"event: e\ndata: a\n\ndata: b\n\n", [SseEvent(b"a", b"e"), SseEvent(b"b")]),
        (b"id: 1\nretry: 5\nwhat: ever\ndata: a\n\n", [SseEvent(b"a")]),
        (b"\n\n\ndata: a\n\n\n\n", [SseEvent(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SseEvent(b"a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [SseEvent(b"a")]),
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [SseEvent("a\u2028b\x0bc\x85".encode())]),
        (b"data: never ended\n", []),
        (b"data: a\n\ndata: b", [SseEvent(b"a")]),
    ],
)
def test_events_are_read_as_the_standard_says(said: bytes, heard: list[SseEvent]) -> None:
    """Lines end at CR, LF and CRLF only; an event is what a blank line ends."""
    assert read(said) == heard
    assert read(*(said[i : i + 1] for i in range(len(said)))) == heard


@given(
    st.lists(
        st.sampled_from(
            [
                b"data: ",
                b"data",
                b"a",
                b"\n",
                b"\r",
                b"\n\n",
                b":",
                b"event: x",
                b"event: x\ndata: a\n\n",
                b"event: ",
                b"\ndata: ",
                b"\xc3\xa9",
                b"\xef\xbb\xbf",
            ]
        ),
        max_size=40,
    ).map(b"".join),
    CUTS,
)
def test_any_cut_gives_the_same_events(said: bytes, cuts: list[int]) -> None:
    """The quick way, the careful way and each mixture of the two agree."""
    reader = Reader()

    assert read(*pieces(said, cuts)) == read(said) == reader._lines(said)


@given(st.sampled_from(STREAMS), st.sampled_from(sorted(FRAMINGS)), CUTS)
def test_a_transcript_says_the_same_however_it_is_framed_and_cut(
    name: str, framing: str, cuts: list[int]
) -> None:
    """JSON may be laid out over several lines; apart from that the data is the same."""
    plain = [event.data for event in read(transcript(name))]
    framed = read(*pieces(FRAMINGS[framing](transcript(name)), cuts))

    assert [event.data.replace(b"{\n", b"{") for event in framed] == plain


@given(st.lists(st.tuples(st.binary(max_size=30), st.none() | st.just(b"name")), max_size=5))
def test_what_is_framed_is_read_back(said: list[tuple[bytes, bytes | None]]) -> None:
    """Line ends within data come back as LF, which is all that the format can say."""
    heard = read(b"".join(frame(data, name) for data, name in said))

    ends = [(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), name) for data, name in said]
    assert [(event.data, event.name) for event in heard] == ends


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n\n",
        b"data: a\n",
        b"data:a\n\n",
        b"data: a\ndata: b\n\n",
        b"data: a\r\n\n",
        b": c\n\n",
    ],
)
def test_only_the_usual_form_is_canonical(said: bytes) -> None:
    """Whole events of one line each, `data: ` with its space, ended by LF LF."""
    assert canonical(said) is None
    assert canonical(b"data: a\n\n" + said + b"data: b\n\n") is None or not said
    assert canonical(b"data: a\n\ndata: b\n\n") == [b"a", b"b"]


def test_an_event_past_all_bounds_is_garbled(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, in many lines, in one read or in many: memory is bounded."""
    monkeypatch.setattr(sse, "EVENT_MAX", 1_000)
    line = b"data: " + b"x" * 99 + b"\n"
    for reads in (
        [b"data: " + b"x" * 1_100],
        [b"data: " + b"x" * 1_100 + b"\n\n"],
        [b"data: ", *[b"x" * 10] * 110],
        [line * 11],
        [line] * 11,
        [b"event: " + b"x" * 500 + b"\n"] * 3,
        [b":" + b"x" * 1_100],
    ):
        with pytest.raises(Garbled):
            read(*reads)


def test_many_events_are_not_one_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on what is held, not on what goes through."""
    monkeypatch.setattr(sse, "EVENT_MAX", 1_000)
    event = b"data: " + b"x" * 900 + b"\n\n"

    assert len(read(event * 10, *[event[:450], event[450:]] * 10)) == 20
