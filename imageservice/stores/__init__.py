"""Storage back ends: the only package that talks to them. Start at ``driver.py``."""
