"""Policies: what is shown grows with the level, keeps its bounds, and every step of it is told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.edits import OpenAmounts, own_target
from syncd.stock.policy import (
    Allocation,
    Inputs,
    Policy,
    Zero,
    derive,
    keeps,
    recomputed,
    stored,
    target,
    target_of,
)

LEVEL = st.integers(-1_000_000_000, 1_000_000_000)
UNITS = st.integers(0, 1_000_000)
FEW = st.integers(0, 20)
policies = st.builds(
    Policy,
    percent=st.integers(0, 100),
    buffer=UNITS | FEW,
    cap=st.none() | UNITS | FEW,
    floor=st.just(0) | FEW,
    preorder=st.just(0) | FEW,
    last_units=FEW,
    zero=st.sampled_from(Zero),
    speed_hours=st.just(0) | st.integers(1, 500),
    announce_max=st.just(0) | FEW,
    allocation=st.sampled_from(Allocation),
)
inputs = st.builds(
    Inputs,
    level=LEVEL | st.integers(-30, 60),
    holds=st.just(0) | FEW,
    suspense_against=st.just(0) | FEW,
    bundle_minimum=st.none() | st.integers(-5, 60),
    account=st.integers(0, 60),
    unseen=st.just(0) | FEW,
    own_unseen=st.just(0) | FEW,
    shown=st.none() | st.integers(-5, 60),
    sold=UNITS,
    sold_hours=st.integers(1, 1000),
    others_below=st.just(0) | FEW,
    others=st.just("uk"),
    own_edits=st.just(0) | st.integers(-20, 20),
)


@given(inputs, LEVEL, policies)
def test_more_in_stock_never_shows_less(one: Inputs, other: int, policy: Policy) -> None:
    low, high = sorted((one.level, other))
    less, more = replace(one, level=low), replace(one, level=high)
    assert target_of(less, policy) <= target_of(more, policy)


@given(inputs, policies)
def test_nothing_below_the_floor_and_nothing_above_the_cap(one: Inputs, policy: Policy) -> None:
    shown = target_of(one, policy)
    # what a person typed on this very listing stands until it is settled
    assert shown >= max(policy.floor + min(one.own_edits, 0), 0)
    if policy.cap is not None:
        limit = max(policy.cap, policy.floor, policy.preorder)
        assert shown <= limit + max(one.own_edits, 0)


@given(inputs, policies)
def test_no_more_is_shown_than_there_is_but_for_what_may_be_sold_ahead(
    one: Inputs, policy: Policy
) -> None:
    there = max(one.left, policy.floor, policy.preorder)
    assert target_of(one, policy) <= there + max(one.own_edits, 0)


@given(LEVEL, st.integers(1, 1000))
def test_what_is_sold_ahead_is_shown_no_more(level: int, preorder: int) -> None:
    shown = target(level, Policy(preorder=preorder))
    assert shown == max(level, min(level, 0) + preorder, 0)


@given(LEVEL)
def test_without_rules_the_level_is_shown_and_never_less_than_zero(level: int) -> None:
    assert Policy().plain
    assert target(level, Policy()) == max(level, 0)
    assert target_of(Inputs(level), Policy()) == max(level, 0)


@given(LEVEL, policies)
def test_the_quick_way_gives_the_same_number(level: int, policy: Policy) -> None:
    assert target(level, policy) == derive(Inputs(level), policy).target


@given(inputs, policies)
def test_the_steps_lead_from_the_level_to_the_target(one: Inputs, policy: Policy) -> None:
    found = derive(one, policy)
    assert found.target == target_of(one, policy)
    assert (found.steps[0].name, found.steps[0].before) == ("level", one.level)
    assert found.steps[-1].after == found.target
    for before, after in zip(found.steps, found.steps[1:], strict=False):
        assert before.after == after.before
    assert all(step.why for step in found.steps)


@given(inputs, policies)
def test_what_is_stored_gives_the_very_same_steps_again(one: Inputs, policy: Policy) -> None:
    kept = json.loads(json.dumps(stored(one, policy)))
    assert recomputed(kept) == derive(one, policy)


def test_only_what_is_ruled_is_stored() -> None:
    assert stored(Inputs(5), Policy()) == {"level": 5, "policy": {}}
    kept = stored(Inputs(5, holds=1), Policy(buffer=2, zero=Zero.KEEP_LAST))
    assert kept == {"level": 5, "holds": 1, "policy": {"buffer": 2, "zero": "keep_last"}}
    with pytest.raises(TypeError, match="unheard_of"):
        recomputed({"level": 5, "policy": {"unheard_of": 1}})


@given(inputs, policies)
def test_open_edits_are_added_as_their_own_rule_says(one: Inputs, policy: Policy) -> None:
    ruled = target_of(replace(one, own_edits=0), policy)
    assert target_of(one, policy) == own_target(ruled, OpenAmounts(one.own_edits, 0))


@given(inputs, policies)
def test_a_raise_in_steps_lowers_nothing_late(one: Inputs, policy: Policy) -> None:
    """What should show no more than is shown is shown at once; more is never above the whole."""
    whole = target_of(one, replace(policy, announce_max=0))
    shown = target_of(one, policy)
    assert shown <= whole
    if one.shown is None or whole <= max(one.shown, 0) + min(one.own_edits, 0):
        assert shown == whole


def test_rules_are_applied_in_their_fixed_order() -> None:
    policy = Policy(
        percent=50, buffer=3, cap=9, floor=2, speed_hours=12, zero=Zero.KEEP_LAST, preorder=1
    )
    one = Inputs(
        99,
        holds=4,
        suspense_against=5,
        bundle_minimum=40,
        sold=5,
        others_below=3,
        others="uk",
        own_edits=-8,
    )
    assert [(s.name, s.before, s.after) for s in derive(one, policy).steps] == [
        ("level", 99, 99),
        ("holds", 99, 95),
        ("suspense", 95, 90),
        ("bundle", 90, 40),
        ("percent", 40, 20),
        ("buffer", 20, 17),
        ("speed", 17, 14),
        ("last_units", 14, 14),
        ("cap", 14, 9),
        ("floor", 9, 9),
        ("own_edits", 9, 1),
    ]


def test_a_rule_that_is_not_set_is_no_step() -> None:
    assert [s.name for s in derive(Inputs(5), Policy()).steps] == ["level"]
    assert [s.name for s in derive(Inputs(-5), Policy()).steps] == ["level", "floor"]
    assert [s.name for s in derive(Inputs(5), Policy(cap=9)).steps] == ["level", "cap"]


@pytest.mark.parametrize(
    ("one", "policy", "shown"),
    [
        (Inputs(-7), Policy(percent=50), 0),
        (Inputs(99), Policy(percent=33), 32),
        (Inputs(4), Policy(percent=50, buffer=3, floor=2), 2),
        (Inputs(3), Policy(buffer=5, preorder=10), 10),
        (Inputs(-4), Policy(preorder=10), 6),
        (Inputs(-11), Policy(preorder=10), 0),
        (Inputs(-4), Policy(preorder=3, floor=1), 1),
        (Inputs(12), Policy(preorder=10), 12),
        (Inputs(5, others_below=5, others="uk"), Policy(), 5),
        (Inputs(4, others_below=5, others="uk"), Policy(), 0),
        (Inputs(6, holds=2, others_below=5, others="uk"), Policy(), 0),
        (Inputs(6, others_below=5, others="uk"), Policy(buffer=2), 4),
        (Inputs(4), Policy(last_units=5), 4),
        (Inputs(10, sold=3, sold_hours=48), Policy(speed_hours=24), 8),
        (Inputs(10, sold=3, sold_hours=48), Policy(speed_hours=24, buffer=1), 7),
        (Inputs(0, bundle_minimum=3), Policy(), 3),
        (Inputs(10, account=4), Policy(allocation=Allocation.ESCROW, percent=50), 4),
        (Inputs(10, account=4), Policy(allocation=Allocation.ESCROW, buffer=1), 3),
        (Inputs(2, account=4), Policy(allocation=Allocation.ESCROW), 2),
        (Inputs(10), Policy(allocation=Allocation.SHARED, percent=50, buffer=2), 10),
        (Inputs(100, own_edits=10), Policy(cap=10), 20),
        (Inputs(-3, own_edits=5), Policy(), 5),
        (Inputs(3, own_edits=-9), Policy(), 0),
        (Inputs(10, unseen=3), Policy(), 7),
        (Inputs(10, unseen=3), Policy(percent=50), 3),
        (Inputs(4, unseen=2, others_below=3, others="uk"), Policy(), 0),
        (Inputs(10, own_unseen=9), Policy(), 10),
        (Inputs(10, own_unseen=10), Policy(), 0),
        (Inputs(10, holds=2, own_unseen=8), Policy(buffer=1), 0),
        (Inputs(10, own_unseen=10), Policy(floor=2), 2),
        (Inputs(50, shown=10), Policy(announce_max=20), 30),
        (Inputs(50, shown=30), Policy(announce_max=20), 50),
        (Inputs(50, shown=0), Policy(announce_max=20), 20),
        (Inputs(50, shown=-3), Policy(announce_max=20), 20),
        (Inputs(50), Policy(announce_max=20), 50),
        (Inputs(5, shown=40), Policy(announce_max=20), 5),
        (Inputs(50, shown=10), Policy(announce_max=20, cap=25), 25),
        (Inputs(50, shown=0), Policy(announce_max=2, floor=5), 5),
        (Inputs(10, shown=60, own_edits=50), Policy(announce_max=5), 60),
    ],
)
def test_what_each_rule_shows(one: Inputs, policy: Policy, shown: int) -> None:
    assert target_of(one, policy) == shown
    assert derive(one, policy).target == shown


@pytest.mark.parametrize("zero", [Zero.KEEP_LAST, Zero.RETIRE])
def test_the_zero_rule_has_a_say_at_zero_only(zero: Zero) -> None:
    policy = Policy(buffer=2, zero=zero)
    assert derive(Inputs(3), policy).zero is Zero.SHOW_ZERO
    found = derive(Inputs(1), policy)
    assert (found.target, found.zero, found.steps[-1].name) == (0, zero, "zero")
    assert keeps(0, policy) is (zero is Zero.KEEP_LAST)
    assert not keeps(1, policy)
    assert Policy(zero=zero).plain
