"""Threads, progress, clock, whole-or-not files: what knows nothing of mixtures."""
