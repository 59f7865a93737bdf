"""Draws of the posterior, their DataTree, their chains, modes and labels."""
