"""The whole daemon in virtual time over channels whose orders are the truth; see the levels' file.

Where a bad seed was found, it is a case here for good.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rules.simulated import SHARDS, runs
from tests.rules.simulator.run import ran
from tests.rules.simulator.setting import Setting, setting

ALL_SHARDS = pytest.mark.parametrize("number", range(SHARDS))

REGRESSIONS: tuple[tuple[int, Setting], ...] = (
    # an order was placed and cancelled around a write of ours, within a second, and heard of after both
    (24, replace(setting(24, "restless"), slow=0.0)),
    # a write erased an order's first change, and its second was booked as an edit
    (41, replace(setting(41, "restless"), slow=0.0)),
    # a sending that was late outlived its key
    (273, setting(273, "spent")),
)
"""(seed, setting) of runs that once ended badly."""


@ALL_SHARDS
def test_overwritten_edits_and_blind_writes_leave_the_ledger_right(number: int) -> None:
    ended = runs("overwrite", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []


@ALL_SHARDS
def test_overwritten_edits_and_compared_writes_leave_the_ledger_right(number: int) -> None:
    ended = runs("guarded", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []


@ALL_SHARDS
def test_inferred_edits_are_booked_or_asked(number: int) -> None:
    """The right amount is always among the candidates; `runs` sees to that."""
    runs("adopt", number)


@ALL_SHARDS
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("restless", id="orders that change again and again"),
        pytest.param("rough", id="a daemon that ends and platforms that are down"),
        pytest.param("shared", id="two channels of each truth, capped and shared out"),
    ],
)
def test_no_edit_is_lost_or_invented_in_silence(kind: str, number: int) -> None:
    runs(kind, number)


def test_edits_are_seldom_asked_about() -> None:
    """At most one question a run of heavy traffic."""
    ended = [ran(seed, "adopt") for seed in range(20)]
    assert sum(one.asked for one in ended) <= len(ended)


def test_what_once_ended_badly_ends_well() -> None:
    for seed, given in REGRESSIONS:
        outcome = ran(seed, given.kind, given)
        assert outcome.fine, str(outcome)


def test_a_run_is_the_same_every_time() -> None:
    first, second = ran(7, "mixed"), ran(7, "mixed")
    assert first == second
    assert first.movements > 5
    assert first.lives > 0
