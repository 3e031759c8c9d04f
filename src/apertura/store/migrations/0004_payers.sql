-- Calls are also paid from gifts and from the allowances of plans. Funds may be of one more kind;
-- neither database changes a CHECK in place, so the two tables that it concerns are made anew.
CREATE TABLE funds_made_anew (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN
        ('wallet', 'promo', 'allowance', 'key-quota', 'key-budget', 'org-budget', 'fallback')),
    owner TEXT NOT NULL,
    cap BIGINT,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    posted BIGINT NOT NULL,
    held BIGINT NOT NULL CHECK (held >= 0),
    CHECK (posted >= held OR kind NOT IN ('wallet', 'promo', 'allowance'))
);

INSERT INTO funds_made_anew (id, kind, owner, cap, since_ms, until_ms, posted, held)
SELECT id, kind, owner, cap, since_ms, until_ms, posted, held FROM funds;

CREATE TABLE leases_made_anew (
    fund_id TEXT NOT NULL REFERENCES funds_made_anew (id),
    worker TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (fund_id, worker)
);

INSERT INTO leases_made_anew (fund_id, worker, amount, expires_at)
SELECT fund_id, worker, amount, expires_at FROM leases;

DROP TABLE leases;

DROP TABLE funds;

ALTER TABLE funds_made_anew RENAME TO funds;

ALTER TABLE leases_made_anew RENAME TO leases;

CREATE INDEX funds_by_owner ON funds (owner, until_ms);

CREATE INDEX leases_by_worker ON leases (worker);

-- What an organization was given to spend until expires_at.
CREATE TABLE promos (
    id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    note TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX promos_by_org ON promos (org_id, expires_at);

-- credits are thousandths of a plan's credit; upstream_cost is what the provider takes for a call.
ALTER TABLE usage ADD COLUMN image_output BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage ADD COLUMN credits BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage ADD COLUMN upstream_cost BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage ADD COLUMN payer TEXT NOT NULL DEFAULT '';

ALTER TABLE usage_days ADD COLUMN credits BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage_days ADD COLUMN upstream_cost BIGINT NOT NULL DEFAULT 0;

ALTER TABLE charges ADD COLUMN credits BIGINT NOT NULL DEFAULT 0;

-- Of these credits, what no allowance could be charged with.
ALTER TABLE charges ADD COLUMN credits_lost BIGINT NOT NULL DEFAULT 0;
