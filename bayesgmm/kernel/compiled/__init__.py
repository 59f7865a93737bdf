"""Compiled forms of the Ops, one file for each backend; importing an Op registers them."""
