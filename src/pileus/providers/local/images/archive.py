"""Debian roots from packages, taken from the mirrors that this machine's own apt is configured to use."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pileus.posix import locks, processes
from pileus.providers.local.images.recipe import ImageBuildError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Keys of the Debian archive, from the package `debian-archive-keyring`."""

MIRROR_VARIABLE = "PILEUS_DEBIAN_MIRROR"
"""Environment variable with a Debian mirror, for machines whose apt knows none (Ubuntu)."""

_APART = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""The prefix of a command whose mounts and processes end with it, and which ends with this process."""

_INDEX_FORMAT = "$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
_TAIL_LINES = 15
_PATIENCE = 10.0
_CARRIED_OPTION = re.compile(r'Acquire::(?:https?|ftp|Retries)\b.* ".+";')


@contextlib.contextmanager
def work_folder(folder: Path, name: str) -> Iterator[Path]:
    """Context manager: a new folder in `folder`, for what is built there, which is removed at the end. Raises OSError.

    Folders of earlier builds of `name` whose process has ended are removed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob(f".{name}-*"):
        with locks.free(earlier) as unused:
            if unused:
                shutil.rmtree(earlier, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    lock = locks.take(work)
    try:
        # apt fetches as its own unprivileged user, which must be able to reach the files it writes.
        work.chmod(0o755)
        yield work
    finally:
        # Programs that were ended with the build may write until they are gone.
        processes.until(lambda: _removed(work), _PATIENCE, 0.1)
        os.close(lock)


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def execute(argv: Sequence[str | Path], *, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output (stdout and stderr together).

    Raises `ImageBuildError` with the command and its last lines if it fails or does not exist.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        message = f"{words[0]}: {error.strerror}"
        raise ImageBuildError(message) from error
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-_TAIL_LINES:])
        message = f"{' '.join(words[:3])} … ended with {done.returncode}:\n{tail}"
        raise ImageBuildError(message)
    return done.stdout


def parse_mirrors(indextargets: str) -> tuple[str | None, str | None]:
    """Find the main and the security mirror in lines of `ORIGIN|LABEL|REPO_URI|RELEASE|COMPONENT`.

    Lines come from `apt-get indextargets`. ORIGIN and LABEL are empty until the lists were fetched once; such
    lines count when their address ends as Debian's mirrors do (`/debian/`, `/debian-security/`).
    """
    main = security = None
    for line in indextargets.splitlines():
        origin, label, uri, release, component = line.split("|")
        folder = uri.rstrip("/").rpartition("/")[2]
        if component != "main" or origin not in {"", "Debian"} or release.endswith("-backports"):
            continue
        if label == "Debian-Security" or (not label and folder == "debian-security"):
            security = security or uri
        elif label == "Debian" or (not label and folder == "debian"):
            main = main or uri
    return main, security


def sources(suite: str) -> list[str]:
    """Lines of a sources.list for a Debian `suite` (`bookworm`, `trixie`): main, updates and, if known, security.

    Raises `ImageBuildError` if neither apt nor `PILEUS_DEBIAN_MIRROR` names a Debian mirror.
    """
    main, security = parse_mirrors(
        execute(["apt-get", "indextargets", "--format", _INDEX_FORMAT, "Created-By: Packages"])
    )
    main = os.environ.get(MIRROR_VARIABLE) or main
    if main is None:
        message = f"apt's sources name no Debian archive; set {MIRROR_VARIABLE} to the address of a mirror"
        raise ImageBuildError(message)
    lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
    return lines + ([f"deb {security} {suite}-security main"] if security else [])


def debian_root(
    suite: str,
    root: Path,
    packages: Sequence[str],
    *,
    variant: str = "minbase",
    options: Sequence[str] = (),
) -> None:
    """Make a Debian root of `packages` in the new directory `root` by mmdebstrap; needs root.

    `variant` is mmdebstrap's: `extract` unpacks packages without configuring them. `options` are passed on.
    Proxy and retry settings of this machine's apt are used and not left behind. Raises `ImageBuildError`.
    """
    carried = [
        f"--aptopt={line}" for line in execute(["apt-config", "dump"]).splitlines() if _CARRIED_OPTION.fullmatch(line)
    ]
    leave_nothing = ["--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap"] if carried else []
    execute(
        [
            *_APART,
            "mmdebstrap",
            "--mode=root",
            f"--variant={variant}",
            f"--include={','.join(packages)}",
            f"--keyring={KEYRING}",
            *carried,
            *leave_nothing,
            *options,
            suite,
            root,
            *sources(suite),
        ]
    )
