"""The yardstick of `bench.scale`: launches per second of an OpenStack over nova's fake driver. Run by hand, beside it.

    OS_AUTH_URL=http://…/v3 OS_USERNAME=… OS_PASSWORD=… OS_PROJECT_NAME=… \
        python -m bench.openstack --image ID --flavor ID --network ID [--session PID …]

It needs an OpenStack that is there already, with `compute_driver = fake.FakeDriver` and quotas that allow the servers.
As `bench.scale` it has eight clients launch one server a request, asks until all are ACTIVE, then asks for fifty in one
request. `--session` are the sessions (their leaders' ids) of its services: their CPU time and memory are counted. All
servers that it made are deleted again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bench.idle import pss
from bench.server import cpu

CLIENTS = 8
NAME = "pileus-bench"


class OpenStack:
    """One project's view of it, by a token of its own."""

    def __init__(self, image: str, flavor: str, network: str) -> None:
        domain = {"name": os.environ.get("OS_USER_DOMAIN_NAME", "Default")}
        user = {"name": os.environ["OS_USERNAME"], "domain": domain, "password": os.environ["OS_PASSWORD"]}
        scope = {"project": {"name": os.environ["OS_PROJECT_NAME"], "domain": domain}}
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        self._http = httpx.Client(timeout=120.0, trust_env=False)
        answer = self._http.post(f"{os.environ['OS_AUTH_URL'].rstrip('/')}/auth/tokens", json=asked).raise_for_status()
        self._http.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        catalogue = answer.json()["token"]["catalog"]
        compute = next(service for service in catalogue if service["type"] == "compute")
        self._url = next(end["url"] for end in compute["endpoints"] if end["interface"] == "public")
        self._body = {"name": NAME, "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}

    def launch(self, count: int) -> None:
        """One request for `count` servers."""
        body = {**self._body, "min_count": count, "max_count": count}
        self._http.post(f"{self._url}/servers", json={"server": body}).raise_for_status()

    def servers(self) -> dict[str, str]:
        """The states of those that were made here, by id."""
        found: dict[str, str] = {}
        marker = ""
        while True:
            query = {"name": NAME, "limit": "1000", **({"marker": marker} if marker else {})}
            page = self._http.get(f"{self._url}/servers/detail", params=query).raise_for_status().json()["servers"]
            if not page:
                return found
            found.update((one["id"], one["status"]) for one in page)
            marker = page[-1]["id"]

    def remove(self) -> None:
        """Delete them, and wait until they are gone."""
        for ident in self.servers():
            self._http.delete(f"{self._url}/servers/{ident}")
        while self.servers():
            time.sleep(1.0)


def pids(sessions: list[int]) -> list[int]:
    """The processes of these sessions."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) in sessions:
                    found.append(int(entry.name))
    return found


def measure(cloud: OpenStack, name: str, requests: int, each: int, sessions: list[int]) -> None:
    """Print what so many requests for `each` servers took until all were active."""
    before, begun, spent = len(cloud.servers()), time.perf_counter(), cpu(pids(sessions))
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda _: cloud.launch(each), range(requests)))
    while True:
        states = list(cloud.servers().values())
        if "ERROR" in states:
            raise RuntimeError("a server could not be launched")
        if len(states) == before + requests * each and set(states) == {"ACTIVE"}:
            break
        time.sleep(0.2)
    count, took = requests * each, time.perf_counter() - begun
    print(f"{name} ours={count / took:.2f}/s", flush=True)
    if sessions:
        print(f"{name}-cpu ours={(cpu(pids(sessions)) - spent) * 1000 / count:.0f}ms", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.openstack", description=__doc__)
    for name in ("image", "flavor", "network"):
        parser.add_argument(f"--{name}", required=True, help="its id")
    parser.add_argument("--session", type=int, action="append", default=[], help="of a service")
    parser.add_argument("--count", type=int, default=100, help="servers of each measurement")
    given = parser.parse_args()
    cloud = OpenStack(given.image, given.flavor, given.network)
    try:
        measure(cloud, "openstack-launches-1", given.count, 1, given.session)
        measure(cloud, "openstack-launches-50", max(1, given.count // 50), 50, given.session)
        if given.session:
            print(f"openstack-memory ours={pss(pids(given.session)):.0f}MB", flush=True)
    finally:
        cloud.remove()


if __name__ == "__main__":
    main()
