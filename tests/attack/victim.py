"""A victim: a tenant that launches, lists, logs in and reads metadata, and notes how long each takes."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.live.cloud import SSH, LiveCloud

FETCH = "wget -q -O /dev/null http://169.254.169.254/latest/meta-data/instance-id"

MOST = 60.0
"""Seconds that one login may take."""


class Victim:
    """Acts in a project of its own. `seconds` lists the latencies of each action, `refusals` the errors it met."""

    def __init__(self, cloud: LiveCloud, account: dict[str, str], folder: Path) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.refusals: list[str] = []
        self._cloud = cloud
        self._ec2 = cloud.client("ec2", account)
        self._key = folder / "victim"
        self._key.touch(mode=0o600)
        self._key.write_text(self._ec2.create_key_pair(KeyName="victim", KeyType="ed25519")["KeyMaterial"])
        (group,) = self._ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        self._ec2.authorize_security_group_ingress(
            GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8"
        )
        self.home = self._launch()
        self._login(self.home, "true")

    def act(self, seconds: float) -> None:
        """Do everything in turn, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(5):
                self._timed("list", self._list)
            self._timed("ssh", lambda: self._login(self.home, "true"))
            self._timed("metadata", lambda: self._login(self.home, FETCH))
            ident = self._timed("launch", self._launch)
            if ident:
                self._timed("launch to ssh", lambda ident=ident: self._login(ident, "true"))  # type: ignore[misc]
                self._timed("terminate", lambda ident=ident: self._ec2.terminate_instances(InstanceIds=[ident]))  # type: ignore[misc]

    def take(self) -> dict[str, list[float]]:
        """Return the latencies so far, and begin anew."""
        taken, self.seconds = dict(self.seconds), defaultdict(list)
        return taken

    def _list(self) -> None:
        # Without the terminated instances, which would make each list longer than the one before.
        self._ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])

    def _launch(self) -> str:
        launched = self._ec2.run_instances(
            ImageId=self._cloud.image("tiny-container"),
            InstanceType="light",
            MinCount=1,
            MaxCount=1,
            KeyName="victim",
        )
        return str(launched["Instances"][0]["InstanceId"])

    def _login(self, ident: str, command: str) -> None:
        end = time.monotonic() + MOST
        while time.monotonic() < end:
            (shown,) = self._ec2.describe_instances(InstanceIds=[ident])["Reservations"]
            address = shown["Instances"][0].get("PublicIpAddress")
            if address:
                words = [*SSH, "-i", str(self._key), f"root@{address}", command]
                run = subprocess.run(words, check=False, capture_output=True, timeout=MOST, stdin=subprocess.DEVNULL)
                if run.returncode == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"no login at {ident} within {MOST:.0f} s: {command}")

    def _timed(self, name: str, call: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return call()
        except (ClientError, BotoCoreError, TimeoutError, subprocess.TimeoutExpired) as error:
            self.refusals.append(f"{name}: {error}")
            return None
        finally:
            self.seconds[name].append(time.monotonic() - began)
