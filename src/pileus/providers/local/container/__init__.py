"""Instances that are system containers."""
