"""The reference provider: every kind, in memory, with latency and faults on request."""

from pileus.providers.stub.provider import StubProvider

__all__ = ["StubProvider"]
