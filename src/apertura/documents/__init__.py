"""Papers for people: invoices, statements, sheets; and the signature under a receipt."""
