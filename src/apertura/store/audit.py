"""The audit of the books, the funds and the usage: everything that must always be true.

What it is: named checks, each one question to the database, so that it is answered from one moment
also while a server writes. What it is not: a repair; nothing is changed.

The rule that keeps it honest: a check says how much it looked at, so that "nothing wrong" is told
from "nothing there".
"""

from __future__ import annotations

import msgspec

from apertura.domain.funds import UNBOUNDED
from apertura.domain.ledger import PLAN_CREDITS
from apertura.store.database import Database
from apertura.store.ledger import Finding

_UNIT = (
    f"CASE WHEN {{0}} = '{PLAN_CREDITS}' OR {{0}} LIKE 'org:%:plan:%' "
    "THEN 'credits' ELSE 'nano-dollars' END"
)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what of it is wrong; an empty `findings` is what is hoped for."""

    name: str
    checked: int
    findings: tuple[Finding, ...]


class _Rule(msgspec.Struct, frozen=True):
    """`wrong` asks for (subject, expected, found), `count` for how much there is to look at."""

    name: str
    count: str
    wrong: str


def _sum(column: str) -> str:
    return f"CAST(COALESCE(SUM({column}), 0) AS BIGINT)"


def _differs(what: str, name: str, where: str = "") -> str:
    """Rows (what, expected, found) in which the two differ, added up by their subject."""
    return (
        f"SELECT {name}, {_sum('expected')}, {_sum('found')} FROM ({what}) AS both_sides {where} "
        f"GROUP BY {name} HAVING {_sum('expected')} <> {_sum('found')} ORDER BY 1"
    )


_PART = "org_id || ' ' || key_id || ' ' || model || ' ' || day"
_RULES = (
    _Rule(
        "each transaction sums to zero in each unit",
        "SELECT COUNT(*) FROM transactions",
        _differs(
            "SELECT transactions.id || ' in ' || unit AS name, 0 AS expected, amount AS found "
            "FROM transactions JOIN (SELECT transaction_id, amount, "
            f"{_UNIT.format('account_id')} AS unit FROM entries) AS parts "
            "ON transaction_id = transactions.id "
            "UNION ALL SELECT id, 1, 0 FROM transactions WHERE NOT EXISTS "
            "(SELECT 1 FROM entries WHERE transaction_id = transactions.id)",
            "name",
        ),
    ),
    _Rule(
        "each account holds the sum of its entries",
        "SELECT COUNT(*) FROM accounts",
        _differs(
            "SELECT account_id AS name, amount AS expected, 0 AS found FROM entries "
            "UNION ALL SELECT id, 0, posted FROM accounts",
            "name",
        ),
    ),
    _Rule(
        "all accounts of a unit sum to zero",
        "SELECT COUNT(*) FROM accounts",
        _differs(
            f"SELECT {_UNIT.format('id')} AS name, 0 AS expected, posted AS found FROM accounts",
            "name",
        ),
    ),
    _Rule(
        "what is available is never below zero",
        "SELECT COUNT(*) FROM funds WHERE kind IN ('wallet', 'allowance')",
        "SELECT id, 0, posted - held FROM funds "
        "WHERE kind IN ('wallet', 'allowance') AND posted < held ORDER BY id",
    ),
    _Rule(
        "what is held is the sum of the live leases",
        "SELECT COUNT(*) FROM funds",
        _differs(
            "SELECT fund_id AS name, amount AS expected, 0 AS found FROM leases "
            "UNION ALL SELECT id, 0, held FROM funds",
            "name",
        ),
    ),
    _Rule(
        "a wallet's fund holds what its account does",
        "SELECT COUNT(*) FROM funds WHERE kind = 'wallet'",
        "SELECT funds.id, COALESCE(-accounts.posted, 0), funds.posted FROM funds "
        "LEFT JOIN accounts ON accounts.id = funds.id WHERE kind = 'wallet' "
        "AND funds.posted <> COALESCE(-accounts.posted, 0) ORDER BY funds.id",
    ),
    _Rule(
        "a key's quota is what it was given less what its calls cost",
        "SELECT COUNT(*) FROM funds WHERE kind = 'key-quota'",
        "SELECT id, expected, posted FROM (SELECT funds.id, posted, "
        f"COALESCE((SELECT COALESCE(quota_nano, {UNBOUNDED}) FROM keys WHERE keys.id = owner), cap)"
        f" - (SELECT {_sum('cost')} FROM usage_days WHERE key_id = owner) AS expected "
        "FROM funds WHERE kind = 'key-quota') AS quotas WHERE posted <> expected ORDER BY id",
    ),
    _Rule(
        "a budget is its cap less what the calls of its month cost",
        "SELECT COUNT(*) FROM funds WHERE kind IN ('key-budget', 'org-budget')",
        "SELECT id, expected, posted FROM (SELECT funds.id, funds.posted, cap - "
        f"(SELECT {_sum('cost')} FROM charges WHERE "
        "((kind = 'key-budget' AND key_id = owner) OR (kind = 'org-budget' AND org_id = owner)) "
        "AND day >= since_ms / 86400000 AND day < until_ms / 86400000) AS expected "
        "FROM funds WHERE kind IN ('key-budget', 'org-budget')) AS budgets "
        "WHERE posted <> expected ORDER BY id",
    ),
    _Rule(
        "what calls cost is revenue, by organization, key, model and day",
        "SELECT COUNT(*) FROM usage",
        _differs(
            f"SELECT {_PART} AS name, cost AS expected, 0 AS found FROM (SELECT org_id, key_id, "
            "model, started_ms / 86400000 AS day, SUM(cost) AS cost FROM usage WHERE cost <> 0 "
            "GROUP BY org_id, key_id, model, started_ms / 86400000) AS rows_of_usage "
            f"UNION ALL SELECT {_PART}, 0, cost FROM charges",
            "name",
        ),
    ),
    _Rule(
        "what a transaction books as revenue is the sum of its charges",
        "SELECT COUNT(*) FROM charges",
        _differs(
            "SELECT transaction_id AS name, cost AS expected, 0 AS found FROM charges UNION ALL "
            "SELECT transaction_id, 0, -amount FROM entries JOIN transactions "
            "ON transactions.id = transaction_id AND kind = 'usage' "
            "WHERE account_id = 'revenue:usage'",
            "name",
        ),
    ),
    _Rule(
        "the sums of usage are those of its rows",
        "SELECT COUNT(*) FROM usage_days",
        _differs(
            "SELECT key_id || ' ' || model AS name, cost AS expected, 0 AS found FROM usage "
            "UNION ALL SELECT key_id || ' ' || model, 0, cost FROM usage_days",
            "name",
        ),
    ),
    _Rule(
        "what came in is top-ups less refunds",
        "SELECT COUNT(*) FROM transactions WHERE kind IN ('top-up', 'refund')",
        _differs(
            "SELECT 'processors' AS name, -amount AS expected, 0 AS found FROM entries "
            "WHERE account_id LIKE 'org:%:wallet' AND transaction_id IN "
            "(SELECT transaction_id FROM entries WHERE account_id LIKE 'processor:%') "
            "UNION ALL SELECT 'processors', 0, posted FROM accounts WHERE id LIKE 'processor:%'",
            "name",
        ),
    ),
)


async def audit(db: Database) -> list[Check]:
    """Everything that must be true, in a fixed order."""
    return [await _check(db, rule) for rule in _RULES]


async def _check(db: Database, rule: _Rule) -> Check:
    wrong = await db.read(rule.wrong)
    count = await db.read(rule.count)
    findings = tuple(
        Finding(rule=rule.name, subject=str(subject), expected=expected, found=found)
        for subject, expected, found in wrong
    )
    return Check(name=rule.name, checked=count[0][0], findings=findings)
