"""Commands: parse, build the service, run."""
