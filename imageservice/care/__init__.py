"""Care for bytes: audits of stores, and moving images between them."""
