"""One loop per noun, placement, and the runner that wakes them.

A loop takes an id, compares `wanted` with `seen` and does one idempotent step towards `wanted`. It is woken
by anything, and by a regular resync; it never writes `wanted`.
"""
