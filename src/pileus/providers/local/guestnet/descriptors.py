"""How many of a process's file descriptors each kind of connection may take, however few the machine allows."""

from __future__ import annotations

import resource

from pileus.model.bounds import Bound

_PARTS = 8
"""A kind of connections is one in so many descriptors at most: all kinds together leave some for everything else."""


def share(bound: Bound, process: int = 0) -> int:
    """The number of `bound`, or an eighth of the descriptors that the process (0: this one) may open, if that is less.

    Raises ProcessLookupError.
    """
    _, allowed = resource.prlimit(process, resource.RLIMIT_NOFILE)
    return bound.most if allowed == resource.RLIM_INFINITY else max(1, min(bound.most, allowed // _PARTS))
