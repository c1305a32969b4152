"""Orders that changed more than once before they were heard of, worked out by hand: what they leave is asked.

Written as in test_edits.py: seconds after noon by the platform's clock, `10 @ 0` is a reading.
"""

from __future__ import annotations

from datetime import datetime

import pytest

from syncd.stock.edits import heard, judged, settle, step_of
from syncd.stock.histories import Verdict, verdict
from syncd.stock.model import Edits, LineSeen, OrderSeen
from syncd.stock.stretches import (
    Doubt,
    End,
    OrderStep,
    Seen,
    Stretch,
    from_answer,
    merges,
    split,
    splits_at,
    touches,
)
from tests.rules.test_edits import LISTING, MARGINS, at, read, sold


def doubted(last: float, units: int, first: float, most: int | None = None) -> OrderStep:
    """An order whose newest change was at `last`, and its first one at `first`."""
    top = max(units, 0) if most is None else most
    return OrderStep(at(last), units, Doubt(at(first), at(last), min(units, 0), top))


def written(*readings: tuple[float, int]) -> Stretch:
    """10 @ 0, 8 written and answered at 1, then these readings; ended by the last."""
    stretch = read(from_answer(LISTING, Seen(at(0), 10), at(1), 8), *readings)
    when, value = readings[-1]
    assert stretch.watch[-1] == Seen(at(when), value)
    return stretch


def test_what_the_write_may_have_erased_of_an_order_is_asked() -> None:
    """3 were bought just before the write, which erased them, and 2 more at 30: told as 5 at 30."""
    stretch = written((60, 6))
    assert verdict(stretch, [sold(30, 5)], MARGINS) == Verdict((3,), 3), "dated by its last change"
    # all at 30: 6 − 8 + 5 = 3; or 3 of them before the write: 6 − 8 + 2 = 0
    assert verdict(stretch, [doubted(30, 5, 0.5)], MARGINS) == Verdict((0, 3), 3)


def test_an_order_that_was_placed_and_cancelled_unheard_may_explain_a_rise() -> None:
    """3 were bought before the write, which erased them, and came back at 30: told as 0 at 30."""
    stretch = written((60, 11))
    assert verdict(stretch, [], MARGINS) == Verdict((3,), 3)
    assert verdict(stretch, [doubted(30, 0, 0.5, most=3)], MARGINS) == Verdict((0, 3), 3)


def test_what_the_last_change_explains_is_clear() -> None:
    assert verdict(written((60, 3)), [doubted(30, 5, 0.5)], MARGINS) == Verdict((0,), 0)


def test_an_order_that_changed_between_two_moments_is_in_no_doubt_there() -> None:
    """Both changes lie within the stretch: 6 − 8 + 5 = 3 whatever was when."""
    assert verdict(written((60, 6)), [doubted(30, 5, 20)], MARGINS) == Verdict((3,), 3)


def test_an_edit_beside_an_order_in_doubt_is_asked_with_all_it_may_be() -> None:
    """8 − 5 + 10 = 13 @ 60: 10 if all of the order moved after the write, 5 if none of it did."""
    found = verdict(written((60, 13)), [doubted(30, 5, 0.5)], MARGINS)
    assert found == Verdict((5, 6, 7, 8, 9, 10), 10)


def test_beyond_the_size_limit_the_bounds_hold_what_is_in_doubt() -> None:
    found = verdict(written((60, 2013)), [doubted(30, 5000, 0.5)], MARGINS)
    assert found.proposal == 7005
    assert found.candidates[0] <= 2005
    assert found.candidates[-1] >= 7005


def test_no_reading_within_a_doubt_splits_a_stretch() -> None:
    stretch = read(from_answer(LISTING, Seen(at(0), 10), at(1), 8), (60, 8), (130, 8))
    assert splits_at(stretch, [], at(431), MARGINS) == Seen(at(130), 8)
    assert splits_at(stretch, [doubted(140, 1, 100)], at(431), MARGINS) == Seen(at(60), 8)
    assert splits_at(stretch, [doubted(140, 1, 40)], at(431), MARGINS) is None


@pytest.mark.parametrize(
    ("first", "last", "near"), [(40, 90, True), (64, 90, False), (20, 58, True)]
)
def test_a_doubt_over_a_split_merges_the_halves(first: float, last: float, near: bool) -> None:
    left, right = split(read(written((60, 8)), (130, 8)), Seen(at(60), 8))
    assert merges(left, right, doubted(last, 1, first), MARGINS) is near


def test_a_doubt_touches_every_stretch_it_reaches_into() -> None:
    stretch = written((60, 8))
    whole = Stretch(**{f: getattr(stretch, f) for f in ("listing", "start_kind", "t0", "v0", "a", "va")},
                    b=at(60), vb=8, end_kind=End.WRITE)  # fmt: skip
    assert touches(whole, doubted(90, 1, 50), MARGINS)
    assert not touches(whole, doubted(90, 1, 63), MARGINS)
    assert touches(whole, doubted(90, 1, -20), MARGINS)
    assert not touches(whole, doubted(-3, 1, -20), MARGINS)


def test_what_was_booked_is_taken_back_and_asked_when_such_an_order_turns_up() -> None:
    stretch = judged(written((60, 6)), [], MARGINS)
    ended = Stretch(**{f: getattr(stretch, f) for f in ("listing", "start_kind", "t0", "v0", "a", "va")},
                    b=at(60), vb=6, end_kind=End.WRITE)  # fmt: skip
    now = at(400)
    settled = settle(ended, [], now=now, fetched_at=now, edits=Edits.ADOPT, margins=MARGINS)
    assert settled is not None
    assert settled.book == -2
    step = doubted(30, 5, 0.5)
    news = heard([settled.stretch], [step], step, Edits.ADOPT, MARGINS)
    (change,) = news.changes
    assert change.book == 2
    assert change.stretch.in_suspense
    assert change.stretch.candidates == (0, 3)


# --- what an order says of its steps ---


def order(
    when: float, taken: int, sold: int | None = None, **more: object
) -> tuple[OrderSeen, LineSeen]:
    line = LineSeen("1", taken, taken, "r", sold=sold)
    return OrderSeen("7", 1, at(when), (line,), **more), line  # type: ignore[arg-type]


STEPS: list[tuple[str, tuple[OrderSeen, LineSeen], int, datetime | None, OrderStep | None]] = [
    ("new", order(30, 5, created=at(30)), 0, None, sold(30, 5)),
    ("its beginning is not told", order(30, 5), 0, None, sold(30, 5)),
    ("new, and changed before", order(30, 5, created=at(2)), 0, None, doubted(30, 5, 2)),
    ("lowered before", order(30, 3, 5, created=at(2)), 0, None, doubted(30, 3, 2, most=5)),
    ("cancelled before", order(30, 0, 5, created=at(2)), 0, None, doubted(30, 0, 2, most=5)),
    ("never took anything", order(30, 0, created=at(2)), 0, None, None),
    ("raised", order(30, 5, created=at(2)), 3, at(10), doubted(30, 2, 10)),
    ("raised by one change", order(30, 5, created=at(2)), 3, at(30), sold(30, 2)),
    ("placed and cancelled in a moment", order(30.4, 0, 2, created=at(30)), 0, None,
     doubted(30.4, 0, 30, most=2)),
    ("given back", order(30, 1, 5, created=at(2)), 3, at(10), doubted(30, -2, 10)),
    ("changed otherwise", order(30, 3, 5, created=at(2)), 3, at(10), None),
    ("at any time", order(2, 3, span=(at(2), at(30))), 0, None,
     OrderStep(at(2), 3, Doubt(at(2), at(30), 0, 3))),
    ("at any time since", order(2, 3, span=(at(2), at(30))), 1, at(20),
     OrderStep(at(20), 2, Doubt(at(20), at(30), 0, 2))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "taken", "known_at", "step"),
    [row[1:] for row in STEPS],
    ids=[row[0] for row in STEPS],
)
def test_when_an_order_moved_its_shelf(
    said: tuple[OrderSeen, LineSeen],
    taken: int,
    known_at: datetime | None,
    step: OrderStep | None,
) -> None:
    assert step_of(*said, taken, known_at) == step
