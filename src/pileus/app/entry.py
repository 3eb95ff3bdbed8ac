"""Where the long-running processes begin: each holds its pid file; the cloud gives up root before it loads anything."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import gc
import os
import resource
import socket
import sys
from pathlib import Path
from typing import NoReturn

import pileus
from pileus.app import processes
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem, spoken
from pileus.model.errors import InvalidValue, Unavailable


def cloud(root: Path, provider: str, descriptor: int, user: str) -> NoReturn:
    """The cloud process on the listening socket `descriptor`, as `user` if one is given."""
    state = StateDirectory(root)
    _begin()
    _hold(state, "cloud")
    if user:
        _become(state, user)
    else:
        os.umask(0o077)
    gc.disable()  # until it serves: nearly all that is loaded stays, and is not to be looked through while it is
    _no_terminal()
    from pileus.app import kits  # noqa: PLC0415  (loaded by the user that it runs as)
    from pileus.app.cloud import serve  # noqa: PLC0415  (loaded by the user that it runs as)

    try:
        serve(state, kits.load(provider), socket.socket(fileno=descriptor))
    except Unavailable as error:
        where = "" if os.environ.get(processes.STORE) else f" It is in {state.cloud}."
        raise Problem(f"{error.message}{where}") from error
    except InvalidValue as error:
        raise Problem(error.message) from error
    _end()


def role(name: str, root: Path, provider: str, listen: str) -> NoReturn:
    """A process `api` or `loops` of a cloud of several, as whoever starts it."""
    _begin()
    os.umask(0o077)
    gc.disable()  # until it serves, as for the cloud
    from pileus.app import kits, wiring  # noqa: PLC0415  (dear)
    from pileus.app.roles import serve  # noqa: PLC0415  (dear)

    gc.enable()
    try:
        serve(StateDirectory(root), kits.load(provider), {"api": wiring.API, "loops": wiring.LOOPS}[name], listen)
    except Unavailable as error:
        raise Problem(error.message) from error
    _end()


def host(root: Path, group: str, provider: str) -> NoReturn:
    """The host process, over a provider by its name; the one that was started here, or the default, without it."""
    state = StateDirectory(root)
    _begin()
    state.prepare()
    _hold(state, "host")
    os.umask(0o077)
    _no_terminal()
    from pileus.app import kits  # noqa: PLC0415  (dear)
    from pileus.app.host import serve  # noqa: PLC0415  (dear)

    serve(state, group, kits.load(provider) if provider else kits.of(state) or kits.load())
    _end()


def _end() -> NoReturn:
    """End at once: all is put away, and taking the interpreter apart would take longer than that did."""
    # What a full disk did not take is lost anyway.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _begin() -> None:
    """Raise the soft limit of open descriptors to the hard one, for each connection takes one or two.

    A crash within a library of C leaves the stacks of all threads in the log.
    """
    faulthandler.enable(sys.__stderr__ or 2)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _no_terminal() -> None:
    """Have structlog do without rich, with which it colours what it says on a terminal: it takes as long to load."""
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # as the import system has it for what is not there


def _hold(state: StateDirectory, name: str) -> None:
    if processes.hold(state.pidfile(name)) is None:
        raise Problem(f"Another {name} runs on {state.root}.")


def _become(state: StateDirectory, user: str) -> None:
    from pileus.app.privileges import Needed, become  # noqa: PLC0415  (only root gets here)

    package = Path(pileus.__file__).parent
    code = {package.parents[1], Path(sys.prefix), Path(sys.base_prefix)}
    become(user, [*(Needed(path) for path in code), Needed(state.root, writable=True)])
    os.environ["HOME"] = str(state.cloud)
    for needed in (package / "model", Path(sys.prefix) / "lib"):
        if not os.access(needed, os.R_OK | os.X_OK):
            raise Problem(f"The user '{user}' cannot read {needed}: chmod -R go+rX on the checkout.")


def main() -> None:
    """`python -m pileus.app.entry cloud`, as `pileus cloud`: all other commands take a third of its start to load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("process", choices=["cloud"])
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--user", default="")
    chosen = parser.parse_args()
    spoken(functools.partial(cloud, chosen.state, chosen.provider, chosen.fd, chosen.user))


if __name__ == "__main__":
    main()
