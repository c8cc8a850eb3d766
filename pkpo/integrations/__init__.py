"""PKPO inside other people's trainers: pkpo.integrations.trl and pkpo.integrations.verl."""
