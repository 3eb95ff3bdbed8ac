"""Rules of instances."""
