"""What happens by itself, between calls."""
