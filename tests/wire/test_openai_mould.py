"""Behaviour of moulds: the quick way to hear a stream says what the careful way says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apertura.errors import AperturaError
from apertura.wire import openai_listen
from apertura.wire.openai_chat import listen
from apertura.wire.openai_chunks import decode_plain
from apertura.wire.openai_mould import mould_of
from tests.wire.said import CUTS, STREAMS, chunk, pieces, sse, transcript, usage

WORDS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(['"', "\\", "\n", "\x00", "é", "\ud83d", "🙂", '"}', "\\n", "", " token"]),
)
FIELDS = st.sampled_from(["content", "content", "content", "reasoning_content", "reasoning"])
STYLES = st.sampled_from(
    [
        {"separators": (",", ":"), "ensure_ascii": False},
        {"separators": (",", ":")},
        {},
        {"ensure_ascii": False},
    ]
)


def careful() -> openai_listen.Tap:
    """A tap that decodes every event."""
    tap = listen(include_usage=True)
    tap._lessons = 0
    return tap


def told(tap: openai_listen.Tap, reads: list[bytes]) -> tuple[object, ...]:
    """What a caller gets of a stream, and what was heard of it."""
    out, end = b"", ""
    try:
        for read in reads:
            out += tap.feed(read)
        out += tap.close()
    except AperturaError as error:
        out, end = out + tap.salvage, str(error)
    return out, end, tap.content, tap.usage, tap.finished, tap.ended, tap.pieces, tap.chars


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """An event such as providers send, or nearly so, written in one of their ways."""
    delta: dict[str, Any] = {draw(FIELDS): draw(WORDS)}
    if draw(st.integers(0, 9)) == 0:
        delta[draw(FIELDS)] = draw(WORDS)
    more: dict[str, Any] = {}
    if draw(st.integers(0, 9)) == 0:
        more["obfuscation"] = draw(WORDS)
    if draw(st.integers(0, 19)) == 0:
        delta["tool_calls"] = [{"function": {"arguments": "{}"}}]
    reason = draw(st.sampled_from([None] * 9 + ["stop"]))
    said = chunk(delta, reason=reason, index=draw(st.sampled_from([0, 0, 0, 1])), **more)
    text = json.dumps(said, **draw(STYLES)).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 19)) == 0:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.binary(max_size=2)) + text[at + 1 :]
    return b"data: %b\n\n" % text


def repeated(words: list[str], **how: Any) -> bytes:
    """Plain events of one mould."""
    said = (json.dumps(chunk({"content": text}), ensure_ascii=False, **how) for text in words)
    return b"".join(b"data: %b\n\n" % event.encode() for event in said)


@given(st.lists(events(), max_size=12), CUTS)
def test_any_stream_is_heard_as_if_each_event_were_decoded(
    stream: list[bytes], cuts: list[int]
) -> None:
    reads = pieces(b"".join(stream) + sse(usage()), cuts)
    assert told(listen(include_usage=True), reads) == told(careful(), reads)


@given(st.lists(WORDS, min_size=1, max_size=30), STYLES, CUTS, st.booleans())
def test_a_stream_of_one_mould_is_heard_as_if_each_event_were_decoded(
    words: list[str], style: dict[str, Any], cuts: list[int], one_by_one: bool
) -> None:
    parts = [json.dumps(chunk({"content": w}), **style) for w in words]
    framed = [b"data: %b\n\n" % part.encode("utf-8", "surrogatepass") for part in parts]
    end = sse(chunk(reason="stop"), usage())
    reads = [*framed, end] if one_by_one else pieces(b"".join(framed) + end, cuts)
    assert told(listen(include_usage=True), reads) == told(careful(), reads)


@pytest.mark.parametrize("name", STREAMS)
def test_transcripts_are_heard_as_if_each_event_were_decoded(name: str) -> None:
    events = [part + b"\n\n" for part in transcript(name).split(b"\n\n")[:-1]]
    assert told(listen(include_usage=True), events) == told(careful(), events)
    assert told(listen(include_usage=True), [b"".join(events)]) == told(careful(), events)


MOULD = mould_of(json.dumps(chunk({"content": " word"})).encode())
assert MOULD is not None


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=4))
@example([b'a","content":"b'])
@example([b"\\", b'"'])
@example([b"\\u00e9"])
@example([b"\xc3", b"\xa9"])
@example([b"\xed\xa0\xbd"])
@example([b"\\\\", b"\\n"])
def test_what_a_mould_hears_is_what_decoding_finds(texts: list[bytes]) -> None:
    assert MOULD is not None
    between = MOULD.after + MOULD.before
    data = MOULD.before + between.join(texts) + MOULD.after
    parts = data[6:-2].split(b"\n\ndata: ")
    heard = MOULD.hear_many(data, parts)
    chars = MOULD.hear(data)
    if heard is not None:
        said = [c.choices[0].delta.content or "" for c in decode_plain(b"[%b]" % b",".join(parts))]
        assert (heard.pieces, heard.chars) == (sum(map(bool, said)), len("".join(said)))
    if chars >= 0:
        (only,) = decode_plain(b"[%b]" % data[6:-2])
        data.decode()
        assert chars == len(only.choices[0].delta.content or "")


@pytest.mark.parametrize(
    "text",
    [
        '{"choices":[{"delta":{"content":""}}]}',
        '{"choices":[{"delta":{"content":"a","reasoning":"b"}}]}',
        '{"model":"a","choices":[{"delta":{"content":"a"}}]}',
        '{"choices":[{"delta":{"content":"a","content":"\\u0061"}}],"x":"\\u0061"}',
        '{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        '{"choices":[{"delta":{"content":"a"}}],"usage":{}}',
        '{"choices":[{"delta":{"content":"\\u0061"}}],"id":"a"}',
        '{"choices":[{"delta":{"content":"é"}}]',
    ],
)
def test_an_event_whose_words_cannot_surely_be_told_apart_has_no_mould(text: str) -> None:
    assert mould_of(text.encode()) is None


def test_a_mould_that_was_found_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick way is taken where it is meant to be: no event is decoded any more."""
    tap = listen(include_usage=True)
    tap.feed(repeated([" a", " b"]))

    def decoded(_: bytes) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(openai_listen, "decode_plain", decoded)
    for data in (repeated([" c"]), repeated(["\n", "d", "é" * 9, "", " f", '"']), repeated(["\t"])):
        assert tap.feed(data) is data
    assert (tap.pieces, tap.chars) == (9, 21)


PLAIN = b'{"choices":[{"delta":{"content":"a"}}]}'


@pytest.mark.parametrize(
    "part", [b"", b" ", PLAIN + b"," + PLAIN, PLAIN + b"," + PLAIN + b"," + PLAIN]
)
def test_what_is_not_just_one_event_has_no_mould(part: bytes) -> None:
    """Nothing, or several behind commas: they are no JSON, and are refused where they are read."""
    assert mould_of(part) is None
