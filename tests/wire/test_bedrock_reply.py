"""Behaviour of answers of Bedrock's Converse API: the laws, and what is published of the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import (
    AperturaError,
    BadRequest,
    Cut,
    Garbled,
    Overloaded,
    RateLimited,
    Stalled,
    UpstreamFailed,
)
from apertura.wire import bedrock_reply
from apertura.wire.bedrock_converse import decoder, parse_reply, read_error
from apertura.wire.chat import Citation, MediaPart, ReasoningPart, TextPart
from apertura.wire.events import (
    Answer,
    Event,
    Failed,
    Finished,
    Started,
    Text,
    UsageReported,
    fold,
)
from apertura.wire.eventstream import Frame
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED
from tests.wire.said import CUTS, pieces
from tests.wire.test_eventstream import written

HERE = Path(__file__).parent / "transcripts" / "bedrock_converse"
STREAMS = sorted(path.name.removesuffix(".events.json") for path in HERE.glob("*.events.json"))


def event(name: str, payload: Any, kind: str = "event") -> bytes:
    """One frame, as the service writes it."""
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return written(Frame(headers=headers, payload=body))


def streamed(name: str) -> bytes:
    found = json.loads((HERE / f"{name}.events.json").read_text())
    return b"".join(event(one["type"], one["payload"]) for one in found)


def whole(name: str) -> bytes:
    return (HERE / f"{name}.json").read_bytes()


def decoded(*reads: bytes) -> list[Event]:
    reader = decoder()
    return [event for data in reads for event in reader.feed(data)] + reader.close()


def comparable(events: list[Event]) -> list[object]:
    return [type(e.error) if isinstance(e, Failed) else e for e in events]


def delta(found: Any, index: int = 0) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": found})


def stop(reason: str = "end_turn") -> bytes:
    return event("messageStop", {"stopReason": reason})


def answered(*frames: bytes) -> Answer:
    return fold(decoded(event("messageStart", {"role": "assistant"}), *frames))


@given(st.sampled_from(STREAMS), CUTS)
def test_any_cut_yields_the_same_events(name: str, cuts: list[int]) -> None:
    assert decoded(*pieces(streamed(name), cuts)) == decoded(streamed(name))


@pytest.mark.parametrize("name", STREAMS)
def test_a_folded_stream_equals_its_whole_reply(name: str) -> None:
    assert fold(decoded(streamed(name))) == fold(parse_reply(whole(name)))


@pytest.mark.parametrize("name", STREAMS)
def test_the_order_of_events_is_fixed(name: str) -> None:
    """Begun once, one end, usage once and last; then no more is due."""
    reader = decoder()
    events = reader.feed(streamed(name))
    assert reader.ended
    events += reader.feed(b"anything") + reader.close()

    assert isinstance(events[0], Started)
    assert isinstance(events[-2], Finished) and isinstance(events[-1], UsageReported)
    assert [] == reader.close()


def test_state_is_whole_at_the_end_of_its_block() -> None:
    """A signature that comes in pieces is one; redacted content is state of its own."""
    parts = fold(decoded(streamed("written-tools"))).choices[0].parts

    assert (
        ReasoningPart(text="The user wants weather.", state="ErcBCkgIBBABGgwQ==", origin=ANTHROPIC),
        ReasoningPart(state="RW13S0Fo", origin=ANTHROPIC_REDACTED),
    ) == parts[:2]


def test_cached_tokens_stand_beside_the_input() -> None:
    assert (
        Usage(input=1270, cache_read=1000, cache_write=200, cache_write_1h=50, output=90)
        == fold(parse_reply(whole("written-tools"))).usage
    )


@pytest.mark.parametrize("report", [None, {}, 7, {"inputTokens": "x", "outputTokens": -3}])
def test_odd_reports(report: Any) -> None:
    answer = answered(delta({"text": "a"}), stop(), event("metadata", {"usage": report}))

    assert "a" == answer.choices[0].text
    assert answer.usage in (None, Usage())


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_reasons(reason: str, ours: str) -> None:
    assert ours == answered(delta({"text": "a"}), stop(reason)).choices[0].reason


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_model_that_failed_has_not_answered(reason: str) -> None:
    events = decoded(delta({"text": "a"}), stop(reason))

    assert [Text(text="a"), Garbled] == comparable(events)[1:]


def test_a_stream_is_complete_with_its_reason() -> None:
    """A report may be missing; the reason may not."""
    assert [Started, Text, Finished] == [type(one) for one in decoded(delta({"text": "a"}), stop())]
    assert Cut is comparable(decoded(delta({"text": "a"})))[-1]
    assert [Cut] == comparable(decoded())


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("throttlingException", RateLimited),
        ("modelNotReadyException", Overloaded),
        ("serviceUnavailableException", Overloaded),
        ("validationException", BadRequest),
        ("modelTimeoutException", Stalled),
        ("internalServerException", UpstreamFailed),
        ("modelStreamErrorException", UpstreamFailed),
        ("SomethingNew", UpstreamFailed),
    ],
)
def test_exceptions_inside_a_stream(name: str, error: type[AperturaError]) -> None:
    """After what was understood before; also where they come as events or errors."""
    for kind in ("exception", "event"):
        if kind == "event" and not name.endswith("Exception"):
            continue
        broken = event(name, {"message": "no"}, kind)
        assert [Text(text="a"), error] == comparable(decoded(delta({"text": "a"}) + broken))[1:]
    headers = {":message-type": "error", ":error-code": name, ":error-message": "x"}
    assert [error] == comparable(decoded(written(Frame(headers=headers, payload=b""))))


def test_errors_in_place_of_a_reply() -> None:
    quota = {"x-amzn-errortype": "ServiceQuotaExceededException:http://internal.amazon.com/"}
    long = b'{"message":"Input is too long for requested model."}'

    assert isinstance(read_error(429, b'{"message":"slow down"}', {}), RateLimited)
    assert isinstance(read_error(400, b"{}", quota), RateLimited)
    assert "context_length_exceeded" == read_error(400, long, {}).code
    assert "slow" in read_error(400, b'{"message":"slow down"}', {}).message
    assert isinstance(read_error(403, b'{"Message":"bad token"}', {}), UpstreamFailed)


def test_citations_and_pictures() -> None:
    """Pages on the web; a file of the caller's has no address."""
    page = {"title": "A", "location": {"web": {"url": "https://a.example"}}}
    file = {"title": "B", "location": {"documentPage": {"start": 1}}}
    streamed_parts = (
        answered(delta({"text": "a"}), delta({"citation": page}), delta({"citation": file}), stop())
        .choices[0]
        .parts
    )
    block = {"citationsContent": {"content": [{"text": "a"}], "citations": [page, file]}}
    image = {"image": {"format": "png", "source": {"bytes": "AA=="}}}
    body = {"output": {"message": {"content": [block, image]}}, "stopReason": "end_turn"}
    cited = TextPart(text="a", cited=(Citation(url="https://a.example", title="A"),))

    assert (cited,) == streamed_parts
    assert (cited, MediaPart(kind="image", data="AA==", mime="image/png")) == (
        fold(parse_reply(json.dumps(body).encode())).choices[0].parts
    )


def test_unknown_events_and_members_are_read_over() -> None:
    answer = answered(
        event("somethingNew", {"a": 1}),
        delta({"text": "a", "new": 1}),
        delta({"text": 5}),
        delta({"text": "b", "reasoningContent": "no", "citation": [7]}),
        delta({"toolUse": {"input": "{}"}}, 9),
        event("contentBlockStart", {"start": None}),
        stop(),
    )

    assert "ab" == answer.choices[0].text and not answer.choices[0].calls


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_yield_events_or_an_error(reads: list[bytes]) -> None:
    events = decoded(*reads)

    assert isinstance(events[-1], Failed) and isinstance(events[-1].error, Cut | Garbled)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("delta", "text", "toolUse", "input", "contentBlockIndex", "start", "usage"),
                    *("reasoningContent", "signature", "citation", "location", "stopReason"),
                    *("output", "message", "content", "inputTokens", "cacheDetails", "image"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "metadata")


@given(st.lists(st.tuples(st.sampled_from((*EVENTS, "messageStop")), odd), max_size=5))
def test_any_payloads_yield_events_or_an_error(found: list[tuple[str, Any]]) -> None:
    events = decoded(*(event(name, payload) for name, payload in found))

    assert isinstance(events[-1], Failed | Finished | UsageReported)
    for _, payload in found:
        try:
            parse_reply(json.dumps(payload).encode())
        except AperturaError:
            continue


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and state have bounds."""
    begin = {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f", "toolUseId": "1"}}}
    monkeypatch.setattr(bedrock_reply, "STATE_MAX", 5)

    calls = [event("contentBlockStart", begin)] * 600
    state = delta({"reasoningContent": {"signature": "123456"}})
    assert Garbled is comparable(decoded(*calls))[-1]
    assert Garbled is comparable(decoded(state))[-1]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"message":"no"}'])
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parse_reply(body)
