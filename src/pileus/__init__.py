"""Pileus, a cloud in one command.

`pileus.cloud()` starts a cloud for tests (docs/testing.md).

One folder per room; ARCHITECTURE.md says what each room may hold and whom it may import, and
import-linter (contracts in pyproject.toml) refuses everything else.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes longer to load than the tools of pileus.mcc need to begin
if TYPE_CHECKING:
    from pileus.app.throwaway import ThrowawayCloud


def cloud(provider: str = "") -> ThrowawayCloud:
    """Start a cloud of the caller's own; `close()` or the end of a `with` block removes it, as does the process's end.

    `provider` is one that is installed: `stub` (the default) needs no root, `local` has real instances and needs root.
    Raises pileus.cli.problem.Problem, with a message that says what to do, where the cloud does not start.
    """
    from pileus.app.throwaway import ThrowawayCloud  # noqa: PLC0415  (rooms import this package, and none of this)

    return ThrowawayCloud(provider)
