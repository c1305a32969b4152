"""Stretches of a shelf, worked out by hand: what moved it beside our writes and the orders.

Times are seconds after noon by the platform's clock; M is 2.5 s, LATE 30 s, SETTLE 300 s. On paper
`10 @ 0` is a reading of 10 at 0, `x` the unexplained part of an interval, and a history is one way
to cut the order steps at the moments of the stretch.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.stock.edits import (
    Change,
    OpenAmounts,
    answer,
    cause,
    heard,
    judged,
    open_amounts,
    own_target,
    settle,
)
from syncd.stock.histories import Verdict, verdict
from syncd.stock.model import Edits
from syncd.stock.stretches import (
    End,
    Margins,
    OrderStep,
    Seen,
    Start,
    Stretch,
    ended,
    from_answer,
    from_reading,
    from_silence,
    must_read,
    observed,
    split,
    splits_at,
    waits,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MARGINS = Margins()
LISTING = 7


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def sold(seconds: float, units: int) -> OrderStep:
    return OrderStep(at(seconds), units)


def read(stretch: Stretch, *readings: tuple[float, int]) -> Stretch:
    for seconds, value in readings:
        stretch = observed(stretch, Seen(at(seconds), value), MARGINS)
    return stretch


def answered(end: tuple[float, int] | None = None, va: int = 8) -> Stretch:
    """10 @ 0, then a write of `va` answered at 1; `end` is the reading before the next write."""
    made = from_answer(LISTING, Seen(at(0), 10), at(1), va)
    return made if end is None else ended(made, Seen(at(end[0]), end[1]))


def silent(*readings: tuple[float, int]) -> Stretch:
    """10 @ 0, then a write of 7 nobody answered by 10, so it may land until 40."""
    return read(from_silence(LISTING, Seen(at(0), 10), 7, at(10), MARGINS), *readings)


def every_3_s(first: int, last: int, value: int) -> list[tuple[float, int]]:
    return [(seconds, value) for seconds in range(first, last + 1, 3)]


def found(stretch: Stretch, *steps: OrderStep) -> tuple[tuple[int, ...], int]:
    seen = verdict(stretch, steps, MARGINS)
    return seen.candidates, seen.proposal


def settled(stretch: Stretch, *steps: OrderStep, edits: Edits = Edits.ADOPT) -> Change:
    """Settle long after the end, right after a fetch of orders."""
    now = at(10_000)
    done = settle(stretch, steps, now=now, fetched_at=now, edits=edits, margins=MARGINS)
    assert done is not None
    return done


# --- an answered write ---------------------------------------------------------------------------


def test_orders_explain_an_answered_stretch() -> None:
    # write 8 in [0, 1]; 2 sold @ 20; 6 @ 60.  One history: x = 6 − 8 + 2 = 0.
    assert found(answered((60, 6)), sold(20, 2)) == ((0,), 0)


def test_what_orders_do_not_explain_is_the_edit() -> None:
    # write 8; 2 sold @ 20; 11 @ 60.  x = 11 − 8 + 2 = 5.  Nothing lies near a moment.
    assert found(answered((60, 11)), sold(20, 2)) == ((5,), 5)


def test_units_put_back_count_the_other_way() -> None:
    # write 8; 3 put back @ 30; 11 @ 60.  x = 11 − 8 − 3 = 0.
    assert found(answered((60, 11)), sold(30, -3)) == ((0,), 0)


def test_a_sale_that_the_write_erased_is_no_edit() -> None:
    # 1 sold @ 0.4, and the write of 8 lies anywhere in [0, 1]; 8 @ 60.
    # Sold before the write: x = 8 − 8 = 0.  Sold after it: x = 8 − 8 + 1 = 1.  Fewest non-zero: 0.
    assert found(answered((60, 8)), sold(0.4, 1)) == ((0,), 0)
    # 7 @ 60: before x = −1, after x = 7 − 8 + 1 = 0.
    assert found(answered((60, 7)), sold(0.4, 1)) == ((0,), 0)


def test_a_step_moves_by_the_clock_margin_and_no_further() -> None:
    # write answered @ 1; 1 sold @ 3.5 may lie before it, 1 sold @ 3.6 may not; 8 @ 60.
    assert found(answered((60, 8)), sold(3.5, 1)) == ((0,), 0)
    assert found(answered((60, 8)), sold(3.6, 1)) == ((1,), 1)
    # The same at the end: 7 @ 60 may hold a sale @ 62.5 already, but not one @ 62.6.
    assert found(answered((60, 7)), sold(62.5, 1)) == ((0,), 0)
    assert found(answered((60, 7)), sold(62.6, 1)) == ((-1,), -1)


def test_a_stretch_nobody_read_says_nothing() -> None:
    assert found(answered(), sold(20, 2)) == ((0,), 0)
    assert found(from_reading(LISTING, Seen(at(0), 10)), sold(20, 2)) == ((0,), 0)


# --- a write nobody answered ---------------------------------------------------------------------


def test_a_write_that_never_landed() -> None:
    # 10 @ 0; write of 7 silent; 10 @ 10, 13, … 43.
    # Never landed: every x = 0.  Landed in any interval: x = 10 − 7 = 3 there.  So 0.
    assert found(silent(*every_3_s(10, 43, 10))) == ((0,), 0)


def test_a_write_that_landed_between_two_readings() -> None:
    # 10 @ 0, 10 … 22; 7 @ 25 … 43; 2 sold @ 23.5.
    # Never: x = 7 − 10 + 2 = −1 in (22, 25].  Landed in (22, 25] before the sale: 7 − 7 + 2 = 2;
    # after it: 7 − 7 = 0, the sale was erased.  Landed elsewhere: 3 there and −1 here.  So 0.
    stretch = silent(*every_3_s(10, 22, 10), *every_3_s(25, 43, 7))
    assert found(stretch, sold(23.5, 2)) == ((0,), 0)


def test_a_write_that_landed_after_the_reading_before_it() -> None:
    # 10 @ 0; landed @ 2; 1 sold @ 6; 6 @ 10 … 43.
    # Landed in (0, 10] before the sale: x = 6 − 7 + 1 = 0.  Never: 6 − 10 + 1 = −3.  So 0.
    assert found(silent(*every_3_s(10, 43, 6)), sold(6, 1)) == ((0,), 0)


def test_an_edit_between_the_reading_and_the_time_out_is_found() -> None:
    # 10 @ 0; landed @ 2; somebody adds 20 @ 30; 7 @ 10 … 28, 27 @ 31 … 43.
    # Landed in (0, 10]: 0, then 27 − 7 = 20 once.  Never: −3, then 20: two.  Landed in (28, 31]:
    # −3, then 27 − 7 = 20: two.  So 20.
    stretch = silent(*every_3_s(10, 28, 7), *every_3_s(31, 43, 27))
    assert found(stretch) == ((20,), 20)


def test_a_late_write_over_an_edit_that_was_seen() -> None:
    # 10 @ 0; somebody adds 5 @ 5; 15 @ 10 … 19; the write lands @ 20; 7 @ 22 … 43.
    # Landed in (19, 22]: x = 5 in (0, 10], then 7 − 7 = 0: one non-zero, amount 5.
    # Never: 5 and −8.  Landed in (0, 10]: 15 − 7 = 8 and −8.  Landed between: three.  So 5,
    # which the watch alone can tell: 10 @ 0 and 7 @ 43 look like a write and nothing else.
    stretch = silent(*every_3_s(10, 19, 15), *every_3_s(22, 43, 7))
    assert found(stretch) == ((5,), 5)


def test_a_reading_equal_to_the_write_does_not_end_the_wait() -> None:
    # 3 sold @ 6: 7 @ 10 by the sale, while the write of 7 is still under way.
    assert waits(silent((10, 7)))
    assert waits(silent(*every_3_s(10, 40, 7)))
    assert not waits(silent(*every_3_s(10, 43, 7)))
    assert not waits(answered())
    # Never, or landed after the sale: every x = 0.
    assert found(silent(*every_3_s(10, 43, 7)), sold(6, 3)) == ((0,), 0)


def test_when_a_silent_write_is_read() -> None:
    nothing = silent()
    assert not must_read(nothing, at(9.9), MARGINS)
    assert must_read(nothing, at(10), MARGINS)
    assert not must_read(silent((10, 10)), at(12.9), MARGINS)
    assert must_read(silent((10, 10)), at(13), MARGINS)
    assert must_read(silent((40, 10)), at(43), MARGINS)
    assert not must_read(silent((40, 10), (43, 10)), at(60), MARGINS)
    assert not must_read(answered(), at(60), MARGINS)


def test_a_write_cannot_land_in_an_interval_that_begins_after_its_wait() -> None:
    # 10 until 43, then somebody types 7 @ 200; 7 @ 201.  The write is dead: x = −3.
    assert found(silent(*every_3_s(10, 43, 10), (201, 7))) == ((-3,), -3)


def test_a_silent_stretch_begins_at_the_reading_before_the_write() -> None:
    made = silent()
    assert (made.start_kind, made.t0, made.v0, made.va) == (Start.UNKNOWN, at(0), 10, 7)
    assert (made.a, made.late_until, made.end_kind) == (None, at(40), End.OPEN)


# --- two candidates ------------------------------------------------------------------------------


def test_two_candidates_at_the_write() -> None:
    # 1 sold @ 0.4 inside [0, 1]; 13 @ 60.  Before the write x = 13 − 8 = 5, after it 6.
    # Neither moves the step: the smaller is proposed.
    assert found(answered((60, 13)), sold(0.4, 1)) == ((5, 6), 5)
    # 1 sold @ 3.0: before the write it moves by 2.0 s (1.5 beyond 0.5), after it by nothing.
    assert found(answered((60, 13)), sold(3.0, 1)) == ((5, 6), 6)


def test_two_candidates_at_the_end() -> None:
    # 3 sold @ 61, 13 @ 60.  Before the end x = 13 − 8 + 3 = 8 (moved 1.0 s: 0.5 beyond), after 5.
    assert found(answered((60, 13)), sold(61, 3)) == ((5, 8), 5)
    # 3 sold @ 60.4: moved within 0.5 s either way, so the smaller: here a fall.
    assert found(answered((60, 2)), sold(60.4, 3)) == ((-6, -3), -3)


def test_two_candidates_at_the_landing() -> None:
    # 10 @ 0; somebody types 27 before 10; 27 @ 10 … 43.
    # Landed in (0, 10] before the typing: x = 27 − 7 = 20.  Never: 27 − 10 = 17.  Landed later:
    # 17 and 20, two non-zero.  So 17 or 20.
    assert found(silent(*every_3_s(10, 43, 27))) == ((17, 20), 17)


def test_of_two_candidates_of_one_size_the_fall_is_proposed() -> None:
    # 4 sold @ 60, and 6 @ 60: before x = 6 − 8 + 4 = 2, after x = −2.
    assert found(answered((60, 6)), sold(60, 4)) == ((-2, 2), -2)


def test_two_candidates_are_not_booked_but_asked() -> None:
    change = settled(answered((60, 13)), sold(61, 3))
    assert change.book == 0
    kept = change.stretch
    assert (kept.settled, kept.in_suspense, kept.booked) == (True, True, 0)
    assert (kept.candidates, kept.proposal) == ((5, 8), 5)


def test_beyond_the_size_limit_the_bounds_are_asked() -> None:
    # 24 orders in one instant, at the end, each of another size: 2^24 ways to cut them.
    # None before: x = 8 − 8 = 0.  All before, as dated: 8 − 8 + (2^24 − 1).
    steps = [sold(60, 2**power) for power in range(24)]
    stretch = answered((60, 8))
    everything = 2**24 - 1
    assert verdict(stretch, steps, MARGINS) == Verdict((0, everything), everything)
    assert settled(stretch, *steps).stretch.in_suspense


# --- split and merged ----------------------------------------------------------------------------


def test_where_an_open_stretch_may_be_split() -> None:
    stretch = read(answered(), (100, 8), (200, 13), (400, 13))
    assert splits_at(stretch, (), at(500), MARGINS) == Seen(at(100), 8)
    assert splits_at(stretch, (), at(500.1), MARGINS) == Seen(at(200), 13)
    # A known step within M of 200: only 100 is left.
    assert splits_at(stretch, [sold(202.5, 1)], at(501), MARGINS) == Seen(at(100), 8)
    assert splits_at(stretch, [sold(202.6, 1)], at(501), MARGINS) == Seen(at(200), 13)
    assert splits_at(stretch, [sold(197.5, 1), sold(100, 1)], at(501), MARGINS) is None
    # Not while the write may land, and never once it has ended.
    waiting = silent(*every_3_s(10, 40, 10))
    assert splits_at(waiting, (), at(5000), MARGINS) is None
    assert splits_at(read(waiting, (43, 10)), (), at(5000), MARGINS) == Seen(at(43), 10)
    assert splits_at(ended(stretch, Seen(at(500), 13)), (), at(5000), MARGINS) is None


def test_both_halves_of_a_split_are_exact_there() -> None:
    # 8 written; 8 @ 100, 13 @ 200, 1 sold @ 300, 12 @ 400.  Split @ 200.
    stretch = read(answered(), (100, 8), (200, 13), (400, 12))
    left, right = split(stretch, Seen(at(200), 13))
    assert (left.b, left.vb, left.end_kind) == (at(200), 13, End.SPLIT)
    assert (right.start_kind, right.t0, right.v0, right.end_kind) == (
        Start.READING, at(200), 13, End.OPEN,
    )  # fmt: skip
    assert (left.watch, right.watch) == ((Seen(at(100), 8),), (Seen(at(400), 12),))
    # Left: 0, then 13 − 8 = 5.  Right: 12 − 13 + 1 = 0.
    assert found(left, sold(300, 1)) == ((5,), 5)
    assert found(right, sold(300, 1)) == ((0,), 0)
    # A step @ 202 moves across neither: it is the right half's alone.
    assert found(left, sold(202, 1)) == ((5,), 5)
    assert found(right, sold(202, 1)) == ((0,), 0)


def test_a_step_beside_a_split_merges_the_halves() -> None:
    # 8 written; 6 @ 200; 6 @ 400.  Split @ 200, left: x = −2, booked.
    # Then 2 sold @ 201 turn up.  Left alone: −2, right alone: 6 − 6 + 2 = +2.
    # Merged, the step moves 1 s to before 200: 6 − 8 + 2 = 0 and 0.  So 0, of which −2 is booked.
    late = sold(201, 2)
    left, right = split(read(answered(), (200, 6), (400, 6)), Seen(at(200), 6))
    left = settled(left).stretch
    assert (left.booked, left.revision) == (-2, 1)
    news = heard([left, judged(right, (), MARGINS)], [late], late, Edits.ADOPT, MARGINS)
    assert news.absorbed == (at(200),)
    (change,) = news.changes
    whole = change.stretch
    assert (whole.t0, whole.end_kind, whole.watch) == (
        at(0), End.OPEN, (Seen(at(200), 6), Seen(at(400), 6)),
    )  # fmt: skip
    assert (whole.booked, whole.candidates, whole.settled) == (-2, (0,), False)
    assert change.book == 0
    assert open_amounts([whole], Edits.ADOPT) == OpenAmounts(own=2, others=0)
    # Ended by a write it settles: what was booked is taken back.
    change = settled(ended(whole, Seen(at(700), 6)), late)
    assert (change.book, change.stretch.booked, change.stretch.revision) == (2, 0, 2)


def test_settled_halves_merge_into_a_settled_whole() -> None:
    # As above, but the right half has ended with 5 @ 700 and is booked too: −2 and −1.
    # Then 2 sold @ 200.5 turn up: 6 − 8 + 2 = 0, 0 and 5 − 6 = −1.  So −1, and −3 is booked.
    late = sold(200.5, 2)
    left, right = split(read(answered(), (200, 6), (400, 6)), Seen(at(200), 6))
    left, right = settled(left).stretch, settled(ended(right, Seen(at(700), 5))).stretch
    assert (left.booked, right.booked) == (-2, -1)
    (change,) = heard([left, right], [late], late, Edits.ADOPT, MARGINS).changes
    assert (change.book, change.stretch.booked) == (2, -1)
    assert change.stretch.revision > max(left.revision, right.revision)


@pytest.mark.parametrize(("seconds", "merges"), [(197, True), (203, True), (203.1, False)])
def test_how_near_a_step_merges(seconds: float, merges: bool) -> None:
    late = sold(seconds, 1)
    halves = split(read(answered(), (200, 8), (400, 8)), Seen(at(200), 8))
    news = heard(halves, [late], late, Edits.ADOPT, MARGINS)
    assert bool(news.absorbed) is merges


def test_which_readings_an_open_stretch_keeps() -> None:
    # Until the wait is over, all; after it, one a minute, so that some reading grows old enough.
    assert len(silent(*every_3_s(10, 43, 10)).watch) == 12
    later = read(silent(*every_3_s(10, 43, 10)), (44, 10), (45, 10), (104, 10), (105, 10), (106, 9))
    assert [seen.at for seen in later.watch[11:]] == [at(43), at(104), at(106)]
    # However long it cannot be split, a row stays a row.
    endless = read(answered(), *((seconds, 8) for seconds in range(2, 30_000, 7)))
    assert len(endless.watch) <= 64
    # A clock that steps back makes no reading older than the one before it.
    assert read(answered(), (30, 8), (29, 7)).watch[-1] == Seen(at(30), 7)


# --- settled, revised, asked, answered -----------------------------------------------------------


def test_when_a_stretch_settles() -> None:
    def done(stretch: Stretch, now: float, fetched: float) -> Change | None:
        return settle(
            stretch, (), now=at(now), fetched_at=at(fetched), edits=Edits.ADOPT, margins=MARGINS
        )

    assert done(answered((60, 13)), 360, 350) is None  # SETTLE has not passed since 60
    assert done(answered((60, 13)), 361, 330) is None  # orders were fetched 31 s ago
    assert done(read(answered(), (60, 13)), 361, 350) is None  # it has not ended
    change = done(answered((60, 13)), 361, 331)
    assert change is not None
    assert (change.book, change.stretch.booked, change.stretch.revision) == (5, 5, 1)
    assert done(change.stretch, 362, 361) is None  # once is enough


def test_a_late_order_revises_what_is_booked() -> None:
    # 8 written, 5 @ 60: −3 booked.  Then 3 sold @ 30 turn up: x = 5 − 8 + 3 = 0: +3.
    booked = settled(answered((60, 5)))
    assert booked.book == -3
    late = sold(30, 3)
    (change,) = heard([booked.stretch], [late], late, Edits.ADOPT, MARGINS).changes
    assert (change.book, change.stretch.booked, change.stretch.revision) == (3, 0, 2)
    # A step that cannot touch it changes nothing.
    far = sold(62.6, 1)
    assert heard([change.stretch], [late, far], far, Edits.ADOPT, MARGINS).changes == ()


def test_an_unsettled_stretch_is_judged_again_and_not_booked() -> None:
    late = sold(30, 3)
    stretch = judged(answered((60, 5)), (), MARGINS)
    assert stretch.candidates == (-3,)
    (change,) = heard([stretch], [late], late, Edits.ADOPT, MARGINS).changes
    assert (change.book, change.stretch.candidates, change.stretch.settled) == (0, (0,), False)


def test_suspense_is_entered_answered_opened_again_and_left() -> None:
    # 13 @ 60 and nothing sold: 5 booked.
    stretch = settled(answered((60, 13))).stretch
    # 1 sold @ 59 turns up: before 60 x = 6, after it 5: unclear, so the 5 is taken back.
    first = sold(59, 1)
    (change,) = heard([stretch], [first], first, Edits.ADOPT, MARGINS).changes
    stretch = change.stretch
    assert (change.book, stretch.booked, stretch.in_suspense) == (-5, 0, True)
    assert (stretch.candidates, stretch.proposal) == ((5, 6), 6)
    assert open_amounts([stretch], Edits.ADOPT) == OpenAmounts(own=6, others=0)
    # A person says 6.
    change = answer(stretch, 6)
    stretch = change.stretch
    assert (change.book, stretch.booked, stretch.in_suspense) == (6, 6, False)
    assert open_amounts([stretch], Edits.ADOPT) == OpenAmounts(own=0, others=0)
    # 2 sold @ 30 turn up: 8 or 7.  The answer is taken back and asked again.
    second = sold(30, 2)
    (change,) = heard([stretch], [first, second], second, Edits.ADOPT, MARGINS).changes
    stretch = change.stretch
    assert (change.book, stretch.booked, stretch.candidates) == (-6, 0, (7, 8))
    # 8 put back @ 40 turn up: 13 − 8 + 2 − 8 = −1 without the sale @ 59, 0 with it: clear.
    third = sold(40, -8)
    (change,) = heard([stretch], [first, second, third], third, Edits.ADOPT, MARGINS).changes
    stretch = change.stretch
    assert (change.book, stretch.booked, stretch.in_suspense) == (0, 0, False)
    assert (stretch.settled, stretch.candidates) == (True, (0,))


def test_only_an_adopted_edit_is_booked() -> None:
    told = settled(answered((60, 13)), edits=Edits.OVERWRITE)
    assert (told.book, told.stretch.booked, told.stretch.candidates) == (0, 0, (5,))
    assert (told.stretch.settled, told.stretch.in_suspense) == (True, False)
    alert = settled(answered((60, 13)), edits=Edits.ALERT)
    assert (alert.book, alert.stretch.in_suspense) == (0, True)
    quiet = settled(answered((60, 8)), edits=Edits.ALERT)
    assert (quiet.book, quiet.stretch.in_suspense) == (0, False)


def test_what_was_adopted_is_revised_whatever_the_setting_is_now() -> None:
    # −3 booked under adopt; its order turns up under overwrite: the sale must not count twice.
    stretch = settled(answered((60, 5))).stretch
    late = sold(30, 3)
    for edits in Edits:
        (change,) = heard([stretch], [late], late, edits, MARGINS).changes
        assert (change.book, change.stretch.booked) == (3, 0)


def test_what_was_only_asked_is_not_booked_by_overwriting() -> None:
    # 5 asked under alert; 2 sold @ 30 turn up under overwrite: 7, still asked; 7 put back: nothing.
    stretch = settled(answered((60, 13)), edits=Edits.ALERT).stretch
    first, second = sold(30, 2), sold(40, -7)
    (change,) = heard([stretch], [first], first, Edits.OVERWRITE, MARGINS).changes
    assert (change.book, change.stretch.candidates, change.stretch.in_suspense) == (0, (7,), True)
    stretch = change.stretch
    (change,) = heard([stretch], [first, second], second, Edits.OVERWRITE, MARGINS).changes
    assert (change.book, change.stretch.candidates, change.stretch.in_suspense) == (0, (0,), False)


def test_what_a_caller_may_not_do() -> None:
    with pytest.raises(ValueError, match="no write"):
        ended(silent((10, 7)), Seen(at(20), 7))
    with pytest.raises(ValueError, match="no write"):
        ended(answered((60, 8)), Seen(at(70), 8))
    with pytest.raises(ValueError, match="has ended"):
        read(answered((60, 8)), (70, 8))
    with pytest.raises(ValueError, match="nothing is asked"):
        answer(settled(answered((60, 13))).stretch, 5)


def test_a_movement_has_a_name_of_its_own() -> None:
    stretch = settled(answered((60, 13))).stretch
    assert cause("uk", stretch) == "uk:stretch:7:2026-11-23T12:00:00+00:00:r1"


# --- the open amount -----------------------------------------------------------------------------


def test_the_open_amount_of_a_listing_and_of_the_others() -> None:
    # A rise by 5 or 8 (5 proposed), and a fall by 6 or 3 (3 proposed), both unsettled.
    rise = judged(answered((60, 13)), [sold(61, 3)], MARGINS)
    fall = judged(answered((60, 2)), [sold(60.4, 3)], MARGINS)
    assert open_amounts([rise], Edits.ADOPT) == OpenAmounts(own=5, others=0)
    assert open_amounts([fall], Edits.ADOPT) == OpenAmounts(own=-3, others=-6)
    # A suspected rise does not make up for a suspected fall.
    assert open_amounts([rise, fall], Edits.ADOPT) == OpenAmounts(own=2, others=-6)
    # What waits for a person counts as before; what is booked counts no more.
    asked = settled(answered((60, 2)), sold(60.4, 3)).stretch
    assert open_amounts([asked], Edits.ADOPT) == OpenAmounts(own=-3, others=-6)
    booked = settled(answered((60, 2))).stretch
    assert open_amounts([booked], Edits.ADOPT) == OpenAmounts(own=0, others=0)
    assert open_amounts([rise, fall, asked], Edits.OVERWRITE) == OpenAmounts(own=0, others=0)


def test_the_own_target_counts_the_open_amount_after_the_cap() -> None:
    assert own_target(10, OpenAmounts(own=5, others=0)) == 15
    assert own_target(2, OpenAmounts(own=-3, others=-6)) == 0
