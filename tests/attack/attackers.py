"""Attackers: each uses up one thing of a cloud, as a tenant, as a guest or without credentials, until told to stop.

An attacker is a function of a `Target`. It is bounded: it holds at most `LINKS` connections, and it ends with the
target's deadline. Refusals are the expected answer. A process for each attacker keeps its work out of the victim's.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from tests.live.cloud import SSH

LINKS = 1500
"""Connections that one attacker holds at most."""

REFUSED = (ClientError, BotoCoreError, ResponseParserError, httpx.HTTPError, OSError, ValueError)


class Target(msgspec.Struct, frozen=True):
    """A cloud as an attacker sees it: URLs, the account of a tenant of its own, and images; `until` is monotonic."""

    ec2: str
    rest: str
    account: dict[str, str]
    container: str
    until: float

    @property
    def place(self) -> tuple[str, int]:
        """Return the address and the port of the faces."""
        parts = urlsplit(self.ec2)
        return parts.hostname or "", parts.port or 80

    def turns(self, pause: float = 0.0) -> Iterator[int]:
        """Count until the deadline, with a pause in seconds after each turn."""
        number = 0
        while time.monotonic() < self.until:
            yield number
            number += 1
            time.sleep(pause)

    def client(self) -> Any:
        """Return a boto3 client of EC2 that asks once."""
        session: Any = boto3.Session()
        return session.client(
            "ec2",
            endpoint_url=self.ec2,
            region_name="us-east-1",
            aws_access_key_id=self.account["access_key"],
            aws_secret_access_key=self.account["secret_key"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
        )

    def http(self) -> httpx.Client:
        """Return an HTTP client of the REST face."""
        headers = {"authorization": f"Bearer {self.account['token']}"}
        return httpx.Client(base_url=self.rest, headers=headers, timeout=30, trust_env=False)


def refused(call: Callable[..., Any], *words: Any, **named: Any) -> Any:
    """Call; None when the cloud refuses."""
    with contextlib.suppress(*REFUSED):
        return call(*words, **named)
    return None


# -- without credentials -------------------------------------------------------------------------------------------


def endless_headers(target: Target) -> None:
    """Send headers without an end on one connection after the other."""
    block = b"".join(b"x-%06d: %s\r\n" % (number, b"a" * 100) for number in range(600))
    for _ in target.turns(0.05):
        with contextlib.suppress(OSError), socket.create_connection(target.place, timeout=5) as link:
            link.sendall(b"GET / HTTP/1.1\r\n")
            for _ in range(1000):
                link.sendall(block)


def half_heads(target: Target) -> None:
    """Hold connections with half a head each."""
    links: list[socket.socket] = []
    for _ in target.turns(0.01):
        with contextlib.suppress(OSError):
            link = socket.create_connection(target.place, timeout=2)
            link.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n")
            links.append(link)
        if len(links) >= LINKS:
            links.pop(0).close()


def slow_bodies(target: Target) -> None:
    """Send bodies byte by byte on many connections."""
    links: list[socket.socket] = []
    for turn in target.turns(0.01):
        if len(links) < LINKS // 3:
            with contextlib.suppress(OSError):
                link = socket.create_connection(target.place, timeout=2)
                link.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
                links.append(link)
        elif links:
            with contextlib.suppress(OSError):
                links[turn % len(links)].send(b"a")


def forged_signatures(target: Target) -> None:
    """Send requests that are signed by a wrong key."""
    account = {**target.account, "secret_key": "wrong"}
    client = msgspec.structs.replace(target, account=account).client()
    for _ in target.turns(0.005):
        refused(client.describe_instances)


def malformed_requests(target: Target) -> None:
    """Send bytes that are no HTTP, bodies that are no UTF-8, and JSON of 3,000 levels."""
    draw = random.Random(1)
    with target.http() as http:
        for turn in target.turns(0.01):
            if turn % 2:
                with contextlib.suppress(OSError), socket.create_connection(target.place, timeout=2) as link:
                    link.sendall(draw.randbytes(600) + b"\r\n\r\n")
                    link.recv(1000)
            else:
                body = b'{"name": "\xff"}' if turn % 4 else b'{"a":' * 3000
                refused(http.post, "/instances", content=body)


# -- as a tenant ------------------------------------------------------------------------------------------------------


def many_rules(target: Target) -> None:
    """Open thousands of ports on two containers by 16 groups of 60 rules of 16 ports."""
    client = target.client()
    groups = []
    for number in range(16):
        group = refused(client.create_security_group, GroupName=f"g{number}", Description="a")
        if group is None:
            continue
        groups.append(group["GroupId"])
        rules = [
            {
                "IpProtocol": "tcp",
                "FromPort": 1024 + 960 * number + 16 * rule,
                "ToPort": 1039 + 960 * number + 16 * rule,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            }
            for rule in range(60)
        ]
        refused(client.authorize_security_group_ingress, GroupId=group["GroupId"], IpPermissions=rules)
    refused(
        client.run_instances,
        ImageId=target.container,
        InstanceType="light",
        MinCount=2,
        MaxCount=2,
        SecurityGroupIds=groups[:16],
    )
    for _ in target.turns(1.0):
        pass


def huge_values(target: Target) -> None:
    """Send tags of 1.6 MB, filters of 1.7 MB, and launches with 300,000 public keys."""
    client = target.client()
    with target.http() as http:
        for turn in target.turns(0.05):
            tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "x" * 1_600_000}]}]
            refused(client.create_security_group, GroupName=f"t{turn}", Description="a", TagSpecifications=tags)
            refused(client.describe_instances, Filters=[{"Name": "tag:a", "Values": ["*a" * 850_000]}])
            refused(http.post, "/instances", json={"image": target.container, "public_keys": ["a"] * 300_000})
            refused(client.describe_instances, MaxResults=5, NextToken="cGlsZXVzLzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5")


def many_nouns(target: Target) -> None:
    """Make placement groups, key pairs, groups and addresses without an end."""
    client = target.client()
    for turn in target.turns(0.002):
        refused(client.create_placement_group, GroupName=f"p{turn}", Strategy="spread")
        refused(client.create_key_pair, KeyName=f"k{turn}", KeyType="ed25519")
        refused(client.create_security_group, GroupName=f"s{turn}", Description="a")
        refused(client.allocate_address)


def _archive(entries: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("sbin/init")
        member.mode = 0o755
        archive.addfile(member)
        for number in range(entries):
            archive.addfile(tarfile.TarInfo(f"d{number // 1000}/f{number}"))
    return stream.getvalue()


def heavy_images(target: Target) -> None:
    """Upload archives of 200,000 empty files and start containers of them; upload garbage beside."""
    big, garbage = _archive(200_000), b"\x1f\x8b" + os.urandom(1 << 20)
    with target.http() as http:
        for turn in target.turns(0.2):
            for name, body in ((f"big{turn}", big), (f"bad{turn}", garbage)):
                answer = refused(http.post, "/images", params={"name": name}, content=body, timeout=120)
                if answer is not None and answer.status_code == 201:
                    refused(http.post, "/instances", json={"image": answer.json()["id"], "flavor": "light"})


def many_reads(target: Target) -> None:
    """Read lists on many connections at once, as quickly as answers come."""

    def read(_: int) -> None:
        with target.http() as http:
            for _turn in target.turns():
                refused(http.get, "/instances")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(read, range(16)))


def host_calls(target: Target) -> None:
    """Have 32 requests at once wait for a host, and open streams without an end."""
    client = target.client()
    launched = refused(client.run_instances, ImageId=target.container, InstanceType="light", MinCount=1, MaxCount=1)
    ident = launched["Instances"][0]["InstanceId"] if launched else "i-0"

    def ask(_: int) -> None:
        links: list[socket.socket] = []
        with target.http() as http:
            for _turn in target.turns(0.01):
                refused(http.get, f"/instances/{ident}/console")
                with contextlib.suppress(OSError):
                    links.append(_stream(target, ident))
                if len(links) > 40:
                    links.pop(0).close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(16)))


def _stream(target: Target, ident: str) -> socket.socket:
    link = socket.create_connection(target.place, timeout=5)
    head = (
        f"GET /v1/instances/{ident}/connect/22 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"authorization: Bearer {target.account['token']}\r\n\r\n"
    )
    link.sendall(head.encode())
    return link


# -- as a guest -------------------------------------------------------------------------------------------------------

GREED = (
    "for n in $(seq 400); do sleep 600 & done 2>/dev/null; "
    "for n in $(seq 200); do sh -c 'exec 9<>/dev/ptmx; sleep 600' & done 2>/dev/null; "
    "for n in $(seq 20000); do : >/tmp/f$n; done 2>/dev/null; "
    "dd if=/dev/zero of=/tmp/big bs=1M count=4096 2>/dev/null; "
    "while :; do wget -q -O /dev/null http://169.254.169.254/latest/meta-data/; done"
)


def greedy_guest(target: Target) -> None:
    """Take processes, terminals, inodes, disk, processor and metadata from inside a container."""
    client = target.client()
    folder = Path(tempfile.mkdtemp(prefix="pileus-attack-"))
    key = folder / "key"
    pair = refused(client.create_key_pair, KeyName="guest", KeyType="ed25519")
    group = refused(client.create_security_group, GroupName="guest", Description="a")
    if pair is None or group is None:
        return
    key.touch(mode=0o600)
    key.write_text(pair["KeyMaterial"])
    port = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "127.0.0.0/8", "GroupId": group["GroupId"]}
    refused(client.authorize_security_group_ingress, **port)
    launched = refused(
        client.run_instances,
        ImageId=target.container,
        InstanceType="light",
        MinCount=1,
        MaxCount=1,
        KeyName="guest",
        SecurityGroupIds=[group["GroupId"]],
    )
    if launched is None:
        return
    ident = launched["Instances"][0]["InstanceId"]
    for _ in target.turns(0.5):
        shown = refused(client.describe_instances, InstanceIds=[ident])
        address = shown["Reservations"][0]["Instances"][0].get("PublicIpAddress") if shown else None
        if address:
            words = [*SSH, "-i", str(key), f"root@{address}", GREED]
            left = max(1.0, target.until - time.monotonic())
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(words, check=False, timeout=left, stdin=subprocess.DEVNULL, capture_output=True)


ATTACKERS: dict[str, Callable[[Target], None]] = {
    function.__name__: function
    for function in (
        endless_headers,
        half_heads,
        slow_bodies,
        forged_signatures,
        malformed_requests,
        many_rules,
        huge_values,
        many_nouns,
        heavy_images,
        many_reads,
        host_calls,
        greedy_guest,
    )
}
"""All of them by name."""


def main(name: str, text: str) -> None:
    """Run one attacker on a target (JSON), at a low priority: the machine is the victim's, too."""
    os.nice(15)
    target = msgspec.json.decode(text, type=Target)
    ATTACKERS[name](target)


def described(target: Target) -> str:
    """Return a target as JSON."""
    return json.dumps(msgspec.to_builtins(target))
