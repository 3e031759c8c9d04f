"""Statements and invoices of an organization, for its admin keys: /api/billing/….

    GET /api/billing/statements                 the months
    GET /api/billing/statements/{month}         one as JSON; `.pdf` and `.csv` of the same
    GET /api/billing/invoices                   invoices and credit notes, the last one first
    GET /api/billing/invoices/{number}.pdf
    GET, PUT /api/billing/details               to whom the next invoice is addressed

What it is not: what stands in them (`domain.statements`, `domain.invoices`). The rule that keeps it
honest: making a page takes long, so it is done on a thread of its own, one document at a time, and
calls go on beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from apertura.api import manage
from apertura.api.amounts import credits_of, dollars
from apertura.api.manage import moment, query_of, read_value, reply_data, whole
from apertura.api.parts import Parts
from apertura.documents.invoices import invoice_pdf
from apertura.documents.statements import statement_csv, statement_pdf
from apertura.domain.identity import Caller
from apertura.domain.invoices import Details, Invoice, Issuer, parse_rate
from apertura.domain.ledger import Unit
from apertura.domain.statements import (
    Line,
    ModelUse,
    Month,
    Section,
    Statement,
    parse_month,
    span_of,
)
from apertura.relay.exchange import Exchange, Head
from apertura.settings import Settings
from apertura.store import identity, invoices, statements

LIMIT, LIMIT_MOST = 50, 500
IN_A_MONTH = 1_000
"""Invoices that one statement lists at most."""
_press = ThreadPoolExecutor(1, "documents")


async def list_statements(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/statements."""
    caller, head = await manage.enter(parts, exchange)
    now_ms = manage.now_ms()
    months = await statements.months(parts.database, caller.org_id, now_ms=now_ms)
    items = [{"month": month, "final": span_of(month)[1] <= now_ms} for month in months]
    reply_data(exchange, {"items": items}, head)


async def show_statement(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/statements/{month}."""
    caller, head = await manage.enter(parts, exchange, query=True)
    found = await _statement(parts, caller, _month_in(exchange, ""))
    issued = await _issued(parts, caller, found.month)
    shown = show(found) | {"invoices": [show_invoice(one) for one in issued]}
    reply_data(exchange, shown, head)


async def show_statement_pdf(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/statements/{month}.pdf."""
    caller, head = await manage.enter(parts, exchange, query=True)
    found = await _statement(parts, caller, _month_in(exchange, ".pdf"))
    make = partial(
        statement_pdf,
        found,
        buyer=await _buyer(parts, caller),
        issuer=issuer_of(parts.settings),
        invoices=await _issued(parts, caller, found.month),
    )
    _send(exchange, head, await _printed(make), f"statement-{found.month}.pdf")


async def show_statement_csv(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/statements/{month}.csv."""
    caller, head = await manage.enter(parts, exchange, query=True)
    found = await _statement(parts, caller, _month_in(exchange, ".csv"))
    _send(exchange, head, statement_csv(found), f"statement-{found.month}.csv")


async def list_invoices(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/invoices[?limit=…&offset=…]."""
    caller, head = await manage.enter(parts, exchange)
    query = query_of(exchange, ("limit", "offset"))
    wants = f"a whole number from 1 to {LIMIT_MOST}"
    limit = read_value(query, "limit", LIMIT, whole(1, LIMIT_MOST), wants)
    offset = read_value(query, "offset", 0, whole(0, 2**31), "a whole number")
    found = await invoices.listing(parts.database, caller.org_id, limit=limit, offset=offset)
    reply_data(exchange, {"items": [show_invoice(one) for one in found]}, head)


async def show_invoice_pdf(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/invoices/{number}.pdf."""
    caller, head = await manage.enter(parts, exchange, query=True)
    number = manage.last_part(exchange, "/invoices/", ".pdf")
    found = await invoices.find(parts.database, caller.org_id, number)
    if found is None:
        raise manage.not_found("invoice", number)
    if not found.issuer.name:
        issuer = msgspec.structs.replace(found.issuer, name=parts.settings.name)
        found = msgspec.structs.replace(found, issuer=issuer)
    _send(exchange, head, await _printed(partial(invoice_pdf, found)), f"{number}.pdf")


async def show_details(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/details."""
    caller, head = await manage.enter(parts, exchange)
    reply_data(exchange, await invoices.details(parts.database, caller.org_id), head)


async def put_details(parts: Parts, exchange: Exchange) -> None:
    """PUT /api/billing/details: the whole of it; what is left out is empty."""
    caller, head = await manage.enter(parts, exchange, write=True)
    given = manage.read_body(parts, exchange, Details)
    reply_data(exchange, await invoices.set_details(parts.database, caller.org_id, given), head)


def issuer_of(settings: Settings) -> Issuer:
    """Who issues documents, as the settings say. Kept for invoices when a server starts."""
    return Issuer(
        name=settings.issuer_name or settings.name,
        address=settings.issuer_address.replace(";", "\n"),
        tax_id=settings.issuer_tax_id,
        tax_label=settings.tax_label,
        tax_rate=parse_rate(settings.tax_rate),
    )


# How it is read and sent.


def _month_in(exchange: Exchange, suffix: str) -> Month:
    text = manage.last_part(exchange, "/statements/", suffix)
    try:
        return parse_month(text)
    except ValueError:
        raise manage.not_found("statement", text) from None


async def _statement(parts: Parts, caller: Caller, month: Month) -> Statement:
    """Raises: NotFound: a month in which the organization was not there yet, or that is to come."""
    await parts.settlement.flush()
    now_ms = manage.now_ms()
    if month not in await statements.months(parts.database, caller.org_id, now_ms=now_ms):
        raise manage.not_found("statement", month)
    return await statements.find(parts.database, caller.org_id, month, now_ms=now_ms)


async def _issued(parts: Parts, caller: Caller, month: Month) -> list[Invoice]:
    since, until = span_of(month)
    return await invoices.listing(
        parts.database, caller.org_id, limit=IN_A_MONTH, since=since, until=until
    )


async def _buyer(parts: Parts, caller: Caller) -> Details:
    found = await invoices.details(parts.database, caller.org_id)
    if found.company:
        return found
    org = await identity.find_organization(parts.database, caller.org_id)
    return msgspec.structs.replace(found, company=org.name if org else caller.org_id)


async def _printed(make: Callable[[], bytes]) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(_press, make)


def _send(exchange: Exchange, head: Head, body: bytes, name: str) -> None:
    kind = "application/pdf" if name.endswith(".pdf") else "text/csv; charset=utf-8"
    lines = (
        f"content-type: {kind}\r\n"
        f'content-disposition: attachment; filename="{name}"\r\n'
        "cache-control: no-store\r\n"
    )
    exchange.respond(200, lines.encode("latin-1") + head, body)


# How it is shown.


def show(statement: Statement) -> dict[str, object]:
    """A statement as JSON; amounts are numbers of dollars or credits, as `unit` says."""
    return {
        "organization": statement.org_id,
        "month": statement.month,
        "final": statement.is_final,
        "until": moment(statement.until_ms),
        "opening_usd": dollars(statement.wallet.opening),
        "closing_usd": dollars(statement.wallet.closing),
        "accounts": [_show_section(section) for section in statement.sections],
        "models": [_show_use(use) for use in statement.models],
        "total": _show_use(statement.total),
        "transactions": [_show_line(line) for line in statement.lines],
    }


def show_invoice(invoice: Invoice) -> dict[str, object]:
    """An invoice as a row of a list."""
    return {
        "number": invoice.number,
        "kind": invoice.kind,
        "credit_note": invoice.is_credit_note,
        "corrects": invoice.corrects or None,
        "issued_at": moment(invoice.issued_at),
        "amount_usd": dollars(invoice.amount),
        "tax_usd": dollars(invoice.tax),
        "credited_usd": dollars(invoice.credited),
        "payment": invoice.payment,
        "via": invoice.via,
        "buyer": invoice.buyer,
    }


def _show_section(section: Section) -> dict[str, object]:
    return {
        "account": section.what,
        "name": section.name,
        "unit": _unit(section.unit),
        "opening": _amount(section.opening, section.unit),
        "movements": [
            {
                "kind": movement.kind,
                "count": movement.entries,
                "amount": _amount(movement.amount, section.unit),
            }
            for movement in section.movements
        ],
        "closing": _amount(section.closing, section.unit),
    }


def _show_use(use: ModelUse) -> dict[str, object]:
    return {
        "model": use.model,
        "calls": use.calls,
        "input_tokens": use.input,
        "output_tokens": use.output,
        "cost_usd": dollars(use.cost),
        "written_off_usd": dollars(use.written_off),
        "credits": credits_of(use.credits),
        "credits_lost": credits_of(use.credits_lost),
    }


def _show_line(line: Line) -> dict[str, object]:
    return {
        "at": moment(line.at),
        "kind": line.kind,
        "account": line.what,
        "name": line.name,
        "reference": line.reference,
        "count": line.entries,
        "amount": _amount(line.amount, line.unit),
        "unit": _unit(line.unit),
    }


def _unit(unit: Unit) -> str:
    return "credits" if unit == "credits" else "usd"


def _amount(amount: int, unit: Unit) -> object:
    return credits_of(amount) if unit == "credits" else dollars(amount)
