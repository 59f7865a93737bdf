"""Rows, and all that is known of them."""
