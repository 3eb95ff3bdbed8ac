"""Our own face: JSON over HTTP under /v1, its lists derived from the nouns; what the CLI speaks."""

from pileus.faces.rest.face import RestFace

__all__ = ["RestFace"]
