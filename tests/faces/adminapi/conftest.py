"""Fixtures of the admin API: a site."""

from tests.site import site

__all__ = ["site"]
