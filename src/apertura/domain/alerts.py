"""Alerts about money: how little is left of a fund, and whether that is news.

A fund that can run out (the prepaid balance, a key's quota, the budget of a month, the allowance of
a plan's cycle) stands at a level, by marks between what is left of it and the whole. A level is
told of when the fund falls to it, and again only after the fund has stood above it. Of a level that
was jumped over nobody is told.

What it is not: which funds there are and what was told (`store.alerts`), or the words of a mail
(`mail.messages`). The rule that keeps it honest: what is remembered of a fund is the level at which
it stood, so that looking twice, or after a restart, tells nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import IntEnum
from typing import Literal

import msgspec

from apertura.domain.funds import UNBOUNDED, Kind
from apertura.domain.money import NANO_MAX, NANO_PER_USD, Nano, format_usd

AlertKind = Literal["low_balance", "quota", "budget", "cycle"]
ALERT_KINDS: tuple[AlertKind, ...] = ("low_balance", "quota", "budget", "cycle")
OF_FUND: dict[Kind, AlertKind] = {
    "wallet": "low_balance",
    "key-quota": "quota",
    "key-budget": "budget",
    "org-budget": "budget",
    "allowance": "cycle",
}
"""The funds that are watched."""


class Level(IntEnum):
    """How bad it is."""

    NORMAL = 0
    LOW = 1
    WARNING = 2
    CRITICAL = 3
    EXHAUSTED = 4


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an organization is told, and from where on: `low_balance` in nano-dollars left,
    `quota` and `cycle` in percent left, `budget` in percent used.
    """

    on: bool = True
    threshold: int


DEFAULTS: dict[AlertKind, Rule] = {
    "low_balance": Rule(threshold=20 * NANO_PER_USD),
    "quota": Rule(threshold=20),
    "budget": Rule(threshold=80),
    "cycle": Rule(threshold=20),
}
CRITICAL_PERCENT = 10
"""Of a quota or an allowance."""
CENT = NANO_PER_USD // 100
CREDIT = 1_000
CRUMBS: dict[AlertKind, int] = {"low_balance": CENT, "quota": CENT, "budget": CENT, "cycle": CREDIT}
"""Less than this counts as nothing: hardly a call is so cheap. Of a small whole, a thousandth."""


class Mark(msgspec.Struct, frozen=True):
    """A level holds while no more than this is left."""

    level: Level
    most: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    """How a fund stands, and between which bounds of what is left (both within) it stands so."""

    level: Level
    low: int
    high: int


def check_threshold(kind: AlertKind, threshold: int) -> None:
    """Raises: ValueError, which says what would do."""
    if kind == "low_balance":
        if not 0 < threshold <= NANO_MAX // 2:
            raise ValueError("it is an amount of dollars above 0")
    elif not 1 <= threshold <= 99:
        raise ValueError("it is from 1 to 99 percent")


def marks(kind: AlertKind, rule: Rule, whole: int) -> list[Mark]:
    """The marks of a fund, the least bad first. `whole` is what a full one holds (of a balance it
    says nothing). None where nothing is to be told: it is switched off, or there is no cap, or one
    of nothing.
    """
    if not rule.on:
        return []
    if kind == "low_balance":
        return _of_balance(rule.threshold)
    if not 0 < whole < UNBOUNDED:
        return []
    empty = Mark(Level.EXHAUSTED, _crumbs(kind, whole))
    if kind == "budget":
        return _rising([Mark(Level.WARNING, _percent(whole, 100 - rule.threshold)), empty])
    critical = Mark(Level.CRITICAL, _percent(whole, min(CRITICAL_PERCENT, rule.threshold)))
    return _rising([Mark(Level.WARNING, _percent(whole, rule.threshold)), critical, empty])


def _of_balance(threshold: int) -> list[Mark]:
    """The contract's bands: to 20 dollars low, below 10 a warning, below 5 critical. The threshold
    stands for the first, and bands above it are left out.
    """
    bands = [
        Mark(Level.WARNING, min(threshold, 10 * NANO_PER_USD - 1)),
        Mark(Level.CRITICAL, min(threshold, 5 * NANO_PER_USD - 1)),
    ]
    empty = Mark(Level.EXHAUSTED, CRUMBS["low_balance"] - 1)
    return _rising([Mark(Level.LOW, threshold), *bands, empty])


def _rising(ordered: Sequence[Mark]) -> list[Mark]:
    """Of marks at the same place only the worst."""
    kept: list[Mark] = []
    for mark in reversed(ordered):
        if not kept or mark.most > kept[-1].most:
            kept.append(mark)
    return kept[::-1]


def _percent(whole: int, percent: int) -> int:
    return whole * percent // 100


def _crumbs(kind: AlertKind, whole: int) -> int:
    """The most that counts as nothing."""
    return max(0, min(CRUMBS[kind], whole // 1_000) - 1)


def view(ordered: Sequence[Mark], left: int) -> View:
    """Where a fund stands among its marks."""
    level, low, high = Level.NORMAL, -NANO_MAX, NANO_MAX
    for mark in ordered:
        if left > mark.most:
            low = mark.most + 1
            break
        level, high = mark.level, mark.most
    return View(level=level, low=low, high=high)


def is_news(kind: AlertKind, before: Level | None, now: Level) -> bool:
    """Whether somebody is told: it is worse than when one last looked.

    What is seen for the first time was full before, but for a balance: a small top-up is no news to
    whoever has just made it. That nothing is left is.
    """
    if before is None:
        return now == Level.EXHAUSTED or (kind != "low_balance" and now > Level.NORMAL)
    return now > before


# A fund as it was found, and what a mail says of it.

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
STATES = {
    Level.LOW: "low",
    Level.WARNING: "low",
    Level.CRITICAL: "nearly used up",
    Level.EXHAUSTED: "used up",
}
TEMPLATES: dict[AlertKind, str] = {
    "low_balance": "low_balance",
    "quota": "quota_low",
    "budget": "budget_reached",
    "cycle": "cycle_low",
}


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A fund that may stand at another level than when one last looked. `left` and `whole` are in
    nano-dollars, of an allowance in thousandths of a credit; times in ms since 1970.
    """

    fund: str
    kind: AlertKind
    org_id: str
    organization: str
    name: str = ""
    """Of the key whose quota or budget it is (empty: the organization's own), or of the plan."""
    left: int
    whole: int = 0
    since_ms: int = 0
    until_ms: int
    rule: Rule
    before: Level | None = None
    seq: int = 0
    """How often its level was seen to change."""


def look(seen: Sighting) -> View:
    """How it stands now."""
    return view(marks(seen.kind, seen.rule, seen.whole), seen.left)


def facts_of(seen: Sighting, level: Level) -> dict[str, str]:
    """What the mail of its kind says, for the template in `TEMPLATES`."""
    left = max(0, seen.left)
    facts = {"organization": seen.organization, "state": STATES[level]}
    if seen.kind == "cycle":
        return facts | {
            "plan": seen.name,
            "left": str(left // CREDIT),
            "whole": str(seen.whole // CREDIT),
            "cycle": _day(seen.since_ms),
            "until": _day(seen.until_ms),
        }
    facts |= {"left_usd": _cents(left), "whole_usd": _cents(seen.whole), "key": seen.name}
    if seen.kind == "budget":
        used = seen.whole - left
        percent = 100 if level == Level.EXHAUSTED else used * 100 // seen.whole
        facts |= {
            "scope": f'the key "{seen.name}"' if seen.name else "the organization",
            "month": month_name(seen.since_ms),
            "percent": f"{percent} %",
            "used_usd": _cents(used),
            "until": _day(seen.until_ms),
        }
    return facts


def month_name(since_ms: int) -> str:
    """A budget's month, by when it begins: "May 2026", or "the month from 15 May 2026"."""
    begin = _date(since_ms)
    name = f"{MONTHS[begin.month - 1]} {begin.year}"
    return name if begin.day == 1 else f"the month from {begin.day} {name}"


def _date(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).date()


def _day(at_ms: int) -> str:
    return _date(at_ms).isoformat()


def _cents(amount: int) -> str:
    """Whole cents, down: what is less cannot be spent."""
    return format_usd(Nano(amount // CENT * CENT))
