"""Who may do what: the table of rules and the one enforcer."""
