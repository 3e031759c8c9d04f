INSERT INTO account_days (org_id, account_id, day, kind, entries, amount)
SELECT substr(account_id, 5, instr(substr(account_id, 5), ':') - 1), account_id, at / 86400000,
    kind, COUNT(*), SUM(amount)
FROM entries JOIN transactions ON transactions.id = transaction_id
WHERE substr(account_id, 1, 4) = 'org:' GROUP BY account_id, at / 86400000, kind;

CREATE TRIGGER entries_are_summed AFTER INSERT ON entries
WHEN substr(NEW.account_id, 1, 4) = 'org:'
BEGIN
    INSERT INTO account_days (org_id, account_id, day, kind, entries, amount)
    SELECT substr(NEW.account_id, 5, instr(substr(NEW.account_id, 5), ':') - 1), NEW.account_id,
        at / 86400000, kind, 1, NEW.amount
    FROM transactions WHERE id = NEW.transaction_id
    ON CONFLICT (org_id, account_id, day, kind) DO UPDATE SET
        entries = entries + excluded.entries, amount = amount + excluded.amount;
END;

CREATE TRIGGER charges_are_summed AFTER INSERT ON charges
BEGIN
    INSERT INTO charge_days (org_id, day, model, cost, written_off, credits, credits_lost)
    SELECT NEW.org_id, at / 86400000, NEW.model, NEW.cost, NEW.written_off, NEW.credits,
        NEW.credits_lost
    FROM transactions WHERE id = NEW.transaction_id
    ON CONFLICT (org_id, day, model) DO UPDATE SET
        cost = cost + excluded.cost, written_off = written_off + excluded.written_off,
        credits = credits + excluded.credits, credits_lost = credits_lost + excluded.credits_lost;
END;

-- An invoice that was issued stays; a wrong one is corrected by a credit note.

CREATE TRIGGER invoices_are_not_changed BEFORE UPDATE ON invoices
BEGIN SELECT RAISE(ABORT, 'invoices are never changed'); END;

CREATE TRIGGER invoices_are_not_deleted BEFORE DELETE ON invoices
BEGIN SELECT RAISE(ABORT, 'invoices are never deleted'); END;
