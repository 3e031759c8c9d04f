"""`apertura keys budget`, `apertura orgs budget`, `orgs give`, `orgs promos`: what may be spent.

The rule that keeps it honest: what is changed here is what holds of the next call in a running
server too, and of no call that runs already.
"""

from __future__ import annotations

import argparse
import secrets as randomness
from functools import partial
from typing import Any

from apertura.cli.shared import (
    Finish,
    amount_of,
    moment_of,
    now,
    organization_of,
    say,
    show_json,
    show_table,
    within,
)
from apertura.domain.funds import RESET_DAYS
from apertura.domain.money import Nano, format_usd
from apertura.errors import BadRequest, NotFound
from apertura.settings import Settings
from apertura.store import funds, promos
from apertura.store import keys as key_store
from apertura.store.database import Database
from apertura.store.promos import Promo


def add_to_keys(verbs: Any, finish: Finish) -> None:
    """What one does to a key's spending."""
    budget = verbs.add_parser("budget", help="what a key may spend in a month")
    budget.add_argument("owner", metavar="KEY", help="the key's id")
    _add_budget(budget)
    finish(budget, budget_key)


def add_to_orgs(verbs: Any, finish: Finish) -> None:
    """What one does to an organization's spending."""
    budget = verbs.add_parser("budget", help="what all its keys may spend in a month")
    budget.add_argument("owner", metavar="ORG", help="the organization, by id or name")
    _add_budget(budget)
    finish(budget, budget_org)
    give = verbs.add_parser("give", help="give it something to spend for a time")
    give.add_argument("org", help="the organization, by id or name")
    give.add_argument("amount", metavar="USD")
    give.add_argument("--expires", required=True, metavar="DATE", help="such as 2027-01-31")
    give.add_argument("--note", default="", help="what for; its members see it")
    finish(give, give_org)
    listing = verbs.add_parser("promos", help="what it was given")
    listing.add_argument("org", help="the organization, by id or name")
    finish(listing, list_promos)


def _add_budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("amount", metavar="USD", help="or off")
    parser.add_argument(
        "--reset-day", type=int, default=1, metavar="1-28", help="when the month begins (UTC)"
    )


def budget_key(settings: Settings, parsed: argparse.Namespace) -> int:
    """Set a key's monthly budget."""

    async def owner(database: Database) -> str:
        if await key_store.find_by_id(database, parsed.owner) is None:
            raise NotFound(f"there is no key with the id {parsed.owner!r}")
        return str(parsed.owner)

    return _set_budget(settings, parsed, owner)


def budget_org(settings: Settings, parsed: argparse.Namespace) -> int:
    """Set an organization's monthly budget."""

    async def owner(database: Database) -> str:
        return (await organization_of(database, parsed.owner)).id

    return _set_budget(settings, parsed, owner)


def _set_budget(settings: Settings, parsed: argparse.Namespace, find: Any) -> int:
    cap = None if parsed.amount == "off" else amount_of(parsed.amount)
    day = parsed.reset_day
    if not RESET_DAYS[0] <= day <= RESET_DAYS[1]:
        raise BadRequest(f"--reset-day is from {RESET_DAYS[0]} to {RESET_DAYS[1]}, not {day}")

    async def work(database: Database) -> str:
        owner: str = await find(database)
        change = partial(funds.set_budget, owner=owner, cap=cap, reset_day=day, now_ms=now())
        await database.write(change)
        return owner

    owner = within(settings, work, changes=True)
    shown = None if cap is None else format_usd(cap)
    if parsed.json:
        show_json({"owner": owner, "budget_usd": shown, "reset_day": day})
    else:
        said = "has no budget" if shown is None else f"may spend {shown} USD a month from day {day}"
        say(f"{owner} {said}")
    return 0


def give_org(settings: Settings, parsed: argparse.Namespace) -> int:
    """Give an organization something to spend for a time."""
    amount, until, given = amount_of(parsed.amount), moment_of(parsed.expires), now()
    if until <= given:
        raise BadRequest(f"--expires {parsed.expires} is over already")
    if not amount:
        raise BadRequest("nothing is no gift")

    async def work(database: Database) -> Promo:
        promo = Promo(
            id=randomness.token_hex(8),
            org_id=(await organization_of(database, parsed.org)).id,
            amount=amount,
            note=parsed.note,
            granted_at=given,
            expires_at=until,
        )
        await database.write(partial(promos.grant, promo=promo))
        return promo

    promo = within(settings, work, changes=True)
    if parsed.json:
        show_json({"id": promo.id, "org": promo.org_id, "amount_usd": format_usd(amount)})
    else:
        say(f"{promo.org_id} may spend {format_usd(amount)} USD more until {parsed.expires}")
    return 0


def list_promos(settings: Settings, parsed: argparse.Namespace) -> int:
    """What an organization was given, and what is left of it."""

    async def work(database: Database) -> list[Promo]:
        return await promos.listing(database, (await organization_of(database, parsed.org)).id)

    rows = [
        {
            "id": promo.id,
            "amount_usd": format_usd(Nano(promo.amount)),
            "left_usd": format_usd(Nano(promo.left)),
            "granted_at": promo.granted_at,
            "expires_at": promo.expires_at,
            "note": promo.note,
        }
        for promo in within(settings, work, changes=False)
    ]
    if parsed.json:
        show_json(rows)
    else:
        headings = ("id", "amount_usd", "left_usd", "expires_at", "note")
        show_table(headings, [[row[name] for name in headings] for row in rows])
    return 0
