-- Subscriptions of plans. A period's price is in nano-dollars, an allowance in thousandths of a
-- credit; next_... is what holds from next_at_ms on; paid_until_ms is the beginning of a cycle.
CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    key_id TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('monthly', 'quarterly', 'yearly')),
    price BIGINT NOT NULL CHECK (price >= 0),
    allowance BIGINT NOT NULL CHECK (allowance >= 0),
    anchor_ms BIGINT NOT NULL,
    paid_until_ms BIGINT NOT NULL CHECK (paid_until_ms >= anchor_ms),
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'cancelled', 'expired')),
    cancel_at_end BIGINT NOT NULL CHECK (cancel_at_end IN (0, 1)),
    next_plan TEXT,
    next_period TEXT CHECK (next_period IN ('monthly', 'quarterly', 'yearly')),
    next_price BIGINT,
    next_allowance BIGINT,
    next_at_ms BIGINT NOT NULL,
    fallback BIGINT NOT NULL CHECK (fallback IN (0, 1)),
    fallback_cap BIGINT CHECK (fallback_cap >= 0),
    failed_ms BIGINT,
    ended_ms BIGINT
);

-- An organization has one that has not ended.
CREATE UNIQUE INDEX subscriptions_alive ON subscriptions (org_id) WHERE status <> 'expired';

CREATE INDEX subscriptions_by_org ON subscriptions (org_id, anchor_ms);

-- What was paid, and the cycles that it pays for: count of them from first_cycle on.
CREATE TABLE plan_payments (
    reference TEXT NOT NULL PRIMARY KEY,
    subscription_id TEXT NOT NULL REFERENCES subscriptions (id),
    via TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    first_cycle BIGINT NOT NULL,
    cycles BIGINT NOT NULL CHECK (cycles >= 0),
    at BIGINT NOT NULL
);

CREATE INDEX plan_payments_by_subscription ON plan_payments (subscription_id, first_cycle);

-- Cycles that were granted, with what upgrades added; ended_ms once the rest has expired.
CREATE TABLE plan_cycles (
    subscription_id TEXT NOT NULL REFERENCES subscriptions (id),
    number BIGINT NOT NULL CHECK (number >= 0),
    granted BIGINT NOT NULL CHECK (granted > 0),
    upgrades BIGINT NOT NULL,
    ended_ms BIGINT,
    PRIMARY KEY (subscription_id, number)
);

CREATE INDEX plan_cycles_open ON plan_cycles (subscription_id) WHERE ended_ms IS NULL;

-- What became of a subscription, for its owner to read.
CREATE TABLE plan_changes (
    subscription_id TEXT NOT NULL REFERENCES subscriptions (id),
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (subscription_id, number)
);
