"""A run as a thing of its own: what is said of it, and its end."""
