"""A real Keystone for tests, with people in it."""

#: What is in it from the start.
ADMIN_PASSWORD = "admin-secret"
REGION = "RegionOne"
