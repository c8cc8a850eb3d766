"""Who may call what: keys, scopes and the bearer check."""
