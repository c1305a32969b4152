"""Locations that divide a target: the sum is exact, nobody goes below nothing, and little moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.spread import divide

ORDER = ("a", "b", "c")
shelves = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50))
targets = st.integers(-20, 200)


@given(targets, shelves)
def test_together_they_show_the_target_and_nobody_less_than_nothing(
    target: int, shown: dict[str, int]
) -> None:
    parts = divide(target, shown, ORDER)
    assert sum(parts.values()) == max(target, 0)
    assert min(parts.values()) >= 0
    assert parts.keys() == {*ORDER, *shown}


@given(targets, shelves)
def test_no_unit_moves_that_need_not(target: int, shown: dict[str, int]) -> None:
    parts = divide(target, shown, ORDER)
    moved = [parts[name] - shown.get(name, 0) for name in parts]
    assert sum(map(abs, moved)) == abs(max(target, 0) - sum(shown.values()))


@given(targets, shelves)
def test_what_is_divided_already_stays(target: int, shown: dict[str, int]) -> None:
    parts = divide(target, shown, ORDER)
    assert divide(target, parts, ORDER) == parts


@given(st.integers(0, 200), st.dictionaries(st.sampled_from("abcd"), st.integers(-50, 50)))
def test_a_shelf_below_nothing_is_paid_for_by_the_others(
    target: int, shown: dict[str, int]
) -> None:
    parts = divide(target, shown, ORDER)
    assert sum(parts.values()) == target
    assert min(parts.values()) >= 0


@pytest.mark.parametrize(
    ("target", "shown", "parts"),
    [
        (10, {"a": 4, "b": 6, "c": 0}, {"a": 4, "b": 6, "c": 0}),
        (12, {"a": 4, "b": 6, "c": 0}, {"a": 6, "b": 6, "c": 0}),
        (7, {"a": 4, "b": 6, "c": 0}, {"a": 1, "b": 6, "c": 0}),
        (5, {"a": 4, "b": 6, "c": 0}, {"a": 0, "b": 5, "c": 0}),
        (0, {"a": 4, "b": 6, "c": 2}, {"a": 0, "b": 0, "c": 0}),
        (3, {}, {"a": 3, "b": 0, "c": 0}),
        (9, {"d": 4, "a": 1}, {"a": 5, "b": 0, "c": 0, "d": 4}),
        (2, {"a": -3, "b": 4}, {"a": 0, "b": 2, "c": 0}),
    ],
)
def test_the_first_takes_and_spills_to_the_next(
    target: int, shown: dict[str, int], parts: dict[str, int]
) -> None:
    assert divide(target, shown, ORDER) == parts


def test_without_locations_there_is_nothing_to_divide() -> None:
    assert divide(5, {}, ()) == {}
