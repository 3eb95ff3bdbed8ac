"""The metadata face: what 169.254.169.254 answers to a guest, in EC2's dialect; pure functions, no I/O."""

from pileus.faces.metadata.service import Respond, bind

__all__ = ["Respond", "bind"]
