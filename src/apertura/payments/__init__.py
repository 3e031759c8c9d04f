"""Payment processors: how each is spoken to. What they tell us becomes values of `domain`."""
