"""Memory goes back to the machine."""

from __future__ import annotations

import subprocess
import sys

GROWS = """
import gc, os
from pileus.app.memory import Memory

gc.disable()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

class Connection:
    def __init__(self):
        self.itself, self.buffer = self, bytes(3000)

memory = Memory()
kept, before = [], resident()
for number in range(60_000):
    connection = Connection()
    if number % 1000 == 0:
        kept.append(connection)
grown = resident()
memory.give_back()
print(grown - before, resident() - before)
"""


def test_what_refers_to_itself_is_collected_and_its_memory_returned() -> None:
    done = subprocess.run([sys.executable, "-c", GROWS], check=True, capture_output=True, text=True)
    grown, remaining = map(int, done.stdout.split())
    assert grown > 150
    assert remaining < 40
