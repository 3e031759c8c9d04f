"""Where an organization's mail goes, and of what it is told.

GET and PUT /api/billing/alerts: each kind on or off, with its threshold. GET and PUT
/api/billing/contacts: the addresses. What it is not: looking after funds (`jobs.alerts`), or
sending (`jobs.mail`).

The rule that keeps it honest: a PUT answers with what holds now, and changes all that it names or
nothing; an amount of dollars is read and shown exactly.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import msgspec

from apertura.api.manage import enter, read_body, reply_data
from apertura.api.parts import Parts
from apertura.domain.alerts import ALERT_KINDS, AlertKind, Rule, check_threshold
from apertura.domain.contacts import CONTACTS_MAX, parse_address
from apertura.domain.money import Nano, parse_usd, usd
from apertura.errors import BadRequest
from apertura.relay.exchange import Exchange
from apertura.store import alerts, outbox
from apertura.store.database import Tx

THRESHOLDS: dict[AlertKind, str] = {
    "low_balance": "threshold_usd",
    "quota": "threshold_percent_left",
    "budget": "threshold_percent_used",
    "cycle": "threshold_percent_left",
}


class _Balance(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool | None = None
    threshold_usd: Decimal | None = None


class _Left(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool | None = None
    threshold_percent_left: int | None = None


class _Used(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool | None = None
    threshold_percent_used: int | None = None


class _Alerts(msgspec.Struct, forbid_unknown_fields=True):
    low_balance: _Balance | None = None
    quota: _Left | None = None
    budget: _Used | None = None
    cycle: _Left | None = None


class _Contacts(msgspec.Struct, forbid_unknown_fields=True):
    emails: list[str]


async def show(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/alerts."""
    caller, head = await enter(parts, exchange)
    rules = await alerts.settings(parts.database, caller.org_id)
    reply_data(exchange, _shown(rules), head)


async def change(parts: Parts, exchange: Exchange) -> None:
    """PUT /api/billing/alerts: what is left out stays."""
    caller, head = await enter(parts, exchange, write=True)
    wanted = read_body(parts, exchange, _Alerts)

    async def work(tx: Tx) -> dict[AlertKind, Rule]:
        rules = await alerts.settings_to_change(tx, caller.org_id)
        changed = {
            kind: _changed(kind, rules[kind], one)
            for kind in ALERT_KINDS
            if (one := getattr(wanted, kind)) is not None
        }
        await alerts.set_settings(tx, caller.org_id, changed)
        return rules | changed

    reply_data(exchange, _shown(await parts.database.write(work)), head)


async def show_contacts(parts: Parts, exchange: Exchange) -> None:
    """GET /api/billing/contacts."""
    caller, head = await enter(parts, exchange)
    reply_data(exchange, {"emails": await outbox.contacts(parts.database, caller.org_id)}, head)


async def change_contacts(parts: Parts, exchange: Exchange) -> None:
    """PUT /api/billing/contacts: these and no others; none means the organization's owners."""
    caller, head = await enter(parts, exchange, write=True)
    emails = _addresses(read_body(parts, exchange, _Contacts).emails)
    await parts.database.write(partial(outbox.set_contacts, org_id=caller.org_id, emails=emails))
    reply_data(exchange, {"emails": await outbox.contacts(parts.database, caller.org_id)}, head)


def _addresses(texts: list[str]) -> list[str]:
    if len(texts) > CONTACTS_MAX:
        raise _refusal("emails", f"there are at most {CONTACTS_MAX} of them")
    found: list[str] = []
    for number, text in enumerate(texts):
        try:
            found.append(parse_address(text))
        except ValueError as error:
            raise _refusal(f"emails[{number}]", str(error)) from None
    return found


def _shown(rules: dict[AlertKind, Rule]) -> dict[str, object]:
    return {
        kind: {
            "enabled": rules[kind].on,
            THRESHOLDS[kind]: _as_shown(kind, rules[kind].threshold),
        }
        for kind in ALERT_KINDS
    }


def _as_shown(kind: AlertKind, threshold: int) -> Decimal | int:
    return usd(Nano(threshold)) if kind == "low_balance" else threshold


def _changed(kind: AlertKind, rule: Rule, wanted: _Balance | _Left | _Used) -> Rule:
    field = THRESHOLDS[kind]
    said: Decimal | int | None = getattr(wanted, field)
    on = rule.on if wanted.enabled is None else wanted.enabled
    try:
        threshold = rule.threshold if said is None else _as_kept(kind, said)
        check_threshold(kind, threshold)
    except ValueError as error:
        raise _refusal(f"{kind}.{field}", str(error)) from None
    return Rule(on=on, threshold=threshold)


def _as_kept(kind: AlertKind, said: Decimal | int) -> int:
    return parse_usd(str(said)) if kind == "low_balance" else int(said)


def _refusal(param: str, why: str) -> BadRequest:
    return BadRequest(f"{param}: {why}.", code="invalid_parameter", param=param)
