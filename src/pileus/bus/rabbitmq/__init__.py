"""The bus across machines: a RabbitMQ broker between the cloud's processes and their hosts.

The broker keeps nothing that matters: every message repeats state, so each queue is bounded and drops its oldest.
"""

from pileus.bus.rabbitmq.accounts import Accounts
from pileus.bus.rabbitmq.cloud import CloudEnd
from pileus.bus.rabbitmq.host import HostEnd
from pileus.bus.rabbitmq.session import Broker

__all__ = ["Accounts", "Broker", "CloudEnd", "HostEnd"]
