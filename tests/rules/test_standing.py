"""What an item's standing means for its listings: whose doubt lowers whom, and that no way to ask differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.edits import OpenAmounts, own_target
from syncd.stock.model import Edits, Truth
from syncd.stock.policy import UNRULED, Inputs, Policy, Zero, derive, retold, target_of
from syncd.stock.rulebook import Asked, ChannelRules, with_claimants
from syncd.stock.standing import Standing, inputs, is_plain, units_made
from tests.rules.test_policy import policies

AMOUNT = st.integers(-20, 20)


def known(
    quantity: int | None, suspects: Sequence[Sequence[int]] | None = None, **more: Any
) -> Standing:
    """How an item stands of which nothing else is known."""
    return Standing(
        **{
            **dict.fromkeys(x.name for x in fields(Standing)),
            "quantity": quantity,
            "suspects": suspects,
            **more,
        }
    )


suspects = st.none() | st.lists(
    st.tuples(st.integers(1, 4), AMOUNT, st.integers(-20, 0)), min_size=1, max_size=6
)
sales = st.none() | st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 90), st.just(168), st.integers(0, 9)),
    min_size=1,
    max_size=4,
    unique_by=lambda x: x[0],
)
promises = st.none() | st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(9, 20)), min_size=1, max_size=6
)
standings = st.builds(
    known,
    quantity=st.integers(-30, 60),
    suspects=suspects,
    sales=sales,
    holds=promises,
)
parts = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(-20, 60)),
    min_size=1,
    max_size=4,
    unique_by=lambda part: part[0],
)
MUG = Asked(1, "MUG", 1)


def rules(policy: Policy = UNRULED) -> ChannelRules:
    return ChannelRules(
        1, "uk", "memory", Truth.ORDERS, Edits.ADOPT, locations={"*": 1}, policy=policy
    )


def claimed(policy: Policy, below: int) -> ChannelRules:
    """Rules under which another channel may claim the last units."""
    other = replace(rules(Policy(last_units=below)), id=2, name="eu")
    return with_claimants([rules(policy), other])[1]


@pytest.mark.parametrize(
    ("suspected", "against", "own"),
    [
        (None, 0, 0),
        ([(2, -3, -3)], 3, 0),
        ([(1, -3, -3)], 0, -3),
        ([(2, 5, 0)], 0, 0),
        ([(1, 5, 0), (2, 7, 0)], 0, 5),
        ([(1, -1, -4), (2, -2, -5), (3, 9, 0), (3, 2, -6)], 11, -1),
        ([(1, 4, 0), (1, -2, -2)], 0, 2),
    ],
)
def test_a_suspected_fall_lowers_all_others_and_a_rise_nobody(
    suspected: list[tuple[int, int, int]] | None, against: int, own: int
) -> None:
    one = known(10, suspected)
    assert inputs(one, 1) == Inputs(10, suspense_against=against, own_edits=own)


@pytest.mark.parametrize(
    ("promised", "held"),
    [(None, 0), ([(2, 0, 3)], 3), ([(1, 0, 3)], 0), ([(1, 2, 3), (2, 1, 4), (0, 0, 5)], 11)],
)
def test_a_promise_lowers_the_others_and_its_own_by_what_is_taken(
    promised: list[tuple[int, int, int]] | None, held: int
) -> None:
    assert inputs(known(10, None, holds=promised), 1) == Inputs(10, held)


@given(standings, st.integers(1, 5))
def test_what_is_suspected_elsewhere_never_raises(one: Standing, listing: int) -> None:
    elsewhere = [x for x in one.suspects or () if x[0] != listing]
    given_of = inputs(replace(one, suspects=elsewhere), listing)
    assert target_of(given_of, Policy()) <= max(one.quantity or 0, 0)


@given(standings, policies)
def test_what_is_suspected_here_is_added_after_every_limit(one: Standing, policy: Policy) -> None:
    own = sum(x[1] for x in one.suspects or () if x[0] == MUG.listing_id)
    elsewhere = [x for x in one.suspects or () if x[0] != MUG.listing_id]
    limited = rules(policy).target_of(MUG, replace(one, suspects=elsewhere or None))
    assert rules(policy).target_of(MUG, one) == own_target(limited, OpenAmounts(own, 0))


def test_the_own_amount_is_added_after_the_cap_and_none_shows_less_than_zero() -> None:
    capped = rules(Policy(cap=10))
    assert capped.target_of(MUG, known(100, [(1, 10, 0)])) == 20
    assert capped.target_of(MUG, known(4, [(1, -9, -9)])) == 0
    assert capped.target_of(MUG, known(4, [(2, -9, -9)])) == 0


@given(standings, policies, st.integers(0, 12))
def test_the_target_is_the_number_its_steps_lead_to(
    one: Standing, policy: Policy, below: int
) -> None:
    for asked in (rules(policy), claimed(policy, below)):
        derived = asked.derive(MUG, one)
        assert derived.target == asked.target_of(MUG, one)
        assert derived == derive(asked.inputs_of(MUG, one), policy)


@given(standings, policies | st.just(Policy()), st.integers(0, 12))
def test_what_is_kept_with_a_write_gives_the_very_number_again(
    one: Standing, policy: Policy, below: int
) -> None:
    for asked in (rules(policy), claimed(policy, below)):
        kept = json.loads(json.dumps(asked.kept(MUG, one)))
        assert one.quantity is not None
        assert retold(one.quantity, kept) == asked.derive(MUG, one)


def test_only_what_rules_or_doubts_made_is_kept() -> None:
    assert rules().kept(MUG, known(5, None)) is None
    assert claimed(Policy(), 3).kept(MUG, known(5, None)) is not None
    assert rules(Policy(zero=Zero.KEEP_LAST)).kept(MUG, known(5, None)) is not None
    assert rules().kept(MUG, known(5, [(2, -1, -1)])) == {
        "level": 5,
        "suspense_against": 1,
        "policy": {},
    }


def test_nothing_but_the_level_is_plain_and_every_other_input_is_none_where_it_is_absent() -> None:
    assert is_plain(known(5, None))
    absent = {field.name: None for field in fields(Standing)}
    for name in absent:
        if name != "quantity":
            assert not is_plain(Standing(**{**absent, "quantity": 5, name: []}))


@given(standings, parts, policies)
def test_a_bundle_shows_what_its_components_make_and_nothing_else_counts(
    one: Standing, made_of: list[tuple[int, int, int]], policy: Policy
) -> None:
    bundle = replace(one, parts=made_of, sales=None)
    makes = min(left // units for _, units, left in made_of)
    assert units_made(made_of) == makes
    target = rules(policy).target_of(MUG, bundle)
    assert target == rules(policy).target_of(MUG, known(0, parts=made_of))
    stored = json.loads(json.dumps(rules(policy).kept(MUG, bundle)))
    assert retold(one.quantity or 0, stored).target == target


@given(parts)
def test_a_bundle_of_which_a_component_is_not_counted_makes_nothing_known(
    made_of: list[tuple[int, int, int]],
) -> None:
    assert units_made([*made_of, (10, 1, None)]) is None


def test_a_channel_makes_bundles_of_what_its_accounts_hold() -> None:
    bundle = known(
        0, parts=[(1, 2, 20), (2, 1, 9)], part_accounts=[(1, 1, 8), (1, 2, 12), (1, 3, 0)]
    )
    makes = {channel: inputs(bundle, 1, channel).bundle_minimum for channel in (1, 2, 3, 4)}
    assert makes == {1: 4, 2: 6, 3: 0, 4: 0}, "a channel without an account has none of its units"
