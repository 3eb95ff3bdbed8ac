"""The bus over a real RabbitMQ: what passes, what a host may do, and what comes of a broker that is away."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import amqp.exceptions
import pytest
from kombu.exceptions import OperationalError

from pileus.bus import calls, messages
from pileus.bus.messages import Ask, Open, Report
from pileus.bus.rabbitmq import Broker, session, topology
from pileus.bus.rabbitmq.publisher import WAITING
from pileus.bus.tls import TlsFiles
from pileus.loops.intake import Intake
from pileus.model.errors import Conflict, Fault, Unavailable
from tests.bus.waiting import until
from tests.live.ends import Cloud, Ends, Host, order
from tests.services import rabbitmq
from tests.services.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from tests.services.rabbitmq import RabbitMq

pytestmark = pytest.mark.cost(15)
REFUSED = (OSError, OperationalError, amqp.exceptions.AMQPError)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    with rabbitmq.running(tmp_path_factory.mktemp("rabbitmq")) as made:
        yield made


@pytest.fixture
def ends(broker: RabbitMq) -> Iterator[Ends]:
    with Ends(broker) as made:
        yield made


def test_two_hosts_and_two_processes_of_the_cloud(ends: Ends) -> None:
    one, two = ends.cloud(), ends.cloud()
    hosts = [ends.host(name, one) for name in ("h1", "h2.example")]
    for number in range(1, 201):
        for cloud, host in zip((one, two), hosts, strict=True):
            cloud.end.send(host.name, order(number))
            host.report(number)
    until(lambda: len(one.heard) + len(two.heard) >= 400)
    for host in hosts:
        until(lambda: len(host.orders()) >= 200)  # noqa: B023
        assert host.orders() == list(range(1, 201))
        heard = [report.sequence for cloud in (one, two) for report in cloud.heard if report.host == host.name]
        assert sorted(heard) == list(range(1, 201))
    assert one.heard
    assert two.heard


def test_a_broker_that_was_stopped_leaves_no_process(tmp_path: Path) -> None:
    """Neither its Erlang machine nor the port mapper, which is a daemon of its own."""
    with rabbitmq.running(tmp_path / "mq") as broker:
        names = set()
        for pid in broker.relatives():
            # The Erlang machine has others do small things for it, which end.
            with contextlib.suppress(OSError):
                names.add(Path(f"/proc/{pid}/comm").read_text().strip())
        assert {"beam.smp", "epmd"} <= names
    assert broker.relatives() == []


def test_answers_go_to_who_asked(ends: Ends) -> None:
    one, two = ends.cloud(), ends.cloud()
    host = ends.host("h1", one)
    for number, cloud in enumerate((one, two) * 5):
        cloud.end.send("h1", Ask(call=f"call{number}"))
        opened = cloud.end.open("h1", Open(call=f"open{number}", uuid=f"u{number}", channel="log"))
        assert (opened.ticket, opened.name, opened.ca) == (f"u{number}", "h1", str(ends.broker.authority.ca))
    until(lambda: len(one.heard) + len(two.heard) >= 10)
    assert {report.answer for report in one.heard} == {f"call{number}" for number in range(0, 10, 2)}
    assert {report.answer for report in two.heard} == {f"call{number}" for number in range(1, 10, 2)}
    assert host.got.count(Ask()) >= 1  # a new connection begins with all that there is to say


def test_a_path_of_another_machine_is_not_dialled(ends: Ends) -> None:
    cloud = ends.cloud()
    host = ends.host("h1", cloud)
    host.end._on_message = lambda message: host.end.send(
        messages.Opened(call=message.call, address="/run/secret.sock", ticket="t")
        if isinstance(message, Open)
        else Report(host="h1", epoch=1, sequence=1)
    )
    with pytest.raises(Unavailable):
        cloud.end.open("h1", Open(call="c", uuid="u", channel="log"))


def test_what_a_host_cannot_open_is_its_fault(ends: Ends) -> None:
    cloud = ends.cloud()
    host = ends.host("h1", cloud)
    host.end._on_message = lambda message: host.end.send(
        messages.Opened(call=message.call if isinstance(message, Open) else "", code="Unsupported", message="no")
    )
    with pytest.raises(Fault, match="no"):
        cloud.end.open("h1", Open(call="c", uuid="u", channel="log"))


def test_notifications_reach_the_other_processes_and_are_few(ends: Ends) -> None:
    one, two, three = ends.cloud(), ends.cloud(), ends.cloud()
    for _ in range(1000):
        one.end.notify()
    until(lambda: two.notifications and three.notifications)
    assert two.notifications < 200
    two.end.notify()
    until(lambda: one.notifications)


def test_what_is_of_a_later_version_is_passed_over(ends: Ends) -> None:
    cloud = ends.cloud()
    host = ends.host("h1", cloud)
    tls = ends.certificate("h1")
    for body in (b"\x81\xa4type\xa6invite", b"\xff garbage", b""):
        _publish(Broker(ends.broker.host_url(), tls), topology.CLOUD.name, "report.h1", body)
        _publish(Broker(ends.broker.url, ends.broker.cloud), topology.HOSTS.name, "h1", body)
    host.report(7)
    cloud.end.send("h1", order(7))
    until(lambda: cloud.last("h1") == 7 and host.orders() == [7])


def _publish(broker: Broker, exchange: str, key: str, body: bytes) -> None:
    """Publish as a client of one's own would; raises what the broker answers."""
    _do(broker, lambda channel: channel.basic_publish(_message(channel, body), exchange=exchange, routing_key=key))


def _message(channel: Any, body: bytes = b"x") -> Any:
    return channel.prepare_message(body, content_encoding="binary")


def _do(broker: Broker, act: Callable[[Any], object]) -> None:
    connection = broker.connection()
    connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    try:
        channel = connection.channel()
        act(channel)
        # Answered in order: what the broker had to object to comes before this.
        channel.basic_qos(0, 1, a_global=False)
    finally:
        session._abandon(connection.connection.transport)


def _refused(broker: Broker, act: Callable[[Any], object]) -> bool:
    try:
        _do(broker, act)
    except amqp.exceptions.AccessRefused:
        return True
    return False


FORBIDDEN: dict[str, Callable[[Any], object]] = {
    "another's orders": lambda c: c.basic_consume(queue="pileus.host.h2"),
    "another's order": lambda c: c.basic_get(queue="pileus.host.h2"),
    "strangers' reports": lambda c: c.basic_consume(queue="pileus.strangers"),
    "its own reports": lambda c: c.basic_consume(queue="pileus.reports.h1"),
    "another's reports": lambda c: c.basic_consume(queue="pileus.reports.h2"),
    "past the key": lambda c: c.basic_publish(_message(c), exchange="pileus.reports", routing_key="report.h2"),
    "another's report": lambda c: c.basic_publish(_message(c), exchange="pileus.cloud", routing_key="report.h2"),
    "another's answer": lambda c: c.basic_publish(_message(c), exchange="pileus.cloud", routing_key="answer.0a.h2"),
    "any key": lambda c: c.basic_publish(_message(c), exchange="pileus.cloud", routing_key="x"),
    "an order": lambda c: c.basic_publish(_message(c), exchange="pileus.hosts", routing_key="h2"),
    "a notification": lambda c: c.basic_publish(_message(c), exchange="pileus.wakes", routing_key=""),
    "past the exchange": lambda c: c.basic_publish(_message(c), exchange="", routing_key="pileus.reports.h2"),
    "a queue": lambda c: c.queue_declare(queue="mine"),
    "a queue without a name": lambda c: c.queue_declare(queue="", exclusive=True),
    "an exchange": lambda c: c.exchange_declare(exchange="mine", type="fanout"),
    "reports for itself": lambda c: c.queue_bind(
        queue="pileus.host.h1", exchange="pileus.cloud", routing_key="report.#"
    ),
    "another's orders for itself": lambda c: c.queue_bind(
        queue="pileus.host.h1", exchange="pileus.hosts", routing_key="h2"
    ),
    "its queue's end": lambda c: c.queue_delete(queue="pileus.host.h1"),
    "another's queue emptied": lambda c: c.queue_purge(queue="pileus.host.h2"),
}


def test_nothing_but_its_own(ends: Ends) -> None:
    cloud = ends.cloud()
    ends.host("h1", cloud)
    ends.host("h2", cloud)
    mine = Broker(ends.broker.host_url(), ends.certificate("h1"))
    assert [what for what, act in FORBIDDEN.items() if not _refused(mine, act)] == []
    _publish(mine, topology.CLOUD.name, "report.h1", messages.encode(Report(host="h1", epoch=1, sequence=9)))
    until(lambda: cloud.last("h1") == 9)


def test_a_report_of_another_is_dropped(ends: Ends) -> None:
    cloud = ends.cloud()
    mine = Broker(ends.broker.host_url(), ends.certificate("h1"))
    lie, truth = Report(host="h2", epoch=1, sequence=1), Report(host="h1", epoch=1, sequence=2)
    for said in (lie, truth):
        _publish(mine, topology.CLOUD.name, "report.h1", messages.encode(said))
    until(lambda: cloud.heard)
    assert cloud.heard == [truth]


def test_a_host_that_floods_drops_its_own_reports_alone(ends: Ends) -> None:
    cloud = ends.cloud()
    taken: list[Report] = []

    def take(batch: Sequence[Report]) -> None:
        time.sleep(0.02)
        taken.extend(batch)

    intake = Intake(take)
    cloud.end.listen(intake.put)
    honest, captured = ends.host("h1", cloud), Broker(ends.broker.host_url(), ends.certificate("h2"))
    honest.report(1)
    intake.start()
    body, flooding = messages.encode(Report(host="h2", epoch=1, sequence=1, zone="x" * 1000)), threading.Event()

    def flood(channel: Any) -> None:
        for _ in range(40_000):
            channel.basic_publish(_message(channel, body), exchange="pileus.cloud", routing_key="report.h2")
            if flooding.is_set():
                return

    attacker = threading.Thread(target=_do, args=(captured, flood))
    attacker.start()
    try:
        until(lambda: any(report.host == "h2" for report in taken))
        for number in range(2, 52):
            honest.report(number)
            until(lambda: any((one.host, one.sequence) == ("h1", number) for one in taken), 5)  # noqa: B023
        assert len([one for one in taken if one.host == "h2"]) < len(taken)
    finally:
        flooding.set()
        attacker.join(30)
        intake.stop()


def test_the_queue_that_hosts_shared_before_is_removed_once_nobody_uses_it(ends: Ends) -> None:
    broker = Broker(ends.broker.url, ends.broker.cloud)
    before = topology.SHARED_BEFORE
    _do(broker, lambda channel: channel.queue_declare(queue=before, durable=True, auto_delete=False))
    connection = broker.connection()
    earlier = connection.channel()
    earlier.basic_consume(queue=before)
    ends.cloud()
    assert before in ends.broker.queues(), "a process of an earlier version takes from it"
    session._abandon(connection.connection.transport)
    until(lambda: not ends.broker.consumers(before))
    ends.cloud()
    until(lambda: before not in ends.broker.queues())


def test_who_is_removed_is_out(ends: Ends) -> None:
    cloud = ends.cloud()
    host = ends.host("h9", cloud)
    until(lambda: "pileus.host.h9" in ends.broker.queues())
    ends.accounts.remove("h9")
    ends.accounts.remove("h9")
    until(lambda: not host.end.connected)
    assert not {"pileus.host.h9", "pileus.reports.h9"} & ends.broker.queues()
    with pytest.raises(REFUSED):
        _do(Broker(ends.broker.host_url(), ends.broker.authority.issue("h9")), lambda _channel: None)
    ends.accounts.add("h9")
    said_again(cloud, host)


def test_accounts_of_others_are_left_alone(ends: Ends) -> None:
    for act in (ends.accounts.add, ends.accounts.remove):
        with pytest.raises(Conflict):
            act("admin")
        with pytest.raises(ValueError, match="no host's name"):
            act("h1/../admin")
    assert ends.cloud().end.connected


def test_a_password_does_for_a_broker_that_knows_no_certificates(ends: Ends) -> None:
    ends.accounts.add("h8", "secret-8")
    ends.cloud().end.send("h8", Ask())
    end = ends.host_end("h8")  # whose account is without a password again
    del end
    with pytest.raises(REFUSED):
        _do(Broker(f"amqp://h8:secret-8@127.0.0.1:{ends.broker.port}/"), lambda _channel: None)
    ends.accounts.add("h8", "secret-8")
    _do(Broker(f"amqp://h8:secret-8@127.0.0.1:{ends.broker.port}/"), lambda _channel: None)
    for wrong in ("", "secret-9"):
        with pytest.raises(REFUSED):
            _do(Broker(f"amqp://h8:{wrong}@127.0.0.1:{ends.broker.port}/"), lambda _channel: None)


def test_the_broker_refuses_the_wrong_ones(ends: Ends, tmp_path: Path) -> None:
    good = ends.certificate("h1")
    foreign = Authority(tmp_path / "foreign").issue("h1")
    bad = {
        "of another authority": TlsFiles(good.ca, foreign.certificate, foreign.key),
        "expired": ends.broker.authority.issue("h1", expired=True),
        "of nobody with an account": ends.broker.authority.issue("stranger"),
    }
    for why, tls in bad.items():
        with pytest.raises(REFUSED):
            _do(Broker(ends.broker.host_url(), tls), lambda _channel: None)
        assert why
    with pytest.raises(REFUSED):
        _do(Broker(ends.broker.url, TlsFiles(good.ca)), lambda _channel: None)
    _do(Broker(ends.broker.host_url(), good), lambda _channel: None)


def test_a_wrong_broker_is_refused(ends: Ends, tmp_path: Path) -> None:
    mine = ends.certificate("h1")
    foreign = Authority(tmp_path / "foreign")
    shown = {
        "expired": ends.broker.authority.issue("127.0.0.1", expired=True),
        "of another authority": foreign.issue("127.0.0.1"),
        "another's": ends.broker.authority.issue("h2"),
    }
    for tls in shown.values():
        with _Impostor(tls) as port, pytest.raises(REFUSED, match="certificate verify failed"):
            _do(Broker(f"amqps://127.0.0.1:{port}/", mine), lambda _channel: None)


class _Impostor:
    """Listens in the broker's place, with this certificate; `port` on entry."""

    def __init__(self, tls: TlsFiles) -> None:
        self._context = tls.server()
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            with link:
                try:
                    self._context.wrap_socket(link, server_side=True).close()
                except OSError:
                    continue


def said_again(cloud: Cloud, host: Host) -> None:
    """Ask again and again, as loops do, until the host is there."""
    end = time.monotonic() + 60
    while not host.end.connected:
        assert time.monotonic() < end
        cloud.end.send(host.name, Ask())
        time.sleep(0.2)


def repeat(cloud: Cloud, host: Host, number: int) -> None:
    """Say the same until it has arrived, as loops and hosts do."""
    while cloud.last(host.name) < number or number not in host.orders():
        host.report(number)
        cloud.end.send(host.name, order(number))
        time.sleep(0.2)


@pytest.mark.cost(60)
def test_killed_for_a_while(ends: Ends) -> None:
    clouds = [ends.cloud(), ends.cloud()]
    hosts = [ends.host(name, clouds[0]) for name in ("h1", "h2")]
    ends.broker.kill()
    for number in range(100, 300):
        for host in hosts:
            host.report(number)
            clouds[number % 2].end.send(host.name, order(number))
        time.sleep(0.1)
    for number in range(WAITING + 2000):  # more than may wait
        clouds[0].end.send("h1", order(1000 + number))
    clouds[0].end.notify()
    with pytest.raises(Unavailable):
        clouds[0].end.open("h1", Open(call="c", uuid="u", channel="log"))
    assert not ends.broker.runs  # all of that returned while it was down
    ends.broker.start()
    until(lambda: all(cloud.end.connected for cloud in clouds), 60)
    until(lambda: all(host.end.connected for host in hosts), 60)
    for host in hosts:
        seen = Cloud(ends.end())
        until(lambda: seen.end.connected)  # noqa: B023
        number = 50_000
        while all(cloud.last(host.name) < number for cloud in (*clouds, seen)) or number not in host.orders():
            host.report(number)
            clouds[1].end.send(host.name, order(number))
            time.sleep(0.2)
    assert clouds[0].end.open("h1", Open(call="d", uuid="u", channel="log")).ticket == "u"


@pytest.mark.cost(60)
def test_hung_until_it_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = ends.cloud()
    host = ends.host("h1", cloud)
    monkeypatch.setattr(calls, "PATIENCE", 0.5)
    ends.broker.pause()
    try:
        with pytest.raises(Unavailable):
            cloud.end.open("h1", Open(call="c", uuid="u", channel="log"))
        for number in range(WAITING + 2000):  # more than sockets and queues hold
            cloud.end.send("h1", order(number, size=2000))
            host.report(number)
        until(lambda: not cloud.end.connected and not host.end.connected, 60)
    finally:
        ends.broker.resume()
    until(lambda: cloud.end.connected and host.end.connected, 60)
    repeat(cloud, host, 60_000)


def test_hung_for_a_moment(ends: Ends) -> None:
    cloud = ends.cloud()
    host = ends.host("h1", cloud)
    ends.broker.pause()
    for number in range(1, 101):
        cloud.end.send("h1", order(number))
        host.report(number)
    ends.broker.resume()
    until(lambda: len(host.orders()) == 100 and len(cloud.heard) >= 100)


def test_a_queue_that_is_lost_is_made_again(ends: Ends) -> None:
    cloud = ends.cloud()
    host = ends.host("h1", cloud)
    until(lambda: "pileus.reports.h1" in ends.broker.queues())
    for queue in ("pileus.strangers", "pileus.reports.h1", "pileus.host.h1"):
        _do(Broker(ends.broker.url, ends.broker.cloud), lambda channel: channel.queue_delete(queue=queue))  # noqa: B023
    until(lambda: "pileus.strangers" in ends.broker.queues())
    until(lambda: not host.end.connected)
    said_again(cloud, host)
    repeat(cloud, host, 5)
