"""Behaviour of callers and of derived secrets."""

from __future__ import annotations

import pytest

from apertura.domain import secrets
from apertura.domain.identity import Caller
from apertura.domain.keys import KeyId, KeyPolicy, OrgId


def test_a_caller_cannot_be_widened() -> None:
    """It is made from one key's record and never changes."""
    caller = Caller(key_id=KeyId("k"), org_id=OrgId("o"), key_name="n", policy=KeyPolicy())

    with pytest.raises(AttributeError):
        caller.org_id = OrgId("another")  # type: ignore[misc]
    with pytest.raises(AttributeError):
        caller.policy.enabled = False  # type: ignore[misc]
    assert caller.quota is None


def test_derived_secrets_are_their_own() -> None:
    """The same root and purpose give the same 32 bytes; another of either gives others."""
    made = {
        secrets.derive(root, purpose)
        for root in ("a" * 32, "b" * 32)
        for purpose in (secrets.KEY_DIGEST, "another purpose")
    }

    assert len(made) == 4
    assert {len(secret) for secret in made} == {32}
    assert secrets.derive("a" * 32, secrets.KEY_DIGEST) in made
