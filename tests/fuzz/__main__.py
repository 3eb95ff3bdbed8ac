"""Fuzz one parser, guided by coverage: `python -m tests.fuzz TARGET [--runs N] [--seconds S] [--corpus FOLDER]`.

The process ends with status 0 after `N` inputs or `S` seconds, and with another one at the first input that a target
does not bear, that takes longer than `SLOWEST` seconds, or with which the process's memory passes its limit. Such an
input is kept in the folder of the corpus, and printed.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import tempfile
from pathlib import Path

import atheris
import structlog

with atheris.instrument_imports(include=["pileus"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

SLOWEST = 5
"""Seconds that one input may take."""

GROWTH = 160
"""MiB by which memory may grow over the process's own at the start: the fuzzer keeps a corpus there."""


def resident() -> int:
    """Return the peak of this process's memory in MiB, which begins with that of the process that started it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    """Run one target."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=TARGETS, nargs="?")
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=0, help="0: until all inputs were tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="a folder; without it a new one, which stays if an input fails")
    chosen = parser.parse_args()
    if chosen.list or chosen.target is None:
        print(*TARGETS, sep="\n")
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    target = TARGETS[chosen.target]
    corpus = chosen.corpus or Path(tempfile.mkdtemp(prefix=f"pileus-fuzz-{chosen.target}-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    work = target.make()
    options = [
        f"-runs={chosen.runs}",
        f"-max_total_time={chosen.seconds}",
        f"-seed={chosen.seed}",
        f"-max_len={target.largest}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={resident() + GROWTH}",
        f"-artifact_prefix={corpus}/",
        "-print_final_stats=1",
    ]
    if target.words:
        words = corpus.with_suffix(".words")
        words.write_text("".join(f'"{word}"\n' for word in target.words))
        options.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], *options, str(corpus)], work)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
