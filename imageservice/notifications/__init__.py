"""Events on their way to whoever listens; what is announced stands in layers/notifier.py."""
