"""Instances: launching, power, looking and reading the console."""
