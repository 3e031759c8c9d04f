"""Behaviour of answers in the Messages format, as they are written: the laws, what SDKs need."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import Garbled, RateLimited
from apertura.wire import anthropic_write, state
from apertura.wire.anthropic_messages import encoder, parse_reply, render_reply
from apertura.wire.anthropic_state import UNSIGNED
from apertura.wire.chat import CallPart, Citation, MediaPart, TextPart
from apertura.wire.events import (
    Answer,
    Cited,
    Event,
    Failed,
    Finished,
    FinishReason,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.state import ANTHROPIC, ANTHROPIC_REDACTED
from tests.wire.answers import KINDS, answers, counts
from tests.wire.anthropic_said import CALL, STREAMS, decoded, documents, transcript

STARTED = Started(id="msg_theirs", created=0, model="m-1")
USAGES = counts("cache_read", "cache_write", "cache_write_1h", "reasoning").filter(
    lambda usage: usage.input + usage.output > 0
)


def written(*events: Event) -> bytes:
    """The whole stream that says these events."""
    writer = encoder(CALL)
    return writer.feed(list(events)) + writer.close()


def said(*events: Event) -> list[dict[str, Any]]:
    return documents(written(STARTED, *events))


def blocks(*events: Event) -> list[dict[str, Any]]:
    """The blocks of a whole reply."""
    found: list[dict[str, Any]] = json.loads(render_reply([STARTED, *events], CALL))["content"]
    return found


def placeless(answer: Answer) -> Answer:
    """The same without what this format does not say: where in its text a citation belongs."""
    for index, choice in answer.choices.items():
        parts = tuple(
            msgspec.structs.replace(
                part,
                cited=tuple(msgspec.structs.replace(c, start=0, end=0) for c in part.cited),
            )
            if isinstance(part, TextPart)
            else part
            for part in choice.parts
        )
        answer.choices[index] = msgspec.structs.replace(choice, parts=parts)
    answer.started = Started(id="", created=0, model=answer.started.model)
    return answer


@given(
    answers(kinds=KINDS - {"media", "refusal"}, usages=USAGES, stop_sequences=True),
    st.booleans(),
)
def test_any_answer_survives_the_way_there_and_back(events: list[Event], singly: bool) -> None:
    """With interleaved calls, foreign state, and all characters of all scripts."""
    writer = encoder(CALL)
    reads = [[event] for event in events] if singly else [events]
    out = b"".join(map(writer.feed, reads)) + writer.close()
    expected = placeless(fold(events))

    assert placeless(fold(decoded(out))) == expected
    assert placeless(fold(parse_reply(render_reply(events, CALL)))) == expected


@given(answers(choices=3))
def test_a_stream_is_well_formed_whatever_it_says(events: list[Event]) -> None:
    """One block at a time, numbered from 0, each begun and ended; one end; known blocks only."""
    found = documents(written(*events))
    names = [document["type"] for document in found]
    opened: int | None = None
    count = 0

    assert names[0] == "message_start" and names[-2:] == ["message_delta", "message_stop"]
    for document in found[1:-2]:
        match document["type"]:
            case "content_block_start":
                assert opened is None and document["index"] == count
                assert document["content_block"]["type"] in (
                    "text",
                    "tool_use",
                    "thinking",
                    "redacted_thinking",
                )
                opened, count = count, count + 1
            case "content_block_delta":
                assert opened == document["index"]
            case kind:
                assert kind == "content_block_stop" and document["index"] == opened
                opened = None
    assert opened is None


@given(answers(usages=USAGES))
def test_a_folded_stream_equals_its_whole_reply(events: list[Event]) -> None:
    """What is made text for this format (refusals, pictures) included."""
    streamed = fold(decoded(written(*events)))
    whole = fold(parse_reply(render_reply(events, CALL)))

    assert flat(streamed) == flat(whole)


def flat(answer: Answer) -> list[object]:
    """All of an answer, its neighbouring texts joined."""
    choice = placeless(answer).choices[0]
    said: list[object] = [choice.reason, answer.usage]
    for part in choice.parts:
        last = said[-1]
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            said[-1] = TextPart(text=last.text + part.text, cited=last.cited + part.cited)
        else:
            said.append(part)
    return said


@pytest.mark.parametrize("name", STREAMS)
def test_what_was_read_is_written_the_same(name: str) -> None:
    """A transcript, read and written, is read as it was; so is its usage."""
    events = decoded(transcript(f"{name}.sse"))

    assert placeless(fold(decoded(written(*events)))) == placeless(fold(events))


def test_a_stream_as_it_is_published() -> None:
    """Each event with its name, its type and all members that the types of SDKs insist on."""
    start, block, piece, end, last, stop = documents(
        written(
            Started(id="chatcmpl-1", created=5, model=""),
            Text(text="é"),
            Finished(reason="length"),
            UsageReported(usage=Usage(input=9, cache_read=4, output=3, reasoning=2)),
        )
    )

    assert start == {
        "type": "message_start",
        "message": {
            "id": "msg_0199",
            "type": "message",
            "role": "assistant",
            "model": "asked-for",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 0,
                "output_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
            },
        },
    }
    assert block == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    assert piece["delta"] == {"type": "text_delta", "text": "é"}
    assert end == {"type": "content_block_stop", "index": 0}
    assert last == {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {
            "input_tokens": 5,
            "output_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }
    assert stop == {"type": "message_stop"}


def test_the_id_of_this_format_s_provider_is_kept() -> None:
    """Any other gives way to ours: clients of this format expect `msg_`."""
    for whole in (said()[0]["message"], json.loads(render_reply([STARTED], CALL))):
        assert (whole["id"], whole["model"]) == ("msg_theirs", "m-1")
    assert json.loads(render_reply([], CALL))["id"] == "msg_0199"


def test_words_leave_at_once() -> None:
    """One event in, its bytes out; so do the arguments of the first open call."""
    writer = encoder(CALL)
    writer.feed([STARTED])

    for event in (Text(text="a"), Text(text="b"), Reasoning(text="c")):
        assert writer.feed([event])
    assert b"weather" in writer.feed([ToolCall(index=0, id="a", name="weather")])
    for piece in ('{"x"', ":1}"):
        assert json.dumps(piece).encode() in writer.feed([ToolCall(index=0, arguments=piece)])


def test_what_comes_between_the_pieces_of_a_call_waits_for_its_end() -> None:
    """And no longer: once the arguments are whole, the rest goes on."""
    writer = encoder(CALL)
    writer.feed([STARTED, ToolCall(index=0, id="a", name="f", arguments='{"x":"}')])

    assert writer.feed([Text(text="hi"), ToolCall(index=1, id="b", name="g")]) == b""
    assert writer.feed([ToolCall(index=0, arguments='\\"]"')])
    assert writer.feed([ToolCall(index=0, arguments="}")])
    assert b"hi" in writer.feed([ToolCall(index=1, arguments='{"y":2}')])
    out = writer.feed([Finished(reason="tool_calls")]) + writer.close()
    assert b'"index":2' in out


def test_late_pieces_of_a_whole_call_are_no_second_block() -> None:
    """White space after the arguments, say."""
    found = said(
        ToolCall(index=0, id="a", name="f", arguments="{}"),
        Text(text="x"),
        ToolCall(index=0, arguments=" "),
        Finished(reason="stop"),
    )

    kinds = [d["content_block"]["type"] for d in found if d["type"] == "content_block_start"]
    assert kinds == ["tool_use", "text"]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past all reason it is the provider's failure."""
    monkeypatch.setattr(anthropic_write, "WAITING_MAX", 9)
    writer = encoder(CALL)
    writer.feed([STARTED, ToolCall(index=0, id="a", name="f", arguments="{")])

    with pytest.raises(Garbled):
        writer.feed([Text(text="123456"), ToolCall(index=1, id="b", name="g", arguments="123")])


@pytest.mark.parametrize(
    ("event", "signature"),
    [
        (Reasoning(text="a"), UNSIGNED),
        (Reasoning(text="a", state="Eq+/==", origin=ANTHROPIC), "Eq+/=="),
        (Reasoning(text="a", state="Eq==", origin=state.GEMINI), "apertura.gemini.Eq=="),
        (Reasoning(text="a", state="rs_1:x", origin=state.OPENAI), "apertura.openai.rs_1:x"),
        (Reasoning(text="a", origin=state.OPENAI_CHAT), "apertura.openai_chat."),
    ],
)
def test_a_thought_always_has_a_signature(event: Reasoning, signature: str) -> None:
    """Streamed as the last delta of its block, which the types of SDKs need; and whole."""
    found = said(event, Finished(reason="stop"))

    assert [d["delta"] for d in found if d["type"] == "content_block_delta"] == [
        {"type": "thinking_delta", "thinking": "a"},
        {"type": "signature_delta", "signature": signature},
    ]
    assert blocks(event) == [{"type": "thinking", "thinking": "a", "signature": signature}]


def test_redacted_thoughts_are_blocks_of_their_own() -> None:
    """As they came."""
    events = [Reasoning(text="a"), Reasoning(state="R==", origin=ANTHROPIC_REDACTED)]
    block = {"type": "redacted_thinking", "data": "R=="}

    assert [d["content_block"] for d in said(*events) if "content_block" in d][1] == block
    assert blocks(events[1]) == [block]


@pytest.mark.parametrize(
    ("end", "reason", "sequence"),
    [
        (Finished(reason="stop"), "end_turn", None),
        (Finished(reason="stop", stop_sequence="x"), "stop_sequence", "x"),
        (Finished(reason="length", stop_sequence="x"), "max_tokens", None),
        (Finished(reason="tool_calls"), "tool_use", None),
        (Finished(reason="content_filter"), "refusal", None),
    ],
)
def test_why_an_answer_ended(end: Finished, reason: str, sequence: str | None) -> None:
    """In this format's words, with the sequence where it was one."""
    expected = {"stop_reason": reason, "stop_sequence": sequence}
    whole = json.loads(render_reply([STARTED, end], CALL))

    assert said(end)[-2]["delta"] == expected
    assert {name: whole[name] for name in expected} == expected


@pytest.mark.parametrize(("reason", "expected"), [("stop", "refusal"), ("length", "max_tokens")])
def test_a_model_that_declines_in_words_has_refused(reason: FinishReason, expected: str) -> None:
    """Its words are text, and the reason tells."""
    events = [Refusal(text="No."), Finished(reason=reason)]

    assert said(*events)[-2]["delta"]["stop_reason"] == expected
    assert blocks(*events) == [{"type": "text", "text": "No."}]


def test_pictures_are_text() -> None:
    """Clients of this format know no block for them in an answer."""
    picture = Media(part=MediaPart(kind="image", data="iVBO", mime="image/png"))
    text = {"type": "text", "text": "![image](data:image/png;base64,iVBO)"}

    assert said(picture)[2]["delta"] == {"type": "text_delta", "text": text["text"]}
    assert blocks(picture) == [text]


def test_citations_stand_at_their_text() -> None:
    """As the published kind for web pages, complete for the types of SDKs."""
    cite = {
        "type": "web_search_result_location",
        "url": "https://a.example",
        "title": None,
        "cited_text": "",
        "encrypted_index": "",
    }
    events = [Text(text="a"), Cited(citation=Citation(url="https://a.example"))]

    assert said(*events)[3]["delta"] == {"type": "citations_delta", "citation": cite}
    assert blocks(*events) == [{"type": "text", "text": "a", "citations": [cite]}]


def test_only_the_first_choice_is_said() -> None:
    """This format has one answer."""
    events = [Text(text="a", choice=1), Text(text="b"), Finished(reason="length", choice=1)]
    found = said(*events, Finished(reason="stop"))

    assert [d["delta"]["text"] for d in found if d["type"] == "content_block_delta"] == ["b"]
    assert found[-2]["delta"]["stop_reason"] == "end_turn"
    assert blocks(*events) == [{"type": "text", "text": "b"}]


def test_nothing_is_said_after_a_failure() -> None:
    """It ends the stream, in this format's form, without the marker of success."""
    error = RateLimited("Slow down.")
    found = said(Text(text="a"), Failed(error=error), Text(text="b"), Finished(reason="stop"))

    assert [d["type"] for d in found] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "error",
    ]
    assert found[-1]["error"] == {
        "type": "rate_limit_error",
        "message": "Slow down.",
        "code": "rate_limit_exceeded",
    }
    with pytest.raises(RateLimited):
        render_reply([STARTED, Failed(error=error)], CALL)


def test_arguments_that_are_no_object_are_kept_in_one() -> None:
    """A whole reply can hold nothing else; a stream passes what came."""
    call = ToolCall(index=0, id="a", name="f", arguments='{"x"')

    assert blocks(call) == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"INVALID_JSON": '{"x"'}}
    ]
    assert fold(decoded(written(STARTED, call))).choices[0].calls[0].arguments == '{"x"'


def test_calls_without_an_id_get_one() -> None:
    """The same each time, and another for each call."""
    events = [ToolCall(index=n, name="f", arguments="{}") for n in (0, 1)]
    calls = fold(decoded(written(STARTED, *events))).choices[0].calls

    assert calls[0] == CallPart(id="toolu_0199_0", name="f", arguments="{}")
    assert calls[1].id == "toolu_0199_1"
    assert len({block["id"] for block in blocks(*events)}) == 2


def test_an_answer_without_words_is_complete() -> None:
    """It has a beginning and an end, and no block."""
    assert [d["type"] for d in documents(written())] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert json.loads(render_reply([], CALL))["stop_reason"] == "end_turn"
