-- To whom an organization's mail goes; without any, to its owners.
CREATE TABLE contacts (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    email TEXT NOT NULL,
    PRIMARY KEY (org_id, email)
);

-- Mail that is to be sent, once for its key. facts is a JSON object of texts.
CREATE TABLE mails (
    key TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL,
    template TEXT NOT NULL,
    facts TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX mails_by_age ON mails (created_at);

-- One recipient's copy. While it waits, due_at is when it is to be tried next; the worker who tries
-- it has moved that to when others may take it for dead. nobody: there was no recipient.
CREATE TABLE mail_copies (
    id TEXT NOT NULL PRIMARY KEY,
    mail_key TEXT NOT NULL REFERENCES mails (key),
    recipient TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'sent', 'given-up', 'nobody')),
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    worker TEXT NOT NULL,
    error TEXT NOT NULL,
    ended_at BIGINT,
    UNIQUE (mail_key, recipient)
);

CREATE INDEX mail_copies_by_due ON mail_copies (status, due_at);

-- An organization's own settings of alerts; a kind that is not here is as shipped. threshold is in
-- nano-dollars for low_balance, and in percent for the others.
CREATE TABLE alert_settings (
    org_id TEXT NOT NULL REFERENCES organizations (id),
    kind TEXT NOT NULL CHECK (kind IN ('low_balance', 'quota', 'budget', 'cycle')),
    is_on BIGINT NOT NULL CHECK (is_on IN (0, 1)),
    threshold BIGINT NOT NULL,
    PRIMARY KEY (org_id, kind)
);

-- The level of a fund that was told of last. While the fund holds from low to high of whole, the
-- level stays as it is and nobody needs to look. seq counts the changes. No reference: the fund of
-- a gift or a cycle goes away when that is over.
CREATE TABLE alert_states (
    fund_id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL,
    level BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    low BIGINT NOT NULL,
    high BIGINT NOT NULL,
    whole BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);

CREATE INDEX alert_states_by_org ON alert_states (org_id);
