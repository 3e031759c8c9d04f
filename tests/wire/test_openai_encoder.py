"""Behaviour of answers that are written in the chat format: what a caller gets."""

from __future__ import annotations

import json

import msgspec
import pytest

from apertura.domain.usage import Usage
from apertura.errors import RateLimited
from apertura.wire.dialect import CallFacts
from apertura.wire.events import Event, Failed, Finished, Started, Text, UsageReported
from apertura.wire.openai_chat import decoder, encoder, render_reply
from tests.wire.said import documents, transcript
from tests.wire.said import sse as stream

CALL = CallFacts(id="chatcmpl-ours", created=7, model="asked-for", include_usage=True)
STARTED = Started(id="chatcmpl-1", created=1_795_000_000, model="m-1")


def decoded(data: bytes) -> list[Event]:
    """All events of a stream."""
    reader = decoder()
    return reader.feed(data) + reader.close()


def test_a_failure_is_said_within_the_stream() -> None:
    """In this dialect's form, without the marker of success."""
    writer = encoder(CALL)
    error = RateLimited("Slow down.")
    out = writer.feed([STARTED, Text(text="a"), Failed(error=error)]) + writer.close()

    assert documents(out)[-1] == {
        "error": {
            "message": "Slow down.",
            "type": "rate_limit_error",
            "code": "rate_limit_exceeded",
        }
    }
    with pytest.raises(RateLimited):
        render_reply([STARTED, Failed(error=error)], CALL)


def test_the_encoder_fills_what_a_provider_left_out() -> None:
    """One id, one time and one model per stream; the first delta has the role."""
    events = decoded(stream({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}))
    writer = encoder(CALL)
    first, last, done = documents(writer.feed(events) + writer.close())

    shared = {
        "id": "chatcmpl-ours",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "asked-for",
    }
    delta = {"role": "assistant", "content": "a"}
    assert first == {**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    assert last == {**shared, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    assert done == b"[DONE]"
    whole = json.loads(render_reply(events, CALL))
    assert {name: whole[name] for name in ("id", "created", "model")} == {
        "id": "chatcmpl-ours",
        "created": 7,
        "model": "asked-for",
    }


def test_usage_is_for_those_who_asked() -> None:
    """As the last chunk, without choices."""
    counted = UsageReported(usage=Usage(input=9, cache_read=2, output=4, reasoning=1))
    asked, did_not = encoder(CALL), encoder(msgspec.structs.replace(CALL, include_usage=False))

    assert did_not.feed([counted]) == b""
    (found,) = documents(asked.feed([counted]))
    assert found["choices"] == []
    assert found["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0},
    }


def test_each_tool_call_is_one_delta() -> None:
    """Complete with index, id, type, name and arguments: all clients read that the same."""
    writer = encoder(CALL)
    found = documents(writer.feed(decoded(transcript("written-tool-calls.sse"))))
    deltas = [c["choices"][0]["delta"] for c in found if c["choices"]]

    assert [delta["tool_calls"] for delta in deltas if "tool_calls" in delta] == [
        [
            {
                "index": 0,
                "id": "call_a",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
            }
        ],
        [
            {
                "index": 1,
                "id": "call_b",
                "type": "function",
                "function": {"name": "time", "arguments": '{"zone":"C\\u00c9T ☀"}'},
            }
        ],
    ]


def test_a_refusal_and_silence_have_their_places() -> None:
    """A whole reply says null where there is no text beside a refusal or a call."""
    refused = json.loads(render_reply(decoded(transcript("written-refusal.sse")), CALL))
    message = refused["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I cannot help with that.")

    empty = json.loads(render_reply([STARTED, Finished(reason="stop")], CALL))
    assert empty["choices"][0]["message"] == {"role": "assistant", "content": "", "refusal": None}
