-- What statements are read from: the entries of organizations' accounts, summed by day (of the
-- transaction, from 1970, UTC) and kind. Triggers keep it, so a statement need not look at every
-- batch of calls.
CREATE TABLE account_days (
    org_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    kind TEXT NOT NULL,
    entries BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (org_id, account_id, day, kind)
);

-- The charges, so too: by the day on which they were booked, not the one on which a call began.
CREATE TABLE charge_days (
    org_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    model TEXT NOT NULL,
    cost BIGINT NOT NULL,
    written_off BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    credits_lost BIGINT NOT NULL,
    PRIMARY KEY (org_id, day, model)
);

INSERT INTO charge_days (org_id, day, model, cost, written_off, credits, credits_lost)
SELECT org_id, at / 86400000, model, SUM(cost), SUM(written_off), SUM(credits), SUM(credits_lost)
FROM charges JOIN transactions ON transactions.id = transaction_id
GROUP BY org_id, at / 86400000, model;

-- For the few that are not the usage of a batch of calls.
CREATE INDEX transactions_by_time ON transactions (kind, at) WHERE kind NOT IN ('usage', 'cost');

-- To whom invoices are addressed from now on; country as two letters.
CREATE TABLE billing_details (
    org_id TEXT NOT NULL PRIMARY KEY REFERENCES organizations (id),
    company TEXT NOT NULL,
    tax_id TEXT NOT NULL,
    address TEXT NOT NULL,
    country TEXT NOT NULL
);

-- Who issues them, as the settings of the server say that started last; the tax rate in
-- thousandths of a percent.
CREATE TABLE issuer (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    tax_id TEXT NOT NULL,
    tax_label TEXT NOT NULL,
    tax_rate BIGINT NOT NULL
);

-- The last number given in a series, such as INV-2026.
CREATE TABLE invoice_series (
    series TEXT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);

-- As they were issued: buyer and issuer are JSON objects of that moment. payment names what was
-- paid or given back; amount is what was paid, tax included, and tax that part of it.
CREATE TABLE invoices (
    number TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('top-up', 'plan', 'refund')),
    payment TEXT NOT NULL,
    corrects TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    credited BIGINT NOT NULL,
    via TEXT NOT NULL,
    tax_label TEXT NOT NULL,
    tax_rate BIGINT NOT NULL,
    tax BIGINT NOT NULL,
    buyer TEXT NOT NULL,
    issuer TEXT NOT NULL,
    UNIQUE (kind, payment)
);

CREATE INDEX invoices_by_org ON invoices (org_id, issued_at);
