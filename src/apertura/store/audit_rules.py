"""What must always be true of the books, the funds and the usage: each rule as two questions.

What it is not: who asks them (`audit`). The rule that keeps it honest: each is one question to the
database, so that it is answered from one moment, and each has a test that breaks it.
"""

from __future__ import annotations

import msgspec

from apertura.domain.funds import UNBOUNDED
from apertura.domain.ledger import LOST_CREDITS, PLAN_CREDITS

_UNIT = (
    f"CASE WHEN {{0}} IN ('{PLAN_CREDITS}', '{LOST_CREDITS}') OR {{0}} LIKE 'org:%:plan:%' "
    "THEN 'credits' ELSE 'nano-dollars' END"
)


class Rule(msgspec.Struct, frozen=True):
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
RULES = (
    Rule(
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
    Rule(
        "each account holds the sum of its entries",
        "SELECT COUNT(*) FROM accounts",
        _differs(
            "SELECT account_id AS name, amount AS expected, 0 AS found FROM entries "
            "UNION ALL SELECT id, 0, posted FROM accounts",
            "name",
        ),
    ),
    Rule(
        "all accounts of a unit sum to zero",
        "SELECT COUNT(*) FROM accounts",
        _differs(
            f"SELECT {_UNIT.format('id')} AS name, 0 AS expected, posted AS found FROM accounts",
            "name",
        ),
    ),
    Rule(
        "what is available is never below zero",
        "SELECT COUNT(*) FROM funds WHERE kind IN ('wallet', 'promo', 'allowance')",
        "SELECT id, 0, posted - held FROM funds "
        "WHERE kind IN ('wallet', 'promo', 'allowance') AND posted < held ORDER BY id",
    ),
    Rule(
        "what is held is the sum of the live leases",
        "SELECT COUNT(*) FROM funds",
        _differs(
            "SELECT fund_id AS name, amount AS expected, 0 AS found FROM leases "
            "UNION ALL SELECT id, 0, held FROM funds",
            "name",
        ),
    ),
    Rule(
        "a payer's fund holds what its account does",
        "SELECT COUNT(*) FROM funds WHERE kind IN ('wallet', 'promo', 'allowance')",
        "SELECT funds.id, COALESCE(-accounts.posted, 0), funds.posted FROM funds "
        "LEFT JOIN accounts ON accounts.id = funds.id "
        "WHERE kind IN ('wallet', 'promo', 'allowance') "
        "AND funds.posted <> COALESCE(-accounts.posted, 0) ORDER BY funds.id",
    ),
    Rule(
        "what pays and has no fund is empty",
        "SELECT COUNT(*) FROM accounts WHERE id LIKE 'org:%'",
        "SELECT id, 0, -posted FROM accounts WHERE id LIKE 'org:%' AND posted <> 0 "
        "AND NOT EXISTS (SELECT 1 FROM funds WHERE funds.id = accounts.id) ORDER BY id",
    ),
    Rule(
        "a key's quota is what it was given less what its calls cost",
        "SELECT COUNT(*) FROM funds WHERE kind = 'key-quota'",
        "SELECT id, expected, posted FROM (SELECT funds.id, posted, "
        f"COALESCE((SELECT COALESCE(quota_nano, {UNBOUNDED}) FROM keys WHERE keys.id = owner), cap)"
        f" - (SELECT {_sum('cost')} FROM usage_days WHERE key_id = owner) AS expected "
        "FROM funds WHERE kind = 'key-quota') AS quotas WHERE posted <> expected ORDER BY id",
    ),
    Rule(
        "a budget is its cap less what the calls of its month cost",
        "SELECT COUNT(*) FROM funds WHERE kind IN ('key-budget', 'org-budget')",
        "SELECT id, expected, posted FROM (SELECT funds.id, funds.posted, cap - "
        f"(SELECT {_sum('cost')} FROM charges WHERE "
        "((kind = 'key-budget' AND key_id = owner) OR (kind = 'org-budget' AND org_id = owner)) "
        "AND day >= since_ms / 86400000 AND day < until_ms / 86400000) AS expected "
        "FROM funds WHERE kind IN ('key-budget', 'org-budget')) AS budgets "
        "WHERE posted <> expected ORDER BY id",
    ),
    Rule(
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
    Rule(
        "what calls took of allowances is booked, by organization, key, model and day",
        "SELECT COUNT(*) FROM usage WHERE credits > 0",
        _differs(
            f"SELECT {_PART} AS name, credits AS expected, 0 AS found FROM (SELECT org_id, key_id, "
            "model, started_ms / 86400000 AS day, SUM(credits) AS credits FROM usage "
            "WHERE credits > 0 GROUP BY org_id, key_id, model, started_ms / 86400000) AS of_plans "
            f"UNION ALL SELECT {_PART}, 0, credits FROM charges",
            "name",
        ),
    ),
    Rule(
        "what a transaction books of credits is the sum of its charges",
        "SELECT COUNT(*) FROM charges WHERE credits > 0",
        _differs(
            "SELECT transaction_id AS name, credits AS expected, 0 AS found FROM charges UNION ALL "
            "SELECT transaction_id, 0, -amount FROM entries JOIN transactions "
            "ON transactions.id = transaction_id AND kind = 'usage' "
            f"WHERE account_id = '{PLAN_CREDITS}'",
            "name",
        ),
    ),
    Rule(
        "what providers take is what their calls took",
        "SELECT COUNT(*) FROM usage WHERE upstream_cost > 0",
        _differs(
            "SELECT provider AS name, upstream_cost AS expected, 0 AS found FROM usage UNION ALL "
            "SELECT substr(id, 6), 0, posted FROM accounts WHERE id LIKE 'cost:%'",
            "name",
        ),
    ),
    Rule(
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
    Rule(
        "the sums of usage are those of its rows",
        "SELECT COUNT(*) FROM usage_days",
        _differs(
            "SELECT key_id || ' ' || model AS name, cost AS expected, 0 AS found FROM usage "
            "UNION ALL SELECT key_id || ' ' || model, 0, cost FROM usage_days",
            "name",
        ),
    ),
    Rule(
        "what came in went to wallets and plans, less discounts and refunds",
        "SELECT COUNT(*) FROM transactions WHERE EXISTS (SELECT 1 FROM entries "
        "WHERE transaction_id = transactions.id AND account_id LIKE 'processor:%')",
        _differs(
            "SELECT 'processors' AS name, -amount AS expected, 0 AS found FROM entries "
            "WHERE (account_id LIKE 'org:%:wallet' OR "
            "account_id IN ('revenue:plans', 'contra:discounts', 'write-offs')) "
            "AND transaction_id IN "
            "(SELECT transaction_id FROM entries WHERE account_id LIKE 'processor:%') "
            "UNION ALL SELECT 'processors', 0, posted FROM accounts WHERE id LIKE 'processor:%'",
            "name",
        ),
    ),
    Rule(
        "the sums of accounts by day are those of the entries",
        "SELECT COUNT(*) FROM account_days",
        _differs(
            "SELECT account_id AS name, amount AS expected, 0 AS found FROM entries "
            "WHERE account_id LIKE 'org:%' "
            "UNION ALL SELECT account_id, 0, amount FROM account_days",
            "name",
        ),
    ),
    Rule(
        "the sums of charges by day are those of the charges",
        "SELECT COUNT(*) FROM charge_days",
        _differs(
            "SELECT org_id || ' ' || model AS name, cost + credits AS expected, 0 AS found "
            "FROM charges UNION ALL "
            "SELECT org_id || ' ' || model, 0, cost + credits FROM charge_days",
            "name",
        ),
    ),
    Rule(
        "the numbers of invoices have no gaps",
        "SELECT COUNT(*) FROM invoices",
        "SELECT series, last, found FROM (SELECT series, last, (SELECT COUNT(*) FROM invoices "
        "WHERE number LIKE series || '-%') AS found FROM invoice_series) AS counted "
        "WHERE last <> found ORDER BY series",
    ),
    Rule(
        "what cycles were granted is booked",
        "SELECT COUNT(*) FROM plan_cycles",
        _differs(
            "SELECT 'org:' || org_id || ':plan:' || subscription_id || '.' || "
            "CAST(number AS TEXT) AS name, granted AS expected, 0 AS found FROM plan_cycles "
            "JOIN subscriptions ON subscriptions.id = subscription_id "
            "UNION ALL SELECT account_id, 0, -amount FROM entries JOIN transactions "
            "ON transactions.id = transaction_id AND kind = 'allowance' "
            "WHERE account_id LIKE 'org:%:plan:%'",
            "name",
        ),
    ),
    Rule(
        "no cycle is granted that is not paid for",
        "SELECT COUNT(*) FROM plan_cycles",
        "SELECT subscription_id || '.' || CAST(number AS TEXT), 0, granted FROM plan_cycles "
        "WHERE NOT EXISTS (SELECT 1 FROM plan_payments "
        "WHERE plan_payments.subscription_id = plan_cycles.subscription_id "
        "AND first_cycle <= number AND first_cycle + cycles > number) ORDER BY 1",
    ),
    Rule(
        "each payment of a plan is booked",
        "SELECT COUNT(*) FROM plan_payments",
        _differs(
            "SELECT reference AS name, amount AS expected, 0 AS found FROM plan_payments "
            "UNION ALL SELECT reference, 0, -amount FROM entries JOIN transactions "
            "ON transactions.id = transaction_id AND kind = 'plan-payment' "
            "WHERE account_id = 'revenue:plans'",
            "name",
        ),
    ),
)
