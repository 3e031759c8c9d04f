"""Behaviour of the response object: what it repeats of the request."""

from __future__ import annotations

import json

from apertura.wire.dialect import CallFacts
from apertura.wire.events import Text
from apertura.wire.openai_responses import encoder, parse, render_reply

CALL = CallFacts(id="c1", created=7, model="asked-for")

REQUIRED = {
    "id",
    "object",
    "created_at",
    "error",
    "incomplete_details",
    "instructions",
    "model",
    "tools",
    "output",
    "parallel_tool_calls",
    "metadata",
    "tool_choice",
    "temperature",
    "top_p",
}
"""What the published schema of a response requires."""


def test_the_response_has_all_that_the_schema_requires() -> None:
    """Also where nothing is known of the request; the time is a whole number."""
    for response in (
        json.loads(render_reply([Text(text="a")], CALL)),
        begun(),
    ):
        assert set(response) >= REQUIRED
        assert isinstance(response["created_at"], int)
        assert (1.0, "auto", [], {}) == tuple(
            response[name] for name in ("temperature", "tool_choice", "tools", "metadata")
        )


def test_the_response_repeats_the_request() -> None:
    """In the format's own form, whatever form it was asked in."""
    request = parse(
        json.dumps(
            {
                "model": "m",
                "input": "hi",
                "instructions": "Be brief.",
                "max_tokens": 50,
                "temperature": 0.5,
                "metadata": {"a": "b"},
                "store": True,
                "previous_response_id": "resp_0",
                "user": "u-1",
                "service_tier": "auto",
                "reasoning": {"effort": "low", "generate_summary": "auto"},
                "text": {"verbosity": "concise"},
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
                },
                "tools": [
                    {"type": "function", "function": {"name": "f", "description": "d"}},
                    {"type": "web_search"},
                ],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            }
        ).encode()
    )
    call = CallFacts(id="c1", created=7, model="m", request=request)
    response = json.loads(render_reply([Text(text="a")], call))

    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    function = {"type": "function", "name": "f", "description": "d", "strict": False}
    expected = {
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "temperature": 0.5,
        "top_p": 1.0,
        "metadata": {"a": "b"},
        "store": True,
        "previous_response_id": "resp_0",
        "user": "u-1",
        "service_tier": "default",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": schema},
        "tools": [
            {**function, "parameters": {"type": "object", "properties": {}}},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "function", "name": "f"},
    }
    assert expected == {name: response[name] for name in expected}


def begun() -> dict[str, object]:
    """The response as a stream announces it."""
    data = encoder(CALL).feed([Text(text="a")]).split(b"\n")[1]
    found: dict[str, object] = json.loads(data.removeprefix(b"data: "))["response"]
    return found
