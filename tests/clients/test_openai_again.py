"""The unmodified `openai` SDK asks again: by a key that its user sets, or by its own retries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.clients.gateway import UNLIMITED, Gateway, running

FEW = 8
MANY = 400
KEY = {"Idempotency-Key": "order-4711"}


@pytest.fixture(scope="module")
def recognising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that looks for the retries of SDKs."""
    folder: Path = tmp_path_factory.mktemp("recognising")
    with running(folder, {**UNLIMITED, "APERTURA_RECOGNISE_RETRIES": "on"}) as started:
        yield started


def calls(gateway: Gateway, key: str) -> int:
    """How many calls the key has made."""
    return gateway.get("/token/usage", key)["data"]["total_requests"]


def test_a_key_gets_the_same_answer(gateway: Gateway, question) -> None:
    """Whole and streamed, with the id of the first; one call each."""
    _, own = gateway.new_key()
    with OpenAI(base_url=gateway.base_url, api_key=own) as client:
        asked = {"model": gateway.model, "messages": question, "max_tokens": FEW}
        create = client.chat.completions.with_raw_response.create
        first, again = [create(**asked, extra_headers=KEY) for _ in range(2)]
        assert first.content == again.content
        assert first.headers["x-request-id"] == again.headers["x-request-id"]
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"

        keyed = {**asked, "stream": True, "extra_headers": {"Idempotency-Key": "order-4712"}}
        streams = [list(client.chat.completions.create(**keyed)) for _ in range(2)]
        assert streams[0] == streams[1]
        assert streams[0][-1].choices[0].finish_reason in ("stop", "length")

        with pytest.raises(openai.BadRequestError) as refused:
            create(**{**asked, "max_tokens": FEW + 1}, extra_headers=KEY)
        assert refused.value.code == "idempotency_key_reused"


def test_its_own_retries_are_recognised(recognising: Gateway, question) -> None:
    """It gives up waiting again and again, and gets the answer of its first attempt: one call."""
    _, own = recognising.new_key()
    with OpenAI(base_url=recognising.base_url, api_key=own, timeout=0.2, max_retries=30) as client:
        answer = client.chat.completions.with_raw_response.create(
            model=recognising.model, messages=question, max_tokens=MANY
        )
    assert answer.retries_taken > 0
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.parse().choices[0].message.content
    assert calls(recognising, own) == 1
