"""The cost in a reply, read by unmodified SDKs: a member more than they know, where they keep such.

What each says must be what `GET /v1/token/usage` has grown by, to the nano-dollar.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import OpenAI

from tests.clients.gateway import Gateway
from tests.clients.matrix import EMBEDDERS, HELLO, check_words
from tests.simulator.simulators import missing

ASKED = {"X-Include-Cost": "true"}
WISHES = [{"usage": {"include": True}}, {"stream_options": {"include_cost": True}}]
NANO = 1_000_000_000


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    """A key of their own."""
    return gateway.new_key()[1]


@pytest.fixture
def openai(gateway: Gateway, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture
def anthropic(gateway: Gateway, key: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.root, api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture
def google(gateway: Gateway, key: str) -> Iterator[genai.Client]:
    place = types.HttpOptions(base_url=gateway.root, api_version="v1beta", headers=ASKED)
    with genai.Client(api_key=key, http_options=place) as made:
        yield made


def spent(gateway: Gateway, key: str) -> int:
    """What the key has spent, in nano-dollars."""
    return round(gateway.get("/token/usage", key)["data"]["used_quota_usd"] * NANO)


class Told:
    """What replies said that they cost, in nano-dollars."""

    def __init__(self) -> None:
        self.costs: list[int] = []

    def of(self, usage: Any) -> None:
        """A report of usage, as an SDK shows it."""
        self.costs.append(round((usage.model_extra or {})["cost"] * NANO))


@contextmanager
def billed(gateway: Gateway, key: str, calls: int) -> Iterator[Told]:
    """Calls that each say the same cost; together it is what the key has spent meanwhile."""
    before, told = spent(gateway, key), Told()
    yield told
    assert len(told.costs) == calls
    assert len(set(told.costs)) == 1 and told.costs[0] > 0
    assert sum(told.costs) == spent(gateway, key) - before


def question(words: str = HELLO) -> Any:
    return [{"role": "user", "content": words}]


def test_openai_chat(openai: OpenAI, gateway: Gateway, key: str, scripted: str) -> None:
    """Asked for in the body in both ways, and by header."""
    create: Any = openai.chat.completions.create
    more = {"model": scripted, "messages": question()}
    with billed(gateway, key, 6) as told:
        for wish in WISHES:
            told.of(create(**more, extra_body=wish).usage)
            *chunks, last = create(**more, stream=True, extra_body=wish)
            assert last.choices == [] and all(chunk.choices for chunk in chunks)
            told.of(last.usage)
        answer = openai.chat.completions.with_raw_response.create(**more, extra_headers=ASKED)
        told.of(answer.parse().usage)
        assert round(float(answer.headers["x-cost-usd"]) * NANO) == told.costs[0]
        with openai.chat.completions.stream(**more, extra_headers=ASKED) as stream:
            told.of(stream.get_final_completion().usage)


def test_openai_completions(openai: OpenAI, gateway: Gateway, key: str, scripted: str) -> None:
    more: Any = {"model": scripted, "prompt": HELLO, "extra_body": WISHES[0]}
    with billed(gateway, key, 2) as told:
        told.of(openai.completions.create(**more).usage)
        *_, last = openai.completions.create(**more, stream=True)
        told.of(last.usage)


def test_openai_responses(openai: OpenAI, gateway: Gateway, key: str, scripted: str) -> None:
    more: Any = {"model": scripted, "input": HELLO}
    with billed(gateway, key, 3) as told:
        told.of(openai.responses.create(**more, extra_body=WISHES[0]).usage)
        *_, last = openai.responses.create(**more, stream=True, extra_body=WISHES[1])
        assert last.type == "response.completed"
        told.of(last.response.usage)
        with openai.responses.stream(**more, extra_headers=ASKED) as stream:
            told.of(stream.get_final_response().usage)


def test_anthropic(anthropic: Anthropic, gateway: Gateway, key: str, scripted: str) -> None:
    more: Any = {"model": scripted, "max_tokens": 2_000, "messages": question()}
    more["extra_headers"] = ASKED
    with billed(gateway, key, 2) as told:
        told.of(anthropic.messages.create(**more).usage)
        with anthropic.messages.stream(**more) as stream:
            deltas = [event for event in stream if event.type == "message_delta"]
            words = stream.get_final_text()
        told.of(deltas[-1].usage)
    check_words(scripted, HELLO, words)


def test_google(google: genai.Client, gateway: Gateway, key: str, scripted: str) -> None:
    """This SDK drops what it does not know of usage, and shows the body as it came."""
    before = spent(gateway, key)
    whole = google.models.generate_content(model=scripted, contents=HELLO)
    streamed = list(google.models.generate_content_stream(model=scripted, contents=HELLO))
    cost = whole.sdk_http_response.headers["x-cost-usd"]

    check_words(scripted, HELLO, whole.text)
    check_words(scripted, HELLO, "".join(chunk.text or "" for chunk in streamed))
    assert streamed[-1].usage_metadata.candidates_token_count > 0
    assert 2 * round(float(cost) * NANO) == spent(gateway, key) - before


@pytest.mark.parametrize("embedder", EMBEDDERS)
def test_embeddings(openai: OpenAI, gateway: Gateway, key: str, embedder: str) -> None:
    if why := missing(embedder.partition("-")[0]):
        pytest.skip(why)
    wishes: list[Any] = [{"extra_body": WISHES[0]}, {"extra_headers": ASKED}]
    with billed(gateway, key, 2) as told:
        for wish in wishes:
            found: Any = openai.embeddings.create(model=embedder, input="Hello", **wish)
            told.of(found.usage)
