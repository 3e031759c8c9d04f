-- What the books say of revenue stays as well.

CREATE TRIGGER charges_are_not_changed BEFORE UPDATE ON charges
BEGIN SELECT RAISE(ABORT, 'charges are never changed'); END;

CREATE TRIGGER charges_are_not_deleted BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'charges are never deleted'); END;
