"""Which model, and how many components."""
