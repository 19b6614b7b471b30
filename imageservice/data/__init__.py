"""Bytes on their way: small readers that nest."""
