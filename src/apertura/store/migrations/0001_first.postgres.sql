-- What is written in the books stays. A mistake is reversed by a new transaction.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
FOR EACH ROW EXECUTE FUNCTION refuse_change('entries are never changed');

CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries
FOR EACH ROW EXECUTE FUNCTION refuse_change('entries are never deleted');

CREATE TRIGGER entries_are_not_truncated BEFORE TRUNCATE ON entries
EXECUTE FUNCTION refuse_change('entries are never deleted');

CREATE TRIGGER transactions_are_not_changed BEFORE UPDATE ON transactions
FOR EACH ROW EXECUTE FUNCTION refuse_change('transactions are never changed');

CREATE TRIGGER transactions_are_not_deleted BEFORE DELETE ON transactions
FOR EACH ROW EXECUTE FUNCTION refuse_change('transactions are never deleted');

CREATE TRIGGER transactions_are_not_truncated BEFORE TRUNCATE ON transactions
EXECUTE FUNCTION refuse_change('transactions are never deleted');

CREATE TRIGGER accounts_are_not_deleted BEFORE DELETE ON accounts
FOR EACH ROW EXECUTE FUNCTION refuse_change('accounts are never deleted');

CREATE TRIGGER accounts_are_not_truncated BEFORE TRUNCATE ON accounts
EXECUTE FUNCTION refuse_change('accounts are never deleted');

CREATE TRIGGER accounts_are_not_renamed BEFORE UPDATE OF id ON accounts
FOR EACH ROW EXECUTE FUNCTION refuse_change('accounts are never renamed');

-- Servers listen for this, and look at the revision when they hear it.
CREATE FUNCTION tell_of_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('apertura_revision', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER revision_is_told AFTER UPDATE ON revision
FOR EACH STATEMENT EXECUTE FUNCTION tell_of_revision();
