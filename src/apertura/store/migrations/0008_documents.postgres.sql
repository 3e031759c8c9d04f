INSERT INTO account_days (org_id, account_id, day, kind, entries, amount)
SELECT split_part(account_id, ':', 2), account_id, at / 86400000, kind, COUNT(*), SUM(amount)
FROM entries JOIN transactions ON transactions.id = transaction_id
WHERE account_id LIKE 'org:%' GROUP BY account_id, at / 86400000, kind;

-- Once for each statement, however many rows it brings.
CREATE FUNCTION sum_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_days (org_id, account_id, day, kind, entries, amount)
    SELECT split_part(account_id, ':', 2), account_id, at / 86400000, kind, COUNT(*),
        SUM(added.amount)
    FROM added JOIN transactions ON transactions.id = transaction_id
    WHERE account_id LIKE 'org:%'
    GROUP BY account_id, at / 86400000, kind
    ORDER BY account_id, at / 86400000, kind
    ON CONFLICT (org_id, account_id, day, kind) DO UPDATE SET
        entries = account_days.entries + excluded.entries,
        amount = account_days.amount + excluded.amount;
    RETURN NULL;
END
$$;

CREATE TRIGGER entries_are_summed AFTER INSERT ON entries
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sum_entries();

CREATE FUNCTION sum_charges() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO charge_days (org_id, day, model, cost, written_off, credits, credits_lost)
    SELECT org_id, at / 86400000, model, SUM(cost), SUM(written_off), SUM(credits),
        SUM(credits_lost)
    FROM added JOIN transactions ON transactions.id = transaction_id
    GROUP BY org_id, at / 86400000, model
    ORDER BY org_id, at / 86400000, model
    ON CONFLICT (org_id, day, model) DO UPDATE SET
        cost = charge_days.cost + excluded.cost,
        written_off = charge_days.written_off + excluded.written_off,
        credits = charge_days.credits + excluded.credits,
        credits_lost = charge_days.credits_lost + excluded.credits_lost;
    RETURN NULL;
END
$$;

CREATE TRIGGER charges_are_summed AFTER INSERT ON charges
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sum_charges();

-- An invoice that was issued stays; a wrong one is corrected by a credit note.

CREATE TRIGGER invoices_are_not_changed BEFORE UPDATE ON invoices
FOR EACH ROW EXECUTE FUNCTION refuse_change('invoices are never changed');

CREATE TRIGGER invoices_are_not_deleted BEFORE DELETE ON invoices
FOR EACH ROW EXECUTE FUNCTION refuse_change('invoices are never deleted');

CREATE TRIGGER invoices_are_not_truncated BEFORE TRUNCATE ON invoices
EXECUTE FUNCTION refuse_change('invoices are never deleted');
