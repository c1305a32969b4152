"""`make simulate`: so many seeds on every core, and the tables of how they ended.

A seed that ends badly is printed with its setting: make it a case of `tests/rules/test_simulated_orders.py`.
The second table tells of every canary in how many of 100 seeds it is seen.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import Pool
from multiprocessing.pool import Pool as Workers
from typing import Any

from syncd.stock.model import Edits
from tests.rules.edit_lane import ran as ran_edits
from tests.rules.edit_world import HEAVY, SLOW
from tests.rules.simulator.canaries import CANARIES, Patch
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
                run.ever,
                run.silently_wrong,
                run.fine,
                f"{kind} {seed}: {run}",
            )
        else:
            found = ran(seed, kind)
            right, asked, wrong, fine, said = (
                found.right,
                found.asked,
                found.silently_wrong,
                found.fine,
                str(found),
            )
        ended.update(right=right, asked=asked > 0, questions=asked, wrong=wrong, bad=not fine)
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
        _print_runs(sums)
        print(f"{time.perf_counter() - began:.0f} s on {cores} cores", flush=True)  # noqa: T201
        failures += canaries(pool)
    return 1 if failures else 0


def _print_runs(sums: dict[str, Counter[str]]) -> None:
    """How the runs of each kind ended; of edits, right is right but for what is asked."""
    print(  # noqa: T201
        f"{'runs':18} {'seeds':>7} {'right':>8} {'asked':>8} {'a run':>6} {'wrong, not asked':>17} {'bad':>5}"
    )
    for kind in [*KINDS, *STRETCHES]:
        ended = sums.get(kind, Counter())
        count = ended["runs"] or 1
        print(  # noqa: T201
            f"{kind:18} {ended['runs']:7} {ended['right'] / count:8.1%} {ended['asked'] / count:8.1%}"
            f" {ended['questions'] / count:6.2f} {ended['wrong']:17} {ended['bad']:5}"
        )


# --- canaries ------------------------------------------------------------------------------------


@contextmanager
def planting() -> Iterator[Patch]:
    """Inside, what is patched stays so."""
    before: list[tuple[Any, str, Any]] = []

    def patch(where: Any, name: str, what: Any) -> None:
        before.append((where, name, getattr(where, name)))
        setattr(where, name, what)

    try:
        yield patch
    finally:
        for where, name, what in reversed(before):
            setattr(where, name, what)


def seen(task: tuple[int, int]) -> tuple[int, Counter[str]]:
    """How a seed ends with a canary planted."""
    number, seed = task
    plant, kind, _ = CANARIES[number]
    with planting() as patch:
        plant(patch)
        found = ran(seed, kind)
    return number, Counter(seen=not found.fine, wrong=not found.right, silent=found.silently_wrong)


def canaries(pool: Workers) -> int:
    """The table of canaries; gives how many nothing noticed."""
    sums: dict[int, Counter[str]] = {n: Counter() for n in range(len(CANARIES))}
    work = [(n, seed) for n, (_, _, seeds) in enumerate(CANARIES) for seed in seeds]
    for number, ended in pool.imap_unordered(seen, work, chunksize=5):
        sums[number].update(ended)
    print(f"{'deviation planted':44} {'in':10} {'seen':>5} {'wrong':>6} {'nothing asked':>14}")  # noqa: T201
    for number, (plant, kind, seeds) in enumerate(CANARIES):
        ended = {name: sums[number][name] / len(seeds) for name in ("seen", "wrong", "silent")}
        print(  # noqa: T201
            f"{plant.__name__:44} {kind:10} {ended['seen']:5.0%} {ended['wrong']:6.0%}"
            f" {ended['silent']:14.0%}",
            flush=True,
        )
    return sum(not ended["seen"] for ended in sums.values())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
