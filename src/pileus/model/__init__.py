"""The nouns and their rules: plain frozen values and pure functions, no I/O.

Everything above this room speaks in these words: nouns with `wanted`, `assigned` and `seen`, the closed specs that
bodies are made from, the provider protocol, the caller and the typed errors.
"""
