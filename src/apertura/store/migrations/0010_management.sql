-- What an admin key is restricted to: a JSON array of scopes; empty means nothing.
ALTER TABLE keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';

-- Of the calls of a day: how many failed, and the milliseconds that the others took in all.
ALTER TABLE usage_days ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;

ALTER TABLE usage_days ADD COLUMN took_ms BIGINT NOT NULL DEFAULT 0;

-- The calls of an organization in the order of their time, with which their ids begin.
CREATE INDEX usage_by_org ON usage (org_id, call_id);
