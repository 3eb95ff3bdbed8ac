"""Pileus, a cloud in one command.

One folder per room; ARCHITECTURE.md says what each room may hold and whom it may import, and
import-linter (contracts in pyproject.toml) refuses everything else.
"""
