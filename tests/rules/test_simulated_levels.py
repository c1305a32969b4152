"""The whole daemon in virtual time over channels whose levels are the truth.

Every run: no ledger ends wrong with nothing asked, every listing shows its target or has a named
reason, no older value after a newer one, nothing booked that did not happen, and rest in the end.
"""

from __future__ import annotations

import pytest

from tests.rules.simulated import SHARDS, runs

ALL_SHARDS = pytest.mark.parametrize("number", range(SHARDS))


@ALL_SHARDS
def test_with_keys_that_outlive_the_outage_the_ledger_ends_right(number: int) -> None:
    ended = runs("levels", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []


@ALL_SHARDS
def test_with_spent_keys_what_is_not_right_is_asked(number: int) -> None:
    """The right amount is always among the candidates; `runs` sees to that."""
    ended = runs("spent", number)
    assert len(ended) < 20 or sum(one.right for one in ended) >= 0.75 * len(ended)


@ALL_SHARDS
def test_heavy_traffic_under_all_that_goes_wrong_leaves_the_ledger_right(number: int) -> None:
    ended = runs("heavy", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []


@ALL_SHARDS
def test_channels_of_every_truth_share_warehouses(number: int) -> None:
    ended = runs("mixed", number)
    assert [one.seed for one in ended if not one.right or one.asked] == []
