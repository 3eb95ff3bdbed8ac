"""The reference provider: every kind, in memory, with latency and faults on request."""
