"""JSON schemas as Python dicts: the published documents and what is checked with them."""
