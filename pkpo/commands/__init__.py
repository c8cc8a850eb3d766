"""The commands of `pkpo` that need no server."""
