"""Rows, on every database that is supported."""
