"""Who calls: users, organizations, and the caller that a key stands for.

An organization is the tenant: it owns keys and money. A user is a person; a member is a person
within an organization, with a role. What it is not: how anybody proves who they are.

The rule that keeps it honest: a `Caller` is made from one key's record and belongs to one
organization; nothing else may widen what it can see.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apertura.domain.keys import KeyId, KeyPolicy, OrgId
from apertura.domain.payers import Caps
from apertura.domain.plans import Pass

Role = Literal["owner", "reader"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who uses the gateway: a key, its organization, and what the key allows."""

    key_id: KeyId
    org_id: OrgId
    key_name: str
    kind: str = "standard"
    """Of the key: `standard`, `subscription`, or `admin`, which manages and makes no calls."""
    policy: KeyPolicy
    quota: int | None = None
    """In nano-dollars; None draws on the organization's balance without a cap of its own."""
    caps: Caps = Caps()
    plan: Pass | None = None
    """What a subscription's key is paid by; None draws on the wallet."""
