"""Results files of other tools, sent to a server."""
