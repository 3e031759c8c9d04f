"""Mail: what it says, and the servers that it goes through."""
