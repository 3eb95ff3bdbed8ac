"""A cloud with real guests, a web server outside of it, and a login from there, for the clients under test."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live import veth
from tests.live.cloud import PILEUS, SSH, LiveCloud
from tests.live.conftest import (  # noqa: F401  (pytest finds fixtures by the names in a conftest)
    _clouds_end_with_the_run,
    _no_traffic_for_guests,
    cloud,
    pytest_runtest_makereport,
)
from tests.live.test_floating import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".clients"
"""The folder that `bin/setup --clients` and `bin/setup --opentofu` fill."""


class _CallersAddress(http.server.BaseHTTPRequestHandler):
    """Answers with the address that a request comes from."""

    def do_GET(self) -> None:
        """Answer a request."""
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that http.server gives it)
        """Keep the log out of the tests' output."""


@dataclass(frozen=True)
class Outside:
    """The outside network: a web server's address, the command that runs others there, and a key pair for logins."""

    url: str
    command: tuple[str, ...]
    ssh_config: Path
    public_key: Path

    def fetched_through(self, public: str, private: str) -> str:
        """Return the web server's answer to the guest at `private`, by ssh through the guest at `public`."""
        words = [
            *self.command, "ssh", "-F", str(self.ssh_config), "-J", f"root@{public}", f"root@{private}",
            f"wget -q -O - {self.url}",
        ]  # fmt: skip
        run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        return run.stdout.strip()


@pytest.fixture
def outside(cloud: LiveCloud, tmp_path: Path) -> Iterator[Outside]:  # noqa: F811  (the fixture of that name)
    """The network around the cloud, with a web server that tells callers their address."""
    namespace, key = cloud.layout.netns, tmp_path / "id"
    server = veth.within(namespace, lambda: http.server.ThreadingHTTPServer((GATEWAY, 8080), _CallersAddress))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    # A configuration, as ssh gives its options on to the jump's ssh by a file alone.
    options = [word.replace("=", " ") for word in SSH if "=" in word]
    config = tmp_path / "ssh_config"
    config.write_text("\n".join(["Host *", *options, f"IdentityFile {key}", "LogLevel ERROR", ""]))
    try:
        yield Outside(f"http://{GATEWAY}:8080/", ("ip", "netns", "exec", namespace), config, key.with_suffix(".pub"))
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def environment(cloud: LiveCloud) -> dict[str, str]:  # noqa: F811  (the fixture of that name)
    """This process's environment, with the variables that `pileus env` sets."""
    script = f'eval "$({PILEUS} env)"; env -0'
    given = {**os.environ, "PILEUS_STATE": str(cloud.state)}
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=given)
    variables = dict(line.partition("=")[::2] for line in run.stdout.split("\0") if line)
    return {**variables, "PATH": f"{Path(PILEUS).parent}:{variables['PATH']}"}


def program(name: str, option: str) -> str:
    """Return the path of a client that `bin/setup OPTION` installs; without it the test fails, with the command."""
    path = INSTALLED / "bin" / name
    if not path.exists():
        pytest.fail(f"{name} is not installed: run bin/setup {option}", pytrace=False)
    return str(path)


def ran(words: list[str], folder: Path, environment: dict[str, str], seconds: float = 600.0) -> str:
    """Run a client's command in `folder`; its output, or a failure that shows the output."""
    run = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=seconds,
    )  # fmt: skip
    assert run.returncode == 0, f"{' '.join(words)}: status {run.returncode}\n{run.stdout[-8000:]}"
    return run.stdout
