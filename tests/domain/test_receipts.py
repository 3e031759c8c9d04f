"""Laws of receipts: what is signed is what is said, and nothing else passes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.documents.signing import Signer, is_genuine, key_id
from apertura.domain.receipts import (
    LARGEST,
    TOKENS,
    NotGenuine,
    Receipt,
    Verify,
    as_said,
    canonical,
    opened,
    receipt_of,
    signed,
)
from apertura.store.usage import UsageRow
from tests.store.examples import usage_row

SIGNER = Signer("a root secret of thirty-two bytes")
NAME = key_id(SIGNER.public)


def verify(data: bytes, signature: bytes) -> bool:
    return is_genuine(SIGNER.public, data, signature)


KEYS: dict[str, Verify] = {NAME: verify}
ROW = usage_row("req_1", cost=74_550, cache_read=32, credits=1_500, payer="plan", model="a/b:c")
GENUINE = signed(receipt_of(ROW), NAME, SIGNER.sign)

rows = st.builds(
    lambda model, cost, tokens: usage_row("req_1", model=model, cost=cost, input=tokens),
    st.text(st.characters(exclude_categories=("Cs",))),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**40),
)


@given(rows)
def test_what_is_signed_is_opened(row: UsageRow) -> None:
    """Whatever the call was."""
    receipt = receipt_of(row)

    assert opened(signed(receipt, NAME, SIGNER.sign), KEYS) == as_said(receipt)


def test_a_receipt_says_what_a_call_used_and_cost() -> None:
    """In text and whole numbers only."""
    said = as_said(receipt_of(ROW))

    assert said["call"] == "req_1"
    assert (said["organization"], said["key"], said["model"]) == ("org_1", "key_1", "a/b:c")
    assert (said["cost"], said["credits"], said["payer"]) == (74_550, 1_500, "plan")
    assert said["usage"] == {name: getattr(ROW, name) for name in TOKENS}
    assert (said["streamed"], said["estimated"]) == (1, 0)
    assert set(said) == set(Receipt.__struct_fields__)


def test_canonical_bytes_are_written_down() -> None:
    """So that others can make them: keys in order, no spaces, text as it is."""
    value = {"b": 'é\n"', "a": {"z": -1, "y": 0}}

    assert canonical(value) == '{"a":{"y":0,"z":-1},"b":"é\\n\\""}'.encode()


@pytest.mark.parametrize("value", [1.5, True, None, ["a"], 2**63, "\ud800", {"a": 0.0}])
def test_other_values_have_no_canonical_bytes(value: Any) -> None:
    """Nothing that two programs might write in two ways."""
    with pytest.raises(NotGenuine):
        canonical({"a": value})


def test_any_flipped_bit_fails() -> None:
    """Each bit of the whole file."""
    for place in range(len(GENUINE)):
        for bit in range(8):
            changed = bytearray(GENUINE)
            changed[place] ^= 1 << bit
            with pytest.raises(NotGenuine):
                opened(bytes(changed), KEYS)


def test_layout_does_not_matter() -> None:
    """Only what is said is signed."""
    pretty = json.dumps(dict(reversed(json.loads(GENUINE).items())), indent=4).encode()

    assert opened(pretty, KEYS) == opened(GENUINE, KEYS)


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(GENUINE), **fields}).encode()


OTHERS = {
    "nothing": b"",
    "no JSON": b"genuine",
    "no text": b"\xff\xfe",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "long": GENUINE + b" " * LARGEST,
    "another field": changed(more=1),
    "no signature": json.dumps({"receipt": {}, "algorithm": "Ed25519", "key": NAME}).encode(),
    "another algorithm": changed(algorithm="none"),
    "a short signature": changed(signature="00"),
    "capital letters": changed(signature=json.loads(GENUINE)["signature"].upper()),
    "another key": changed(key="0" * 16),
    "a key that is no text": changed(key=1),
    "no receipt": changed(receipt="text"),
    "an empty one": changed(receipt={}),
    "a number that is none": GENUINE.replace(b'"cost":74550', b'"cost":NaN'),
    "an equal number in another form": GENUINE.replace(b'"cost":74550', b'"cost":74550.0'),
    "a field twice": GENUINE.replace(b'"cost":', b'"cost":1,"cost":'),
    "a field more": changed(receipt={**json.loads(GENUINE)["receipt"], "note": "paid"}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_nothing_else_is_genuine(what: str) -> None:
    """With one sentence that says why."""
    with pytest.raises(NotGenuine, match=r"\w"):
        opened(OTHERS[what], KEYS)


def test_fields_of_later_versions_are_under_the_signature() -> None:
    """A receipt with more in it can be verified by this version."""
    said = {**as_said(receipt_of(ROW)), "version": 2, "region": "eu"}
    whole = {"algorithm": "Ed25519", "key": NAME, "receipt": said}
    whole["signature"] = SIGNER.sign(canonical(said)).hex()

    assert opened(msgspec.json.encode(whole), KEYS) == said


def test_each_installation_has_a_key_of_its_own() -> None:
    """From its root secret alone; another's signature is not taken for ours."""
    other = Signer("another root secret of 32 bytes..")

    assert Signer("a root secret of thirty-two bytes").public == SIGNER.public
    assert other.public != SIGNER.public
    with pytest.raises(NotGenuine, match="not under"):
        opened(signed(receipt_of(ROW), NAME, other.sign), KEYS)
    assert not is_genuine(b"short", b"", bytes(64))
