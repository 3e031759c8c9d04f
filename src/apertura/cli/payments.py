"""`apertura payments …` and `apertura codes …`: what came in, and giving it back.

The rule that keeps it honest: a refund is in the books before anybody is asked to make it, and
what could not be asked for is asked again by the server; a code is printed once.
"""

from __future__ import annotations

import argparse
import secrets as randomness
from datetime import UTC, datetime

from apertura.cli import dev
from apertura.cli.shared import (
    STORE,
    AddSettings,
    Subparsers,
    moment_of,
    now,
    organization_of,
    say,
    show_json,
    show_table,
    within,
)
from apertura.domain import secrets
from apertura.domain.money import Nano, format_usd, parse_usd
from apertura.domain.payments import CENT, Payment
from apertura.errors import BadRequest, NotFound
from apertura.jobs.payments import answer
from apertura.payments.base import ProcessorAway, Refunds
from apertura.payments.chosen import processor_of
from apertura.payments.manual import RANDOM_BYTES, Manual, digest_of, mint_code
from apertura.settings import Settings, SettingsError
from apertura.store import codes, refunds
from apertura.store import payments as store
from apertura.store.codes import Code
from apertura.store.database import Database
from apertura.store.plans import shipped_plans

PAYING = (*STORE, "stripe_url", "public_url")
NEVER_MS = 253_402_300_799_000
"""The end of the year 9999: of codes that do not expire."""


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The two nouns with their verbs."""
    verbs = subparsers.add_parser("payments", help="payments and refunds").add_subparsers(
        required=True, metavar="VERB"
    )
    listing = verbs.add_parser("list", help="the payments of an organization")
    listing.add_argument("org", help="the organization, by id or name")
    _finish(listing, add_settings, list_payments)
    refund = verbs.add_parser("refund", help="give a payment back, or a part of it")
    refund.add_argument("payment", help="the payment's id")
    refund.add_argument("amount", metavar="USD", help="of what was paid")
    refund.add_argument("--reason", required=True)
    _finish(refund, add_settings, refund_payment)
    reverse = verbs.add_parser("reverse", help="undo a top-up by hand that is wrong")
    reverse.add_argument("transaction", help="the transaction's id, as `orgs top-up` showed it")
    reverse.add_argument("--reason", required=True)
    _finish(reverse, add_settings, reverse_transaction)
    _add_codes(subparsers, add_settings)


def _add_codes(subparsers: Subparsers, add_settings: AddSettings) -> None:
    verbs = subparsers.add_parser("codes", help="codes that are worth money").add_subparsers(
        required=True, metavar="VERB"
    )
    create = verbs.add_parser("create", help="make codes; they are printed once")
    create.add_argument("amount", metavar="USD", help="what each is worth")
    create.add_argument("--count", type=int, default=1)
    create.add_argument("--note", default="", help="what they are for")
    create.add_argument("--expires", metavar="DATE", help="such as 2027-01-31")
    _finish(create, add_settings, create_codes)
    _finish(verbs.add_parser("list", help="all of them"), add_settings, list_codes)


def _finish(parser: argparse.ArgumentParser, add_settings: AddSettings, run: object) -> None:
    parser.add_argument("--json", action="store_true", help="output for scripts")
    add_settings(parser, PAYING)
    parser.set_defaults(run=run)


def list_payments(settings: Settings, parsed: argparse.Namespace) -> int:
    """The payments of an organization, the newest first."""

    async def work(database: Database) -> list[dict[str, object]]:
        org = await organization_of(database, parsed.org)
        return [_shown(one) for one in await store.listing(database, org.id, most=1_000)]

    rows = within(settings, work, changes=False)
    if parsed.json:
        show_json(rows)
    else:
        headings = ("id", "kind", "via", "status", "amount_usd", "paid_usd", "refunded_usd", "at")
        show_table(headings, [[row[name] for name in headings] for row in rows])
    return 0


def _shown(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "kind": payment.kind,
        "via": payment.via,
        "status": payment.status,
        "amount_usd": format_usd(payment.amount),
        "paid_usd": format_usd(payment.cash if payment.paid_at else Nano(0)),
        "refunded_usd": format_usd(payment.refunded),
        "failure": payment.failure,
        "at": datetime.fromtimestamp(payment.created_at // 1000, UTC),
    }


def refund_payment(settings: Settings, parsed: argparse.Namespace) -> int:
    """Give money back in the way in which it came."""
    cash, refund_id = parse_usd(parsed.amount), f"rf_{randomness.token_hex(12)}"

    async def work(database: Database) -> str:
        payment = await store.find(database, parsed.payment)
        if payment is None:
            raise NotFound(f"there is no payment {parsed.payment!r}", code="payment_not_found")
        maker = _maker(settings, payment)
        return await _refund(database, maker, cash=cash, refund=refund_id, parsed=parsed)

    state = within(settings, work, changes=True)
    if parsed.json:
        show_json({"id": refund_id, "state": state})
    else:
        say(f"{refund_id}: {state}")
    return 0


async def _refund(
    database: Database,
    maker: Refunds,
    *,
    cash: Nano,
    refund: str,
    parsed: argparse.Namespace,
) -> str:
    now_ms = now()
    asked = await database.write(
        lambda tx: refunds.ask(
            tx, parsed.payment, cash, parsed.reason, refund_id=refund, now_ms=now_ms
        )
    )
    try:
        await answer(database, maker, asked, shipped_plans(), now_ms)
    except ProcessorAway:
        return "asked"  # the server asks again
    [made] = [one for one in await refunds.of_payment(database, parsed.payment) if one.id == refund]
    return made.state


def _maker(settings: Settings, payment: Payment) -> Refunds:
    """Who gives it back. What came by hand goes back by hand."""
    processor = processor_of(settings)
    if processor is not None and processor.name == payment.via:
        return processor
    if payment.via in ("manual", codes.VIA):
        return Manual(payment.via)
    raise BadRequest(f"{payment.via} is not set up here; it took this payment, and gives it back.")


def reverse_transaction(settings: Settings, parsed: argparse.Namespace) -> int:
    """Undo what was booked by hand."""
    transaction_id = f"txn_{randomness.token_hex(12)}"

    async def work(database: Database) -> str:
        posted = await database.write(
            lambda tx: refunds.reverse(
                tx,
                parsed.transaction,
                parsed.reason,
                transaction_id=transaction_id,
                now_ms=now(),
            )
        )
        return posted.id

    done = within(settings, work, changes=True)
    shown = {"transaction": done, "reverses": parsed.transaction}
    show_json(shown) if parsed.json else say(f"{done} reverses {parsed.transaction}")
    return 0


def create_codes(settings: Settings, parsed: argparse.Namespace) -> int:
    """Mint codes."""
    amount = parse_usd(parsed.amount)
    if amount < CENT or amount % CENT or not 1 <= parsed.count <= 10_000:
        raise BadRequest("A code is worth whole cents, and 1 to 10000 are made at once.")
    pepper = secrets.derive(_secret(settings), secrets.CODES)
    expires = NEVER_MS if parsed.expires is None else moment_of(parsed.expires)
    now_ms = now()
    minted = [mint_code(randomness.token_bytes(RANDOM_BYTES)) for _ in range(parsed.count)]
    kept = [
        Code(
            id=f"code_{randomness.token_hex(8)}",
            digest=digest_of(code, pepper),
            amount=amount,
            note=parsed.note,
            created_at=now_ms,
            expires_at=expires,
        )
        for code in minted
    ]

    async def work(database: Database) -> None:
        await database.write(lambda tx: codes.create(tx, kept))

    within(settings, work, changes=False)
    if parsed.json:
        show_json([{"id": k.id, "code": c} for k, c in zip(kept, minted, strict=True)])
    else:
        say("\n".join(minted))
    return 0


def list_codes(settings: Settings, parsed: argparse.Namespace) -> int:
    """All codes, without the codes themselves."""
    rows = [
        {
            "id": one.id,
            "amount_usd": format_usd(one.amount),
            "note": one.note,
            "redeemed_by": one.redeemed_by,
            "expires": None if one.expires_at == NEVER_MS else _date(one.expires_at),
        }
        for one in within(settings, codes.listing, changes=False)
    ]
    if parsed.json:
        show_json(rows)
    else:
        headings = ("id", "amount_usd", "note", "redeemed_by", "expires")
        show_table(headings, [[row[name] for name in headings] for row in rows])
    return 0


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat()


def _secret(settings: Settings) -> str:
    secret = dev.with_secret(settings).secret if settings.dev else settings.secret
    if not secret:
        raise SettingsError("APERTURA_SECRET is not set; it must be the server's, or no code works")
    return secret
