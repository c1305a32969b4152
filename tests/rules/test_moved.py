"""A channel keeps its platform; what else moves against the counts takes a cut-over, or none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from syncd.app.build import moved
from syncd.config import Settings
from syncd.stock.cutover import CutOver, InForceRule, unread
from syncd.stock.model import Edits, Truth

SETTINGS = Settings.model_validate(
    {
        "warehouses": {"main": {"source": "uk"}, "other": {}},
        "channels": {"uk": {"platform": "memory", "locations": {"1": "main", "*": "other"}}},
    }
)


def test_a_changed_platform_is_named() -> None:
    assert moved(SETTINGS, {"uk": "memory", "gone": "shopify"}) == []
    (said,) = moved(SETTINGS, {"uk": "shopify"})
    assert "channels.uk.platform: was shopify" in said


def rule(truth: Truth = Truth.LEVELS, *, enabled: bool = True, **locations: int) -> InForceRule:
    return InForceRule(truth, Edits.ADOPT, enabled, locations or {"*": 1})


LEVELS, ORDERS, NONE = rule(), rule(Truth.ORDERS), rule(Truth.NONE)
OFF, MOVED = rule(enabled=False), rule(Truth.LEVELS, a=2, b=1)


@pytest.mark.parametrize(
    ("old", "new", "needed", "reads", "fetches", "forgets"),
    [
        (LEVELS, LEVELS, False, (), False, False),
        (LEVELS, OFF, False, (), False, False),
        (OFF, LEVELS, True, (), False, False),
        (LEVELS, ORDERS, True, ("a", "b"), True, False),
        (ORDERS, LEVELS, True, ("a", "b"), True, False),
        (LEVELS, NONE, True, ("a", "b"), False, False),
        (ORDERS, NONE, True, (), True, False),
        (NONE, LEVELS, True, (), False, True),
        (NONE, ORDERS, True, (), False, True),
        (LEVELS, MOVED, True, ("a",), False, False),
        (LEVELS, rule(a=1), True, ("b",), False, False),
        (rule(a=1), LEVELS, False, (), False, False),
        (ORDERS, rule(Truth.ORDERS, a=2, b=1), True, (), True, False),
    ],
)
def test_what_a_cut_over_takes(
    old: InForceRule,
    new: InForceRule,
    needed: bool,
    reads: tuple[str, ...],
    fetches: bool,
    forgets: bool,
) -> None:
    change = CutOver(old, new, ("a", "b"))
    assert (change.needed, change.reads) == (needed, reads)
    assert (change.fetches, change.forgets) == (fetches, forgets)
    assert not CutOver(old, new, ()).needed


@pytest.mark.parametrize(
    ("read", "taken", "left"),
    [
        ({}, {}, [1, 2]),
        ({1: 0, 2: 0}, {}, []),
        ({1: 3, 2: 0}, {1: 3}, []),
        ({1: 3, 2: 0}, {1: 4}, [1]),
        ({1: 3}, {1: 3, 2: 1}, [2]),
    ],
)
def test_a_last_reading_counts_if_no_order_came_beside_it(
    read: Mapping[int, int], taken: Mapping[int, int], left: list[int]
) -> None:
    assert unread([1, 2, 3], read, taken, {3}) == left
