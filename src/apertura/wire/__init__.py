"""What is said: each format of a request and a reply, as a translator from bytes to bytes."""
