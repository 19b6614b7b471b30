"""The innermost ring: domain rules and rows, one transaction per operation."""
