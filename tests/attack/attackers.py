"""Attackers: each uses up one thing of a cloud, as a tenant, as a guest or without credentials, until told to stop.

An attacker is a function of a `Target`. It is bounded: it holds at most `LINKS` connections, and it ends with the
target's deadline. Refusals are the expected answer; `ANSWERS` counts all answers. A process for each attacker keeps its
work out of the victim's.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
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

from tests.app.test_archives import LOWER, bundle
from tests.live.cloud import SSH

LINKS = 1500
"""Connections that one attacker holds at most."""

BIG_IMAGES = 4
"""Images of 200,000 files that are uploaded and started at most: the machine has its limits, too."""

ANSWERS: Counter[str] = Counter()
"""What this process's attacker got, and how often: statuses with codes, errors of sockets, and what a guest took."""

REFUSED = (ClientError, BotoCoreError, ResponseParserError, httpx.HTTPError, OSError, ValueError)


class Target(msgspec.Struct, frozen=True):
    """A cloud as an attacker sees it: URLs, the account of a tenant of its own, and an image of it.

    `archive` is the path of an archive's beginning with `MANY_FILES`, `until` the monotonic time of the deadline.
    """

    ec2: str
    rest: str
    account: dict[str, str]
    container: str
    archive: str
    until: float

    @property
    def place(self) -> tuple[str, int]:
        """Return the address and the port of the faces."""
        parts = urlsplit(self.ec2)
        return parts.hostname or "", parts.port or 80

    def iterations(self, pause: float = 0.0) -> Iterator[int]:
        """Count until the deadline, with a pause in seconds after each iteration."""
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


def tried(call: Callable[..., Any], *words: Any, **named: Any) -> Any:
    """Call, and count the answer; None when the cloud refuses."""
    try:
        answer = call(*words, **named)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        ANSWERS[f"{status} {error.response['Error']['Code']}"] += 1
    except REFUSED as error:
        ANSWERS[type(error).__name__] += 1
    else:
        ANSWERS[_shown(answer) if isinstance(answer, httpx.Response) else "200"] += 1
        return answer
    return None


def _shown(answer: httpx.Response) -> str:
    if answer.is_success:
        return str(answer.status_code)
    with contextlib.suppress(ValueError, KeyError):
        return f"{answer.status_code} {answer.json()['error']['code']}"
    return str(answer.status_code)


def heard(link: socket.socket) -> bool:
    """Count what the cloud has answered on a connection, if anything; whether it was answered or ended."""
    try:
        head = link.recv(4096)
    except (TimeoutError, BlockingIOError):
        return False
    except OSError as error:
        ANSWERS[type(error).__name__] += 1
    else:
        ANSWERS[head[9:12].decode("latin-1") if head.startswith(b"HTTP/") else "greeted" if head else "closed"] += 1
    return True


def opened(target: Target, head: bytes) -> socket.socket | None:
    """Return a connection on which `head` was sent and which does not wait; None when it is refused."""
    try:
        link = socket.create_connection(target.place, timeout=5)
        link.sendall(head)
    except OSError as error:
        ANSWERS[type(error).__name__] += 1
        return None
    link.setblocking(False)
    return link


def waiting(links: list[socket.socket]) -> list[socket.socket]:
    """Return the connections that the cloud leaves open; the others are counted and closed."""
    ended = [link for link in links if heard(link)]
    for link in ended:
        link.close()
    return [link for link in links if link not in ended]


# -- without credentials -------------------------------------------------------------------------------------------


def endless_headers(target: Target) -> None:
    """Send headers without an end on one connection after the other."""
    block = b"".join(b"x-%06d: %s\r\n" % (number, b"a" * 100) for number in range(600))
    for _ in target.iterations(0.05):
        with contextlib.suppress(OSError), socket.create_connection(target.place, timeout=5) as link:
            with contextlib.suppress(OSError):
                link.sendall(b"GET / HTTP/1.1\r\n")
                for _ in range(1000):
                    link.sendall(block)
            heard(link)


def half_heads(target: Target) -> None:
    """Hold connections with half a head each."""
    links: list[socket.socket] = []
    for iteration in target.iterations(0.01):
        if len(links) < LINKS and (link := opened(target, b"GET / HTTP/1.1\r\nhost: a\r\n")):
            links.append(link)
        if iteration % 100 == 0:
            links = waiting(links)
    ANSWERS["open at the end"] = len(waiting(links))


def slow_bodies(target: Target) -> None:
    """Send bodies byte by byte on many connections."""
    links: list[socket.socket] = []
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n"
    for iteration in target.iterations(0.01):
        if len(links) < LINKS // 3 and (link := opened(target, head)):
            links.append(link)
        with contextlib.suppress(OSError):
            links[iteration % len(links)].send(b"a")
        if iteration % 100 == 0:
            links = waiting(links)
    ANSWERS["open at the end"] = len(waiting(links))


def forged_signatures(target: Target) -> None:
    """Send requests that are signed by a wrong key."""
    account = {**target.account, "secret_key": "wrong"}
    client = msgspec.structs.replace(target, account=account).client()
    for _ in target.iterations(0.005):
        tried(client.describe_instances)


def malformed_requests(target: Target) -> None:
    """Send bytes that are no HTTP, bodies that are no UTF-8, and JSON of 3,000 levels."""
    draw = random.Random(1)
    with target.http() as http:
        for iteration in target.iterations(0.01):
            if iteration % 2:
                with contextlib.suppress(OSError), socket.create_connection(target.place, timeout=2) as link:
                    link.sendall(draw.randbytes(600) + b"\r\n\r\n")
                    heard(link)
            else:
                body = b'{"name": "\xff"}' if iteration % 4 else b'{"a":' * 3000
                tried(http.post, "/instances", content=body)


# -- as a tenant ------------------------------------------------------------------------------------------------------


def many_rules(target: Target) -> None:
    """Open 15,360 ports on two containers by 16 groups of 60 rules, and hold connections to one of the ports."""
    client = target.client()
    groups = []
    for number in range(16):
        group = tried(client.create_security_group, GroupName=f"g{number}", Description="a")
        if group is None:
            continue
        groups.append(group["GroupId"])
        rules = [
            {
                "IpProtocol": "tcp",
                "FromPort": 16 + 960 * number + 16 * rule,
                "ToPort": 31 + 960 * number + 16 * rule,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            }
            for rule in range(60)
        ]
        tried(client.authorize_security_group_ingress, GroupId=group["GroupId"], IpPermissions=rules)
    tried(
        client.run_instances,
        ImageId=target.container,
        InstanceType="light",
        MinCount=2,
        MaxCount=2,
        SecurityGroupIds=groups,
    )
    links: list[socket.socket] = []
    addresses: list[str] = []
    for iteration in target.iterations(0.01):
        if iteration % 100 == 0:
            addresses = _addresses(client)
        if addresses and len(links) < LINKS:
            place = msgspec.structs.replace(target, ec2=f"http://{addresses[iteration % len(addresses)]}:22")
            if link := opened(place, b""):
                links.append(link)
    ANSWERS["open at the end"] = len(waiting(links))


def _addresses(client: Any) -> list[str]:
    listed = tried(client.describe_instances) or {"Reservations": []}
    rows = [row for each in listed["Reservations"] for row in each["Instances"]]
    return [row["PublicIpAddress"] for row in rows if "PublicIpAddress" in row]


def huge_values(target: Target) -> None:
    """Send tags and filters of 1.6 MB, tags beyond the largest body, and launches with 300,000 public keys."""
    client = target.client()
    with target.http() as http:
        for iteration in target.iterations(0.05):
            for size in (1_600_000, 3_000_000):
                tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "x" * size}]}]
                tried(client.create_security_group, GroupName=f"t{iteration}", Description="a", TagSpecifications=tags)
            tried(client.describe_instances, Filters=[{"Name": "tag:a", "Values": ["*a" * 400_000]}])
            tried(http.post, "/instances", json={"image": target.container, "public_keys": ["a"] * 300_000})
            tried(client.describe_instances, MaxResults=5, NextToken="cGlsZXVzLzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5")


def many_nouns(target: Target) -> None:
    """Make placement groups, key pairs, groups and addresses without an end."""
    client = target.client()
    for iteration in target.iterations(0.002):
        tried(client.create_placement_group, GroupName=f"p{iteration}", Strategy="spread")
        tried(client.create_key_pair, KeyName=f"k{iteration}", KeyType="ed25519")
        tried(client.create_security_group, GroupName=f"s{iteration}", Description="a")
        tried(client.allocate_address)


MANY_FILES = ["sbin/init", *(f"d{number // 1000}/f{number}" for number in range(200_000))]
"""Names in an archive whose file system takes many inodes."""


def archive(names: list[str], *, ends: bool) -> bytes:
    """Return a part of a compressed archive with empty files; the last part `ends` it."""
    stream = io.BytesIO()
    file = tarfile.open(fileobj=stream, mode="w")  # noqa: SIM115  (only the last part is closed)
    for name in names:
        member = tarfile.TarInfo(name)
        member.mode = 0o755
        file.addfile(member)
    if ends:
        file.close()
    return gzip.compress(stream.getvalue(), 1)


def heavy_images(target: Target) -> None:
    """Upload archives of 200,000 empty files and start containers of them; upload garbage and noisy images beside."""
    big = Path(target.archive).read_bytes()
    garbage = b"\x1f\x8b" + os.urandom(1 << 20)
    with tempfile.TemporaryDirectory(prefix="pileus-attack-") as folder:
        noisy = bundle(Path(folder, "noisy.tar"), [LOWER], architecture="x\n" * 500_000).read_bytes()
    with target.http() as http:
        for iteration in target.iterations(0.2):
            tried(http.post, "/images", params={"name": f"bad{iteration}"}, content=garbage, timeout=120)
            tried(http.post, "/images", params={"name": f"noisy{iteration}"}, content=noisy, timeout=120)
            if iteration < BIG_IMAGES:
                # Each has other bytes: nothing of it is in a cache.
                body = big + archive([f"iteration{iteration}"], ends=True)
                answer = tried(http.post, "/images", params={"name": f"big{iteration}"}, content=body, timeout=120)
                if answer is not None and answer.status_code == 201:
                    tried(http.post, "/instances", json={"image": answer.json()["id"], "flavor": "light"})


def many_reads(target: Target) -> None:
    """Read lists on many connections at once, as quickly as answers come."""

    def read(_: int) -> None:
        with target.http() as http:
            for _iteration in target.iterations():
                tried(http.get, "/instances")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(read, range(16)))


def host_calls(target: Target) -> None:
    """Have 16 requests at once wait for a host, and open streams without an end."""
    client = target.client()
    launched = tried(client.run_instances, ImageId=target.container, InstanceType="light", MinCount=1, MaxCount=1)
    ident = launched["Instances"][0]["InstanceId"] if launched else "i-0"
    head = (
        f"GET /v1/instances/{ident}/connect/22 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"authorization: Bearer {target.account['token']}\r\n\r\n"
    ).encode()

    def ask(_: int) -> None:
        links: list[socket.socket] = []
        with target.http() as http:
            for _iteration in target.iterations(0.01):
                tried(http.get, f"/instances/{ident}/console")
                if link := opened(target, head):
                    links.append(link)
                if len(links) > 40:
                    heard(links[0])
                    links.pop(0).close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(16)))


# -- as a guest -------------------------------------------------------------------------------------------------------

GREED = (
    "for n in $(seq 20000); do : >/tmp/f$n; done 2>/dev/null; echo TOOK files $(ls /tmp | wc -l); "
    "hold='exec 3<>/dev/ptmx 4<>/dev/ptmx 5<>/dev/ptmx 6<>/dev/ptmx 7<>/dev/ptmx 8<>/dev/ptmx 9<>/dev/ptmx'; "
    'for n in $(seq 50); do sh -c "$hold; exec sleep 600" >/dev/null 2>&1 & done; sleep 1; '
    "echo TOOK terminals $(ls /dev/pts | wc -l); "
    "dd if=/dev/zero of=/tmp/big bs=1M count=4096 2>/dev/null; echo TOOK disk, MiB $(du -m /tmp/big | cut -f1); "
    "for n in $(seq 200); do wget -q -O /dev/null http://169.254.169.254/latest/meta-data/ && echo FETCHED; done; "
    "for n in $(seq 4000); do sleep 600 >/dev/null 2>&1 & echo STARTED; done"
)
"""Commands that take what there is and say how much they got. The last one ends the shell: it cannot fork any more."""


def greedy_guest(target: Target) -> None:
    """Take processes, terminals, inodes, disk, processor and metadata from inside a container."""
    with tempfile.TemporaryDirectory(prefix="pileus-attack-") as folder:
        _take_all(target, Path(folder) / "key")


def _take_all(target: Target, key: Path) -> None:
    client = target.client()
    pair = tried(client.create_key_pair, KeyName="guest", KeyType="ed25519")
    group = tried(client.create_security_group, GroupName="guest", Description="a")
    if pair is None or group is None:
        return
    key.touch(mode=0o600)
    key.write_text(pair["KeyMaterial"])
    port = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "127.0.0.0/8", "GroupId": group["GroupId"]}
    tried(client.authorize_security_group_ingress, **port)
    launched = tried(
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
    output = ""
    for _ in target.iterations(0.5):
        for address in _addresses(client):
            words = [*SSH, "-i", str(key), f"root@{address}", GREED]
            left = max(1.0, target.until - time.monotonic())
            try:
                run = subprocess.run(words, check=False, timeout=left, stdin=subprocess.DEVNULL, capture_output=True)
                output += run.stdout.decode()
            except subprocess.TimeoutExpired as error:
                output += (error.stdout or b"").decode()
    ANSWERS.update({name: int(amount) for name, amount in re.findall(r"TOOK (.+) (\d+)\n", output)})
    ANSWERS.update({"metadata fetched": output.count("FETCHED"), "processes": output.count("STARTED")})


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
    """Run one attacker on a target (JSON), at a low priority: the machine is the victim's, too; print its answers."""
    os.nice(5)
    target = msgspec.json.decode(text, type=Target)
    ATTACKERS[name](target)
    json.dump(ANSWERS, sys.stdout)


def described(target: Target) -> str:
    """Return a target as JSON."""
    return json.dumps(msgspec.to_builtins(target))
