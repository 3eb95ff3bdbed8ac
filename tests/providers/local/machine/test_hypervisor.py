"""The connection to libvirtd, seen on libvirt's own test driver."""

from pathlib import Path
from threading import enumerate as threads

import libvirt

from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.hypervisor import Hypervisor


def test_a_connection_is_not_closed_under_a_call(tmp_path: Path) -> None:
    hypervisor = Hypervisor(Layout(tmp_path))
    # As a call in another thread, which is on its way back, refers to it.
    connection = libvirt.open("test:///default")
    hypervisor._connection = connection
    hypervisor.close()
    for thread in threads():
        if thread.name == "libvirt close":
            thread.join()
    assert connection.isAlive() == 1
    assert connection.listAllDomains()
