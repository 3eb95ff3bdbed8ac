"""The mcc face: MiniCloud's XML-RPC, five methods over the instances of one project."""

from pileus.faces.mcc.face import MccFace, page

__all__ = ["MccFace", "page"]
