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


ANSWERS = """
import os, resource
from pileus.app.memory import Memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

def answer():
    return "".join(["x" * 2000] * 1000).encode()

memory, before = Memory(), resident()
for _ in range(3):
    answer()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    answer()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
answers = [answer() for _ in range(100)]
grown = resident()
del answers
memory.give_back()
print(faults, grown - before, resident() - before)
"""


def test_answers_use_the_memory_of_those_before_which_goes_back_in_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", ANSWERS], check=True, capture_output=True, text=True)
    faults, grown, remaining = map(int, done.stdout.split())
    assert faults < 1000  # each answer has 500 pages, twice
    assert grown > 150
    assert remaining < 20
