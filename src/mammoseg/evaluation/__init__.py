"""Scores of every case, and what they say about patients."""
