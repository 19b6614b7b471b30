"""Who asks: tokens, and what Keystone says of them."""
