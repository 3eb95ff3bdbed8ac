"""A site with one project, one image and one host; and databases that threads may share."""

from tests.databases import url
from tests.site import ann, site, tiny

__all__ = ["ann", "site", "tiny", "url"]
