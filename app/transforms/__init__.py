"""Rewards in, credits out."""
