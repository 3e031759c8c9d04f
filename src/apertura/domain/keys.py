"""API keys: what they look like, how they are recognized, and what one allows.

A key is `sk-` (or `sk-sub-` for a subscription's, `sk-admin_` for one that manages an organization
and makes no calls) and 48 letters and digits: 12 of public id, which names the key in lists and
logs; 30 of secret, which nobody keeps; 6 check digits over all before them, so that a mistyped key
is refused without asking the database. Only a keyed digest is stored.

What it is not: where keys are kept (`store.keys`) or how a request carries one (`api.caller`). The
rule that keeps it honest: nothing here can turn a digest back into a key.
"""

from __future__ import annotations

import hashlib
import ipaddress
import zlib
from collections.abc import Iterable
from typing import NewType

import msgspec

from apertura.errors import AuthenticationFailed, BadRequest, Forbidden

KeyId = NewType("KeyId", str)
OrgId = NewType("OrgId", str)

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIXES = {"standard": "sk-", "subscription": "sk-sub-", "admin": "sk-admin_"}
_MARKS = ("sub-", "sub_", "admin_")
"""What may stand after `sk-`; of the two ways to write `sub` the first is the one we write."""
ID_LENGTH, SECRET_LENGTH, CHECK_LENGTH = 12, 30, 6
BODY_LENGTH = ID_LENGTH + SECRET_LENGTH + CHECK_LENGTH
RANDOM_BYTES = 40
"""What `mint` wants: 42 digits of base 62 are 250 bits, and some to spare against bias."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. `key` is shown once and then forgotten."""

    key: str
    id: KeyId
    last4: str


class KeyPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a key allows. Empty `models` or `networks` means all; times in ms since 1970."""

    enabled: bool = True
    org_active: bool = True
    expires_at: int | None = None
    models: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    scopes: frozenset[str] = frozenset()
    """What an admin key may manage; see `check_scope`. Empty means all, as above."""


def mint(randomness: bytes, kind: str = "standard") -> Minted:
    """A key from `RANDOM_BYTES` bytes of randomness."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a key needs {RANDOM_BYTES} bytes of randomness")
    body = _base62(int.from_bytes(randomness, "big"), ID_LENGTH + SECRET_LENGTH)
    body += _check_digits(body)
    return Minted(key=PREFIXES[kind] + body, id=KeyId(body[:ID_LENGTH]), last4=body[-4:])


def mint_again(key_id: str, randomness: bytes, kind: str = "standard") -> Minted:
    """Another key of the same public id, with a secret from `RANDOM_BYTES` bytes of randomness."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a key needs {RANDOM_BYTES} bytes of randomness")
    body = key_id + _base62(int.from_bytes(randomness, "big"), SECRET_LENGTH)
    body += _check_digits(body)
    return Minted(key=PREFIXES[kind] + body, id=KeyId(key_id), last4=body[-4:])


def is_well_formed(key: str) -> bool:
    """Whether the check digits fit: a typing error passes once in 57 billion."""
    body = key[3:] if key.startswith("sk-") else ""
    mark = next((mark for mark in _MARKS if body.startswith(mark)), "")
    body = body[len(mark) :]
    if len(body) != BODY_LENGTH or not (body.isascii() and body.isalnum()):
        return False
    return _check_digits(body[:-CHECK_LENGTH]) == body[-CHECK_LENGTH:]


def masked(kind: str, key_id: str, last4: str) -> str:
    """How a key is shown in lists: enough to tell it from others."""
    return f"{PREFIXES.get(kind, 'sk-')}{key_id[:4]}…{last4}"


class Digester:
    """Digests keys under one pepper: keyed BLAKE2b-256.

    A key has 178 secret bits, so no slow hash is needed: there is nothing to guess.
    """

    def __init__(self, pepper: bytes) -> None:
        self._begun = hashlib.blake2b(b"key:", key=pepper, digest_size=32)
        # The four bytes push the pepper's own block through: each digest is then one block.

    def digest(self, key: bytes) -> bytes:
        """The digest under which a key is stored (in hex) and found."""
        if key.startswith(b"sk-sub_"):
            key = b"sk-sub-" + key[7:]
        begun = self._begun.copy()
        begun.update(key)
        return begun.digest()


def check(policy: KeyPolicy, *, address: str, now_ms: int) -> None:
    """Refuse a key that is disabled, expired, suspended, or used from elsewhere, in that order."""
    if not policy.enabled:
        raise AuthenticationFailed("This API key is disabled. Its owner can enable it again.")
    if policy.expires_at is not None and now_ms >= policy.expires_at:
        raise AuthenticationFailed("This API key has expired.", code="expired_api_key")
    if not policy.org_active:
        raise Forbidden("This organization is suspended.", code="account_suspended")
    if policy.networks and not is_within(address, policy.networks):
        raise Forbidden(
            f"This API key may not be used from {address}: it is not in the key's address list.",
            code="ip_not_allowed",
        )


def check_model(policy: KeyPolicy, model: str) -> None:
    """Refuse a model that the key's list leaves out."""
    if policy.models and model not in policy.models:
        raise Forbidden(
            "This API key may not use this model: it is not in the key's model list.",
            code="model_access_denied",
            param="model",
        )


AREAS = ("billing", "keys", "usage")
"""What there is to manage of an organization."""
READ = "read"
SCOPES = (READ, *AREAS, *(f"{area}:{READ}" for area in AREAS))
"""What an admin key may be restricted to: reading everything, all of one area, or reading that."""


def parse_scopes(texts: Iterable[str]) -> tuple[str, ...]:
    """The scopes of an admin key, each once and in order. Raises: BadRequest."""
    given = {text.strip() for text in texts if text.strip()}
    if unknown := sorted(given.difference(SCOPES)):
        raise BadRequest(
            f"{unknown[0]!r} is no scope; there are {', '.join(SCOPES)}.",
            code="invalid_parameter",
            param="scopes",
        )
    return tuple(scope for scope in SCOPES if scope in given)


def check_scope(policy: KeyPolicy, area: str, *, write: bool) -> None:
    """Refuse an admin key that is restricted to other things. An area that is not named here is
    open to unrestricted keys alone, and to `read`.
    """
    enough = {area} if write else {area, f"{area}:{READ}", READ}
    if policy.scopes and policy.scopes.isdisjoint(enough):
        deed = "change" if write else "read"
        raise Forbidden(
            f"This admin key may not {deed} this: it is restricted to "
            f"{', '.join(sorted(policy.scopes))}. Use one with the scope {area!r}."
        )


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and subnets such as "10.0.0.1" or "192.168.1.0/24". Raises: BadRequest."""
    return tuple(_network(text.strip()) for text in texts if text.strip())


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks; v4 mapped into v6 counts as v4."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return any(ip in network for network in networks if network.version == ip.version)


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= 96:  # as addresses are: see `is_within`
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
        return network
    except ValueError:
        raise BadRequest(
            f"{text!r} is neither an address nor a subnet such as 192.168.1.0/24.",
            code="invalid_parameter",
            param="ips",
        ) from None


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(digits)


def _check_digits(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECK_LENGTH)
