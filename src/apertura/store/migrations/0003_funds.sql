-- What may still be spent. posted is what is left once all that runs has ended, held what is lent
-- to workers. A wallet or an allowance never stands below what is held; a cap may, once it was
-- lowered. Its posted is the cap less the cost of all calls from since until before until_ms.
CREATE TABLE funds (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN
        ('wallet', 'allowance', 'key-quota', 'key-budget', 'org-budget', 'fallback')),
    owner TEXT NOT NULL,
    cap BIGINT,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    posted BIGINT NOT NULL,
    held BIGINT NOT NULL CHECK (held >= 0),
    CHECK (posted >= held OR kind NOT IN ('wallet', 'allowance'))
);

CREATE INDEX funds_by_owner ON funds (owner, until_ms);

-- A worker's parts of funds. A worker is a place and the time at which it started, as place/time.
-- The leases of a place go back when it starts again, those of others when their time is over.
CREATE TABLE leases (
    fund_id TEXT NOT NULL REFERENCES funds (id),
    worker TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (fund_id, worker)
);

CREATE INDEX leases_by_worker ON leases (worker);

-- What an organization, or a key, may spend in a month that begins on reset_day (UTC).
CREATE TABLE budgets (
    owner TEXT NOT NULL PRIMARY KEY,
    cap BIGINT NOT NULL CHECK (cap >= 0),
    reset_day BIGINT NOT NULL CHECK (reset_day BETWEEN 1 AND 28)
);

-- What the revenue of a transaction consists of; day is counted from 1970 (UTC).
CREATE TABLE charges (
    transaction_id TEXT NOT NULL REFERENCES transactions (id),
    org_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    day BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    written_off BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, key_id, model, day)
);

CREATE INDEX charges_by_day ON charges (org_id, day);

-- Calls from before wallets were charged: nobody pays for them, but they are in the books.
INSERT INTO transactions (id, kind, reference, at)
SELECT 'opening_' || org_id, 'usage', 'opening_' || org_id, 0
FROM usage GROUP BY org_id HAVING SUM(cost) > 0;

INSERT INTO accounts (id, posted)
SELECT 'write-offs', total FROM (SELECT SUM(cost) AS total FROM usage) AS used WHERE total > 0;

INSERT INTO accounts (id, posted)
SELECT 'revenue:usage', -total FROM (SELECT SUM(cost) AS total FROM usage) AS used WHERE total > 0;

INSERT INTO entries (transaction_id, account_id, amount)
SELECT 'opening_' || org_id, 'write-offs', SUM(cost)
FROM usage GROUP BY org_id HAVING SUM(cost) > 0;

INSERT INTO entries (transaction_id, account_id, amount)
SELECT 'opening_' || org_id, 'revenue:usage', -SUM(cost)
FROM usage GROUP BY org_id HAVING SUM(cost) > 0;

INSERT INTO charges (transaction_id, org_id, key_id, model, day, cost, written_off)
SELECT 'opening_' || org_id, org_id, key_id, model, started_ms / 86400000, SUM(cost), SUM(cost)
FROM usage WHERE cost > 0 GROUP BY org_id, key_id, model, started_ms / 86400000;

-- Wallets hold what was paid in; quotas, what was not used of them. Others are made when needed.
INSERT INTO funds (id, kind, owner, since_ms, until_ms, posted, held)
SELECT accounts.id, 'wallet', organizations.id, 0, 9223372036854775807, -accounts.posted, 0
FROM organizations JOIN accounts ON accounts.id = 'org:' || organizations.id || ':wallet';

INSERT INTO funds (id, kind, owner, cap, since_ms, until_ms, posted, held)
SELECT 'key:' || keys.id || ':quota', 'key-quota', keys.id, keys.quota_nano,
    0, 9223372036854775807,
    keys.quota_nano - CAST(COALESCE((SELECT SUM(cost) FROM usage_days
        WHERE usage_days.key_id = keys.id), 0) AS BIGINT),
    0
FROM keys WHERE keys.quota_nano IS NOT NULL;
