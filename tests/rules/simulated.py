"""What the tests of simulated runs share: how many seeds, in which shards, and what is told of a bad one."""

from __future__ import annotations

import os

from tests.rules.simulator.run import Outcome, ran

SEEDS = int(os.environ.get("SYNCD_SIMULATED_SEEDS", "100"))
"""Seeds of all kinds together."""

KINDS = ("levels", "spent", "overwrite", "guarded", "mixed")
SHARDS = 5


LONG = 15
"""So many times as long as the others take runs of other kinds: heavy ones, and inferred edits."""


def shard(kind: str, number: int) -> range:
    """The seeds of one kind that this shard runs."""
    each = SEEDS // len(KINDS) // (1 if kind in KINDS else LONG)
    return range(number * each // SHARDS, (number + 1) * each // SHARDS)


def runs(kind: str, number: int) -> list[Outcome]:
    """The runs of a shard, all of which end well; a bad one is told with its seed and setting."""
    ended = [ran(seed, kind) for seed in shard(kind, number)]
    bad = [str(one) for one in ended if not one.fine]
    assert not bad, "\n".join(bad)
    return ended
