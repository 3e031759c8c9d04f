-- What the books say of revenue stays as well.

CREATE TRIGGER charges_are_not_changed BEFORE UPDATE ON charges
FOR EACH ROW EXECUTE FUNCTION refuse_change('charges are never changed');

CREATE TRIGGER charges_are_not_deleted BEFORE DELETE ON charges
FOR EACH ROW EXECUTE FUNCTION refuse_change('charges are never deleted');

CREATE TRIGGER charges_are_not_truncated BEFORE TRUNCATE ON charges
EXECUTE FUNCTION refuse_change('charges are never deleted');
