"""Behaviour of answers that providers give in the Responses format: the laws, and what comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import AperturaError, Cut, Garbled, RateLimited, UpstreamFailed
from apertura.wire import state
from apertura.wire.chat import CallPart, Citation, ReasoningPart, RefusalPart, TextPart
from apertura.wire.events import Failed, Finished, Started, UsageReported, fold
from apertura.wire.openai_responses import check_reply, listen, parse_reply
from tests.wire.answers import said
from tests.wire.responses_said import (
    PAIRS,
    STREAMS,
    answered,
    completed,
    decoded,
    message,
    stream,
    transcript,
)
from tests.wire.said import CUTS, FRAMINGS, documents, pieces


@given(st.sampled_from(STREAMS), st.sampled_from(sorted(FRAMINGS)), CUTS)
def test_any_cut_yields_the_same_events(name: str, framing: str, cuts: list[int]) -> None:
    """Also within a character, an escape or a line end."""
    data = transcript(name)
    if framing != "named":
        data = FRAMINGS[framing](data)

    assert decoded(*pieces(data, cuts)) == decoded(transcript(name))


@pytest.mark.parametrize("name", PAIRS)
def test_a_folded_stream_equals_its_whole_reply(name: str) -> None:
    """Text, calls, reasoning with its state, refusals, reasons and usage."""
    assert fold(parse_reply(transcript(f"{name}.json"))) == fold(decoded(transcript(f"{name}.sse")))


def test_a_recorded_stream_of_llamacpp() -> None:
    """It has no output indexes, no sequence numbers and no model at the beginning."""
    answer = fold(decoded(transcript("llamacpp-stream.sse")))

    assert "Hello, welcome to my little corner of the world." == answer.choices[0].text
    assert answer.usage == Usage(input=36, output=12)
    assert said(answer.choices[0]) == said(
        fold(parse_reply(transcript("llamacpp-whole.json"))).choices[0]
    )


def test_all_that_a_published_stream_says() -> None:
    """Parts in their order; paragraphs of a summary; the id of reasoning is a part of its state."""
    answer = fold(decoded(transcript("published-tool-calls.sse")))

    assert answer.started == Started(id="resp_0b2", created=1_795_000_000, model="gpt-5-2025-08-07")
    assert answer.choices[0].parts == (
        ReasoningPart(
            text="**Weather** of two cities.\n\nCall both.",
            state="rs_0b2:gAAAAABp+sealed/state==",
            origin=state.OPENAI,
        ),
        TextPart(text="Let me look."),
        CallPart(id="call_A1", name="get_weather", arguments='{"city":"Paris"}'),
        CallPart(id="call_B2", name="get_weather", arguments='{"city":"Zürich"}'),
    )
    assert "tool_calls" == answer.choices[0].reason
    assert answer.usage == Usage(input=80, output=95, reasoning=64)


def test_citations_and_refusals() -> None:
    """A web page is a citation of the text; declining is no text."""
    cited = fold(decoded(transcript("published-text.sse"))).choices[0]
    declined = fold(decoded(transcript("published-refusal.sse"))).choices[0]

    page = Citation(url="https://example.org/a", title="A", start=0, end=5)
    assert cited.parts == (TextPart(text="Héllo, wörld 👋.", cited=(page,)),)
    assert declined.parts == (RefusalPart(text="I can't help with that."),)
    assert ("stop", "stop") == (cited.reason, declined.reason)


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "steered"}, "length"),
        ({}, "length"),
        (None, "length"),
        (7, "length"),
    ],
)
def test_an_incomplete_answer_says_why(details: Any, reason: str) -> None:
    """By its event, or by its status under another event's name."""
    response = completed(message("a"), status="incomplete", incomplete_details=details)

    for name in ("response.incomplete", "response.completed"):
        assert reason == answered({**response, "type": name}).choices[0].reason


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_yield_events_or_an_error(data: bytes, cuts: list[int]) -> None:
    """Nothing escapes; what is not complete is not taken for complete."""
    events = decoded(*pieces(data, cuts))

    assert isinstance(events[-1], Failed | Finished | UsageReported)


MEMBERS = """
    type text content summary id call_id name arguments result annotations url_citation usage output
    status error input_tokens input_tokens_details cached_tokens encrypted_content created_at url
"""
TYPES = """
    response.created response.output_item.added response.output_item.done
    response.output_text.delta response.output_text.done response.output_text.annotation.added
    response.refusal.delta response.refusal.done response.reasoning_text.delta
    response.reasoning_summary_text.delta response.reasoning_summary_text.done
    response.function_call_arguments.delta response.function_call_arguments.done
    response.completed response.incomplete response.failed error response.new_thing
"""
KINDS = "message reasoning function_call image_generation_call other"


def one_of(words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words.split())


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | one_of("a message completed")
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(one_of(MEMBERS), inner, max_size=4),
    max_leaves=8,
)
ITEMS = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    one_of(KINDS),
    st.dictionaries(one_of("content summary id call_id name arguments result"), JSON),
)
WORDS = JSON | st.text(max_size=3)
ODD = st.fixed_dictionaries(
    {"type": one_of(TYPES)},
    optional={
        "delta": WORDS,
        "text": WORDS,
        "item": JSON | ITEMS,
        "response": JSON | st.fixed_dictionaries({"output": st.lists(ITEMS, max_size=2)}),
        "output_index": JSON,
        "content_index": JSON,
        "item_id": JSON,
        "annotation": JSON,
        "arguments": WORDS,
        "name": WORDS,
        "error": JSON,
    },
)


@given(st.lists(ODD, max_size=6), st.booleans())
def test_members_of_any_type_are_read_over(events: list[dict[str, Any]], done: bool) -> None:
    """A wrong type is skipped or is an error of the provider's, never another exception."""
    found = decoded(stream(*events, done=done))

    assert isinstance(found[-1], Failed | Finished | UsageReported)
    assert sum(isinstance(event, UsageReported) for event in found) <= 1
    assert sum(isinstance(event, Started) for event in found) <= 1


@given(JSON)
def test_a_whole_reply_of_any_shape(found: Any) -> None:
    """Events, or one of our errors."""
    try:
        events = parse_reply(json.dumps(found).encode())
    except AperturaError:
        return
    assert isinstance(events[0], Started)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, RateLimited),
        ({"type": "error", "error": {"code": "server_error", "message": "no"}}, UpstreamFailed),
        ({"error": {"message": "no", "type": "server_error"}}, UpstreamFailed),
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded"}}},
            RateLimited,
        ),
        ({"type": "response.failed"}, UpstreamFailed),
        ({"type": "response.completed", "response": {"status": "failed"}}, UpstreamFailed),
    ],
)
def test_an_error_inside_the_stream_fails_it(event: dict[str, Any], kind: type) -> None:
    """After what was said before."""
    delta = {"type": "response.output_text.delta", "delta": "a"}
    events = decoded(stream(delta, event, completed(message("b"))))

    assert isinstance(events[-1], Failed) and isinstance(events[-1].error, kind)
    assert 3 == len(events)


def test_an_event_that_is_not_json_fails_the_stream() -> None:
    events = decoded(b"data: {oops\n\n")

    assert isinstance(events[-1], Failed) and isinstance(events[-1].error, Garbled)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_without_its_end_is_cut(name: str) -> None:
    """Wherever it breaks off."""
    data = transcript(name)
    for end in (0, len(data) // 2, data.rindex(b"event:"), len(data) - 20):
        last = decoded(data[:end])[-1]
        assert isinstance(last, Failed) and isinstance(last.error, Cut)


def test_the_chat_formats_end_marker() -> None:
    """After the end it is read over; without one it is an end if every item is closed."""
    item = {"type": "response.output_item.done", "item": message("Hi")}
    delta = {"type": "response.output_text.delta", "delta": "a"}

    assert "Hi" == fold(decoded(stream(item, completed(), done=True))).choices[0].text
    assert "Hi" == fold(decoded(stream(item, done=True))).choices[0].text
    assert isinstance(decoded(stream(delta, done=True))[-1], Failed)


@pytest.mark.parametrize("name", STREAMS)
def test_what_passes_stays_as_it_is(name: str) -> None:
    """The same bytes; the end and what follows wait for `close`; the whole response is there."""
    tap = listen(include_usage=True)
    out = tap.feed(transcript(name))
    assert b"response.completed" not in out and b"response.incomplete" not in out

    out += tap.close()
    last = documents(transcript(name))[-1]
    assert transcript(name).strip() == out.strip()
    assert tap.content and tap.finished and tap.ended and tap.usage is not None
    assert json.loads(tap.response) == last["response"]


def test_a_whole_reply_passes_with_its_facts() -> None:
    """The body unchanged; usage and the size of what was said."""
    body = transcript("published-tool-calls.json")
    facts = check_reply(body)

    assert body is facts.body and facts.content
    assert Usage(input=80, output=95, reasoning=64) == facts.usage
    thought, text = len("**Weather** of two cities.\n\nCall both."), len("Let me look.")
    calls = len('{"city":"Paris"}{"city":"Zürich"}') + 2 * len("get_weather")
    assert thought + text + calls == facts.chars


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"output": 3}', b'{"object": "response"}']
)
def test_a_reply_without_an_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parse_reply(body)


def test_an_error_in_a_whole_reply() -> None:
    """With status 200, as some send it."""
    with pytest.raises(RateLimited):
        parse_reply(b'{"error": {"code": "rate_limit_exceeded", "message": "slow"}}')
    with pytest.raises(UpstreamFailed):
        parse_reply(b'{"status": "failed", "output": [], "error": null}')


@pytest.mark.parametrize("kind", [{}, ["message"], 5, None])
def test_an_item_whose_type_is_no_text_is_read_over(kind: Any) -> None:
    """In an event of its own and in the whole response."""
    odd = {**message("odd"), "type": kind}
    added = {"type": "response.output_item.done", "output_index": 0, "item": odd}

    assert answered(added, completed(odd, message("a"))).choices[0].text == "a"


def test_an_event_that_is_not_unicode_does_not_pass() -> None:
    """Also where it is a piece of text, and the bytes are in a member that nobody reads."""
    piece = b'{"type":"response.output_text.delta","delta":"a","obfuscation":"\xff"}'

    with pytest.raises(Garbled):
        listen(include_usage=True).feed(b"data: %b\n\n" % piece)
