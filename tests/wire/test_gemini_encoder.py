"""Behaviour of answers in Gemini's format, written: what is said can be read back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import BadRequest, Garbled, RateLimited
from apertura.wire import gemini_encoder, state
from apertura.wire.chat import CallPart, Citation, ReasoningPart
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    Answer,
    Cited,
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
from apertura.wire.gemini import (
    JsonArray,
    encoder,
    parse_reply,
    render_error,
    render_reply,
    render_stream_error,
)
from apertura.wire.gemini_state import unsign
from apertura.wire.sse import Reader
from tests.wire.answers import FAMILIES, KINDS, answers, counts, per_kind
from tests.wire.said import CUTS, pieces
from tests.wire.test_gemini_reply import STREAMS, decoded, streamed

CALL = CallFacts(id="gen-ours", created=7, model="asked-for")
STARTED = Started(id="r-1", created=1_795_000_000, model="m-1")
END = [Finished(reason="stop"), UsageReported(usage=Usage(input=1, output=2))]


def written(events: list[Event]) -> bytes:
    writer = encoder(CALL)
    return b"".join([writer.feed([event]) for event in events]) + writer.close()


def documents(data: bytes) -> list[Any]:
    return [json.loads(event.data) for event in Reader().feed(data)]


def parts_of(data: bytes) -> list[dict[str, Any]]:
    """All parts of the first candidate, without the last chunk's."""
    return [
        part
        for found in documents(data)[:-1]
        for part in found["candidates"][0]["content"]["parts"]
    ]


def timed(answer: Answer) -> Answer:
    """An answer as it is read back: with a time, ours where there was none."""
    started = msgspec.structs.replace(
        answer.started, created=answer.started.created or CALL.created
    )
    return msgspec.structs.replace(answer, started=started)


@pytest.mark.parametrize("name", STREAMS)
def test_what_the_encoder_writes_the_decoder_reads_back(name: str) -> None:
    """Streamed and whole: the same answer, Google's own state included."""
    events = decoded(streamed(name))

    assert fold(decoded(written(events))) == timed(fold(events))
    assert fold(parse_reply(render_reply(events, CALL))) == timed(fold(events))


@given(
    answers(
        choices=2,
        kinds=KINDS - {"refusal", "cited"},
        families=tuple(filter(None, FAMILIES)),
        usages=counts("cache_read", "reasoning", "audio_input"),
    )
)
def test_any_answer_survives_the_way_there_and_back(events: list[Event]) -> None:
    """Whoever gave it, with interleaved calls and all characters of all scripts."""
    answer = fold(events)
    streamed_back, whole = fold(decoded(written(events))), parse_reply(render_reply(events, CALL))

    assert compared(answer) == compared(streamed_back) == compared(fold(whole))
    assert [part.origin for part in thoughts(answer)] == [
        part.origin for part in thoughts(fold(whole))
    ]
    assert answer.usage == streamed_back.usage == fold(whole).usage
    assert answer.started == streamed_back.started == fold(whole).started


def compared(answer: Answer) -> dict[int, dict[str, object]]:
    """What each candidate says, the calls with their arguments as values."""
    said = per_kind(answer)
    for of_one in said.values():
        of_one["calls"] = [valued(call) for call in of_one["calls"]]  # type: ignore[attr-defined]
    return said


def valued(call: CallPart) -> tuple[str, str, Any]:
    return call.id, call.name, json.loads(call.arguments)


def thoughts(answer: Answer) -> list[ReasoningPart]:
    parts = [part for choice in answer.choices.values() for part in choice.parts]
    return [part for part in parts if isinstance(part, ReasoningPart)]


@given(answers(kinds=KINDS - {"cited"}, families=FAMILIES))
def test_a_whole_reply_keeps_the_order_of_its_parts(events: list[Event]) -> None:
    """Text after tools stays after them; a refusal is text here."""
    said = fold(parse_reply(render_reply(events, CALL))).choices[0].parts
    asked = fold(events).choices[0].parts

    assert [valued(p) for p in asked if isinstance(p, CallPart)] == [
        valued(p) for p in said if isinstance(p, CallPart)
    ]
    assert "".join(getattr(p, "text", "") for p in asked if not isinstance(p, ReasoningPart)) == (
        "".join(getattr(p, "text", "") for p in said if not isinstance(p, ReasoningPart))
    )


@given(answers(choices=2), CUTS)
def test_each_stream_is_well_formed(events: list[Event], cuts: list[int]) -> None:
    """One id and one time; one reason for each candidate, in the last chunk, with the usage."""
    found = documents(written(events))

    assert 1 == len({(one["responseId"], one["createTime"], one["modelVersion"]) for one in found})
    for one in found[:-1]:
        assert "usageMetadata" not in one
        assert all("finishReason" not in candidate for candidate in one["candidates"])
    ended = [candidate["index"] for candidate in found[-1]["candidates"]]
    assert sorted({event.choice for event in events if isinstance(event, Finished)}) == ended
    assert all("finishReason" in candidate for candidate in found[-1]["candidates"])
    assert found == documents(b"".join(pieces(written(events), cuts)))


def test_text_leaves_at_once() -> None:
    writer = encoder(CALL)
    writer.feed([STARTED])

    for text in ("a", 'b"\n', "é 東京 \u2028"):
        out = writer.feed([Text(text=text)])
        assert [text] == [
            part["text"] for part in documents(out)[0]["candidates"][0]["content"]["parts"]
        ]


def test_a_call_leaves_when_it_is_whole() -> None:
    """On one line, at the latest when the next thing comes; interleaved ones keep apart."""
    writer = encoder(CALL)
    events: list[Event] = [
        ToolCall(index=0, id="c0", name="f", arguments='{"a":\n'),
        ToolCall(index=1, id="c1", name="g", arguments='{"b"'),
        ToolCall(index=0, arguments='{"x": 1}}'),
        ToolCall(index=1, arguments=":2}"),
    ]
    assert b"" == writer.feed(events)
    out = writer.feed([Text(text="then")])

    calls = [part["functionCall"] for part in parts_of(out + writer.feed(END))[:2]]
    assert [
        {"id": "c0", "name": "f", "args": {"a": {"x": 1}}},
        {"id": "c1", "name": "g", "args": {"b": 2}},
    ] == calls


def test_a_call_that_never_became_json_is_malformed() -> None:
    """Its format has a word for it; cut by the limit, the limit is the reason."""
    broken = ToolCall(index=0, id="c", name="f", arguments='{"a": ')

    for reason, said in (("tool_calls", "MALFORMED_FUNCTION_CALL"), ("length", "MAX_TOKENS")):
        events: list[Event] = [STARTED, broken, Finished(reason=reason)]  # type: ignore[arg-type]
        assert said == documents(written(events))[-1]["candidates"][0]["finishReason"]
        assert said == json.loads(render_reply(events, CALL))["candidates"][0]["finishReason"]


def test_arguments_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini_encoder, "ARGUMENTS_MAX", 5)
    with pytest.raises(Garbled):
        written([ToolCall(index=0, id="c", name="f", arguments="{      ")])


def test_state_stands_on_the_part_after_it() -> None:
    """Where clients keep it: they drop thoughts, but not calls and text."""
    events: list[Event] = [
        Reasoning(text="hm", origin=state.ANTHROPIC),
        Reasoning(state="sig==", origin=state.ANTHROPIC),
        ToolCall(index=0, id="c", name="f", arguments="{}"),
        Reasoning(state="blob", origin=state.ANTHROPIC_REDACTED),
        Text(text="a"),
        Reasoning(state="last", origin=state.GEMINI),
        *END,
    ]
    thought, call, text, last = parts_of(written(events))

    assert {"text": "hm", "thought": True} == thought
    assert (state.ANTHROPIC, "sig==") == unsign(call["thoughtSignature"])
    assert (state.ANTHROPIC_REDACTED, "blob") == unsign(text["thoughtSignature"])
    assert {"text": "", "thoughtSignature": "last"} == last


def test_a_signature_is_read_in_both_alphabets_of_base64() -> None:
    """SDKs write the bytes anew."""
    signature = gemini_encoder.sign(state.OPENAI, "rs_1:ÿÿÿ???>>>")
    assert "+" in signature or "/" in signature
    other = signature.translate(str.maketrans("+/", "-_")).rstrip("=")

    assert (state.OPENAI, "rs_1:ÿÿÿ???>>>") == unsign(signature) == unsign(other)
    assert (state.GEMINI, "YXBlcnR1cmEu") == unsign("YXBlcnR1cmEu")
    assert (state.GEMINI, "not base64!") == unsign("not base64!")


def test_citations_come_back() -> None:
    """With their places, in characters, through Google's bytes."""
    cited = Citation(url="https://a.example", title="A", start=7, end=11)
    events: list[Event] = [STARTED, Text(text="Größe: 東京 ok"), Cited(citation=cited), *END]

    assert fold(events) == fold(decoded(written(events)))
    assert fold(events) == fold(parse_reply(render_reply(events, CALL)))


def test_nothing_follows_a_failure() -> None:
    writer = encoder(CALL)
    limited = RateLimited("wait", headers={"Retry-After": "9"})
    out = writer.feed([STARTED, Text(text="a"), Failed(error=limited), *END])

    assert {"code": 429, "status": "RESOURCE_EXHAUSTED"}.items() <= (
        documents(out)[-1]["error"].items()
    )
    assert b"" == writer.close() == writer.feed([Text(text="b")])


def test_errors_have_googles_envelope() -> None:
    """With the stable code as a reason, the field at fault, and the time to wait."""
    error = json.loads(render_error(BadRequest("`contents` is required.", param="contents")))
    wait = json.loads(render_error(RateLimited("wait", headers={"Retry-After": "9"})))

    assert (400, "INVALID_ARGUMENT") == (error["error"]["code"], error["error"]["status"])
    assert "INVALID_REQUEST" == error["error"]["details"][0]["reason"]
    assert "contents" == error["error"]["details"][1]["fieldViolations"][0]["field"]
    assert "9s" == wait["error"]["details"][-1]["retryDelay"]


@given(answers())
def test_a_stream_can_be_a_json_array(events: list[Event]) -> None:
    """Also an empty one, and one that ends in an error."""
    whole, form = written(events), JsonArray()
    failed = JsonArray()
    out = failed.feed(whole) + failed.feed(render_stream_error(BadRequest("no"))) + failed.close()

    assert documents(whole) == json.loads(form.feed(whole) + form.close())
    assert 400 == json.loads(out)[-1]["error"]["code"]
    assert b"[]" == JsonArray().close()


@given(st.integers(0, 2**53))
def test_any_time_can_be_said(created: int) -> None:
    """Whatever a provider claims."""
    events: list[Event] = [Started(id="", created=created, model=""), Text(text="a"), *END]

    assert documents(written(events))[0]["createTime"].endswith("Z")


def test_what_the_provider_does_not_say_is_ours() -> None:
    events: list[Event] = [Started(id="", created=0, model=""), Text(text="a"), *END]
    found = documents(written(events))[0]

    assert ("gen-ours", "asked-for", "1970-01-01T00:00:07Z") == (
        found["responseId"],
        found["modelVersion"],
        found["createTime"],
    )


def test_an_empty_answer_is_an_answer() -> None:
    """The clients' objects need a candidate with parts."""
    for found in (documents(written([STARTED, *END]))[-1], json.loads(render_reply(END, CALL))):
        assert [{"text": ""}] == found["candidates"][0]["content"]["parts"]
        assert "STOP" == found["candidates"][0]["finishReason"]
