"""What plans book, what they hold, and when a change is too large to go unasked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.plans import Effect, Radius, Reach, Tally, booked_by, effect, kept
from syncd.stock.policy import Inputs, Policy, derive, recomputed
from syncd.stock.policy import kept as stored

UNITS = st.integers(-1_000_000_000, 1_000_000_000)


@pytest.mark.parametrize(
    ("row", "level", "later", "delta"),
    [
        ((40, None, None), 50, 0, -10),
        ((40, None, None), 47, -3, -10),
        ((40, None, None), None, 0, 40),
        ((60, 50, None), 47, 0, 10),
        ((60, 50, None), None, 0, 60),
        ((None, None, 7), 47, 0, 7),
    ],
)
def test_a_row_books_what_it_says_over_the_level_it_meant(row, level, later, delta):
    assert booked_by(*row, level, later) == delta


@given(quantity=UNITS, level=UNITS, later=UNITS)
def test_a_count_and_its_undo_leave_the_level(quantity, level, later):
    delta = booked_by(quantity, None, None, level, later)
    assert level + delta - later == quantity
    assert level + delta + booked_by(None, None, -delta, level + delta) == level


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (5, 5, Effect.SAME),
        (5, 6, Effect.RAISED),
        (5, 4, Effect.LOWERED),
        (5, 0, Effect.ZEROED),
        (5, -2, Effect.ZEROED),
        (0, 3, Effect.RAISED),
    ],
)
def test_what_a_change_means_for_a_listing(before, after, what):
    assert effect(before, after) is what


@pytest.mark.parametrize(
    ("radius", "listings", "zeroed", "raised", "lowered", "exceeded"),
    [
        (Radius(0.2), 100, 10, 10, 0, False),
        (Radius(0.2), 100, 11, 10, 0, True),
        (Radius(0.2), 100, 0, 0, 100, False),
        (Radius(0.2), 3, 3, 0, 0, False),
        (Radius(0.2), 20, 11, 0, 0, True),
        (Radius(0.2, 500), 1000, 250, 250, 0, False),
        (Radius(0.2, 500), 100_000, 250, 251, 0, True),
        (Radius(0.0), 100, 10, 0, 0, False),
    ],
)
def test_what_is_zeroed_or_raised_counts_against_the_radius(
    radius, listings, zeroed, raised, lowered, exceeded
):
    assert radius.exceeded(Reach(listings, zeroed, raised, lowered)) is exceeded


@pytest.mark.parametrize(
    ("keeps", "shown", "fell", "rose", "now"),
    [
        (None, 7, 2, 0, 7),
        (None, None, 2, 0, None),
        (7, 7, 2, 0, 5),
        (7, 7, 9, 0, 0),
        (0, 0, 3, 0, 0),
        (7, 7, 0, 3, 10),
    ],
)
def test_a_held_listing_yields_to_what_is_sold(keeps, shown, fell, rose, now):
    assert kept(keeps, shown, fell, rose) == now


@given(keeps=st.integers(0, 10**9), fell=st.integers(0, 10**9))
def test_a_held_listing_never_rises_and_never_shows_less_than_nothing(keeps, fell):
    assert 0 <= kept(keeps, keeps, fell) <= keeps


def test_a_hold_is_the_last_step_of_a_target_and_is_explained():
    given_now = Inputs(100, held=7)
    made = derive(given_now, Policy(buffer=2, floor=20))
    assert (made.target, made.steps[-1].name) == (7, "held")
    assert recomputed(stored(given_now, Policy(buffer=2))).target == 7


def test_a_tally_counts_what_changes():
    tally = Tally()
    for level, delta in ((5, 0), (5, 2), (5, -1), (5, -5), (None, 4)):
        tally.add(level, delta)
    assert (tally.rows, tally.changed, tally.units_up, tally.units_down) == (5, 4, 6, 6)
    assert (tally.same, tally.new, tally.raised, tally.lowered, tally.zeroed) == (1, 1, 1, 1, 1)
