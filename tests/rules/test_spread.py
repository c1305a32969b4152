"""Locations that divide a target: the sum is exact, nobody goes below nothing, and little moves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.policy import Inputs, Policy, Zero, derive, recomputed, stored, target_of
from syncd.stock.spread import Placed, Spread, arranged, divide, part_of
from tests.rules.test_policy import policies

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


shown = st.lists(st.integers(-5, 50), min_size=1, max_size=4)


@given(targets, shown)
def test_the_parts_of_all_locations_are_the_target(target: int, places: list[int]) -> None:
    parts = [part_of(target, places, n) for n in range(len(places))]
    assert sum(parts) == max(target, 0)


@given(targets, st.lists(st.none() | st.integers(0, 50), min_size=2, max_size=4))
def test_while_one_is_not_known_no_other_is_raised(target: int, places: list[int | None]) -> None:
    for n, own in enumerate(places):
        part = part_of(target, places, n)
        others = [x for place, x in enumerate(places) if place != n]
        if own is not None and None in others:
            assert part <= own


@given(st.integers(-20, 200), shown, policies)
def test_a_policy_rules_the_whole_and_its_parts_make_that(
    level: int, places: list[int], policy: Policy
) -> None:
    policy = replace(policy, announce_max=0)
    whole = target_of(Inputs(level), policy)
    given_of = [Inputs(level, spread=tuple(places), spread_at=n) for n in range(len(places))]
    assert sum(target_of(one, policy) for one in given_of) == whole
    for one in given_of:
        told = derive(one, policy)
        again = recomputed(json.loads(json.dumps(stored(one, policy))))
        assert (again.target, again.zero) == (told.target, told.zero)


def test_a_location_with_none_of_what_is_left_is_not_out_of_stock() -> None:
    retires = Policy(zero=Zero.RETIRE)
    empty = Inputs(5, spread=(0, 5), spread_at=0)
    assert (derive(empty, retires).target, derive(empty, retires).zero) == (0, Zero.SHOW_ZERO)
    sold_out = Inputs(0, spread=(0, 5), spread_at=0)
    assert derive(sold_out, retires).zero is Zero.RETIRE


def test_who_divides_and_in_which_order() -> None:
    places = [
        Placed("a", 1, False, 0),
        Placed("b", 1, False, 0),
        Placed("c", 2, True, 7),
        Placed("z", 1, False, 0),
    ]
    assert arranged(places, Spread.DIVIDE, ["z", "b"]) == [
        Placed("z", 1, True, 0),
        Placed("b", 1, True, 1),
        Placed("a", 1, True, 2),
        Placed("c", 2, False, 3),
    ]
    assert not any(x.divided for x in arranged(places, Spread.EACH, ["z"]))
