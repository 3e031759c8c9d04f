"""Behaviour of the exception tree: the contract's table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apertura import errors
from apertura.errors import AperturaError
from apertura.wire import openai_chat

# The contract: status and type of each.
TABLE = {
    "BadRequest": (400, "invalid_request_error", "invalid_request"),
    "ContentPolicy": (400, "content_policy_error", "content_policy_violation"),
    "AuthenticationFailed": (401, "authentication_error", "invalid_api_key"),
    "PaymentRequired": (402, "billing_error", "insufficient_balance"),
    "Forbidden": (403, "permission_error", "access_denied"),
    "NotFound": (404, "invalid_request_error", "endpoint_not_found"),
    "MethodNotAllowed": (405, "invalid_request_error", "method_not_allowed"),
    "BudgetSpent": (408, "timeout", "request_timeout"),
    "Repeated": (409, "invalid_request_error", "idempotency_in_progress"),
    "TooLarge": (413, "invalid_request_error", "request_too_large"),
    "RateLimited": (429, "rate_limit_error", "rate_limit_exceeded"),
    "Internal": (500, "server_error", "internal_error"),
    "UpstreamFailed": (502, "server_error", "upstream_error"),
    "Unreachable": (502, "server_error", "upstream_error"),
    "Cut": (502, "server_error", "upstream_error"),
    "Garbled": (502, "server_error", "upstream_error"),
    "Stalled": (502, "server_error", "upstream_error"),
    "Unavailable": (503, "server_error", "service_unavailable"),
    "Overloaded": (503, "server_error", "model_overloaded"),
}


def tree(root: type[AperturaError] = AperturaError) -> Iterator[type[AperturaError]]:
    """All classes below the root that `errors` defines."""
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from tree(kind)


def test_the_tree_is_the_contract() -> None:
    """Status, type and code of every class, and no class besides."""
    assert {k.__name__: (k.status, k.type, k.default_code) for k in tree()} == TABLE


def test_every_error_is_explained_and_drawn() -> None:
    """Its docstring is its entry in the manual; the drawing shows it."""
    for kind in tree():
        assert (kind.__doc__ or "").strip()
        assert kind.__name__ in (errors.__doc__ or "")


def test_only_what_another_offer_may_mend_is_retryable() -> None:
    """Never what the caller did."""
    assert all(kind.retryable == (kind.status in (429, 502, 503)) for kind in tree())


@pytest.mark.parametrize("kind", list(tree()))
def test_an_error_has_what_replies_need(kind: type[AperturaError]) -> None:
    """A message, a code of its own if given, no parameter or header unless given."""
    plain = kind("what happened")
    full = kind("what happened", code="odd", param="model", headers={"Retry-After": "1"})

    assert (plain.message, str(plain), plain.code) == ("what happened",) * 2 + (kind.default_code,)
    assert (plain.param, plain.headers) == (None, {})
    assert (full.code, full.param, full.headers) == ("odd", "model", {"Retry-After": "1"})


def test_the_envelope_is_the_public_one() -> None:
    """`param` stands only where one is at fault."""
    plain = openai_chat.render_error(errors.BadRequest("bad"), call_id="req_1")
    named = openai_chat.render_error(errors.BadRequest("bad", param="n"), call_id="req_1")

    begin = b'{"error":{"message":"bad","type":"invalid_request_error","code":"invalid_request"'
    assert plain == begin + b"}}"
    assert named == begin + b',"param":"n"}}'
