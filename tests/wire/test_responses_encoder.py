"""Behaviour of answers that callers get in the Responses format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.usage import Usage
from apertura.errors import Cut, Overloaded
from apertura.wire import state
from apertura.wire.chat import Citation, MediaPart, ReasoningPart, TextPart
from apertura.wire.dialect import CallFacts
from apertura.wire.events import (
    Cited,
    Event,
    Failed,
    Finished,
    Media,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    fold,
)
from apertura.wire.openai_responses import (
    decoder,
    encoder,
    parse,
    parse_reply,
    render_error,
    render_reply,
    render_stream_error,
)
from apertura.wire.sse import Reader
from tests.wire.answers import answers, counts, said

CALL = CallFacts(id="c1", created=7, model="asked-for")


def written(events: list[Event], call: CallFacts = CALL) -> tuple[bytes, bytes]:
    """The stream, and the whole response that it ends with."""
    writer = encoder(call)
    out = b"".join(writer.feed([event]) for event in events) + writer.close()
    return out, writer.response


def documents(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each is named as its type says."""
    events = Reader().feed(data)
    said = [json.loads(event.data) for event in events]
    assert [one["type"].encode() for one in said] == [event.name for event in events]
    return said


def read(data: bytes) -> list[Event]:
    reader = decoder()
    return reader.feed(data) + reader.close()


def unwrapped(choice: Any) -> dict[str, object]:
    """What a choice says; state that came wrapped is taken out, marks without state left out."""
    found = said(choice)
    states = []
    for origin, sealed in found["states"]:  # type: ignore[attr-defined]
        foreign = state.unwrap(sealed.partition(":")[2]) if origin == state.OPENAI else None
        states.append(foreign or (origin, sealed))
    return {**found, "states": [one for one in states if one[1]]}


@given(answers(usages=st.none() | counts("cache_read", "cache_write", "reasoning", "image_output")))
def test_what_is_written_is_read_back(events: list[Event]) -> None:
    """Streamed and whole; also where calls come interleaved, or state between them."""
    out, response = written(events)
    asked, got = fold(events), fold(read(out))

    assert unwrapped(asked.choices[0]) == unwrapped(got.choices[0])
    assert asked.usage == got.usage
    assert got == fold(parse_reply(response))
    whole = fold(parse_reply(render_reply(events, CALL)))
    assert unwrapped(asked.choices[0]) == unwrapped(whole.choices[0])


@given(answers())
def test_every_stream_is_well_formed(events: list[Event]) -> None:
    """Numbers without gaps; items announced in order, each closed once, as the response has it."""
    found = documents(written(events)[0])
    added = [one for one in found if one["type"] == "response.output_item.added"]
    done = [one for one in found if one["type"] == "response.output_item.done"]

    assert list(range(len(found))) == [one["sequence_number"] for one in found]
    assert ["response.created", "response.in_progress"] == [one["type"] for one in found[:2]]
    assert list(range(len(added))) == [one["output_index"] for one in added]
    closed = sorted(done, key=lambda one: one["output_index"])
    assert [one["item"] for one in closed] == found[-1]["response"]["output"]
    assert [one["item"]["id"] for one in added] == [one["item"]["id"] for one in closed]
    for one in found:
        if "item_id" in one:
            assert added[one["output_index"]]["item"]["id"] == one["item_id"]
    ids = [one["item"]["id"] for one in added if one["item"]["type"] != "reasoning"]
    assert len(set(ids)) == len(ids)


@given(answers())
def test_pieces_add_up_to_what_closes_them(events: list[Event]) -> None:
    """For each part the deltas, its closing event and the item agree."""
    pieces: dict[tuple[Any, ...], str] = {}
    for one in documents(written(events)[0]):
        kind = one["type"].removeprefix("response.")
        base, _, step = kind.rpartition(".")
        place = (base, one.get("item_id"), one.get("content_index"))
        if step == "delta":
            pieces[place] = pieces.get(place, "") + one["delta"]
        elif step == "done" and place in pieces:
            whole = one.get("text", one.get("arguments", one.get("refusal")))
            assert pieces.pop(place) == whole
    assert {} == pieces


def test_a_stream_says_all_events_of_the_format() -> None:
    """Reasoning with a summary, a message with a citation, a call: each begun and ended."""
    page = Citation(url="https://a.example", title="A", start=0, end=2)
    out, _ = written(
        [
            Started(id="x", created=9, model="m-1"),
            Reasoning(text="hm"),
            Text(text="Hi"),
            Cited(citation=page),
            ToolCall(index=0, id="call_1", name="f", arguments='{"a"'),
            ToolCall(index=0, arguments=":1}"),
            Finished(reason="tool_calls"),
            UsageReported(usage=Usage(input=3, cache_read=1, output=4, reasoning=2)),
        ]
    )
    found = documents(out)

    assert [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ] == [one["type"].removeprefix("response.") for one in found]
    flat = {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    assert {"type": "url_citation", **flat, "url_citation": flat} == found[11]["annotation"]
    last = found[-1]["response"]
    assert ("resp_c1", 9, "m-1", "completed") == tuple(
        last[name] for name in ("id", "created_at", "model", "status")
    )
    assert {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 7,
    } == last["usage"]


def test_text_leaves_at_once() -> None:
    """One event in, bytes out, with the text in them."""
    writer = encoder(CALL)
    for text in ("one", "two", "three"):
        assert json.dumps(text).encode() in writer.feed([Text(text=text)])


def test_calls_that_come_interleaved_stay_open_side_by_side() -> None:
    """A piece of the first after the second began is not lost; complete calls close at once."""
    open_calls: list[Event] = [
        ToolCall(index=0, id="a", name="f", arguments='{"x"'),
        ToolCall(index=1, id="b", name="g", arguments="{}"),
        ToolCall(index=0, arguments=":1}"),
        ToolCall(index=2, id="c", name="h", arguments="{}"),
        Finished(reason="tool_calls"),
    ]
    found = documents(written(open_calls)[0])

    output = found[-1]["response"]["output"]
    assert ['{"x":1}', "{}", "{}"] == [item["arguments"] for item in output]
    order = [one["type"].rpartition(".")[2] for one in found if "output_item" in one["type"]]
    assert ["added", "added", "done", "done", "added", "done"] == order


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_status_says_why_it_ended(reason: Any, status: str, details: Any) -> None:
    """In the last event's name, in the response and in the item that was cut short."""
    found = documents(written([Text(text="a"), Finished(reason=reason)])[0])
    response = found[-1]["response"]

    assert f"response.{status}" == found[-1]["type"]
    assert (status, details) == (response["status"], response["incomplete_details"])
    assert status == response["output"][0]["status"]


@pytest.mark.parametrize("events", [[], [Text(text="")], [Finished(reason="stop")]])
def test_an_answer_of_nothing_is_an_empty_message(events: list[Event]) -> None:
    """Clients read the first item."""
    [item] = json.loads(written(events)[1])["output"]

    text = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    assert [text] == item["content"]


def test_nothing_follows_a_failure() -> None:
    """The error in the format's own event, numbered; no end, no response to keep."""
    writer = encoder(CALL)
    out = writer.feed([Text(text="a"), Failed(error=Cut("It broke.")), Text(text="b")])
    found = documents(out)

    assert b"" == writer.feed([Finished(reason="stop")]) + writer.close() == writer.response
    assert {
        "type": "error",
        "code": "upstream_error",
        "message": "It broke.",
        "param": None,
        "sequence_number": len(found) - 1,
    } == found[-1]


def test_errors_outside_the_encoder() -> None:
    """In the envelope of the public API; in a stream as the format's event."""
    error = Overloaded("Full.")
    body = json.loads(render_error(error))["error"]
    [event] = documents(render_stream_error(error))

    assert {"message": "Full.", "type": "server_error", "code": "model_overloaded"} == body
    assert ("error", "model_overloaded", "Full.") == (
        event["type"],
        event["code"],
        event["message"],
    )


def test_native_state_comes_in_the_formats_own_place() -> None:
    """With the id it was made under, whole and where it comes before the text of the item."""
    own = Reasoning(state="rs_9:gAAA==", origin=state.OPENAI)
    item = {"type": "reasoning", "id": "rs_9", "summary": [], "encrypted_content": "gAAA=="}

    assert [item] == json.loads(written([own, Finished(reason="stop")])[1])["output"]
    shown: list[Event] = [Reasoning(text="hm", origin=state.OPENAI), own, Finished(reason="stop")]
    [whole] = json.loads(render_reply(shown, CALL))["output"]
    assert {**item, "summary": [{"type": "summary_text", "text": "hm"}]} == whole
    assert (ReasoningPart(text="hm", state="rs_9:gAAA==", origin=state.OPENAI),) == fold(
        parse_reply(render_reply(shown, CALL))
    ).choices[0].parts


@pytest.mark.parametrize("sealed", ["sig==", ""])
@pytest.mark.parametrize("origin", [state.ANTHROPIC, state.GEMINI, state.OPENAI_CHAT])
def test_foreign_state_is_carried_wrapped(origin: str, sealed: str) -> None:
    """Also the mark of reasoning that has an origin and no state."""
    events: list[Event] = [Reasoning(text="hm", origin=origin), Text(text="a")]
    if sealed:
        events.insert(1, Reasoning(state=sealed, origin=origin))
    item = json.loads(written([*events, Finished(reason="stop")])[1])["output"][0]

    assert (origin, sealed) == state.unwrap(item["encrypted_content"])


def test_state_after_shown_text_keeps_the_id_it_was_made_under() -> None:
    """A stream has announced its own id by then, so the state goes wrapped, id and all."""
    events: list[Event] = [
        Reasoning(text="hm"),
        Reasoning(state="rs_9:gAAA==", origin=state.OPENAI),
        Finished(reason="stop"),
    ]
    [item] = json.loads(written(events)[1])["output"]

    assert (state.OPENAI, "rs_9:gAAA==") == state.unwrap(item["encrypted_content"])


def test_pictures_come_as_the_formats_own_tool_brings_them() -> None:
    """Whole; sounds have no place."""
    events: list[Event] = [
        Media(part=MediaPart(kind="image", data="AAAA", mime="image/webp")),
        Media(part=MediaPart(kind="audio", data="AAAA", mime="audio/wav")),
        Finished(reason="stop"),
    ]
    [item] = json.loads(written(events)[1])["output"]

    assert ("image_generation_call", "AAAA", "webp", "completed") == tuple(
        item[name] for name in ("type", "result", "output_format", "status")
    )


def test_only_one_choice_is_written() -> None:
    """The format has no place for more."""
    events: list[Event] = [
        Text(text="a"),
        Text(text="b", choice=1),
        Finished(reason="stop"),
        Finished(reason="length", choice=1),
    ]
    answer = fold(parse_reply(written(events)[1]))

    assert (TextPart(text="a"),) == answer.choices[0].parts
    assert "stop" == answer.choices[0].reason


def test_refusal_after_text_is_another_part_of_the_message() -> None:
    """One item, its parts numbered."""
    events: list[Event] = [Text(text="a"), Refusal(text="no"), Text(text="b")]
    found = documents(written(events)[0])
    [item] = found[-1]["response"]["output"]

    assert ["output_text", "refusal", "output_text"] == [part["type"] for part in item["content"]]
    assert [0, 1, 2] == [
        one["content_index"] for one in found if one["type"].endswith("content_part.added")
    ]


def test_what_is_repeated_of_a_request_may_have_lines() -> None:
    """People send JSON that people can read: a tool whose schema is spread over lines."""
    tool = b'{"type": "function",\r\n "name": "f",\n\n "parameters": {"a":\n {\n}}}'
    request = parse(b'{"model": "m", "input": "hi", "tools": [%b]}' % tool)
    call = CallFacts(id="c", created=7, model="m", request=request)

    data, _ = written([Text(text="a"), Finished(reason="stop")], call)

    first, last = documents(data)[0], documents(data)[-1]
    assert "f" == first["response"]["tools"][0]["name"] == last["response"]["tools"][0]["name"]
