"""``make demo``: the whole way of an image, shown to somebody new."""
