"""An edit is dated by the first reading that shows it whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncd.stock.dating import shown_since
from syncd.stock.stretches import End, OrderStep, Seen, Start, Stretch

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def stretch(*values: tuple[int, int], booked: int = 5) -> Stretch:
    """A stretch that began at 50, read so many seconds later to show these, the last ending it."""
    *watch, (b, vb) = [(at(s), value) for s, value in values]
    seen = tuple(Seen(*one) for one in watch)
    return Stretch(
        1, Start.READING, T0, 50, watch=seen, b=b, vb=vb, end_kind=End.WRITE, booked=booked
    )


SALE = OrderStep(at(40), 2)


@pytest.mark.parametrize(
    ("values", "steps", "since"),
    [
        (((60, 55), (120, 55)), (), 60),
        (((120, 55),), (), 120),
        (((30, 50), (60, 55), (90, 55), (120, 55)), (), 60),
        # two edits: the whole stands there from the second on
        (((30, 53), (60, 55), (120, 55)), (), 60),
        # a sale beside it is no part of it
        (((30, 55), (60, 53), (120, 53)), (SALE,), 30),
        (((30, 50), (60, 53), (120, 53)), (SALE,), 60),
        # read in between to show something else: only the last word counts
        (((30, 55), (60, 51), (120, 55)), (), 120),
        # orders say something else than the readings do: as old as the end
        (((60, 54), (120, 54)), (), 120),
    ],
)
def test_an_edit_is_as_old_as_the_first_reading_that_shows_all_of_it(
    values: tuple[tuple[int, int], ...], steps: tuple[OrderStep, ...], since: int
) -> None:
    assert shown_since(stretch(*values), steps) == at(since)


def test_after_a_write_the_number_written_is_what_it_is_told_from() -> None:
    one = replace(stretch((60, 45), (120, 45)), start_kind=Start.WRITE, a=at(10), va=40)
    assert shown_since(one, [OrderStep(at(5), 3)]) == at(60)


def test_beside_a_write_that_may_land_it_is_as_old_as_the_end() -> None:
    one = replace(stretch((60, 55), (120, 55)), start_kind=Start.UNKNOWN, va=52)
    assert shown_since(one, []) == at(120)


def test_a_stretch_that_was_never_read_says_nothing() -> None:
    assert shown_since(Stretch(1, Start.READING, T0, 50), []) == T0
