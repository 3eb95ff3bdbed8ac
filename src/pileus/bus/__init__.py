"""Carries specs, reports and wakes between the cloud and its hosts.

The messages are versioned msgspec structs over a unix socket on one machine, over a RabbitMQ broker between
machines; an in-memory bus serves the stub and the tests. Nothing is decided here, and a lost message costs time,
never truth: stored wakes and the resync repeat what was lost.
"""
