"""A mixture as numbers, and what follows from them by formula alone."""
