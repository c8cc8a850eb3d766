"""The service: routes parse and name, services decide, queries read."""
