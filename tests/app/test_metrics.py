"""What Prometheus scrapes of a cloud that works, and the way of a request's id through the logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from pileus.app import processes
from tests.app.test_http import client

if TYPE_CHECKING:
    from tests.app.stub import Stub

STEPS = (("step", "instance"), ("lag", "port"))
"""What is told of loops, and a kind of noun that a launch has them look at."""


def scraped(stub: Stub) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels, as Prometheus's own parser reads them."""
    status, headers, body = stub.http("GET", "/metrics", token=False)
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def lines(stub: Stub) -> list[dict[str, Any]]:
    """The cloud's log."""
    return [json.loads(line) for line in stub.state.log("cloud").read_text().splitlines()]


def launch(stub: Stub) -> tuple[str, str]:
    """The id of an instance that runs, and of the request that launched it."""
    ec2 = client(stub, "ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    answer = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    ident = answer["Instances"][0]["InstanceId"]

    def runs() -> bool:
        (instance,) = ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"]
        return bool(instance["State"]["Name"] == "running")

    assert processes.until(runs, 30, 0.05)
    return ident, answer["ResponseMetadata"]["RequestId"]


def test_requests_loops_and_hosts_are_counted(stub: Stub) -> None:
    stub.settle()
    before = scraped(stub)
    launch(stub)
    stub.http("GET", "/?Action=DescribeNothing", token=False)
    stub.http("GET", "/v1/instances", token=False)
    after = scraped(stub)

    def more(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after.get(key, 0.0) - before.get(key, 0.0)

    def counted() -> bool:
        # A step is counted after all that it brings about.
        after.update(scraped(stub))
        return all(more(f"pileus_loop_{name}_seconds_count", kind=kind) for name, kind in STEPS)

    assert processes.until(counted, 30)

    assert more("pileus_request_seconds_count", face="ec2", action="RunInstances", code="ok") == 1
    assert more("pileus_request_seconds_count", face="rest", action="", code="Unauthorized") == 1
    assert more("pileus_nouns", kind="instance") == 1
    assert 0 <= after["pileus_host_report_age_seconds", frozenset({("host", "stub")})] < 60
    assert "DescribeNothing" not in {label for _, labels in after for _, label in labels}, "clients name no series"
    assert stub.endpoints["metrics"].endswith("/metrics")


def test_a_requests_id_is_in_every_line_that_it_led_to(stub: Stub) -> None:
    ident, request = launch(stub)

    def said() -> dict[str, dict[str, Any]]:
        return {line["event"]: line for line in lines(stub) if line.get("request") == request}

    # An order is taken, and may come about, before its sender says that it was sent.
    assert processes.until(lambda: {"request", "order sent", "order taken"} <= said().keys(), 30)
    events = said()
    assert events["request"]["action"] == "RunInstances"
    assert events["order sent"]["instance"] == ident
    assert events["order taken"]["revision"] == events["order sent"]["revision"]
    assert {line["level"] for line in lines(stub)} <= {"info", "warning"}


def test_a_log_names_no_secret(stub: Stub) -> None:
    launch(stub)
    log_text = stub.state.log("cloud").read_text()
    assert not [key for key in ("secret_key", "token", "password") if stub.admin[key] in log_text]
