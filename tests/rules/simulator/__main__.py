"""`make simulate`: so many seeds on every core, and the table of how they ended.

A seed that ends badly is printed with its setting: make it a case of `tests/rules/test_simulated.py`.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool

from syncd.stock.model import Edits
from tests.rules.edit_lane import ran as ran_edits
from tests.rules.edit_world import HEAVY, SLOW
from tests.rules.simulator.run import ran
from tests.rules.simulator.setting import KINDS

STRETCHES = {"stretches, heavy": (HEAVY, Edits.ADOPT), "stretches, slow": (SLOW, Edits.ADOPT)}
"""The rule of edits on blind channels, run on one listing."""

PIECE = 25


def piece(task: tuple[str, int, int]) -> tuple[str, Counter[str], list[str]]:
    """How the seeds of one piece ended: right, asked, wrong and nothing asked, bad in another way."""
    kind, first, last = task
    ended: Counter[str] = Counter(runs=last - first)
    bad: list[str] = []
    for seed in range(first, last):
        if kind in STRETCHES:
            traffic, mode = STRETCHES[kind]
            run = ran_edits(seed, traffic, mode)
            # right is right but for the amounts that are asked for
            right, asked, wrong, fine, said = (
                run.right,
                run.ever > 0,
                run.silently_wrong,
                run.fine,
                f"{kind} {seed}: {run}",
            )
        else:
            found = ran(seed, kind)
            right, asked, wrong, fine, said = (
                found.right,
                found.asked > 0,
                found.silently_wrong,
                found.fine,
                str(found),
            )
        ended.update(right=right, asked=asked, wrong=wrong, bad=not fine)
        if not fine:
            bad.append(said)
    return kind, ended, bad


def tasks(seeds: int, first: int) -> list[tuple[str, int, int]]:
    kinds = [*KINDS, *STRETCHES]
    each = -(-seeds // len(kinds))
    return [
        (kind, begin, min(begin + PIECE, first + each))
        for begin in range(first, first + each, PIECE)
        for kind in kinds
    ]


def told(
    ends: Iterable[tuple[str, Counter[str], list[str]]],
) -> tuple[dict[str, Counter[str]], int]:
    """The sums by kind; what ended badly is printed at once."""
    sums: dict[str, Counter[str]] = {}
    failures = 0
    for kind, ended, bad in ends:
        sums.setdefault(kind, Counter()).update(ended)
        failures += len(bad)
        for one in bad:
            print(one, flush=True)  # noqa: T201 - this is a program
    return sums, failures


def main(seeds: int, first: int) -> int:
    began = time.perf_counter()
    cores = os.cpu_count() or 1
    with Pool(cores) as pool:
        sums, failures = told(pool.imap_unordered(piece, tasks(seeds, first)))
    print(f"{'runs':18} {'seeds':>7} {'right':>8} {'asked':>8} {'wrong, not asked':>17} {'bad':>5}")  # noqa: T201
    for kind in [*KINDS, *STRETCHES]:
        ended = sums.get(kind, Counter())
        count = ended["runs"] or 1
        print(  # noqa: T201
            f"{kind:18} {ended['runs']:7} {ended['right'] / count:8.1%} {ended['asked'] / count:8.1%}"
            f" {ended['wrong']:17} {ended['bad']:5}"
        )
    print(f"{time.perf_counter() - began:.0f} s on {cores} cores")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
