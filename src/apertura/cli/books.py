"""`apertura migrate`, `apertura ledger audit`, `apertura route explain`: what stands, and why.

The rule that keeps it honest: an audit prints what it checked, and fails with exit code 1 when
something does not hold.
"""

from __future__ import annotations

import argparse
import os

import msgspec

from apertura.cli.shared import STORE, AddSettings, Subparsers, say, show_json, show_table, within
from apertura.domain.keys import KeyPolicy, check_model
from apertura.domain.routing import route
from apertura.errors import NotFound
from apertura.settings import Settings
from apertura.store import audit, keys
from apertura.store.catalog import read_catalog
from apertura.store.migrate import migrate


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The commands' names and flags."""
    migration = subparsers.add_parser("migrate", help="bring the database up to date")
    add_settings(migration, STORE)
    migration.set_defaults(run=run_migrate)
    verbs = subparsers.add_parser("ledger", help="the books").add_subparsers(
        required=True, metavar="VERB"
    )
    check = verbs.add_parser("audit", help="check that the books agree")
    check.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(check, STORE)
    check.set_defaults(run=run_audit)
    verbs = subparsers.add_parser("route", help="routes to models").add_subparsers(
        required=True, metavar="VERB"
    )
    explain = verbs.add_parser("explain", help="the offers that would be tried, and why")
    explain.add_argument("model")
    explain.add_argument("--key", metavar="ID", help="the id of the key that would ask")
    explain.add_argument("--kind", default="chat", choices=("chat", "embeddings", "rerank"))
    explain.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(explain, STORE)
    explain.set_defaults(run=run_explain)


def run_migrate(settings: Settings, _: argparse.Namespace) -> int:
    """Apply what is missing."""
    names = within(settings, migrate, changes=False, ready=False)
    say("\n".join(f"applied {name}" for name in names) or "The database is up to date.")
    return 0


def run_audit(settings: Settings, parsed: argparse.Namespace) -> int:
    """Check the books, the funds and the usage against each other."""
    checks = within(settings, audit.audit, changes=False)
    findings = [finding for check in checks for finding in check.findings]
    if parsed.json:
        checked = [{"rule": check.name, "checked": check.checked} for check in checks]
        show_json({"checked": checked, "findings": [msgspec.to_builtins(f) for f in findings]})
    else:
        for check in checks:
            say(f"checked: {check.name} ({check.checked:,})")
        for found in findings:
            say(f"WRONG: {found.rule}: {found.subject}: {found.found}, not {found.expected}")
        say("The books do not agree." if findings else "The books agree.")
    return 1 if findings else 0


def run_explain(settings: Settings, parsed: argparse.Namespace) -> int:
    """Which offers of a model would be tried, in order, and which not, and why."""
    catalog = read_catalog(
        os.environ,
        own_providers=settings.providers,
        own_offers=settings.offers,
        markup_percent=settings.markup,
    )
    if parsed.key:
        record = within(settings, lambda db: keys.find_by_id(db, parsed.key), changes=False)
        if record is None:
            raise NotFound(f"there is no key with the id {parsed.key!r}")
        check_model(KeyPolicy(models=frozenset(record.models)), parsed.model)
    chosen = route(parsed.model, parsed.kind, catalog)
    rows = [[str(n), o.id, "yes", f"weight {o.weight}"] for n, o in enumerate(chosen.offers, 1)]
    rows += [["", dropped.offer.id, "no", dropped.reason] for dropped in chosen.dropped]
    if parsed.json:
        names = ("order", "offer", "tried", "reason")
        show_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        show_table(("order", "offer", "tried", "reason"), rows)
    return 0
