"""What we answer is what the providers' published schemas say, whoever is asked in truth.

Where the caller's format is the provider's own, the answer passes as the provider gave it, and its
gaps are the provider's; those pairs are left out here.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.gateway import Gateway
from tests.clients.matrix import (
    EMBEDDERS,
    FAIL,
    HELLO,
    SCRIPTED_MODELS,
    THINK,
    WEATHER,
    is_scripted,
)
from tests.clients.raw import FORMATS, Reply, ask, post
from tests.clients.schemas import errors, event_errors
from tests.simulator.simulators import KINDS, SIMULATORS, missing, model

LACKED = "is a required property"
"""What is wrong with the local model's answers in its own format, which pass as they are."""
WHOLE = {
    "openai_chat": ("openai", "CreateChatCompletionResponse"),
    "openai_responses": ("openai", "Response"),
    "anthropic_messages": ("anthropic", "Message"),
    "gemini": ("gemini", "GenerateContentResponse"),
}
LAST = {
    "openai_responses": {"response.completed", "response.incomplete"},
    "anthropic_messages": {"message_stop"},
}
"""How a stream ends, where its events have types."""
ERROR = {
    "openai_chat": ("openai", "ErrorResponse"),
    "openai_responses": ("openai", "ErrorResponse"),
    "anthropic_messages": ("anthropic", "ErrorResponse"),
}
TRANSLATED = [
    (asked, model(simulator, spoken))
    for asked in FORMATS
    for simulator in SIMULATORS
    for spoken in KINDS
    if asked != spoken
]


@pytest.fixture(params=TRANSLATED, ids="-of-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A caller's format, and a model that speaks another."""
    asked, name = request.param
    if why := missing(name.partition("-")[0]):
        pytest.skip(why)
    return asked, name


@pytest.fixture(params=[pair for pair in TRANSLATED if is_scripted(pair[1])], ids="-of-".join)
def thinker(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The same with a model that thinks."""
    if why := missing("aimock"):
        pytest.skip(why)
    return tuple(request.param)


@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_answer(gateway: Gateway, pair: tuple[str, str], tools: bool, stream: bool) -> None:
    """Words and calls of tools are valid, whole, and event by event up to the end of a stream."""
    words = WEATHER if tools else HELLO
    check(pair[0], ask(gateway, *pair, words, tools=tools, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts(gateway: Gateway, thinker: tuple[str, str], stream: bool) -> None:
    """So are thoughts."""
    check(thinker[0], ask(gateway, *thinker, THINK, think=True, stream=stream))


def check(asked: str, reply: Reply) -> None:
    """A reply is valid."""
    assert 200 == reply.status, reply.body
    found = stream_errors(asked, reply) if reply.events else errors(*WHOLE[asked], reply.body)
    assert [] == found, reply.body


def test_answers_of_the_local_model(gateway: Gateway) -> None:
    """The small real model's answers are valid in every format, also in its own."""
    for asked in FORMATS:
        for stream in (False, True):
            reply = ask(gateway, asked, gateway.model, HELLO, stream=stream, few=True)
            found = stream_errors(asked, reply) if stream else errors(*WHOLE[asked], reply.body)
            found = [error for error in found if asked != "openai_chat" or LACKED not in error]
            assert (200, []) == (reply.status, found), (asked, stream)


@pytest.mark.parametrize("asked", FORMATS)
def test_refusals(gateway: Gateway, asked: str) -> None:
    """So are our refusals, before a stream too."""
    for stream in (False, True):
        stranger = ask(gateway, asked, gateway.model, HELLO, stream=stream, key="sk-wrong")
        nameless = ask(gateway, asked, "no-such-model", HELLO, stream=stream)

        assert [401, 404] == [stranger.status, nameless.status]
        for reply in (stranger, nameless):
            assert [] == error_errors(asked, reply.body), reply.body


@pytest.mark.parametrize("asked", FORMATS)
@pytest.mark.parametrize("name", SCRIPTED_MODELS)
def test_failures_of_the_provider(gateway: Gateway, asked: str, name: str) -> None:
    """And what we make of the refusals of others."""
    if why := missing("aimock"):
        pytest.skip(why)
    reply = ask(gateway, asked, name, FAIL)

    assert reply.status in (502, 503)
    assert [] == error_errors(asked, reply.body), reply.body


@pytest.mark.parametrize("embedder", EMBEDDERS)
def test_embeddings(gateway: Gateway, embedder: str) -> None:
    """Vectors are valid, of simulators and of the local model."""
    if why := missing(embedder.partition("-")[0]):
        pytest.skip(why)
    for name in (embedder, gateway.model):
        reply = post(gateway, "/v1/embeddings", {"model": name, "input": ["A cat.", "A tree."]})
        assert [] == errors("openai", "CreateEmbeddingResponse", reply.body)


def test_count_of_tokens(gateway: Gateway) -> None:
    """So is a count of input tokens, in both formats that ask for one."""
    messages = [{"role": "user", "content": HELLO}]
    path = "/v1/messages/count_tokens"
    counted = post(gateway, path, {"model": gateway.model, "messages": messages})
    assert [] == errors("anthropic", "CountMessageTokensResponse", counted.body)

    contents = [{"role": "user", "parts": [{"text": HELLO}]}]
    path = f"/v1beta/models/{gateway.model}:countTokens"
    counted = post(gateway, path, {"contents": contents})
    assert [] == errors("gemini", "CountTokensResponse", counted.body)


def stream_errors(asked: str, reply: Reply) -> list[str]:
    """Whatever is wrong with a stream."""
    assert reply.events
    found = [error for event in reply.events for error in _of_event(asked, event)]
    if (asked == "openai_chat") != reply.marker:
        found.append("[DONE] belongs to the end of chat completions, and to no other")
    last = reply.events[-1].get("type")
    if last not in LAST.get(asked, {None}):
        found.append(f"the last event is {last!r}")
    return found


def _of_event(asked: str, event: dict[str, Any]) -> list[str]:
    if asked == "openai_chat":
        return errors("openai", "CreateChatCompletionStreamResponse", event)
    if asked == "openai_responses":
        return event_errors("openai", "ResponseStreamEvent", event)
    if asked == "anthropic_messages":
        return (
            []
            if event["type"] == "ping"
            else event_errors("anthropic", "MessageStreamEvent", event)
        )
    return errors("gemini", "GenerateContentResponse", event)


def error_errors(asked: str, body: Any) -> list[str]:
    """Whatever is wrong with a refusal; Google publishes no schema of its own."""
    if asked in ERROR:
        error = {"param": None, **body["error"]}  # ours is there where a parameter is at fault
        return errors(*ERROR[asked], {**body, "error": error})
    error = body["error"]
    right = (
        type(error["code"]) is int
        and type(error["message"]) is str
        and error["status"] == error["status"].upper()
    )
    return [] if right else [f"no error of Google's: {body}"]
