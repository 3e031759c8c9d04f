"""One root secret, from which all others are derived.

What it is not: where the root secret comes from (a setting). The rule that keeps it honest: each
purpose has a name of its own, and what is derived for one tells nothing of the others.
"""

from __future__ import annotations

import hashlib

KEY_DIGEST = "api key digest v1"
IDEMPOTENCY = "idempotency digest v1"
CODES = "payment code digest v1"


def derive(root: str, purpose: str) -> bytes:
    """32 bytes for a purpose: keyed BLAKE2b over its name, under the root secret's SHA-512."""
    key = hashlib.sha512(root.encode()).digest()
    return hashlib.blake2b(purpose.encode(), key=key, digest_size=32).digest()
