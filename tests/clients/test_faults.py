"""When a provider fails in the midst of a stream: no client may take a part for the whole.

No SDK notices a stream that merely ends early, so it is ours to say so, in each client's own way;
where it fails before that, the caller gets a status.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors, types
from openai import OpenAI

from tests.clients.gateway import Gateway
from tests.clients.matrix import HELLO
from tests.simulator.simulators import KINDS, Place, missing, model

if _why := missing("llmock"):
    pytest.skip(_why, allow_module_level=True)

FAULTS = ("truncate", "disconnect", "malformed")
CONTENT_AFTER = {
    "openai_chat": 2,
    "openai_responses": 5,
    "anthropic_messages": 4,
    "gemini": 1,
}
"""How many events of a format there are when the first words have been said."""
ASKED: Any = [{"role": "user", "content": HELLO}]
LONG = "one two three four five six seven eight nine ten"


class Failed(Exception):
    """An event said so."""


class Script:
    """What llmock is to do next."""

    def __init__(self, place: Place) -> None:
        self._url = f"{place.origin}/_llmock"

    def then(self, *behaviors: dict[str, Any]) -> None:
        """Queue these, and forget all earlier ones."""
        self.forget()
        self._post("scenario", {"behaviors": behaviors})

    def forget(self) -> None:
        """Nothing is queued, and nothing has been asked."""
        self._post("reset", {})

    def requests(self) -> int:
        """How many requests there have been since."""
        with urllib.request.urlopen(f"{self._url}/requests", timeout=10) as reply:
            return len(json.load(reply)["requests"])

    def _post(self, path: str, body: object) -> None:
        data, head = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/{path}", data, head)
        with urllib.request.urlopen(request, timeout=10):
            pass


@pytest.fixture
def script(places: list[Place]) -> Iterator[Script]:
    """The simulator's script; empty again at the end."""
    made = Script(next(place for place in places if place.simulator == "llmock"))
    yield made
    made.forget()


@dataclass
class Clients:
    """One of each; they try once."""

    openai: OpenAI
    anthropic: Anthropic
    google: genai.Client


@pytest.fixture(scope="module")
def clients(gateway: Gateway) -> Iterator[Clients]:
    """All clients, pointed at the gateway."""
    place = types.HttpOptions(base_url=gateway.root)
    with (
        OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as one,
        Anthropic(base_url=gateway.root, api_key=gateway.key, max_retries=0) as two,
        genai.Client(api_key=gateway.key, http_options=place) as three,
    ):
        yield Clients(one, two, three)


def chat(clients: Clients, name: str) -> str:
    """Chat completions."""
    chunks = clients.openai.chat.completions.create(model=name, messages=ASKED, stream=True)
    return "".join(c.choices[0].delta.content or "" for c in chunks)


def responses(clients: Clients, name: str) -> str:
    """Responses, whose SDK hands an event of a failure to its user instead of raising it."""
    words, number = "", -1
    for event in clients.openai.responses.create(model=name, input=HELLO, stream=True):
        assert event.sequence_number > number, f"{event.type} has the wrong number"
        number = event.sequence_number
        if event.type in ("error", "response.failed"):
            raise Failed(event.type)
        words += event.delta if event.type == "response.output_text.delta" else ""
    return words


def messages(clients: Clients, name: str) -> str:
    """Messages."""
    with clients.anthropic.messages.stream(model=name, max_tokens=500, messages=ASKED) as stream:
        return stream.get_final_text()


def gemini(clients: Clients, name: str) -> str:
    """Gemini's format."""
    chunks = clients.google.models.generate_content_stream(model=name, contents=HELLO)
    return "".join(chunk.text or "" for chunk in chunks)


RAISED = {
    chat: openai.APIError,
    responses: (openai.APIError, Failed),
    messages: anthropic.APIError,
    gemini: errors.APIError,
}
CLIENTS = pytest.mark.parametrize("ask", RAISED, ids=lambda ask: ask.__name__)
DIALECTS = pytest.mark.parametrize("dialect", KINDS)


@CLIENTS
@DIALECTS
@pytest.mark.parametrize("kind", FAULTS)
def test_fault_after_the_first_words(
    clients: Clients, script: Script, ask: Callable[..., str], dialect: str, kind: str
) -> None:
    """The client raises; it never has half an answer for a whole one."""
    fault = {"type": "stream_fault", "kind": kind, "after_chunks": CONTENT_AFTER[dialect]}
    script.then({"type": "reply", "text": LONG}, fault)

    with pytest.raises(RAISED[ask]):
        ask(clients, model("llmock", dialect))
    assert 1 == script.requests()


@CLIENTS
@DIALECTS
@pytest.mark.parametrize("kind", ["truncate", "disconnect"])
def test_fault_before_the_first_word(
    clients: Clients, script: Script, ask: Callable[..., str], dialect: str, kind: str
) -> None:
    """The client's class of error for a provider's failure, with its status."""
    fault = {"type": "stream_fault", "kind": kind, "after_chunks": 0, "times": None}
    script.then({"type": "reply", "text": LONG, "times": None}, fault)

    with pytest.raises(RAISED[ask]) as caught:
        ask(clients, model("llmock", dialect))
    status = getattr(caught.value, "status_code", None) or caught.value.code
    assert 502 == status


@CLIENTS
@DIALECTS
@pytest.mark.parametrize(("status", "seen"), [(429, (429, 503)), (500, (502,))])
def test_refusal_by_the_provider(
    clients: Clients,
    script: Script,
    ask: Callable[..., str],
    dialect: str,
    status: int,
    seen: tuple[int, ...],
) -> None:
    """Nobody else can answer: the client hears of it in its own way, and not of our key there."""
    script.then({"type": "fail", "status": status, "times": None})

    with pytest.raises(RAISED[ask]) as caught:
        ask(clients, model("llmock", dialect))
    assert (getattr(caught.value, "status_code", None) or caught.value.code) in seen
