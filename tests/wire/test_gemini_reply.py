"""Behaviour of answers in Gemini's format, read: the laws, and what Google really sends."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, BadRequest, Cut, Garbled, RateLimited
from apertura.wire import gemini_chunks, gemini_reply
from apertura.wire.chat import Citation, MediaPart, ReasoningPart, TextPart
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
from apertura.wire.gemini import check_reply, decoder, listen, parse_reply
from apertura.wire.sse import Reader, frame
from apertura.wire.state import GEMINI
from tests.wire.said import CUTS, pieces

HERE = Path(__file__).parent / "transcripts" / "gemini"
STREAMS = sorted(path.stem for path in HERE.glob("*.sse"))


def streamed(name: str) -> bytes:
    return (HERE / f"{name}.sse").read_bytes()


def whole(name: str) -> bytes:
    return (HERE / f"{name}.json").read_bytes()


def decoded(*reads: bytes) -> list[Event]:
    """All events of a stream."""
    reader = decoder()
    return [event for data in reads for event in reader.feed(data)] + reader.close()


def comparable(events: list[Event]) -> list[object]:
    """Events as values; errors by class, because no two exceptions are equal."""
    return [type(e.error) if isinstance(e, Failed) else e for e in events]


def chunk(*parts: Any, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "responseId": "r-1", "modelVersion": "m-1", **more}


def stream(*chunks: Any) -> bytes:
    return b"".join(frame(json.dumps(found).encode()) for found in chunks)


def answered(*chunks: Any) -> Answer:
    return fold(decoded(stream(*chunks)))


@given(st.sampled_from(STREAMS), st.booleans(), CUTS)
def test_any_cut_yields_the_same_events(name: str, plain: bool, cuts: list[int]) -> None:
    """Also within a character, an escape or a line end; and whichever line ends there are."""
    data = streamed(name)
    data = data.replace(b"\r\n", b"\n") if plain else data

    assert decoded(*pieces(data, cuts)) == decoded(streamed(name))


@pytest.mark.parametrize("name", STREAMS)
def test_a_folded_stream_equals_its_whole_reply(name: str) -> None:
    """The same answer, had both ways."""
    assert fold(decoded(streamed(name))) == fold(parse_reply(whole(name)))


@pytest.mark.parametrize("name", STREAMS)
def test_the_order_of_events_is_fixed(name: str) -> None:
    """Begun once, one end per choice, usage once and last."""
    events = decoded(streamed(name))
    kinds = [type(event) for event in events]

    assert [Started] == [kind for kind in kinds if kind is Started] and kinds[0] is Started
    assert [UsageReported] == [kind for kind in kinds if kind is UsageReported]
    assert kinds[-1] is UsageReported
    ends = [event.choice for event in events if isinstance(event, Finished)]
    assert sorted(set(ends)) == ends


@pytest.mark.parametrize("name", STREAMS)
def test_same_dialect_same_bytes(name: str) -> None:
    """What passes is what came, event by event; the end waits for `close`."""
    tap = listen(include_usage=False)
    early = tap.feed(streamed(name))

    assert not tap.ended
    passed = early + tap.close()
    assert Reader().feed(passed) == Reader().feed(streamed(name))
    assert b"finishReason" not in early and b"blockReason" not in early
    assert check_reply(whole(name)).body == whole(name)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_passes_counts_like_its_whole_reply(name: str) -> None:
    tap, facts = listen(True), check_reply(whole(name))
    tap.feed(streamed(name))
    tap.close()

    assert (tap.usage, tap.content, tap.finished) == (facts.usage, facts.content, True)
    assert tap.chars >= facts.chars  # a picture counts one in a stream


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b'{"cand'])))
def test_any_bytes_yield_events_or_an_error(reads: list[bytes]) -> None:
    events = decoded(*reads)

    assert isinstance(events[-1], Failed) and isinstance(events[-1].error, Cut | Garbled)


NAMES = """
candidates content parts text thought thoughtSignature functionCall name args id index
finishReason usageMetadata promptTokenCount candidatesTokenCount promptTokensDetails modality
tokenCount groundingMetadata groundingChunks groundingSupports segment startIndex web uri
promptFeedback blockReason responseId createTime error inlineData data mimeType
"""
names = st.sampled_from(NAMES.split())
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(names, odd, max_size=5), max_size=4))
def test_any_json_yields_events_or_an_error(documents: list[Any]) -> None:
    """Wrong types, nulls, members in the wrong place."""
    events = decoded(b"".join(b"data: " + json.dumps(d).encode() + b"\n\n" for d in documents))

    assert isinstance(events[-1], UsageReported | Finished | Failed)
    for document in documents:
        with suppress(AperturaError):
            parse_reply(json.dumps(document).encode())


@given(
    st.sampled_from(STREAMS),
    st.integers(0, 5_000),
    st.binary(min_size=1, max_size=3),
    st.booleans(),
)
def test_damage_never_goes_further_than_an_error(
    name: str, at: int, bytes_in: bytes, passing: bool
) -> None:
    data = streamed(name)
    at %= len(data)
    damaged = data[:at] + bytes_in + data[at + 1 :]

    decoded(damaged)
    if passing:
        tap = listen(False)
        with suppress(AperturaError):
            tap.feed(damaged)
            tap.close()


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_without_its_reason_is_cut(name: str) -> None:
    """The end of the connection is no success by itself."""
    if "blocked" not in name:
        shorter = streamed(name).rpartition(b"data: ")[0]
        assert isinstance(decoded(shorter)[-1], Failed)
        assert Cut is comparable(decoded(shorter))[-1]


def test_thoughts_and_signatures_keep_their_places() -> None:
    """A signature stands before the part that it came on, byte for byte."""
    parts = fold(decoded(streamed("written-tools"))).choices[0].parts

    assert ["ReasoningPart", "TextPart", "ReasoningPart", "CallPart", "CallPart"] == [
        type(part).__name__ for part in parts
    ]
    assert parts[2] == ReasoningPart(
        state="EpoGCpcGAXLI2nz0bdGi1sU/JzM+cPzb2TdRaGsWQ8n2oZ5qkg==", origin=GEMINI
    )


def test_a_signature_may_come_last() -> None:
    """On a part without words, after all text."""
    parts = fold(decoded(streamed("written-signature-last"))).choices[0].parts

    assert isinstance(parts[-1], ReasoningPart) and parts[-1].state.startswith("CikB")
    assert "It is 42." == parts[-2].text if isinstance(parts[-2], TextPart) else False


@pytest.mark.parametrize("name", STREAMS)
def test_what_google_sends_is_read_the_quick_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The careful way is for what does not fit."""
    monkeypatch.setattr(gemini_chunks, "_loosely", None)

    assert fold(decoded(streamed(name))) == fold(parse_reply(whole(name)))


@pytest.mark.parametrize("args", ["7", "null", "[]", '"x"'])
def test_arguments_are_always_an_object(args: str) -> None:
    found = chunk({"functionCall": {"name": "f", "args": json.loads(args)}}, reason="STOP")
    call = answered(found).choices[0].calls[0]

    assert "{}" == call.arguments


def test_calls_are_whole_and_numbered() -> None:
    """One without an id gets one that is not used in another answer."""
    events = decoded(streamed("written-tools"))
    calls = [event for event in events if isinstance(event, ToolCall)]

    assert [0, 1] == [call.index for call in calls]
    assert ["8f2b1a3c", "call_kHJ0af2LDpqp1MkP_0_1"] == [call.id for call in calls]
    assert {"city": "Zürich", "days": [1, 2], "deep": {"unit": "C"}} == json.loads(
        calls[0].arguments
    )
    assert "tool_calls" == fold(events).choices[0].reason


def test_citations_count_characters() -> None:
    """Google counts bytes."""
    part = fold(decoded(streamed("written-grounded"))).choices[0].parts[0]

    assert isinstance(part, TextPart)
    assert [("Zürich has rain.", "a"), ("Zürich has rain.", "b"), ("It is mild.", "a")] == [
        (part.text[cited.start : cited.end], cited.url[-1]) for cited in part.cited
    ]


def test_a_page_without_a_passage_is_cited_too() -> None:
    found = {"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}, {}]}
    last = chunk({"text": "a"}, reason="STOP")
    last["candidates"][0]["groundingMetadata"] = found
    part = answered(last).choices[0].parts[0]

    assert isinstance(part, TextPart)
    assert (Citation(url="https://a.example", title="A"),) == part.cited


def test_pictures_are_media() -> None:
    """Those of thoughts are only drafts."""
    draft = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thought": True}
    parts = answered(chunk(draft), chunk({"text": "a"}, reason="STOP")).choices[0].parts

    assert (TextPart(text="a"),) == parts
    shown = fold(decoded(streamed("written-image"))).choices[0].parts
    assert MediaPart(kind="image", data="iVBORw0KGgo=", mime="image/png") in shown


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_reasons(reason: str, ours: str) -> None:
    assert ours == answered(chunk({"text": "a"}, reason=reason)).choices[0].reason


def test_a_reason_that_is_none_does_not_end() -> None:
    events = decoded(stream(chunk({"text": "a"}, reason="FINISH_REASON_UNSPECIFIED")))

    assert Cut is comparable(events)[-1]


@pytest.mark.parametrize("reason", sorted(gemini_reply._FAILED))
def test_a_model_that_failed_has_not_answered(reason: str) -> None:
    """Another try may; only a caller of this format, who has text already, gets to see it."""
    failed = stream(chunk(reason=reason))
    late = stream(chunk({"text": "a"}), chunk(reason=reason))

    assert Garbled is comparable(decoded(failed))[-1] and Garbled.retryable
    assert [Text(text="a"), Garbled] == comparable(decoded(late))[1:]
    silent = listen(False)
    assert b"" == silent.feed(failed)
    with pytest.raises(Garbled):
        silent.close()
    tap = listen(False)
    assert reason.encode() in tap.feed(late) + tap.close()


def test_a_blocked_question_is_an_empty_filtered_answer() -> None:
    """Nobody answered, and the reason passes to callers of every format."""
    answer = fold(decoded(streamed("written-blocked")))

    assert "content_filter" == answer.choices[0].reason and not answer.choices[0].parts
    assert Usage(input=7) == answer.usage


def test_an_error_inside_a_stream() -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    quota = json.loads((HERE / "written-error-quota.json").read_text())[0]
    events = decoded(stream(chunk({"text": "a"}), error))
    limited = decoded(stream(quota))[-1]

    assert isinstance(events[1], Text) and isinstance(events[-1], Failed)
    assert 503 == events[-1].error.status
    assert isinstance(limited, Failed) and isinstance(limited.error, RateLimited)
    assert "35" == limited.error.headers["Retry-After"]


def test_an_error_in_place_of_a_reply() -> None:
    with pytest.raises(BadRequest):
        parse_reply(b'{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}')


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b"null", b'{"candidates":[]}', b'{"candidates":[{}]}']
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parse_reply(body)


def test_odd_members_do_not_hide_the_text() -> None:
    """Wrong types beside it, a missing index, nulls."""
    odd_one = {
        "candidates": [
            {"content": {"parts": [{"text": "a", "thought": "no"}, 7]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": "x"},
        "responseId": 5,
    }
    assert "a" == answered(odd_one).choices[0].text


def test_code_that_ran_at_google_is_shown() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1+1"}}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}

    assert "1+12" == answered(chunk(code, result, reason="STOP")).choices[0].text


def test_too_much_is_refused() -> None:
    """More candidates or calls than there can be."""
    far = chunk({"text": "a"})
    far["candidates"][0]["index"] = 1_000
    calls = [{"functionCall": {"name": "f"}}] * 600

    assert Garbled is comparable(decoded(stream(far)))[-1]
    assert Garbled is comparable(decoded(stream(chunk(*calls))))[-1]


def test_a_signature_that_only_begins_as_ours_is_googles() -> None:
    """Whatever letters follow."""
    odd = "YXBlcnR1cmEué"

    [thought] = (
        answered(chunk({"text": "", "thoughtSignature": odd}, reason="STOP")).choices[0].parts
    )

    assert thought == ReasoningPart(state=odd, origin=GEMINI)
