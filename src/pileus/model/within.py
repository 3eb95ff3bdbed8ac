"""The host that is no machine; a module of its own, for commands import little."""

WITHIN_CLOUD = "stub"
"""The name of the host whose bodies are within the cloud's own process, of whatever provider."""
