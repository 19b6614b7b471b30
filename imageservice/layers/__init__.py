"""The rings round every operation; their order stands in ``stacks.py``."""
