"""Webhooks are checked as Stripe's own library checks them, and nothing strange is read."""

from __future__ import annotations

import contextlib
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from apertura.payments.base import BadSignature
from apertura.payments.manual import RANDOM_BYTES, digest_of, mint_code
from apertura.payments.stripe_events import KINDS, check, read_message, sign

SECRET = "whsec_test"


@given(st.text(), st.sampled_from(["fits", "other secret", "other body", "old"]))
def test_a_signature_is_good_here_if_it_is_there(text: str, how: str) -> None:
    """The library is the oracle; its clock is the system's, so ours is too."""
    body, now = text.encode("utf-8", "replace"), int(time.time())
    header = sign(
        "whsec_x" if how == "other secret" else SECRET,
        body + b"x" if how == "other body" else body,
        now - 400 if how == "old" else now,
    )
    try:
        WebhookSignature.verify_header(body.decode(), header, SECRET, 300)
        theirs = True
    except SignatureVerificationError:
        theirs = False
    try:
        check(SECRET, body, header, now=now)
        ours = True
    except BadSignature:
        ours = False

    assert (ours, theirs) == (how == "fits", how == "fits")


@given(st.text(max_size=60))
def test_any_header_is_refused_and_not_more(header: str) -> None:
    with pytest.raises(BadSignature):
        check(SECRET, b"{}", header, now=1)


@given(
    st.sampled_from(KINDS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "metadata",
                        "amount",
                        "status",
                        "parent",
                        "lines",
                        "data",
                        "payment",
                        "mode",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
)
def test_strange_objects_are_values_or_nothing(kind: str, value: object) -> None:
    """Signed, but of another shape than expected: refused as a ValueError at most."""
    thing = value if isinstance(value, dict) else {"metadata": value}
    body = {"id": "evt_1", "type": kind, "data": {"object": thing}}
    with contextlib.suppress(ValueError):
        read_message(msgspec.json.encode(body))


def test_a_code_is_found_however_it_is_typed() -> None:
    code = mint_code(bytes(range(RANDOM_BYTES)))

    assert digest_of(code, b"p") == digest_of(f" {code.lower().replace('-', ' ')} ", b"p")
    assert digest_of(code, b"p") != digest_of(code, b"q")
    assert len(code.split("-")) == 7
