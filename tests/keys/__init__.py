"""A real key manager for tests, and images that are signed."""
