"""What mails say: one place per template; its name and the facts of the case make a whole mail.

A template is data: a subject, an opening sentence, the facts that are shown below it, and what to
do. Facts are texts, written for people; one whose name ends in `_usd` is an amount of dollars
("12.50"). One that is missing leaves out its row, and leaves a hole in a sentence, which is no
reason to send nothing. What it is not: who gets a mail, or
when (`store.outbox`).

The rule that keeps it honest: whatever comes from outside is made one short line before it is put
into anything, so that no name of a key can add a line to a mail; and in HTML everything is escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from html import escape

import msgspec

FACT_MAX = 120
"""Characters that are shown of a fact."""
SUBJECT_FACT_MAX = 60
_TURNS_TEXT = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Kinds of characters that are not seen, but change how others are: breaks, reversals, marks."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """`{name}` in a sentence stands for a fact; `rows` are (label, fact)."""

    subject: str
    opening: str
    rows: tuple[tuple[str, str], ...] = ()
    closing: str = ""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A mail's words."""

    subject: str
    text: str
    html: str


class Brand(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes: the installation's name, and where people reach it (empty: not said)."""

    name: str
    public_url: str = ""


class UnknownTemplate(ValueError):
    """There is no template of this name."""


_ALERTS = "These messages can be switched off, or sent at another threshold."

TEMPLATES: dict[str, Template] = {
    "payment_received": Template(
        subject="Payment received: {amount_usd}",
        opening="We have received a payment of {amount_usd}. Thank you.",
        rows=(
            ("For", "kind"),
            ("Amount", "amount_usd"),
            ("Credited to the balance", "credited_usd"),
            ("Invoice", "invoice"),
        ),
    ),
    "payment_failed": Template(
        subject="A payment failed: {amount_usd}",
        opening="A payment of {amount_usd} did not succeed. Nothing was taken for it.",
        rows=(
            ("For", "kind"),
            ("Amount", "amount_usd"),
            ("Reason", "reason"),
            ("Failed so far", "tries"),
            ("To be paid until", "until"),
        ),
        closing="It is tried again. Please check the payment method, or pay in another way.",
    ),
    "auto_top_up_failed": Template(
        subject="Automatic top-up has stopped: {amount_usd} could not be paid",
        opening="The balance fell below the threshold, but the automatic top-up of {amount_usd} "
        "did not succeed. It is switched off now.",
        rows=(("Amount", "amount_usd"), ("Reason", "reason"), ("Failed so far", "tries")),
        closing="Calls are refused once the balance is used up. Please check the payment method "
        "and switch the automatic top-up on again, or top up by hand.",
    ),
    "refund_made": Template(
        subject="Refund: {amount_usd}",
        opening="{amount_usd} go back to the way in which they were paid.",
        rows=(("Amount", "amount_usd"), ("Of payment", "payment"), ("Kind", "kind")),
        closing="How long it takes until the money arrives depends on your bank.",
    ),
    "plan_started": Template(
        subject="Your plan {plan} has started",
        opening="The plan {plan} has started.",
        rows=(
            ("Plan", "plan"),
            ("Period", "period"),
            ("Credits of a cycle", "allowance"),
            ("Price", "amount_usd"),
            ("Paid until", "until"),
        ),
    ),
    "plan_suspended": Template(
        subject="Your plan {plan} is suspended",
        opening="The plan {plan} is suspended because it was not paid for. Calls with its key are "
        "refused.",
        rows=(("Plan", "plan"), ("Reason", "reason"), ("Amount due", "amount_usd")),
        closing="It goes on by itself as soon as it is paid.",
    ),
    "plan_ended": Template(
        subject="Your plan {plan} has ended",
        opening="The plan {plan} has ended. Calls with its key are refused.",
        rows=(("Plan", "plan"), ("Ended", "ended"), ("Reason", "reason")),
    ),
    "low_balance": Template(
        subject="Balance {state}: {left_usd} left",
        opening="The prepaid balance of {organization} is {state}: {left_usd} are left.",
        rows=(("Organization", "organization"), ("Balance", "left_usd")),
        closing=f"Calls are refused once the balance is used up. {_ALERTS}",
    ),
    "quota_low": Template(
        subject='Quota of the key "{key}" {state}: {left_usd} left',
        opening='The quota of the API key "{key}" is {state}: {left_usd} of {whole_usd} are left.',
        rows=(
            ("Organization", "organization"),
            ("Key", "key"),
            ("Left", "left_usd"),
            ("Of", "whole_usd"),
        ),
        closing=f"Calls with this key are refused once its quota is used up. {_ALERTS}",
    ),
    "budget_reached": Template(
        subject="Budget of {scope}, {month}: {percent} used",
        opening="{percent} of the budget of {scope} for {month} are used.",
        rows=(
            ("Organization", "organization"),
            ("Month", "month"),
            ("Used", "used_usd"),
            ("Budget", "whole_usd"),
            ("Begins anew", "until"),
        ),
        closing=f"Calls are refused once the budget is used up, until it begins anew. {_ALERTS}",
    ),
    "cycle_low": Template(
        subject="Plan {plan}, cycle from {cycle}: {left} of {whole} credits left",
        opening="The allowance of the plan {plan} in the cycle from {cycle} is {state}: {left} of "
        "{whole} credits are left.",
        rows=(
            ("Organization", "organization"),
            ("Plan", "plan"),
            ("Left", "left"),
            ("Of", "whole"),
            ("Cycle from", "cycle"),
            ("Begins anew", "until"),
        ),
        closing="Once it is used up, calls are paid from the balance where that was allowed, and "
        f"else refused until the next cycle. {_ALERTS}",
    ),
    "test": Template(
        subject="A test of mail",
        opening="This message was sent to see whether mail arrives. It does.",
    ),
}


class _Facts(dict[str, str]):
    """Where a fact is missing there is a hole."""

    def __missing__(self, name: str) -> str:
        return "…"


def render(template: str, facts: Mapping[str, str], brand: Brand) -> Written:
    """The words of one mail.

    Raises:
        UnknownTemplate: there is none of this name.
    """
    if (found := TEMPLATES.get(template)) is None:
        raise UnknownTemplate(f"there is no template {template!r}")
    said = _Facts({fact: _shown(fact, text, FACT_MAX) for fact, text in facts.items()})
    short = _Facts({fact: _shown(fact, text, SUBJECT_FACT_MAX) for fact, text in facts.items()})
    name = one_line(brand.name, SUBJECT_FACT_MAX)
    opening, closing = found.opening.format_map(said), found.closing.format_map(said)
    rows = [(label, said[fact]) for label, fact in found.rows if said.get(fact)]
    return Written(
        subject=one_line(f"[{name}] {found.subject.format_map(short)}", 250),
        text=_text(opening, rows, closing, (name, brand.public_url)),
        html=_html(opening, rows, closing, (name, brand.public_url)),
    )


def _shown(fact: str, text: str, most: int) -> str:
    line = one_line(text, most)
    bare = line and fact.endswith("_usd") and not line.endswith("USD")
    return f"{line} USD" if bare else line


def one_line(text: str, most: int) -> str:
    """A text as one line without anything unseen in it, cut where it is too long."""
    seen = "".join(" " if unicodedata.category(c) in _TURNS_TEXT else c for c in text)
    line = " ".join(seen.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _text(opening: str, rows: list[tuple[str, str]], closing: str, signed: tuple[str, str]) -> str:
    width = max((len(label) for label, _ in rows), default=0) + 1
    table = "\n".join(f"{label + ':':<{width}} {value}" for label, value in rows)
    parts = [opening, table, closing, "\n".join(part for part in ("-- ", *signed) if part)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(opening: str, rows: list[tuple[str, str]], closing: str, signed: tuple[str, str]) -> str:
    name, url = (escape(part) for part in signed)
    table = "".join(
        f'<tr><th align="left">{escape(label)}</th><td>{escape(value)}</td></tr>\n'
        for label, value in rows
    )
    parts = [
        f"<p>{escape(opening)}</p>",
        f'<table cellpadding="4">\n{table}</table>' if table else "",
        f"<p>{escape(closing)}</p>" if closing else "",
        f'<p><a href="{url}">{name}</a></p>' if url else f"<p>{name}</p>",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"></head>\n'
        f"<body>\n{body}\n</body></html>\n"
    )
