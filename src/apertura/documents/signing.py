"""Signatures under receipts: Ed25519 (RFC 8032), with a key derived from the root secret.

What it is not: what is signed (`domain.receipts`). The rule that keeps it honest: the private key
is never written anywhere, and a verification needs the public one alone.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from apertura.domain.secrets import derive

PURPOSE = "receipt signature v1"
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Signer:
    """The installation's own key."""

    def __init__(self, root_secret: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(derive(root_secret, PURPOSE))
        self.public = self._key.public_key().public_bytes_raw()
        """32 bytes."""

    def sign(self, data: bytes) -> bytes:
        """64 bytes, always the same for the same data."""
        return self._key.sign(data)


def key_id(public: bytes) -> str:
    """The name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def is_genuine(public: bytes, data: bytes, signature: bytes) -> bool:
    """Whether this key signed these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
