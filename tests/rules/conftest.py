"""A site with one project, one image and one host."""

from tests.site import ann, site, tiny

__all__ = ["ann", "site", "tiny"]
