"""Keeps nouns, claims, usage, wakes, leases and the journal; the only room that knows SQL."""
