"""Who is calling: from a request's key and address to a `Caller`.

The digest of the key is looked up in a snapshot kept in this process; a miss is one read, and any
change of a key or an organization, by whatever process, empties the snapshot. What it is not: what
the caller may do next (models, limits, funds).

The rule that keeps it honest: the order of the checks is the contract's, and a database that cannot
be asked is a 503, never "your key is wrong".
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import parse_qs

from apertura.domain import keys
from apertura.domain.identity import Caller
from apertura.domain.keys import Digester, KeyId, KeyPolicy, Network, OrgId
from apertura.domain.payers import Caps, Gift
from apertura.domain.plans import Pass
from apertura.errors import AuthenticationFailed, Forbidden, PaymentRequired
from apertura.relay.admission import Admission
from apertura.relay.exchange import Exchange
from apertura.store import keys as key_store
from apertura.store import promos, subscriptions
from apertura.store.database import Database
from apertura.store.keys import KeyRecord
from apertura.store.plans import Plans

SNAPSHOT_MOST = 100_000
"""Callers kept; past it the snapshot starts afresh."""
KEY_LENGTH_MOST = 128


class Callers:
    """The snapshot of callers by the digest of their key."""

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        admission: Admission,
        proxies: Sequence[Network],
        plans: Plans | None = None,
    ) -> None:
        """Without `plans`, those that are shipped, as far as they name models."""
        self._database, self._admission = database, admission
        self._digest = Digester(pepper).digest
        self._proxies = tuple(proxies)
        self._plans = plans
        self._known: dict[bytes, Caller] = {}
        self._age = 0
        database.on_change(self.forget)

    def forget(self) -> None:
        """Something changed: ask again for everybody."""
        self._known = {}
        self._age += 1

    async def identify(self, exchange: Exchange, *, managing: bool = False) -> tuple[Caller, str]:
        """The caller of a request, and the address it comes from. Keys that only manage are refused
        where the endpoint does not say that it is for them.

        Raises: AuthenticationFailed, Forbidden, RateLimited (too many refusals of one address),
            Unavailable.
        """
        address = exchange.peer
        if self._proxies:
            address = client_address(exchange, self._proxies)
        try:
            key = _key_of(exchange)
            digest = self._digest(key)
            caller = self._known.get(digest) or await self._look_up(key, digest)
            keys.check(caller.policy, address=address, now_ms=time.time_ns() // 1_000_000)
            if caller.kind == "admin" and not managing:
                raise Forbidden(
                    "This is an admin key, which manages an organization and makes no calls. "
                    "Use one of the organization's other keys (sk-…) here."
                )
        except (AuthenticationFailed, Forbidden):
            self._admission.count_stranger(address)
            raise
        return caller, address

    async def _look_up(self, key: bytes, digest: bytes) -> Caller:
        age = self._age
        text = key.decode("latin-1")
        record = None
        if len(text) <= KEY_LENGTH_MOST and keys.is_well_formed(text):
            record = await key_store.find(self._database, digest.hex())
        if record is None:
            raise AuthenticationFailed(
                "This API key is not known here. Check it for missing characters."
            )
        gifts = await promos.gifts(self._database, record.org_id, time.time_ns() // 1_000_000)
        plan = None
        if record.kind == "subscription":
            plan = await subscriptions.pass_of(
                self._database, record.org_id, record.id, self._plans
            )
            if plan is None:  # or the wallet would pay
                raise PaymentRequired(
                    "This key's subscription is gone. Use another key of the organization.",
                    code="subscription_expired",
                )
        caller = _caller_of(record, gifts, plan)
        if age == self._age:  # else something changed while we read: do not keep it
            if len(self._known) >= SNAPSHOT_MOST:
                self._known = {}
            self._known[digest] = caller
        return caller


def client_address(exchange: Exchange, proxies: Sequence[Network]) -> str:
    """The address that a request comes from: the socket's peer, or what proxies that we trust say,
    read from the right, past trusted hops only; what stands further left anybody may have written.
    """
    address = exchange.peer
    if not proxies or not keys.is_within(address, proxies):
        return address
    hops = exchange.header(b"x-forwarded-for").split(",")
    for hop in reversed(hops):
        if not (hop := _bare(hop)):
            break
        address = hop
        if not keys.is_within(address, proxies):
            break
    return address


def _bare(hop: str) -> str:
    """An address without brackets or port."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _key_of(exchange: Exchange) -> bytes:
    """The key of a request: `Authorization: Bearer`, which wins, or `x-api-key`, or where Gemini's
    clients put it.
    """
    header = exchange.headers.get(b"authorization")
    if header is not None:
        scheme, _, key = header.partition(b" ")
        key = key.strip()
        if key and scheme.lower() == b"bearer":
            return key
    key = exchange.headers.get(b"x-api-key", b"").strip() or _key_for_gemini(exchange)
    if not key:
        raise AuthenticationFailed(
            "No API key was sent. Send it as `Authorization: Bearer sk-…` or as `x-api-key: sk-…`.",
            code="missing_api_key",
        )
    return key


def _key_for_gemini(exchange: Exchange) -> bytes:
    """The header or the query parameter of Google's clients."""
    key = exchange.headers.get(b"x-goog-api-key", b"").strip()
    if key or b"key=" not in exchange.query:
        return key
    (key, *_) = parse_qs(exchange.query).get(b"key", [b""])
    return key


def _caller_of(record: KeyRecord, gifts: tuple[Gift, ...], plan: Pass | None) -> Caller:
    caps = Caps(
        quota=record.quota_nano is not None,
        key_reset=record.key_reset,
        org_reset=record.org_reset,
        gifts=gifts,
    )
    return Caller(
        key_id=KeyId(record.id),
        org_id=OrgId(record.org_id),
        key_name=record.name,
        kind=record.kind,
        quota=record.quota_nano,
        caps=caps,
        plan=plan,
        policy=KeyPolicy(
            enabled=record.status == "enabled",
            org_active=record.org_status == "active",
            expires_at=record.expires_at,
            models=frozenset(record.models),
            networks=keys.parse_networks(record.addresses),
            scopes=frozenset(record.scopes),
        ),
    )
