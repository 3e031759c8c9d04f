"""The audit of the books, the funds and the usage: everything that must always be true.

What it is: named checks, each one question to the database, so that it is answered from one moment
also while a server writes. What it is not: a repair; nothing is changed.

The rule that keeps it honest: a check says how much it looked at, so that "nothing wrong" is told
from "nothing there".
"""

from __future__ import annotations

import msgspec

from apertura.store.audit_rules import RULES, Rule
from apertura.store.database import Database


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not be: `subject` is what it is about, in the unit of the rule."""

    rule: str
    subject: str
    expected: int
    found: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what of it is wrong; an empty `findings` is what is hoped for."""

    name: str
    checked: int
    findings: tuple[Finding, ...]


async def audit(db: Database) -> list[Check]:
    """Everything that must be true, in a fixed order."""
    return [await _check(db, rule) for rule in RULES]


async def _check(db: Database, rule: Rule) -> Check:
    wrong = await db.read(rule.wrong)
    count = await db.read(rule.count)
    findings = tuple(
        Finding(rule=rule.name, subject=str(subject), expected=expected, found=found)
        for subject, expected, found in wrong
    )
    return Check(name=rule.name, checked=count[0][0], findings=findings)
