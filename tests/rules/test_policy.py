"""Policies: what is shown grows with the level, keeps its bounds, and every step of it is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.policy import Policy, steps, target

LEVEL = st.integers(-1_000_000_000, 1_000_000_000)
UNITS = st.integers(0, 1_000_000)
policies = st.builds(Policy, st.integers(0, 100), UNITS, st.none() | UNITS, UNITS)


@given(LEVEL, LEVEL, policies)
def test_more_in_stock_never_shows_less(one: int, other: int, policy: Policy) -> None:
    low, high = sorted((one, other))
    assert target(low, policy) <= target(high, policy)


@given(LEVEL, policies)
def test_nothing_below_the_floor_and_nothing_above_the_cap(level: int, policy: Policy) -> None:
    shown = target(level, policy)
    assert shown >= policy.floor >= 0
    if policy.cap is not None:
        assert shown <= max(policy.cap, policy.floor)


@given(LEVEL, policies)
def test_no_more_is_shown_than_there_is_but_for_the_floor(level: int, policy: Policy) -> None:
    assert target(level, policy) <= max(level, policy.floor)


@given(LEVEL)
def test_without_rules_the_level_is_shown_and_never_less_than_zero(level: int) -> None:
    assert target(level, Policy()) == max(level, 0)


@given(LEVEL, policies)
def test_the_steps_lead_from_the_level_to_the_target(level: int, policy: Policy) -> None:
    found = steps(level, policy)
    assert (found[0].rule, found[0].value) == ("level", level)
    assert found[-1].value == target(level, policy)
    order = ["level", "percent", "buffer", "cap", "floor"]
    assert [step.rule for step in found] == sorted({s.rule for s in found}, key=order.index)


def test_rules_are_applied_in_their_fixed_order() -> None:
    policy = Policy(percent=50, buffer=3, cap=20, floor=2)
    said = [(step.rule, step.value) for step in steps(99, policy)]
    assert said == [("level", 99), ("percent", 49), ("buffer", 46), ("cap", 20)]
    assert [s.value for s in steps(4, policy)] == [4, 2, -1, 2]
    assert target(-7, Policy(percent=50)) == 0
