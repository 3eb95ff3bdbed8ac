"""Many stub hosts in one process, over a broker: `python -m bench.swarm URL FIRST COUNT`.

Each is the product's own agent, book (in memory) and stub, with its own queue and routing keys; threads and connections
are shared, for a thousand hosts with their own would measure this machine's scheduler. Stop it by SIGTERM.
"""

from __future__ import annotations

import heapq
import signal
import sys
import time
from functools import partial
from typing import Any

from pileus.bus import messages
from pileus.bus.rabbitmq import topology
from pileus.bus.rabbitmq.session import Broker, check_heartbeat, drain
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.runner import GATHER, REPEAT, REPORT_INTERVAL
from pileus.model.host import Capacity
from pileus.model.noun import NEVER
from pileus.providers.stub.provider import StubProvider

HAS = Capacity(vcpus=64, memory=1 << 18, disk=1 << 14)
ZONE = "us-east-1a"


class Host:
    """One host: what it holds, and when it speaks next, in full if so."""

    def __init__(self, name: str) -> None:
        traits = ("kvm", "cpu:avx2")
        self.agent = Agent(name, StubProvider(), Book(), zone=ZONE, capacity=HAS, traits=traits)
        self.name = name
        self.speaks = 0.0
        self.full = True
        self.told = 0.0


class Swarm:
    """Hosts on one channel."""

    def __init__(self, channel: Any, names: list[str]) -> None:
        self._channel = channel
        self._due: list[tuple[float, str]] = []
        self._hosts = {name: Host(name) for name in names}
        topology.declare(channel)
        # As a cloud's end has it: whatever arrives is bytes.
        channel.auto_decode = False
        channel.basic_qos(0, 500, a_global=True)
        began = time.monotonic()
        for number, host in enumerate(self._hosts.values()):
            queue = topology.of_host(host.name)
            queue(channel).declare()
            channel.basic_consume(queue=str(queue.name), callback=partial(self._arrived, host))
            # A thousand machines are not switched on in one moment.
            self._speak(host, began + REPORT_INTERVAL * number / len(names))

    def rest(self) -> float:
        """Seconds until some host has something to say."""
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else REPORT_INTERVAL

    def speak(self) -> None:
        """Have all that are due report."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            when, name = heapq.heappop(self._due)
            host = self._hosts[name]
            if host.speaks != when:
                continue
            full = host.full or (not host.agent.news and now - host.told >= REPEAT)
            host.told, host.full = (now if full else host.told), False
            self._send(host, topology.report_key(name), host.agent.report(full=full))
            self._speak(host, now + REPORT_INTERVAL)

    def _speak(self, host: Host, when: float) -> None:
        host.speaks = when
        heapq.heappush(self._due, (when, host.name))

    def _soon(self, host: Host) -> None:
        when = time.monotonic() + GATHER
        if when < host.speaks:
            self._speak(host, when)

    def _send(self, host: Host, key: str, message: messages.ToCloud) -> None:
        body = messages.encode(message)
        parcel = self._channel.prepare_message(
            body, content_type="application/msgpack", content_encoding="binary", properties={"delivery_mode": 1}
        )
        self._channel.basic_publish(parcel, exchange=topology.CLOUD.name, routing_key=key)

    def _arrived(self, host: Host, letter: Any) -> None:
        message = messages.decode_to_host(letter.body)
        if isinstance(message, messages.Order):
            if host.agent.take(message):
                self._obey(host, message.uuid)
            if host.agent.news:
                self._soon(host)
        elif isinstance(message, messages.Ask) and (message.call or message.forget > NEVER):
            key = topology.answer_key(str(letter.properties.get("reply_to") or ""), host.name)
            for page in host.agent.answer(message):
                self._send(host, key, page)
        elif isinstance(message, messages.Ask):
            host.full = True
            self._soon(host)
        self._channel.basic_ack(letter.delivery_tag)

    def _obey(self, host: Host, uuid: str) -> None:
        while (after := host.agent.step(uuid)) is not None:
            time.sleep(after)


def main() -> None:
    """Run hosts until SIGTERM."""
    url, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ends.append(number))
    connection = Broker(url).connection()
    connection.connect()
    swarm = Swarm(connection.channel(), [f"h{number:04}" for number in range(first, first + count)])
    looked = time.monotonic()
    while not ends:
        drain(connection, max(0.001, min(0.2, swarm.rest())))
        swarm.speak()
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            check_heartbeat(connection)


if __name__ == "__main__":
    main()
