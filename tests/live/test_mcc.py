"""`mccserver` over real containers: the session of MiniCloud's own description, a lost database, and Ruby's client."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.mcc import Server
from tests.app.mcc import Tools
from tests.live.cloud import PILEUS, SSH, LiveCloud, logs, until
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "\t\tID\tIP\t\tSTATUS\t\tTEMPLATE\t\t\tNAME\n"
IMAGE = "tiny-container"


@dataclass
class Mcc:
    """A server in `state` at `where` (HOST:PORT), its tools, and the private half of the key `me` that they know."""

    state: Path
    where: str
    tools: Tools
    key: Path

    def start(self) -> None:
        """Run `mccserver` until it returns."""
        host, _, port = self.where.partition(":")
        options = ["-r", "10.0.0.100-10.0.0.200", "-l", host, "-p", port, "--state", str(self.state)]
        server = str(self.tools.programs / "mccserver")
        done = subprocess.run([server, *options], capture_output=True, text=True, check=False, env=os.environ)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr + logs(self.state)

    def shown(self, *words: str) -> list[str]:
        """The rows of a list."""
        head, *rows = self.tools.out("mcc-list-instances", *words).splitlines(keepends=True)
        assert head == HEAD
        return rows

    def launch(self, name: str, image: str = IMAGE) -> str:
        """Launch one; its row once it runs."""
        said = self.tools.out("mcc-run-instances", "-i", image, "-t", "light", "-k", "me", "-n", name)
        number = said.splitlines()[1].split("\t")[1]
        rows: list[str] = until(f"{number} runs", lambda: [r for r in self.shown() if f"\t{number}\t" in r])
        return rows[0]

    def ssh(self, number: int, command: str) -> str:
        """What a command says in there, as soon as it answers."""
        (found,) = Server(self.where).instances(str(number))
        listed = LiveCloud(self.state).ec2.describe_instances(
            Filters=[{"Name": "private-ip-address", "Values": [found.ip]}]
        )
        # Those that ended lately are listed too, without an address.
        (address,) = [
            each["PublicIpAddress"]
            for reservation in listed["Reservations"]
            for each in reservation["Instances"]
            if "PublicIpAddress" in each
        ]

        def answered() -> str | None:
            try:
                words = [*SSH, "-i", str(self.key), f"root@{address}", f"echo ANSWERED; {command}"]
                run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
            except subprocess.TimeoutExpired:
                return None
            return run.stdout.partition("ANSWERED\n")[2] or " " if "ANSWERED\n" in run.stdout else None

        said: str = until(f"ssh to {address}", answered)
        return said.strip()


@pytest.fixture(scope="module")
def mcc() -> Iterator[Mcc]:
    """A server from `mccserver` to `pileus down`, and somebody with a key."""
    with tempfile.TemporaryDirectory(prefix="pileus-mcc-") as folder:
        Path(folder).chmod(0o755)
        where = f"127.0.0.1:{free_port()}"
        state, home = Path(folder) / "s", Path(folder) / "home"
        home.mkdir(mode=0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "id")], check=True)
        tools = Tools(home, where)
        tools.out("mcc-add-key", "--name", "me", "--public-key", (home / "id.pub").read_text().strip())
        made = Mcc(state, where, tools, home / "id")
        try:
            made.start()
            yield made
        finally:
            down = [PILEUS, "down", "--instances", "--state", str(state)]
            subprocess.run(down, capture_output=True, check=False)


@pytest.mark.cost(30)
def test_the_session_of_minicloud_s_own_description(mcc: Mcc) -> None:
    tools = mcc.tools
    assert f"IMAGE \t{IMAGE}\n" in tools.out("mcc-list-images")
    assert "INST_TYPE\tlight\n" in tools.out("mcc-list-instance-types")
    assert tools.out("mcc-list-keys") == "KEY\tme\n"
    run = ("-i", IMAGE, "-t", "light", "-k", "me", "-n", "my-web-server")
    assert tools.out("mcc-run-instances", *run) == "\t\tID\tIP\nINST\t500\t10.0.0.100\n"
    row = f"INSTANCE\t500\t10.0.0.100\trunning\t\t{IMAGE}\t\tmy-web-server\n"
    until("500 runs", lambda: mcc.shown() == [row])
    assert mcc.ssh(500, "hostname") == "mcc-id-500"
    assert "10.0.0.100/24" in mcc.ssh(500, "ip -4 addr show eth0")
    assert tools.out("mcc-destroy-instance", "-i", "500") == ""
    until("500 is gone", lambda: mcc.shown("--all") == [])


@pytest.mark.cost(15)
def test_root_is_let_in_whatever_user_the_image_has_for_that(mcc: Mcc) -> None:
    number = int(mcc.launch("debian", "debian-12-container").split("\t")[1])
    assert mcc.ssh(number, "id -un; . /etc/os-release; echo $ID $VERSION_ID").split() == ["root", "debian", "12"]
    assert mcc.tools.out("mcc-destroy-instance", "-i", str(number)) == ""
    until("it is gone", lambda: mcc.shown("--all") == [])


@pytest.mark.cost(60)
def test_a_database_that_is_lost_changes_no_list_and_no_container(mcc: Mcc) -> None:
    trace = mcc.tools.home / "trace"
    names = ("one", f'a"; touch {trace}; "')
    rows = [mcc.launch(name) for name in names]
    assert [row.split("\t")[1:3] for row in rows] == [["500", "10.0.0.100"], ["501", "10.0.0.101"]]
    assert [row.rstrip("\n").rpartition("\t")[2] for row in rows] == list(names)
    began = mcc.ssh(500, "stat -c %Y /proc/1")
    assert mcc.tools.run("mccserver", "--stop", "--state", str(mcc.state))[0] == 0
    for path in (mcc.state / "cloud").glob("pileus.db*"):
        path.unlink()
    mcc.start()
    assert mcc.shown() == rows
    assert mcc.ssh(500, "stat -c %Y /proc/1") == began, "it runs on"
    ping = "ping -c 3 -W 2 10.0.0.100 || true"
    until("its neighbour answers", lambda: " 0% packet loss" in mcc.ssh(501, ping))
    assert mcc.launch("three").split("\t")[1:3] == ["502", "10.0.0.102"]
    assert not trace.exists()
    for number in ("500", "501", "502"):
        mcc.tools.out("mcc-destroy-instance", "-i", number)
    until("all are gone", lambda: mcc.shown("--all") == [])


RUBY = """
require 'xmlrpc/client'
server = XMLRPC::Client.new(ARGV[0], '/', ARGV[1].to_i)
p server.call('openvz.get_images').include?(ARGV[2])
p server.call('openvz.get_instance_types').include?('light')
made = server.call('openvz.run_instance', ARGV[2], 'light', "ssh-rsa AAAA\\n", 'from <ruby> & "co"')
p made['id'].class, made['ip'].class
shown = server.call('openvz.get_instances', {'instance' => made['id'].to_s})[0]
p shown['id'] == made['id'].to_s, shown['name'], shown.keys
p server.call('openvz.destroy_instance', made['id'].to_s)
begin
  server.call('openvz.destroy_instance', '7')
rescue XMLRPC::FaultException => fault
  p fault.faultCode, fault.faultString
end
begin
  server.call('openvz.instance_eval', '1')
rescue XMLRPC::FaultException => fault
  p fault.faultCode
end
"""


@pytest.mark.cost(15)
def test_rubys_client_makes_the_five_calls(mcc: Mcc) -> None:
    host, _, port = mcc.where.partition(":")
    done = subprocess.run(
        ["ruby", "-W0", "-e", RUBY, host, port, IMAGE],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "true",
        "true",
        "Integer",
        "String",
        "true",
        r'"from <ruby> & \"co\""',
        '["id", "ip", "status", "ostemplate", "name"]',
        "true",
        "2",
        '"Uncaught exception Instance ID not found in method openvz.destroy_instance"',
        "1",
    ]
    until("it is gone", lambda: mcc.shown("--all") == [])
