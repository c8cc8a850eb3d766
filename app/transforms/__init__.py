"""Rewards to credits over HTTP, without the database."""
