-- Responses that their callers asked to keep. Ids are unique within an organization only, as some
-- come from providers. input is a JSON array of items, response the whole object as it was sent.
CREATE TABLE responses (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    previous_id TEXT,
    input TEXT NOT NULL,
    response TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);

CREATE INDEX responses_by_end ON responses (expires_at);

-- Where an item of a kept response's output is to be found.
CREATE TABLE response_items (
    org_id TEXT NOT NULL,
    id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    PRIMARY KEY (org_id, id, response_id)
);

CREATE INDEX response_items_by_response ON response_items (org_id, response_id);
