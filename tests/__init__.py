"""The tests: folders mirror src/apertura; clients/ and simulation/ stand beside them."""
