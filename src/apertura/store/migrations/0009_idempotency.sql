-- What an organization's Idempotency-Keys stand for: a call, and never what it said. name and body
-- are keyed digests of the key and of the request. How the call ended is told by its usage row.
-- stores says that its reply may be stored. A worker is a place and a time, as for leases.
CREATE TABLE idempotency (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    call_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    worker TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    stores BIGINT NOT NULL,
    PRIMARY KEY (org_id, name)
);

CREATE INDEX idempotency_by_start ON idempotency (started_ms);

-- Organizations that allow their replies to be stored, so that any worker can give them again.
CREATE TABLE reply_storage (
    org_id TEXT NOT NULL PRIMARY KEY REFERENCES organizations (id)
);

-- Replies of calls that had an Idempotency-Key, of those organizations alone.
CREATE TABLE idempotency_replies (
    call_id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL,
    status BIGINT NOT NULL,
    streamed BIGINT NOT NULL,
    head TEXT NOT NULL,
    body TEXT NOT NULL,
    started_ms BIGINT NOT NULL
);

CREATE INDEX idempotency_replies_by_start ON idempotency_replies (started_ms);

CREATE INDEX idempotency_replies_by_org ON idempotency_replies (org_id);
