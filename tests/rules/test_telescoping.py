"""Where levels are the truth: whatever readings are made, their differences add up to what happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from syncd.stock.decide import Meaning, ShelfNow, meaning

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MOVES = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


def booked(shelf: ShelfNow, observed: int, at: datetime, asked_turn: int) -> tuple[ShelfNow, int]:
    """The shelf after a reading, and the units it books: observed − shown, or nothing."""
    said = meaning(shelf, observed, at, asked_turn)
    if said is Meaning.LAGGING:
        return replace(shelf, lag_asks=shelf.lag_asks + 1), 0
    if said is not Meaning.DIFFERS:
        return shelf, 0
    assert shelf.shown is not None
    after = replace(shelf, shown=observed, shown_at=at, turn=shelf.turn + 1, lag_asks=0)
    return after, observed - shelf.shown


@given(MOVES, st.data())
def test_lost_merged_and_repeated_looks_cost_nothing(moves: list[int], data: st.DataObject) -> None:
    """Any looks at all, as long as the last is made: the sum is last − first."""
    looked = data.draw(st.lists(st.booleans(), min_size=len(moves), max_size=len(moves)))
    shelf, level, value = ShelfNow(40, NOON, 0, attempt_open=False), 40, 40
    for second, (by, looks) in enumerate(zip(moves, [*looked[:-1], True], strict=True), 1):
        value += by
        for _ in range(1 + looks) if looks else ():
            shelf, units = booked(shelf, value, NOON + timedelta(seconds=second), shelf.turn)
            level += units
    assert level == value


@given(MOVES, st.data())
def test_what_was_read_before_something_newer_is_never_booked(
    moves: list[int], data: st.DataObject
) -> None:
    """Answers arrive in any order: an older one says nothing, by its turn or by its stamp."""
    shelf, level, value = ShelfNow(40, NOON, 0, attempt_open=False), 40, 40
    answers: list[tuple[int, datetime, int]] = []
    for second, by in enumerate(moves, 1):
        value += by
        answers.append((value, NOON + timedelta(seconds=second), shelf.turn))
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(answers) - 1))
            shelf, units = booked(shelf, *answers.pop(place))
            level += units
            assert level == shelf.shown
    shelf, units = booked(shelf, value, NOON + timedelta(seconds=99), shelf.turn)
    assert level + units == value
