"""`apertura keys …` and `apertura orgs …`: the tenants and their keys.

The rule that keeps it honest: a key is printed once, by the command that makes it.
"""

from __future__ import annotations

import argparse
import secrets as randomness
from datetime import UTC, datetime
from functools import partial
from typing import Any

from apertura.cli import dev, replies, spending
from apertura.cli.shared import (
    STORE,
    AddSettings,
    Subparsers,
    amount_of,
    moment_of,
    now,
    organization_of,
    say,
    show_json,
    show_table,
    within,
)
from apertura.domain import keys, secrets
from apertura.domain.ledger import wallet
from apertura.domain.money import Nano, format_usd
from apertura.errors import BadRequest, NotFound
from apertura.settings import Settings, SettingsError
from apertura.store import identity, transfers, usage
from apertura.store import keys as key_store
from apertura.store import ledger as books
from apertura.store.database import Database
from apertura.store.identity import ID_BYTES
from apertura.store.keys import KeyChange, KeyRecord


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The two nouns with their verbs."""
    _add_keys(subparsers, add_settings)
    _add_orgs(subparsers, add_settings)


def _add_keys(subparsers: Subparsers, add_settings: AddSettings) -> None:
    verbs = subparsers.add_parser("keys", help="API keys").add_subparsers(
        required=True, metavar="VERB"
    )
    create = verbs.add_parser("create", help="make a key; it is printed once")
    create.add_argument("--org", required=True, help="the organization, by id or name")
    create.add_argument("--name", required=True)
    create.add_argument("--quota", metavar="USD", help="what the key may spend in all")
    create.add_argument("--models", default="", metavar="A,B", help="the models it may use")
    create.add_argument("--ips", default="", metavar="CIDR,…", help="where it may be used from")
    create.add_argument("--expires", metavar="DATE", help="such as 2027-01-31 or 2027-01-31T12:00Z")
    create.add_argument(
        "--admin",
        action="store_true",
        help="a key that manages the organization and makes no calls",
    )
    create.add_argument(
        "--read-only", action="store_true", help="an admin key that changes nothing"
    )
    create.add_argument(
        "--scopes",
        default="",
        metavar="A,B",
        help=f"restrict an admin key: {', '.join(keys.SCOPES)}",
    )
    _finish(create, add_settings, create_key)
    listing = verbs.add_parser("list", help="the keys of an organization")
    listing.add_argument("--org", required=True)
    _finish(listing, add_settings, list_keys)
    for verb, help_text in (
        ("enable", "let a disabled key be used again"),
        ("disable", "refuse a key until it is enabled"),
        ("delete", "refuse a key for good"),
    ):
        change = verbs.add_parser(verb, help=help_text)
        change.add_argument("key", help="the key's id")
        change.set_defaults(verb=verb)
        _finish(change, add_settings, change_key)
    spending.add_to_keys(verbs, partial(_finish_for, add_settings))


def _add_orgs(subparsers: Subparsers, add_settings: AddSettings) -> None:
    verbs = subparsers.add_parser("orgs", help="organizations").add_subparsers(
        required=True, metavar="VERB"
    )
    create = verbs.add_parser("create", help="make an organization")
    create.add_argument("name")
    _finish(create, add_settings, create_org)
    _finish(verbs.add_parser("list", help="all of them"), add_settings, list_orgs)
    for verb, help_text in (("suspend", "refuse all its keys"), ("resume", "end a suspension")):
        change = verbs.add_parser(verb, help=help_text)
        change.add_argument("org", help="the organization, by id or name")
        change.set_defaults(verb=verb)
        _finish(change, add_settings, change_org)
    top_up = verbs.add_parser("top-up", help="book money that came in by hand")
    top_up.add_argument("org", help="the organization, by id or name")
    top_up.add_argument("amount", metavar="USD")
    top_up.add_argument("--reference", required=True, help="names the payment; books it only once")
    _finish(top_up, add_settings, top_up_org)
    spending.add_to_orgs(verbs, partial(_finish_for, add_settings))
    replies.add_to_orgs(verbs, partial(_finish_for, add_settings))


def _finish_for(add_settings: AddSettings, parser: argparse.ArgumentParser, run: Any) -> None:
    _finish(parser, add_settings, run)


def _finish(parser: argparse.ArgumentParser, add_settings: AddSettings, run: Any) -> None:
    parser.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(parser, STORE)
    parser.set_defaults(run=run)


def create_key(settings: Settings, parsed: argparse.Namespace) -> int:
    """Make a key for an organization."""
    pepper = secrets.derive(_secret(settings), secrets.KEY_DIGEST)
    kind, scopes = _kind_and_scopes(parsed)
    minted = keys.mint(randomness.token_bytes(keys.RANDOM_BYTES), kind)
    networks = keys.parse_networks(parsed.ips.split(","))

    async def work(database: Database) -> None:
        record = KeyRecord(
            id=minted.id,
            org_id=(await organization_of(database, parsed.org)).id,
            name=parsed.name,
            kind=kind,
            scopes=scopes,
            digest=keys.Digester(pepper).digest(minted.key.encode()).hex(),
            last4=minted.last4,
            models=tuple(name.strip() for name in parsed.models.split(",") if name.strip()),
            addresses=tuple(map(str, networks)),
            quota_nano=None if parsed.quota is None else amount_of(parsed.quota),
            expires_at=None if parsed.expires is None else moment_of(parsed.expires),
            created_at=now(),
        )
        await key_store.create(database, record)

    within(settings, work, changes=True)
    if parsed.json:
        show_json({"id": minted.id, "key": minted.key})
    else:
        say(f"{minted.key}\n(id {minted.id}; the key itself is not kept and not shown again)")
    return 0


def _kind_and_scopes(parsed: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    """Of the key to be made. Raises: BadRequest, where options do not go together."""
    given = [*parsed.scopes.split(","), *((keys.READ,) if parsed.read_only else ())]
    scopes = keys.parse_scopes(given)
    if not parsed.admin and scopes:
        raise BadRequest("--read-only and --scopes are for admin keys; give --admin too")
    if parsed.admin and (parsed.quota is not None or parsed.models):
        raise BadRequest("an admin key makes no calls: --quota and --models are not for it")
    return ("admin" if parsed.admin else "standard"), scopes


def list_keys(settings: Settings, parsed: argparse.Namespace) -> int:
    """The keys of an organization, with what they have used."""

    async def work(database: Database) -> list[dict[str, object]]:
        org = await organization_of(database, parsed.org)
        return [
            _shown_key(record, await usage.totals(database, record.id))
            for record in await key_store.listing(database, org.id)
        ]

    rows = within(settings, work, changes=False)
    if parsed.json:
        show_json(rows)
    else:
        headings = (
            *("id", "kind", "name", "status"),
            *("quota_usd", "used_usd", "calls", "expires", "models"),
        )
        show_table(headings, [[row[name] for name in headings] for row in rows])
    return 0


def change_key(settings: Settings, parsed: argparse.Namespace) -> int:
    """Enable, disable or delete a key."""

    async def work(database: Database) -> None:
        record = await key_store.find_by_id(database, parsed.key)
        if record is None:
            raise NotFound(f"there is no key with the id {parsed.key!r}")
        if parsed.verb == "delete":
            await key_store.delete(database, record.org_id, record.id)
        else:
            status = KeyChange(status="enabled" if parsed.verb == "enable" else "disabled")
            await key_store.change(database, record.org_id, record.id, status)

    within(settings, work, changes=True)
    done = f"{parsed.verb}d"
    show_json({"id": parsed.key, "done": done}) if parsed.json else say(f"{parsed.key} {done}")
    return 0


def create_org(settings: Settings, parsed: argparse.Namespace) -> int:
    """Make an organization."""
    random = randomness.token_bytes(ID_BYTES)
    made = within(
        settings,
        lambda db: identity.create_organization(db, parsed.name, random=random, now_ms=now()),
        changes=True,
    )
    if parsed.json:
        show_json({"id": made.id, "name": made.name})
    else:
        say(f"{made.id}  {made.name}")
    return 0


def list_orgs(settings: Settings, parsed: argparse.Namespace) -> int:
    """All organizations, with their balances."""

    async def work(database: Database) -> list[dict[str, object]]:
        return [
            {
                "id": org.id,
                "name": org.name,
                "status": org.status,
                "balance_usd": format_usd(await books.balance(database, wallet(org.id))),
            }
            for org in await identity.organizations(database)
        ]

    rows = within(settings, work, changes=False)
    if parsed.json:
        show_json(rows)
    else:
        headings = ("id", "name", "status", "balance_usd")
        show_table(headings, [[row[name] for name in headings] for row in rows])
    return 0


def change_org(settings: Settings, parsed: argparse.Namespace) -> int:
    """Suspend an organization, or end that."""
    status: identity.Status = "suspended" if parsed.verb == "suspend" else "active"

    async def work(database: Database) -> str:
        org = await organization_of(database, parsed.org)
        await identity.set_organization_status(database, org.id, status)
        return org.id

    org_id = within(settings, work, changes=True)
    shown = {"id": org_id, "status": status}
    show_json(shown) if parsed.json else say(f"{org_id} {status}")
    return 0


def top_up_org(settings: Settings, parsed: argparse.Namespace) -> int:
    """Book money that came in by hand; the same reference books it once."""
    amount = amount_of(parsed.amount)
    transaction_id = f"txn_{randomness.token_hex(12)}"

    async def work(database: Database) -> tuple[str, Nano]:
        org = await organization_of(database, parsed.org)
        pay = partial(
            transfers.pay_by_hand,
            org_id=org.id,
            amount=amount,
            reference=parsed.reference,
            transaction_id=transaction_id,
            at=now(),
        )
        posted = await database.write(pay)
        return posted.id, await books.balance(database, wallet(org.id))

    transaction, balance = within(settings, work, changes=True)
    if parsed.json:
        show_json({"transaction": transaction, "balance_usd": format_usd(balance)})
    else:
        say(f"{transaction}: the balance is {format_usd(balance)} USD")
    return 0


def _secret(settings: Settings) -> str:
    if settings.dev:
        settings = dev.with_secret(settings)
    if not settings.secret:
        raise SettingsError(
            "APERTURA_SECRET is not set; it must be the server's, or no key made here would be "
            "known there (beside `serve --dev`: give --dev and its --data here too)"
        )
    return settings.secret


def _shown_key(record: KeyRecord, total: usage.Totals) -> dict[str, object]:
    expires = record.expires_at
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "key": keys.masked(record.kind, record.id, record.last4),
        "status": record.status,
        "quota_usd": None if record.quota_nano is None else format_usd(Nano(record.quota_nano)),
        "used_usd": format_usd(Nano(total.cost)),
        "calls": total.calls,
        "expires": None if expires is None else datetime.fromtimestamp(expires // 1000, UTC),
        "models": ",".join(record.models),
        "ips": ",".join(record.addresses),
        "scopes": ",".join(record.scopes),
    }
