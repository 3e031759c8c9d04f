-- The first tables. SQL that SQLite and PostgreSQL share; times are milliseconds since 1970,
-- amounts nano-dollars. A statement ends with a semicolon and an empty line.

CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
    created_at BIGINT NOT NULL
);

CREATE INDEX organizations_by_name ON organizations (name);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);

-- models and addresses are JSON arrays of text; empty means all.
CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT REFERENCES users (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    last4 TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
    models TEXT NOT NULL,
    addresses TEXT NOT NULL,
    quota_nano BIGINT,
    expires_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE INDEX keys_by_org ON keys (org_id, created_at);

-- One row for each call that was let in. Call ids begin with their time, so rows and their one
-- index grow at the end. No references: a call stays on the bill when its key is deleted.
CREATE TABLE usage (
    call_id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    offer TEXT NOT NULL,
    operation TEXT NOT NULL,
    streamed BIGINT NOT NULL,
    status BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    error_code TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    first_ms BIGINT,
    total_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cache_read BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    cache_write_1h BIGINT NOT NULL,
    audio_input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_output BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    price_id TEXT NOT NULL
);

-- The sums of usage by key, model and day (UTC, by the start of the call).
CREATE TABLE usage_days (
    key_id TEXT NOT NULL,
    org_id TEXT NOT NULL,
    model TEXT NOT NULL,
    day TEXT NOT NULL,
    calls BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (key_id, day, model)
);

CREATE INDEX usage_days_by_org ON usage_days (org_id, day);

-- The books. Debit positive, credit negative; posted is the sum of an account's entries.
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    posted BIGINT NOT NULL
);

CREATE TABLE transactions (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    at BIGINT NOT NULL,
    UNIQUE (kind, reference)
);

CREATE TABLE entries (
    transaction_id TEXT NOT NULL REFERENCES transactions (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    amount BIGINT NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (transaction_id, account_id)
);

-- One row whose value moves with every change to keys or organizations; servers watch it.
CREATE TABLE revision (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);

INSERT INTO revision (id, value) VALUES (1, 0);
