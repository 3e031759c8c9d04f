"""`apertura migrate`, `apertura ledger audit`, `apertura route explain`: what stands, and why.

The rule that keeps it honest: an audit prints what it checked, and fails with exit code 1 when
something does not hold.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import msgspec

from apertura.cli.shared import STORE, AddSettings, Subparsers, say, show_json, show_table, within
from apertura.domain.keys import KeyPolicy, check_model
from apertura.domain.model_ids import allows
from apertura.domain.preferences import NO_PREFERENCES
from apertura.domain.routing import (
    BYTES_PER_TOKEN,
    CAPABILITIES,
    ESTIMATED_BYTES,
    Chain,
    Demand,
    Route,
    Routes,
    Skipped,
)
from apertura.errors import BadRequest, NotFound
from apertura.settings import Settings
from apertura.store import audit, keys
from apertura.store.catalog import read_catalog
from apertura.store.migrate import migrate
from apertura.wire.route_wish import parse_preferences

COLUMNS = ("order", "model", "offer", "tried", "reason")


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
    explain.add_argument(
        "--needs",
        metavar="LIST",
        default="",
        help=f"what the request needs: {', '.join(sorted(CAPABILITIES))}",
    )
    explain.add_argument(
        "--provider", metavar="JSON", help="what its `provider` says, as a JSON object"
    )
    explain.add_argument(
        "--models", metavar="LIST", default="", help="the models that may stand in, in order"
    )
    explain.add_argument(
        "--tokens", metavar="N", type=int, default=0, help="about so many tokens of input"
    )
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
    allowed: frozenset[str] = frozenset()
    if parsed.key:
        record = within(settings, lambda db: keys.find_by_id(db, parsed.key), changes=False)
        if record is None:
            raise NotFound(f"there is no key with the id {parsed.key!r}")
        allowed = frozenset(record.models)

    def allow(name: str, model: str) -> None:
        if name not in allowed and not allows(allowed, model, catalog):
            check_model(KeyPolicy(models=allowed), model)

    chain = Chain(models=_listed(parsed.models), allow=allow)
    routes, demand = Routes(catalog), _demand(parsed)
    found, skipped, _ = routes.find(parsed.model, parsed.kind, demand, chain)
    rows = _rows(found, skipped) if found else []
    if parsed.json:
        show_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    elif rows:
        show_table(COLUMNS, rows)
    routes.choose(parsed.model, parsed.kind, demand, chain)  # says why, where nothing is left
    return 0


def _demand(parsed: argparse.Namespace) -> Demand:
    """What the request would ask of offers. Raises: BadRequest."""
    needs = frozenset(_listed(parsed.needs))
    if not needs <= CAPABILITIES:
        listed = ", ".join(sorted(CAPABILITIES))
        raise BadRequest(f"--needs is a list of: {listed}", param="needs")
    said = parsed.provider
    return Demand(
        needs=needs,
        size=parsed.tokens * BYTES_PER_TOKEN,
        tokens=lambda: parsed.tokens * BYTES_PER_TOKEN // ESTIMATED_BYTES,
        preferences=parse_preferences(said.encode()) if said else NO_PREFERENCES,
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _rows(found: Sequence[Route], skipped: Sequence[Skipped]) -> list[list[str]]:
    """Each offer, and each model that is not on the route, with its reason."""
    rows = [
        [str(n), o.model, o.id, "yes", f"priority {o.priority}, weight {o.weight}"]
        for n, o in enumerate((offer for route in found for offer in route.offers), 1)
    ]
    dropped = (out for route in found for out in route.dropped)
    rows += [["", out.offer.model, out.offer.id, "no", out.reason] for out in dropped]
    return rows + [["", each.name, "", "no", each.reason] for each in skipped]
