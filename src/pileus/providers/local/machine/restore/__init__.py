"""Boot by restore: a new guest starts as a copy of one that has booted already, and is given an identity of its own.

`identity` says what no two guests may share and where it stands in memory; `template` keeps what copies are made
from; `freezer` makes it, `clone` copies it; `launch` decides, and remembers what a crash must not leave undecided.
"""
