"""Behaviour of requests in the Messages format: what is accepted, refused by name, passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.errors import (
    AperturaError,
    AuthenticationFailed,
    BadRequest,
    BudgetSpent,
    ContentPolicy,
    Forbidden,
    Internal,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PaymentRequired,
    RateLimited,
    TooLarge,
    UpstreamFailed,
)
from apertura.wire.anthropic_messages import (
    left_out,
    parse,
    parse_count,
    render,
    render_error,
    render_stream_error,
)
from apertura.wire.anthropic_request import JSON_ONLY
from apertura.wire.anthropic_state import UNSIGNED
from apertura.wire.state import GEMINI, wrap
from tests.wire.anthropic_said import assistant, body, documents, user

TOOL = {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}


def passed(**members: Any) -> dict[str, Any]:
    """What a provider gets of such a request."""
    said: dict[str, Any] = json.loads(render(parse(body(**members)), model="m"))
    return said


def refused(**members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(body(**members))
    return caught.value


EVERYTHING: dict[str, Any] = {
    "model": "m",
    "max_tokens": 1000,
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        user({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        assistant(
            {"type": "thinking", "thinking": "…", "signature": "Eq=="},
            {"type": "redacted_thinking", "data": "R=="},
            CALL,
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srv", "content": {"type": "x"}},
        ),
        user(
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [IMAGE], "is_error": True},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "search_result", "source": "s", "title": "t", "content": []},
        ),
        {"role": "system", "content": "Mind the gap."},
    ],
    "stream": True,
    "temperature": 1,
    "top_p": 0.9,
    "top_k": 5,
    "stop_sequences": ["x"],
    "tools": [TOOL, {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "container": None,
    "context_management": {"edits": []},
    "a_member_of_tomorrow": [1],
}


def test_what_this_format_knows_passes_untouched() -> None:
    """Down to the last byte, members and blocks that we do not know included."""
    given_body = json.dumps(EVERYTHING, ensure_ascii=False, separators=(",", ":")).encode()
    request = parse(given_body)

    assert render(request, model="m") == given_body
    assert json.loads(render(request, model="other")) == {**EVERYTHING, "model": "other"}
    assert left_out(request) == ()
    assert (request.model, request.stream, request.max_output) == ("m", True, 1000)
    assert request.include_usage
    assert request.needs == {"tools", "vision", "json_schema"}
    assert request.size == len(given_body)


def test_the_smallest_request() -> None:
    """Asks for nothing special."""
    request = parse(body())

    assert (request.stream, request.max_output, request.needs) == (False, 100, frozenset())


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"model": None}, "model", "missing_parameter"),
        ({"messages": None}, "messages", "missing_parameter"),
        ({"max_tokens": None}, "max_tokens", "missing_parameter"),
        ({"model": ""}, "model", "invalid_parameter"),
        ({"messages": []}, "messages", "invalid_parameter"),
        ({"max_tokens": 0}, "max_tokens", "invalid_parameter"),
        ({"max_tokens": 2**64}, "max_tokens", "invalid_parameter"),
        ({"temperature": 1.01}, "temperature", "invalid_parameter"),
        ({"temperature": -0.1}, "temperature", "invalid_parameter"),
        ({"top_p": 1.5}, "top_p", "invalid_parameter"),
        ({"top_k": -1}, "top_k", "invalid_parameter"),
        ({"n": 2}, "n", "invalid_parameter"),
        ({"stop": ["a"] * 5}, "stop", "invalid_parameter"),
        ({"stop_sequences": "a"}, "stop_sequences", "invalid_parameter"),
        ({"presence_penalty": 3}, "presence_penalty", "invalid_parameter"),
        ({"logit_bias": {"5": 101}}, "logit_bias[...]", "invalid_parameter"),
        ({"thinking": {"type": "enabled"}}, "thinking", "invalid_parameter"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1023}},
            "thinking.budget_tokens",
            "invalid_parameter",
        ),
        ({"thinking": {"type": "loud"}}, "thinking.type", "invalid_parameter"),
        ({"output_config": {"effort": "x"}}, "output_config.effort", "invalid_parameter"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice", "invalid_parameter"),
        ({"tools": [{"name": "f"}]}, "tools[0]", "invalid_parameter"),
        ({"system": [{"type": "image"}]}, "system[0].type", "invalid_parameter"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "invalid_parameter"),
        ({"messages": [user({"type": "text"})]}, "messages[0].content[0]", "invalid_parameter"),
        ({"messages": [user({"text": "x"})]}, "messages[0].content[0].type", "missing_parameter"),
        ({"messages": [user({"type": "tool_result"})]}, "messages[0].content[0]", None),
        (
            {"messages": [user({"type": "image", "source": {"type": "base64", "data": "x"}})]},
            "messages[0].content[0].source",
            "invalid_parameter",
        ),
        ({"service_tier": "priority"}, "service_tier", "invalid_parameter"),
        ({"speed": "fast"}, "speed", "invalid_parameter"),
        ({"inference_geo": "us"}, "inference_geo", "invalid_parameter"),
        ({"compression": {"enabled": True}}, "compression", "invalid_parameter"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str, code: str | None) -> None:
    """By its place, and nothing that the caller wrote is repeated."""
    error = refused(**members)

    assert error.param == param
    assert error.code == (code or "invalid_parameter")


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_refused(said: bytes) -> None:
    """In plain words."""
    with pytest.raises(BadRequest):
        parse(said)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_refused(said: bytes) -> None:
    """And nothing else happens."""
    with pytest.raises(BadRequest):
        parse(said)


def test_an_editor_s_namespace_is_taken_off() -> None:
    """As in the other formats."""
    request = parse(body(model="apertis/m"))

    assert request.model == "m"
    assert json.loads(render(request, model="m"))["model"] == "m"


def test_a_count_needs_no_limit() -> None:
    """Everything else is checked as for an answer."""
    request = parse_count(body(max_tokens=None, tools=[TOOL]))

    assert (request.max_output, request.needs) == (None, {"tools"})
    with pytest.raises(BadRequest):
        parse_count(body(messages=[]))


# --- OpenAI's parameters -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"stop": "a"}, {"stop_sequences": ["a"]}),
        ({"stop": ["a", "b"], "stop_sequences": ["c"]}, {"stop_sequences": ["c", "a", "b"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "metadata": {"user_id": "v"}}, {"metadata": {"user_id": "v"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_object"}},
            {"system": [{"type": "text", "text": JSON_ONLY}]},
        ),
        (
            {"response_format": {"type": "json_object"}, "system": "Hi."},
            {"system": [{"type": "text", "text": "Hi."}, {"type": "text", "text": JSON_ONLY}]},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
                },
                "output_config": {"effort": "low"},
            },
            {
                "output_config": {
                    "effort": "low",
                    "format": {"type": "json_schema", "schema": {"type": "object"}},
                }
            },
        ),
        ({"n": 1, "compression": {"enabled": False}}, {}),
        ({"seed": None, "stop": None, "user": None, "response_format": None}, {}),
    ],
)
def test_openai_s_parameters_are_said_in_this_format(
    members: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A provider of this format refuses what it does not know."""
    plain = passed()
    said = passed(**members)

    assert said == {**plain, **expected}
    assert left_out(parse(body(**members))) == ()


def test_openai_s_parameters_that_this_format_lacks_are_listed() -> None:
    """Not passed on; the caller is told."""
    extras = {"seed": 5, "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"5": 1}}
    request = parse(body(**extras))

    assert json.loads(render(request, model="m")) == passed()
    assert left_out(request) == tuple(extras)


# --- Reasoning of other formats' models ------------------------------------------------------

OWN = {"type": "thinking", "thinking": "a", "signature": "Eq=="}
FOREIGN = {"type": "thinking", "thinking": "b", "signature": wrap(GEMINI, "x")}
PLAIN = {"type": "thinking", "thinking": "c", "signature": UNSIGNED}
ASK = user({"type": "text", "text": "hi"})


def test_foreign_reasoning_is_not_passed_on() -> None:
    """A provider would take it for forged; its own goes on byte for byte."""
    said = passed(messages=[ASK, assistant(FOREIGN, OWN, PLAIN, CALL), user(RESULT)])

    assert said["messages"] == [ASK, assistant(OWN, CALL), user(RESULT)]


def test_a_turn_of_foreign_reasoning_alone_is_left_out() -> None:
    """No turn may be empty."""
    assert passed(messages=[ASK, assistant(FOREIGN), ASK])["messages"] == [ASK, ASK]


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ([ASK, assistant(FOREIGN, CALL), user(RESULT)], False),
        ([ASK, assistant(FOREIGN, CALL), user(RESULT), assistant(CALL), user(RESULT)], False),
        ([ASK, assistant(FOREIGN, OWN, CALL), user(RESULT)], True),
        ([ASK, assistant(FOREIGN, CALL), user(RESULT), assistant(FOREIGN), ASK], True),
        ([ASK, assistant(FOREIGN, CALL), user(RESULT), {"role": "user", "content": "x"}], True),
    ],
)
def test_thinking_is_switched_off_where_it_would_be_refused(
    messages: list[Any], thinks: bool
) -> None:
    """Amid calls that were begun without this format's own thinking; and that is listed."""
    members = {"messages": messages, "thinking": {"type": "enabled", "budget_tokens": 1024}}

    assert ("thinking" in passed(**members)) == thinks
    assert left_out(parse(body(**members))) == (() if thinks else ("thinking",))


def test_citations_that_we_wrote_are_not_passed_on() -> None:
    """They lack what a provider keeps beside the address."""
    cite = {"type": "web_search_result_location", "url": "u", "encrypted_index": ""}
    cited = {"type": "text", "text": "a", "citations": [cite]}
    own = {"type": "text", "text": "a", "citations": [{**cite, "encrypted_index": "Eo=="}]}
    said = passed(messages=[ASK, assistant(cited, own)])

    assert said["messages"][1] == assistant({"type": "text", "text": "a"}, own)


# --- Errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), "invalid_request_error"),
        (ContentPolicy("x"), "invalid_request_error"),
        (AuthenticationFailed("x"), "authentication_error"),
        (PaymentRequired("x"), "billing_error"),
        (Forbidden("x"), "permission_error"),
        (NotFound("x"), "not_found_error"),
        (MethodNotAllowed("x"), "invalid_request_error"),
        (BudgetSpent("x"), "timeout_error"),
        (TooLarge("x"), "request_too_large"),
        (RateLimited("x"), "rate_limit_error"),
        (Internal("x"), "api_error"),
        (UpstreamFailed("x"), "api_error"),
        (Overloaded("x"), "overloaded_error"),
    ],
)
def test_errors_have_this_format_s_envelope(error: AperturaError, kind: str) -> None:
    """With our code and the call's id besides; in a stream as an event of its own."""
    said = {"type": kind, "message": "x", "code": error.code}

    assert json.loads(render_error(error, call_id="req_1")) == {
        "type": "error",
        "error": said,
        "request_id": "req_1",
    }
    assert documents(render_stream_error(error)) == [{"type": "error", "error": said}]


def test_errors_name_the_parameter() -> None:
    """Where one is at fault."""
    error = refused(temperature=2)

    assert json.loads(render_error(error))["error"]["param"] == "temperature"
