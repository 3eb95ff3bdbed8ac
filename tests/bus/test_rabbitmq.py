"""What can be known of the broker's side without one: names, permissions, URLs, and a broker that is not there."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from pileus.bus.messages import Ask, Open, Order, Report
from pileus.bus.rabbitmq import Broker, CloudEnd, HostEnd, topology
from pileus.bus.rabbitmq.publisher import WAITING
from pileus.bus.tls import TlsFiles
from pileus.model.errors import Unavailable

NOWHERE = Broker("amqp://u:p@127.0.0.1:1/")


def allowed(permission: str, name: str) -> bool:
    return re.search(permission, name) is not None


def test_a_host_may_read_its_own_queue_and_write_under_its_own_name_alone() -> None:
    may, topics = topology.permissions("h1.example"), topology.topic_permissions("h1.example")
    assert allowed(may["read"], topology.of_host("h1.example").name)
    assert allowed(may["write"], topology.CLOUD.name)
    assert allowed(topics["write"], topology.report_key("h1.example"))
    assert allowed(topics["write"], topology.answer_key("0a1b2c", "h1.example"))
    others = ["h1xexample", "h1.example.com", "xh1.example", "h1", "x.h1.example"]
    for other in others:
        assert not allowed(may["read"], topology.of_host(other).name)
        assert not allowed(topics["write"], topology.report_key(other))
        assert not allowed(topics["write"], topology.answer_key("0a1b2c", other))
    for name in (topology.HOSTS.name, topology.WAKES.name, "amq.default", topology.of_host("h1.example").name, ""):
        assert not allowed(may["write"], name)
    queues = [topology.strangers(), topology.of_reports("h1.example"), topology.of_process("0a")]
    for name in ("x", topology.CLOUD.name, topology.REPORTS.name, *(queue.name for queue in queues)):
        assert not allowed(may["configure"], name)
        assert not allowed(may["read"], name)


@pytest.mark.parametrize("name", ["", ".", "h1.", "-h", "h 1", "h1\n", "h*", "h#", "größe", "a/b", "x" * 201])
def test_what_is_no_hosts_name(name: str) -> None:
    with pytest.raises(ValueError, match="no host's name"):
        topology.checked(name)


@pytest.mark.parametrize("name", ["h1", "h1.example.com", "HOST_2", "a-b", "x" * 200])
def test_who_speaks_is_in_the_routing_key(name: str) -> None:
    assert topology.speaker(topology.report_key(name)) == name
    assert topology.speaker(topology.answer_key("0a1b", name)) == name
    assert topology.speaker(f"order.{name}") == ""


@pytest.mark.parametrize(
    "url", ["", "http://u:p@h/", "amqp://", "amqp://h/", "amqps://h/", "redis://u:p@h/"], ids=lambda url: url or "none"
)
def test_what_is_no_brokers_url(url: str) -> None:
    with pytest.raises(ValueError, match="broker's URL"):
        Broker(url)


def test_what_a_url_says() -> None:
    found = Broker(
        "amqps://us%2Fer:p%40ss@h.example:5999/v%2Fh", TlsFiles(Path("/ca"), Path("/c"), Path("/k"))
    ).connection()
    assert (found.hostname, found.port, found.userid, found.password) == ("h.example", 5999, "us/er", "p@ss")
    assert (found.virtual_host, found.login_method) == ("v/h", "PLAIN")
    assert (found.ssl or {})["server_hostname"] == "h.example"
    alone = Broker("amqps://h.example", TlsFiles(Path("/ca"), Path("/c"), Path("/k"))).connection()
    assert (alone.port, alone.virtual_host, alone.login_method) == (5671, "/", "EXTERNAL")
    assert "p%40ss" not in repr(Broker("amqp://u:p%40ss@h/"))


@pytest.mark.loopback
def test_a_broker_that_is_not_there_keeps_nobody_waiting() -> None:
    cloud, host = CloudEnd(NOWHERE), HostEnd(NOWHERE, "h1")
    cloud.listen(lambda _report: None)
    cloud.start()
    host.listen(lambda _message: None)
    for number in range(WAITING + 100):
        cloud.send("h1", Order(uuid="u", revision=(1, number), why="gone"))
        host.send(Report(host="h1", epoch=1, sequence=number))
    cloud.send("h1", Ask())
    cloud.notify()
    with pytest.raises(Unavailable):
        cloud.open("h1", Open(call="c", uuid="u", channel="log"))
    assert not cloud.connected
    assert not host.connected
    host.stop()
    cloud.stop()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("bus-publish")] == []
