"""Who says it, and where: builds an HTTP request for a provider, and reads its reply."""
