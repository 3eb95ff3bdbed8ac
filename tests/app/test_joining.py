"""Machines that join a cloud: what they are asked for, what they get, and who is kept out."""

from __future__ import annotations

import functools
import json
import shutil
import socket
import ssl
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from pileus.app import certificates, joining
from pileus.app.internal import fetch
from pileus.app.state import StateDirectory
from pileus.cli.problem import Problem
from pileus.model.errors import Fault
from pileus.posix.files import write_json as keep
from tests.app.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def cloud() -> Iterator[Stub]:
    """A running cloud that hosts may join."""
    stub = Stub(Path(tempfile.mkdtemp(prefix="pileus-test-")), PILEUS_INTERNAL="127.0.0.1:0", PILEUS_ZONE="north")
    stub.up()
    yield stub
    stub.down()
    shutil.rmtree(stub.state.root)


@pytest.fixture
def machine(tmp_path: Path) -> StateDirectory:
    """A machine of its own."""
    return StateDirectory(tmp_path / "machine")


def silent(_text: str) -> None: ...


def invited(cloud: Stub, **body: object) -> tuple[str, str]:
    """Where to join, and a token."""
    invitation = cloud.client.post("hosttokens", body=body)
    return invitation["url"], invitation["token"]


def test_a_machine_joins_by_one_command_and_keeps_its_key_to_itself(cloud: Stub, machine: StateDirectory) -> None:
    command = cloud.pileus("host", "token", "--valid", "30m").stdout.split()
    assert command[:3] == ["pileus", "host", "join"]
    words = [*command[1:], "--name", "alpha", "--state", str(machine.root)]
    assert "alpha belongs to https://127.0.0.1:" in cloud.pileus(*words).stdout
    files = [machine.joined, machine.identity / "host.pem", machine.identity / "ca.pem"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    assert stat.S_IMODE(machine.identity.stat().st_mode) == 0o700
    shown = next(host for host in cloud.client.all("hosts") if host["name"] == "alpha")
    certificate = x509.load_pem_x509_certificate((machine.identity / "host.pem").read_bytes())
    assert shown["wanted"]["certificates"] == [certificates.serial(certificate)]
    assert shown["wanted"]["zone"] == "north"
    joined_cloud = joining.joined(machine)
    assert joined_cloud is not None
    assert (joined_cloud.name, joined_cloud.url, joined_cloud.zone, joined_cloud.address) == (
        "alpha",
        command[3],
        "north",
        "127.0.0.1",
    )
    again = cloud.pileus(*words[:-4], "--name", "alpha-2", *words[-2:], check=False)
    assert again.returncode == 1
    assert "belongs to the cloud at" in again.stderr


def test_a_host_that_was_removed_is_told_so_and_joins_anew_with_what_it_has(
    cloud: Stub, machine: StateDirectory
) -> None:
    url, token = invited(cloud)
    joined_cloud = joining.join(machine, url, token, "theta", "", silent)
    book = machine.root / "host" / "orders"
    book.mkdir(parents=True)
    assert joining.refusal(machine, joined_cloud) == ""
    # While it is one of the cloud's hosts nobody else becomes that, this machine included.
    with pytest.raises(Problem, match="There is a host 'theta' already"):
        joining.join(machine, *invited(cloud), "theta", "", silent)
    cloud.pileus("host", "remove", "theta")
    assert "'theta' was removed from this cloud" in joining.refusal(machine, joined_cloud)
    with pytest.raises(Problem, match=r"pileus host admit theta.*\(removed\)"):
        _renewed(machine, joined_cloud)
    cloud.pileus("host", "admit", "theta")
    assert joining.refusal(machine, joined_cloud) == ""
    cloud.pileus("host", "remove", "theta")
    before = (machine.identity / "host.pem").read_bytes()
    assert joining.join(machine, *invited(cloud), "theta", "", silent).name == "theta"
    assert (machine.identity / "host.pem").read_bytes() != before
    assert joining.refusal(machine, joined_cloud) == ""
    assert book.exists()


def _renewed(machine: StateDirectory, cloud: joining.JoinedCloud) -> None:
    """Ask for another certificate, due or not."""
    _, request = certificates.new_request(cloud.name)
    joining._ask(cloud.url, machine, "/internal/renew", {"request": request.decode()})


def test_a_token_lets_one_host_in_once(cloud: Stub, tmp_path: Path) -> None:
    url, token = invited(cloud)
    joining.join(StateDirectory(tmp_path / "first"), url, token, "beta", "", silent)
    with pytest.raises(Problem, match=r"used already.*pileus host token.*\(token-used\)"):
        joining.join(StateDirectory(tmp_path / "second"), url, token, "gamma", "", silent)
    assert not StateDirectory(tmp_path / "second").joined.exists()


def test_joins_that_are_accepted_and_refused_leave_lines_with_the_address(cloud: Stub, tmp_path: Path) -> None:
    before = len(_audited(cloud))
    url, token = invited(cloud)
    joining.join(StateDirectory(tmp_path / "first"), url, token, "iota", "", silent)
    with pytest.raises(Problem, match="used already"):
        joining.join(StateDirectory(tmp_path / "second"), url, token, "kappa", "", silent)
    accepted, refused = _audited(cloud)[before:]
    assert (accepted["client"], accepted["status"], accepted["code"]) == ("127.0.0.1", 201, "-")
    assert (refused["client"], refused["status"], refused["code"]) == ("127.0.0.1", 403, "Forbidden")
    assert accepted["request"] != refused["request"]
    assert token not in cloud.state.audit.read_text()


def _audited(cloud: Stub) -> list[dict[str, Any]]:
    """The lines of the audit log about joins; its first line makes the file."""
    if not cloud.state.audit.exists():
        return []
    lines = [json.loads(line) for line in cloud.state.audit.read_text().splitlines()]
    return [line for line in lines if line["action"] == "POST /internal/join"]


def test_tokens_that_are_unknown_late_or_for_another_are_refused(cloud: Stub, machine: StateDirectory) -> None:
    url, token = invited(cloud)
    forged = "pileus_join_" + "x" * 43 + "." + token.rpartition(".")[2]
    with pytest.raises(Problem, match=r"none of this cloud's.*\(token-unknown\)"):
        joining.join(machine, url, forged, "delta", "", silent)
    late = invited(cloud, valid=0.001)[1]
    with pytest.raises(Problem, match=r"has expired.*\(token-expired\)"):
        joining.join(machine, url, late, "delta", "", silent)
    named = invited(cloud, host="epsilon")[1]
    with pytest.raises(Problem, match=r"lets the host 'epsilon' in, and not 'delta'.*\(token-name\)"):
        joining.join(machine, url, named, "delta", "", silent)
    # What was refused has used nothing up.
    assert joining.join(machine, url, named, "epsilon", "", silent).name == "epsilon"


def test_names_that_are_taken_or_could_pass_for_the_cloud_are_refused(cloud: Stub, machine: StateDirectory) -> None:
    url, token = invited(cloud)
    for name, says in (("stub", "There is a host 'stub' already"), ("localhost", "is what the cloud itself")):
        with pytest.raises(Problem, match=says):
            joining.join(machine, url, token, name, "", silent)
    for name in ("127.0.0.1", "a b", "../x", "*.example"):
        with pytest.raises(Problem, match=r"no host's name|is what the cloud itself"):
            joining.join(machine, url, token, name, "", silent)


def test_another_cloud_is_told_nothing(cloud: Stub, machine: StateDirectory, tmp_path: Path) -> None:
    url, token = invited(cloud)
    other = certificates.authority(tmp_path)
    forged = f"{token.rpartition('.')[0]}.{other.fingerprint}"
    with pytest.raises(Problem, match="is not the cloud that the token is of; it was told nothing"):
        joining.join(machine, url, forged, "zeta", "", silent)
    # The token itself was not used by that.
    assert joining.join(machine, url, token, "zeta", "", silent).name == "zeta"


def test_only_administrators_make_tokens_and_a_token_opens_nothing_else(cloud: Stub) -> None:
    account = json.loads(cloud.pileus("user", "create", "mallory", "--json").stdout)
    body = json.dumps({}).encode()
    headers = {"authorization": f"Bearer {account['token']}"}
    assert cloud.http("POST", "/v1/hosttokens", body, headers, token=False)[0] == 403
    headers = {"authorization": f"Bearer {invited(cloud)[1]}"}
    assert cloud.http("GET", "/v1/hosts", None, headers, token=False)[0] == 401


@pytest.fixture
def joined(cloud: Stub, machine: StateDirectory, request: pytest.FixtureRequest) -> Callable[[], socket.socket]:
    """A host of the cloud; its way to fetch things."""
    url, token = invited(cloud)
    joined_cloud = joining.join(machine, url, token, f"host-{abs(hash(request.node.name))}", "", silent)
    return functools.partial(joining.dial, machine, joined_cloud)


def test_a_host_fetches_what_its_instances_start_from_and_nothing_else(
    cloud: Stub, machine: StateDirectory, joined: Callable[[], socket.socket], tmp_path: Path
) -> None:
    digest = next(path.name for path in cloud.state.objects.rglob("*") if len(path.name) == 64)
    with pytest.raises(Fault) as caught:
        fetch(joined, digest, tmp_path / "stolen")
    assert caught.value.code == "ImageMissing"
    joined_cloud = joining.joined(machine)
    assert joined_cloud is not None
    # Without a certificate, and with one of another authority.
    (machine.identity / "host.pem").unlink()
    with pytest.raises(Fault) as caught:
        fetch(joined, digest, tmp_path / "stolen")
    assert caught.value.code == "HostRefused"
    other = certificates.authority(tmp_path)
    key, csr = certificates.new_request(joined_cloud.name)
    (machine.identity / "host.pem").write_bytes(key + other.host(csr, joined_cloud.name)[0])
    with pytest.raises(Fault) as caught:
        fetch(joined, digest, tmp_path / "stolen")
    assert caught.value.code == "ImageUnavailable"
    assert not (tmp_path / "stolen").exists()


def test_an_expired_certificate_is_refused(
    cloud: Stub,
    machine: StateDirectory,
    joined: Callable[[], socket.socket],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = next(path.name for path in cloud.state.objects.rglob("*") if len(path.name) == 64)
    joined_cloud = joining.joined(machine)
    assert joined_cloud is not None
    monkeypatch.setattr(certificates, "DAYS", -0.5)
    key, csr = certificates.new_request(joined_cloud.name)
    expired, _ = certificates.authority(cloud.state.cloud).host(csr, joined_cloud.name)
    (machine.identity / "host.pem").write_bytes(key + expired)
    with pytest.raises(Fault) as caught:
        fetch(joined, digest, tmp_path / "stolen")
    assert caught.value.code == "ImageUnavailable"
    with pytest.raises(Problem, match="does not answer"):
        joining.renew(machine, joined_cloud)


def test_a_host_renews_its_certificate_over_the_one_it_has(
    cloud: Stub, machine: StateDirectory, joined: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined_cloud = joining.joined(machine)
    assert joined_cloud is not None
    before = (machine.identity / "host.pem").read_bytes()
    assert not joining.renew(machine, joined_cloud)
    monkeypatch.setattr(certificates, "RENEW_AT", 0.0)
    assert joining.renew(machine, joined_cloud)
    after = (machine.identity / "host.pem").read_bytes()
    assert after != before
    with joined():
        pass
    # Both are good until the new one is shown.
    assert joining.renew(machine, joined_cloud)


def test_the_listener_for_hosts_speaks_tls_of_its_own_authority_alone(cloud: Stub) -> None:
    url, token = invited(cloud)
    context = ssl.create_default_context(cadata=certificates.authority(cloud.state.cloud).pem.decode())
    ask = functools.partial(joining._exchange, url, context)
    assert ask("GET", "/internal/nothing").status == 404
    for body in (b"[]", b'{"token": "\xff"}', b'{"token":' * 3000):
        assert ask("POST", "/internal/join", body).status == 400
    assert ask("POST", "/internal/join", b"x" * 100_000).status == 413
    assert ask("POST", "/internal/renew", b'{"request": ""}').status == 403
    assert token


def test_half_a_token_and_a_wrong_url_are_said_in_one_line(cloud: Stub, machine: StateDirectory) -> None:
    url, token = invited(cloud)
    for where, what, says in (
        (url, token[:30], "no whole token"),
        (url.replace("https", "http"), token, "is no https:// URL"),
        ("https://127.0.0.1:1", token, "does not answer"),
    ):
        with pytest.raises(Problem, match=says):
            joining.join(machine, where, what, "eta", "", silent)
    keep(machine.started, {"provider": "stub"})
    with pytest.raises(Problem, match="holds a cloud of its own"):
        joining.join(machine, url, token, "eta", "", silent)
