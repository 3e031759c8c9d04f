"""`apertura orgs store-replies`: whether replies to an organization's keyed calls may be stored.

The rule that keeps it honest: it is off until somebody says otherwise, and off deletes at once what
was stored.
"""

from __future__ import annotations

import argparse
from typing import Any

from apertura.cli.shared import Finish, organization_of, say, show_json, within
from apertura.settings import Settings
from apertura.store import idempotency
from apertura.store.database import Database


def add_to_orgs(verbs: Any, finish: Finish) -> None:
    """What one says of an organization's replies."""
    stores = verbs.add_parser(
        "store-replies",
        help="store replies to calls with an Idempotency-Key for 24 hours, or do not",
    )
    stores.add_argument("org", help="the organization, by id or name")
    stores.add_argument("allowed", choices=("on", "off"), help="on or off; off deletes them")
    finish(stores, store_replies)


def store_replies(settings: Settings, parsed: argparse.Namespace) -> int:
    """Allow it or not."""

    async def work(database: Database) -> str:
        org = await organization_of(database, parsed.org)
        await idempotency.allow(database, org.id, allowed=parsed.allowed == "on")
        return org.id

    org_id = within(settings, work, changes=True)
    shown = {"id": org_id, "store_replies": parsed.allowed}
    show_json(shown) if parsed.json else say(f"{org_id} store-replies {parsed.allowed}")
    return 0
