"""Parsers of untrusted bytes, each as a function that a coverage-guided fuzzer calls with one input.

A target returns for every input. An exception that leaves it is a fault of the parser, and so is an answer with status
500. `seeds` are valid inputs, from which the fuzzer begins; `words` are tokens that it inserts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import connections, edge, faces, guests, hosts, images

if TYPE_CHECKING:
    from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    **faces.TARGETS,
    **connections.TARGETS,
    **edge.TARGETS,
    **hosts.TARGETS,
    **guests.TARGETS,
    **images.TARGETS,
}
"""Every target by its name."""
