-- Payments from outside. Who an organization is to a payment processor.
CREATE TABLE customers (
    processor TEXT NOT NULL,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    customer TEXT NOT NULL,
    PRIMARY KEY (processor, org_id),
    UNIQUE (processor, customer)
);

-- amount is credited for cash, both in nano-dollars. refunded is what of the cash went back, and
-- withdrawn what of the amount went with it. subject is the processor's name of the payment.
CREATE TABLE payments (
    id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    kind TEXT NOT NULL CHECK (kind IN ('top-up', 'auto-top-up', 'plan', 'code')),
    via TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    cash BIGINT NOT NULL CHECK (cash > 0 AND cash <= amount),
    refunded BIGINT NOT NULL CHECK (refunded >= 0 AND refunded <= cash),
    withdrawn BIGINT NOT NULL CHECK (withdrawn >= 0 AND withdrawn <= amount),
    status TEXT NOT NULL CHECK (status IN ('open', 'paid', 'failed', 'expired')),
    subject TEXT,
    checkout TEXT,
    subscription TEXT,
    failure TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    paid_at BIGINT,
    checked_at BIGINT NOT NULL,
    UNIQUE (via, subject),
    UNIQUE (via, checkout)
);

CREATE INDEX payments_by_org ON payments (org_id, created_at);

CREATE INDEX payments_by_status ON payments (status, checked_at);

-- Cash that went back: refunds, and disputes. A refund that we ask the processor for has our id
-- from the start, and foreign_id, the processor's, once it answers.
CREATE TABLE refunds (
    id TEXT NOT NULL PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    kind TEXT NOT NULL CHECK (kind IN ('refund', 'dispute')),
    via TEXT NOT NULL,
    foreign_id TEXT,
    cash BIGINT NOT NULL CHECK (cash > 0),
    refunded BIGINT NOT NULL,
    withdrawn BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'pending', 'made', 'failed')),
    reason TEXT NOT NULL,
    transaction_id TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (via, foreign_id)
);

CREATE INDEX refunds_by_payment ON refunds (payment_id);

CREATE INDEX refunds_by_state ON refunds (state, created_at);

-- What processors told, once for each of their messages. body is kept only of what waits: an event
-- about a payment that is not known, or not paid, yet.
CREATE TABLE payment_events (
    via TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('applied', 'waiting', 'ignored')),
    subject TEXT NOT NULL,
    payment TEXT NOT NULL,
    body TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (via, id)
);

CREATE INDEX payment_events_waiting ON payment_events (state, subject);

-- A wish to be charged when the balance is low, and the one payment that is being made of it.
CREATE TABLE auto_top_ups (
    org_id TEXT NOT NULL PRIMARY KEY REFERENCES organizations (id),
    enabled BIGINT NOT NULL,
    threshold BIGINT NOT NULL CHECK (threshold >= 0),
    amount BIGINT NOT NULL CHECK (amount > 0),
    method TEXT NOT NULL,
    failures BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    attempt TEXT REFERENCES payments (id),
    attempted_at BIGINT NOT NULL
);

-- Codes that can be redeemed once, by whom they were redeemed; only a digest is kept.
CREATE TABLE codes (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    amount BIGINT NOT NULL CHECK (amount > 0),
    note TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_by TEXT REFERENCES organizations (id),
    redeemed_at BIGINT
);

CREATE INDEX codes_by_time ON codes (created_at, id);

-- Subscriptions that are paid by a processor. ticket is our name of one before it is begun, which is
-- when its first period is paid; foreign_id is the processor's name. told_plan (plan and period) and
-- told_cancel are what the processor knows of what follows.
CREATE TABLE foreign_subscriptions (
    ticket TEXT NOT NULL PRIMARY KEY,
    subscription TEXT NOT NULL UNIQUE,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    via TEXT NOT NULL,
    foreign_id TEXT NOT NULL,
    ended BIGINT NOT NULL,
    told_plan TEXT NOT NULL,
    told_cancel BIGINT NOT NULL,
    checked_at BIGINT NOT NULL,
    UNIQUE (via, foreign_id)
);
