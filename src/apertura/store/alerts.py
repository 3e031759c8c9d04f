"""Alerts as they are kept: an organization's settings, and the level at which each fund was seen.

What it is: finding the funds that may stand at another level than when one last looked, with two
questions and without touching the others; and writing down what was seen, together with the mail
that says so. What it is not: what a level is, or what is news (`domain.alerts`).

The rule that keeps it honest: a level is written only over the one that was judged from, in the
transaction that puts the mail; of several workers who see the same, one writes and one mail is put.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from apertura.domain.alerts import (
    DEFAULTS,
    OF_FUND,
    TEMPLATES,
    AlertKind,
    Level,
    Rule,
    Sighting,
    View,
    facts_of,
    is_news,
)
from apertura.domain.cycles import cycle
from apertura.domain.funds import budget_of
from apertura.domain.money import NANO_MAX
from apertura.store import outbox
from apertura.store.database import Database, Row, Tx

DAY_MS = 86_400_000


class Judged(msgspec.Struct, frozen=True):
    """What was seen, and how it stands."""

    seen: Sighting
    view: View


# Settings.


_OWN = "SELECT kind, is_on, threshold FROM alert_settings WHERE org_id = ?"


async def settings(db: Database, org_id: str) -> dict[AlertKind, Rule]:
    """Of every kind: the organization's own, else as shipped."""
    return _rules(await db.read(_OWN, (org_id,)))


async def settings_to_change(tx: Tx, org_id: str) -> dict[AlertKind, Rule]:
    """The same, within the transaction that changes some of them."""
    return _rules(await tx.execute(_OWN, (org_id,)))


def _rules(rows: Sequence[Row]) -> dict[AlertKind, Rule]:
    own = {kind: Rule(on=bool(is_on), threshold=threshold) for kind, is_on, threshold in rows}
    return DEFAULTS | own


async def set_settings(tx: Tx, org_id: str, rules: Mapping[AlertKind, Rule]) -> None:
    """Change those that are given. Every fund of the organization is looked at anew.

    The caller has looked at the thresholds. Raises Conflict: there is no such organization.
    """
    for kind, rule in rules.items():
        await tx.execute(
            "INSERT INTO alert_settings (org_id, kind, is_on, threshold) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (org_id, kind) DO UPDATE SET "
            "is_on = excluded.is_on, threshold = excluded.threshold",
            (org_id, kind, int(rule.on), rule.threshold),
        )
    await tx.execute(
        "UPDATE alert_states SET low = ?, high = ? WHERE org_id = ?", (NANO_MAX, -NANO_MAX, org_id)
    )


# Looking.

_SEEN = (
    "organizations.id, organizations.name, funds.posted, alert_states.level, alert_states.seq, "
    "alert_settings.is_on, alert_settings.threshold"
)
_MOVED = (
    "(alert_states.fund_id IS NULL OR funds.posted < alert_states.low "
    "OR funds.posted > alert_states.high OR {whole} <> alert_states.whole)"
)
_KIND = (
    "CASE funds.kind "
    + " ".join(f"WHEN '{fund}' THEN '{kind}'" for fund, kind in OF_FUND.items())
    + " END"
)
_FUNDS = (
    "SELECT funds.id, funds.kind, funds.owner, COALESCE(funds.cap, 0), funds.since_ms, "
    f"funds.until_ms, COALESCE(keys.name, ''), budgets.reset_day, {_SEEN} FROM funds "
    "LEFT JOIN alert_states ON alert_states.fund_id = funds.id "  # first: it leaves few
    "LEFT JOIN keys ON funds.kind IN ('key-quota', 'key-budget') AND keys.id = funds.owner "
    "JOIN organizations ON organizations.id = COALESCE(keys.org_id, funds.owner) "
    "LEFT JOIN budgets ON budgets.owner = funds.owner "
    "LEFT JOIN alert_settings ON alert_settings.org_id = organizations.id "
    f"AND alert_settings.kind = {_KIND} "
    "WHERE funds.kind IN ('wallet', 'key-quota', 'key-budget', 'org-budget') AND funds.id > ? "
    "AND funds.since_ms <= ? AND funds.until_ms > ? AND organizations.status = 'active' "
    f"AND {_MOVED.format(whole='COALESCE(funds.cap, 0)')} ORDER BY funds.id LIMIT ?"
)
_CYCLES = (
    "SELECT funds.id, plan_cycles.number, plan_cycles.granted, subscriptions.anchor_ms, "
    f"subscriptions.plan, {_SEEN} FROM plan_cycles "
    "JOIN subscriptions ON subscriptions.id = plan_cycles.subscription_id "
    "JOIN funds ON funds.id = 'org:' || subscriptions.org_id || ':plan:' || subscriptions.id "
    "|| '.' || CAST(plan_cycles.number AS TEXT) "
    "JOIN organizations ON organizations.id = subscriptions.org_id "
    "LEFT JOIN alert_states ON alert_states.fund_id = funds.id "
    "LEFT JOIN alert_settings ON alert_settings.org_id = organizations.id "
    "AND alert_settings.kind = 'cycle' "
    "WHERE plan_cycles.ended_ms IS NULL AND funds.id > ? AND organizations.status = 'active' "
    f"AND {_MOVED.format(whole='plan_cycles.granted')} ORDER BY funds.id LIMIT ?"
)


class Page(msgspec.Struct, frozen=True):
    """Some of what is to be looked at; `last` is the fund to go on after, None at the end."""

    seen: list[Sighting]
    last: str | None


async def moved_funds(db: Database, now_ms: int, *, after: str, most: int) -> Page:
    """Balances, quotas and budgets to look at, in the order of their names after one of them."""
    rows = await db.read(_FUNDS, (after, now_ms, now_ms, most))
    return _page(rows, [_fund(row, now_ms) for row in rows], most)


async def moved_cycles(db: Database, now_ms: int, *, after: str, most: int) -> Page:
    """So for the allowances of the cycles that run."""
    rows = await db.read(_CYCLES, (after, most))
    return _page(rows, [_cycle(row, now_ms) for row in rows], most)


def _page(rows: Sequence[Row], seen: Sequence[Sighting | None], most: int) -> Page:
    last = rows[-1][0] if len(rows) == most else None
    return Page([one for one in seen if one is not None], last)


def _fund(row: Row, now_ms: int) -> Sighting | None:
    fund, kind, owner, whole, since, until, name, reset_day, *seen = row
    if kind.endswith("-budget") and not _is_current(fund, owner, reset_day, now_ms):
        return None
    return _sighting(
        seen, fund=fund, kind=OF_FUND[kind], whole=whole, since_ms=since, until_ms=until, name=name
    )


def _is_current(fund: str, owner: str, reset_day: int | None, now_ms: int) -> bool:
    """Whether calls count under this month: not where another reset day was set within it."""
    shelf: Literal["key", "org"] = "key" if fund.startswith("key:") else "org"
    return reset_day is not None and budget_of(shelf, owner, reset_day, now_ms) == fund


def _cycle(row: Row, now_ms: int) -> Sighting | None:
    fund, number, granted, anchor, plan, *seen = row
    runs = cycle(anchor, number)
    if not runs.start_ms <= now_ms < runs.end_ms:
        return None
    return _sighting(
        seen,
        fund=fund,
        kind="cycle",
        whole=granted,
        since_ms=runs.start_ms,
        until_ms=runs.end_ms,
        name=plan,
    )


def _sighting(row: Sequence[object], **known: object) -> Sighting:
    org_id, organization, left, level, seq, is_on, threshold = row
    rule = DEFAULTS[known["kind"]]  # type: ignore[index]
    if threshold is not None:
        rule = Rule(on=bool(is_on), threshold=threshold)  # type: ignore[arg-type]
    return msgspec.convert(
        {
            **known,
            "org_id": org_id,
            "organization": organization,
            "left": left,
            "rule": rule,
            "before": level,
            "seq": 0 if seq is None else seq,
        },
        Sighting,
    )


# Writing down.


async def note(tx: Tx, judged: Sequence[Judged], now_ms: int) -> int:
    """Write down what was seen, and put the mail of what is news; returns how many were put.

    What another worker has written down meanwhile is left to it.
    """
    put = 0
    for one in judged:
        seen, level = one.seen, one.view.level
        if not await _write(tx, one) or not is_news(seen.kind, seen.before, level):
            continue
        put += await outbox.put(
            tx,
            key=f"alert:{seen.fund}:{seen.seq + 1}",
            org_id=seen.org_id,
            template=TEMPLATES[seen.kind],
            facts=facts_of(seen, level),
            now_ms=now_ms,
        )
    return put


async def _write(tx: Tx, one: Judged) -> bool:
    seen, stands = one.seen, one.view
    if seen.before is None:
        columns = ("fund_id", "org_id", "level", "seq", "low", "high", "whole", "until_ms")
        row = (
            seen.fund,
            seen.org_id,
            int(stands.level),
            1,
            stands.low,
            stands.high,
            seen.whole,
            seen.until_ms,
        )
        return bool(await tx.insert_many("alert_states", columns, [row]))
    rows = await tx.execute(
        "UPDATE alert_states SET level = ?, seq = seq + 1, low = ?, high = ?, whole = ?, "
        "until_ms = ? WHERE fund_id = ? AND seq = ? RETURNING fund_id",
        (
            int(stands.level),
            stands.low,
            stands.high,
            seen.whole,
            seen.until_ms,
            seen.fund,
            seen.seq,
        ),
    )
    return bool(rows)


async def level_of(db: Database, fund: str) -> Level | None:
    """The level at which a fund was last seen."""
    rows = await db.read("SELECT level FROM alert_states WHERE fund_id = ?", (fund,))
    return Level(rows[0][0]) if rows else None


async def forget(tx: Tx, now_ms: int) -> None:
    """What was seen of months and cycles that are over is of no use any more."""
    await tx.execute("DELETE FROM alert_states WHERE until_ms <= ?", (now_ms - DAY_MS,))
