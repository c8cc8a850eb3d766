"""The read side: SQL counts, pkpo estimates."""
