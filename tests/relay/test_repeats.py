"""What is said to who asks again and gets no reply: what became of the first call, and what now."""

from __future__ import annotations

from typing import Any

import pytest

from apertura.errors import AperturaError
from apertura.relay.repeats import reply_of
from apertura.store.idempotency import Earlier, Record, Reply, is_free

REPLY = Reply(status=200, streamed=False, head=b"", body=b"{}")


def earlier(**fields: Any) -> Earlier:
    given = {"body": "b", "call_id": "req_1", "worker": "here/1", "started_ms": 1}
    return Earlier(**{"outcome": "answered", **given, **fields})


def refusal(**fields: Any) -> AperturaError:
    with pytest.raises(AperturaError) as raised:
        reply_of(earlier(**fields), "b")
    return raised.value


def test_a_call_that_was_paid_in_dollars() -> None:
    error = refusal(cost=52_500)
    assert (error.status, error.code) == (409, "idempotency_result_gone")
    assert error.headers == {
        "X-Original-Request-Id": "req_1",
        "X-Cost-USD": "0.0000525",
        "X-Should-Retry": "false",
    }
    assert "req_1" in error.message
    assert "0.0000525 USD" in error.message


def test_a_call_that_a_plan_paid_for() -> None:
    error = refusal(credits=1_500)
    assert (error.headers["X-Cost-USD"], error.headers["X-Credits"]) == ("0.00", "1.50")
    assert "1.50 credits" in error.message


def test_a_call_of_which_nobody_knows_the_end() -> None:
    error = refusal(outcome=None)
    assert (error.status, error.code) == (409, "idempotency_in_progress")
    assert error.headers == {"Retry-After": "1", "X-Original-Request-Id": "req_1"}


def test_another_request() -> None:
    """Whether or not there would be a reply."""
    for reply in (None, REPLY):
        error = refusal(body="other", reply=reply)
        assert (error.status, error.code) == (400, "idempotency_key_reused")


def test_a_stored_reply_is_given_even_before_the_call_is_in_the_books() -> None:
    assert reply_of(earlier(outcome=None, reply=REPLY), "b") is REPLY


def test_a_key_that_a_plan_paid_for_is_used_up() -> None:
    record = Record(
        org_id="o", name="n", body="b", call_id="req_2", key_id="k", worker="here/1", started_ms=2
    )
    assert not is_free(earlier(outcome="cut", credits=1), record)
    assert is_free(earlier(outcome="cut"), record)
