"""`apertura plans …`: what is sold, and what becomes of an organization's subscription, by hand.

The operator books what was paid outside (by invoice, say) under a reference; what a payment
processor is paid is booked by its events instead.

The rule that keeps it honest: a reference counts once, and a key is printed once, by the command
that makes it.
"""

from __future__ import annotations

import argparse
import os
import secrets as randomness
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from apertura.cli import dev
from apertura.cli.shared import (
    STORE,
    AddSettings,
    Subparsers,
    amount_of,
    now,
    organization_of,
    say,
    show_json,
    show_table,
    within,
)
from apertura.domain import keys, secrets
from apertura.domain.keys import Minted, masked
from apertura.domain.money import Nano, format_usd
from apertura.domain.plans import (
    CREDIT,
    MONTHS,
    Plan,
    Subscription,
    current,
    status_at,
    upgrade_price,
)
from apertura.errors import BadRequest, NotFound
from apertura.settings import Settings, SettingsError
from apertura.store import invoices, outbox, subscriptions
from apertura.store import keys as key_store
from apertura.store.catalog import read_catalog
from apertura.store.database import Database, Tx
from apertura.store.plans import Plans, read_plans
from apertura.store.subscription_rows import lock
from apertura.store.subscriptions import START_BYTES, Payment

VIA = "manual"


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The commands' names and flags."""
    verbs = subparsers.add_parser("plans", help="subscription plans").add_subparsers(
        required=True, metavar="VERB"
    )

    def verb(name: str, run: Any, text: str, *, org: bool = True) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(name, help=text)
        if org:
            parser.add_argument("org", help="the organization, by id or name")
        parser.add_argument("--json", action="store_true", help="output for scripts")
        add_settings(parser, STORE)
        parser.set_defaults(run=run)
        return parser

    verb("list", list_plans, "what is sold", org=False)
    start = verb("start", start_plan, "book a first period, and make a key; it is printed once")
    start.add_argument("plan")
    start.add_argument("--period", choices=tuple(MONTHS), default="monthly")
    start.add_argument("--reference", required=True, help="names the payment; books it only once")
    renew = verb("renew", renew_plan, "book another period")
    renew.add_argument("--reference", required=True, help="names the payment; books it only once")
    change = verb("change", change_plan, "another plan or period; an upgrade holds at once")
    change.add_argument("plan")
    change.add_argument("--period", choices=tuple(MONTHS))
    change.add_argument("--reference", help="names the payment of an upgrade")
    cancel = verb("cancel", cancel_plan, "let it end with what is paid")
    cancel.add_argument("--now", action="store_true", help="end it at once")
    verb("resume", resume_plan, "let it go on after all")
    fallback = verb("fallback", set_fallback, "whether the balance pays beside the allowance")
    fallback.add_argument("switch", choices=("on", "off"))
    fallback.add_argument("--cap", metavar="USD", help="what it may pay in a cycle")
    verb("show", show_plan, "an organization's subscription")
    verb("key", renew_key, "a new key in place of the old one; it is printed once")


def list_plans(settings: Settings, parsed: argparse.Namespace) -> int:
    """What is sold, and for how much."""
    known = _plans(settings).plans.values()
    rows = [
        {
            "id": plan.id,
            "title": plan.title,
            "credits": plan.allowance // CREDIT,
            "calls_per_minute": plan.per_model,
            **{f"{period}_usd": format_usd(plan.price(period)) for period in MONTHS},
            "models": sum(plan.multiplier(name) is not None for name in plan.tiers),
            "on_sale": plan.on_sale,
        }
        for plan in known
    ]
    if parsed.json:
        show_json(rows)
    else:
        headings = tuple(rows[0])
        show_table(headings, [list(row.values()) for row in rows])
    return 0


def start_plan(settings: Settings, parsed: argparse.Namespace) -> int:
    """Start a subscription whose first period was paid by hand."""
    plan, digester = _plan(settings, parsed.plan), _digester(settings)
    random = randomness.token_bytes(START_BYTES + keys.RANDOM_BYTES)
    now_ms = now()

    async def work(database: Database) -> tuple[Subscription, Minted]:
        org_id = (await organization_of(database, parsed.org)).id

        async def book(tx: Tx) -> tuple[Subscription, Minted]:
            sub = await subscriptions.start(
                tx,
                org_id,
                plan,
                period=parsed.period,
                random=random[:START_BYTES],
                now_ms=now_ms,
            )
            paid = await _pay(tx, sub, parsed.reference, now_ms)
            if not paid:
                raise BadRequest(f"the reference {parsed.reference!r} is of another payment")
            facts = {"plan": plan.title, "period": parsed.period}
            key = f"plan:{sub.id}:started"
            await outbox.put(
                tx, key=key, org_id=org_id, template="plan_started", facts=facts, now_ms=now_ms
            )
            return sub, await _new_key(tx, sub, random[START_BYTES:], digester, now_ms)

        return await database.write(book)

    sub, minted = within(settings, work, changes=True)
    return _show_key(parsed, minted, {"subscription": sub.id})


def renew_plan(settings: Settings, parsed: argparse.Namespace) -> int:
    """Book another period; the same reference books it once."""

    async def deed(tx: Tx, sub: Subscription, now_ms: int) -> None:
        await _pay(tx, sub, parsed.reference, now_ms)

    return _do(settings, parsed, deed)


def change_plan(settings: Settings, parsed: argparse.Namespace) -> int:
    """Another plan or period. What an upgrade costs is booked with it."""
    plan = _plan(settings, parsed.plan)

    async def deed(tx: Tx, sub: Subscription, now_ms: int) -> None:
        price, payment = upgrade_price(sub, plan, now_ms), None
        if price and parsed.reference is None:
            raise BadRequest(
                f"this upgrade costs {format_usd(price)} USD now; book them by --reference"
            )
        if price:
            payment = Payment(reference=parsed.reference, via=VIA, amount=price)
        changed = await subscriptions.change_plan(
            tx, sub.id, plan, now_ms, period=parsed.period, payment=payment
        )
        if changed and payment is not None:
            await _invoice(tx, sub, payment.reference, price, now_ms)

    return _do(settings, parsed, deed)


def cancel_plan(settings: Settings, parsed: argparse.Namespace) -> int:
    """Let a subscription end, with what is paid or at once."""

    async def deed(tx: Tx, sub: Subscription, now_ms: int) -> None:
        await (subscriptions.end if parsed.now else subscriptions.cancel_at_end)(tx, sub.id, now_ms)

    return _do(settings, parsed, deed)


def resume_plan(settings: Settings, parsed: argparse.Namespace) -> int:
    """Take a cancellation back."""

    async def deed(tx: Tx, sub: Subscription, now_ms: int) -> None:
        await subscriptions.resume(tx, sub.id, now_ms)

    return _do(settings, parsed, deed)


def set_fallback(settings: Settings, parsed: argparse.Namespace) -> int:
    """Whether, and up to what, the balance pays for what the allowance does not cover."""
    cap = None if parsed.cap is None else amount_of(parsed.cap)

    async def deed(tx: Tx, sub: Subscription, now_ms: int) -> None:
        await subscriptions.set_fallback(tx, sub.id, parsed.switch == "on", cap, now_ms)

    return _do(settings, parsed, deed)


def show_plan(settings: Settings, parsed: argparse.Namespace) -> int:
    """An organization's subscription, the cycle that pays now, and what became of it."""
    now_ms = now()

    async def work(database: Database) -> dict[str, object]:
        sub = await _subscription(database, (await organization_of(database, parsed.org)).id)
        return await _shown(database, sub, _plans(settings), now_ms)

    _print(parsed, within(settings, work, changes=False))
    return 0


def renew_key(settings: Settings, parsed: argparse.Namespace) -> int:
    """A new key for a subscription; the old one is refused from now on."""
    digester, random = _digester(settings), randomness.token_bytes(keys.RANDOM_BYTES)

    async def work(database: Database) -> Minted:
        sub = await _subscription(database, (await organization_of(database, parsed.org)).id)
        return await database.write(lambda tx: _new_key(tx, sub, random, digester, now()))

    return _show_key(parsed, within(settings, work, changes=True), {})


# What the commands share.


def _do(
    settings: Settings,
    parsed: argparse.Namespace,
    deed: Callable[[Tx, Subscription, int], Awaitable[None]],
) -> int:
    """Do something to an organization's subscription, and show it as it is then."""
    known, now_ms = _plans(settings), now()

    async def work(database: Database) -> dict[str, object]:
        sub = await _subscription(database, (await organization_of(database, parsed.org)).id)

        async def change(tx: Tx) -> None:
            await deed(tx, await lock(tx, sub.id), now_ms)

        await database.write(change)
        return await _shown(database, await _subscription(database, sub.org_id), known, now_ms)

    _print(parsed, within(settings, work, changes=True))
    return 0


async def _pay(tx: Tx, sub: Subscription, reference: str, now_ms: int) -> bool:
    amount = (sub.next or sub.terms).price
    new = await subscriptions.pay_period(
        tx, sub.id, reference=reference, via=VIA, amount=amount, now_ms=now_ms
    )
    if new:
        await _invoice(tx, sub, reference, amount, now_ms)
    return new


async def _invoice(tx: Tx, sub: Subscription, reference: str, amount: Nano, now_ms: int) -> None:
    if amount:
        await invoices.issue(
            tx,
            org_id=sub.org_id,
            payment=f"plan_{reference}",
            kind="plan",
            amount=amount,
            via=VIA,
            now_ms=now_ms,
        )


async def _new_key(
    tx: Tx, sub: Subscription, random: bytes, digester: keys.Digester, now_ms: int
) -> Minted:
    minted = keys.mint_again(sub.key_id, random, "subscription")
    digest = digester.digest(minted.key.encode()).hex()
    await subscriptions.set_key(tx, sub.id, digest, minted.last4, now_ms)
    return minted


async def _shown(
    database: Database, sub: Subscription, known: Plans, now_ms: int
) -> dict[str, object]:
    sub = current(sub, now_ms)
    use = await subscriptions.use_of(database, sub, now_ms)
    record = await key_store.find_by_id(database, sub.key_id)
    changes = await subscriptions.history(database, sub.id)
    cap = sub.fallback_cap
    return {
        "id": sub.id,
        "org": sub.org_id,
        "plan": sub.plan,
        "period": sub.period,
        "status": status_at(sub, now_ms, known.grace_ms),
        "price_usd": format_usd(sub.terms.price),
        "paid_until": _time(sub.paid_until_ms),
        "cycle": use.cycle.number,
        "cycle_starts": _time(use.cycle.start_ms),
        "cycle_ends": _time(use.cycle.end_ms),
        "credits": use.limit,
        "used": use.used,
        "remaining": use.remaining,
        "next_plan": None if sub.next is None else f"{sub.next.plan} {sub.next.period}",
        "fallback": "on" if sub.fallback else "off",
        "fallback_cap_usd": None if cap is None else format_usd(cap),
        "fallback_spent_usd": format_usd(use.fallback_spent),
        "key": None if record is None else masked(record.kind, record.id, record.last4),
        "history": [f"{_time(one.at)} {one.what} {one.detail}".strip() for one in changes],
    }


def _print(parsed: argparse.Namespace, shown: dict[str, object]) -> None:
    if parsed.json:
        show_json(shown)
        return
    history = shown.pop("history")
    show_table(("field", "value"), [[name, value] for name, value in shown.items()])
    assert isinstance(history, list)
    for line in history:
        say(line)


def _show_key(parsed: argparse.Namespace, minted: Minted, more: dict[str, str]) -> int:
    if parsed.json:
        show_json({**more, "id": minted.id, "key": minted.key})
    else:
        say(f"{minted.key}\n(id {minted.id}; the key itself is not kept and not shown again)")
    return 0


def _plans(settings: Settings) -> Plans:
    catalog = read_catalog(os.environ, own_providers=settings.providers, own_offers=settings.offers)
    return read_plans(catalog, settings.plans, settings.grace_days)


def _plan(settings: Settings, name: str) -> Plan:
    plans = _plans(settings).plans
    if name not in plans:
        raise NotFound(f"there is no plan {name!r}, but {', '.join(plans)}")
    return plans[name]


async def _subscription(database: Database, org_id: str) -> Subscription:
    found = await subscriptions.find(database, org_id)
    if found is None:
        raise NotFound("the organization has no subscription; `apertura plans start` makes one")
    return found


def _digester(settings: Settings) -> keys.Digester:
    if settings.dev:
        settings = dev.with_secret(settings)
    if not settings.secret:
        raise SettingsError("APERTURA_SECRET is not set; it must be the server's")
    return keys.Digester(secrets.derive(settings.secret, secrets.KEY_DIGEST))


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
