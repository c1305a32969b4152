"""The whole daemon in virtual time over channels whose orders are the truth; see the levels' file.

Where a bad seed was found, it is a case here for good.
"""

from __future__ import annotations

import pytest

from tests.rules.simulated import SHARDS, runs
from tests.rules.simulator.run import ran
from tests.rules.simulator.setting import Setting

ALL_SHARDS = pytest.mark.parametrize("number", range(SHARDS))

REGRESSIONS: tuple[tuple[int, Setting], ...] = ()
"""(seed, setting) of runs that once ended badly, as they were printed."""


@ALL_SHARDS
def test_overwritten_edits_and_blind_writes_leave_the_ledger_right(number: int) -> None:
    ended = runs("overwrite", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []


@ALL_SHARDS
def test_overwritten_edits_and_compared_writes_leave_the_ledger_right(number: int) -> None:
    ended = runs("guarded", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []


def test_what_once_ended_badly_ends_well() -> None:
    for seed, setting in REGRESSIONS:
        outcome = ran(seed, setting.kind, setting)
        assert outcome.fine, str(outcome)


def test_a_run_is_the_same_every_time() -> None:
    first, second = ran(7, "mixed"), ran(7, "mixed")
    assert first == second
    assert first.movements > 5
    assert first.lives > 0
