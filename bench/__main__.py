"""Every benchmark that `make bench` runs: one line a figure, as a ratio to a peer measured in the same run."""

from __future__ import annotations

import argparse

from bench import describe, launch, nouns, place


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one round of one side")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side, taken in turn")
    given = parser.parse_args()
    describe.run(given.seconds, given.rounds)
    nouns.run()
    launch.run(given.rounds)
    place.run(given.seconds)


if __name__ == "__main__":
    main()
