"""The judge of a demo sees a lost unit, a doubled one, a store that disagrees, and overselling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.demo.judge import Delays, StoreEnd, judge, levels, percentile
from syncd.demo.standins.base import Move

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DELAYS = Delays(webhook_s=1.0, write_s=0.5, platform_s=0.5)


def move(at_s, delta, cause="sale", order="", sku="MUG"):
    return Move(START + timedelta(seconds=at_s), sku, delta, cause, order)


def stores(uk=(), sw=(), *, shelf_uk, shelf_sw, **more):
    return {
        "uk": StoreEnd(uk, {"MUG": shelf_uk}, adopts_edits=True, **more),
        "sw": StoreEnd(sw, {"MUG": shelf_sw}, **more),
    }


def verdict(seed, ends, shown=None):
    return judge({"MUG": seed}, ends, shown or {}, DELAYS)


def test_stores_that_show_what_is_there_are_good():
    found = verdict(10, stores([move(0, -2)], [move(1, -1)], shelf_uk=7, shelf_sw=7))
    assert found.good
    assert (found.lost, found.double, found.disagree, found.oversold) == (0, 0, 0, 0)
    assert found.differences == ()


def test_a_unit_one_store_never_heard_of_is_lost():
    found = verdict(10, stores([move(0, -1)], shelf_uk=9, shelf_sw=10))
    assert (found.lost, found.double, found.disagree) == (1, 0, 1)
    assert found.disagreeing == ("sw",)
    assert found.differences[0].expected == 9
    assert not found.good


def test_a_unit_taken_off_twice_is_double():
    found = verdict(10, stores([move(0, -1)], shelf_uk=8, shelf_sw=8))
    assert (found.lost, found.double, found.disagree) == (0, 1, 2)
    assert not found.good


def test_lost_and_double_of_different_items_do_not_cancel_out():
    ends = {
        "uk": StoreEnd([], {"MUG": 11, "TEE": 5}),
        "sw": StoreEnd([], {"MUG": 10, "TEE": 2}),
    }
    found = judge({"MUG": 10, "TEE": 5}, ends, {}, DELAYS)
    assert (found.lost, found.double, found.disagree) == (1, 3, 2)


def test_an_item_that_vanished_from_a_store_is_seen():
    ends = {"uk": StoreEnd([], {"MUG": 3}), "sw": StoreEnd([], {})}
    assert judge({"MUG": 3}, ends, {}, DELAYS).double == 3


def test_refunds_and_cancels_count_and_edits_only_where_they_are_adopted():
    ends = stores(
        [move(0, -2), move(1, 5, "edit"), move(2, 1, "refund")],
        [move(0, -3), move(1, -4, "edit"), move(2, 3, "cancel")],
        shelf_uk=14,
        shelf_sw=14,
    )
    assert levels({"MUG": 10}, ends) == {"MUG": 14}
    assert verdict(10, ends).good


def test_below_zero_every_store_shows_zero():
    uk, sw = [move(0, -2, order="1")], [move(0.5, -1, order="1")]
    assert verdict(2, stores(uk, sw, shelf_uk=0, shelf_sw=0)).disagree == 0


def test_buffers_are_held_back():
    assert verdict(10, stores(shelf_uk=8, shelf_sw=8, buffer=2)).good
    assert verdict(10, stores(shelf_uk=10, shelf_sw=10, buffer=2)).lost == 2


@pytest.mark.parametrize(
    ("later_s", "shown_s", "bound"),
    [
        (0.5, 0.7, 1),  # within the delays
        (3.0, 0.7, 0),  # after them
        (3.0, 5.0, 1),  # an outage kept the first sale from the others
        (900.0, None, 1),  # they never heard of it
    ],
)
def test_overselling_is_allowed_while_a_sale_is_under_way(later_s, shown_s, bound):
    uk, sw = [move(0, -2, order="1")], [move(later_s, -1, order="7")]
    ends = stores(uk, sw, shelf_uk=0, shelf_sw=0)
    found = verdict(2, ends, {("uk", "1"): shown_s, ("sw", "7"): 0.1})
    assert (found.oversold, found.oversold_bound) == (1, bound)
    assert found.oversold_beyond_bound == 1 - bound
    assert found.good == bool(bound)


def test_the_bound_is_less_by_the_buffer():
    uk, sw = [move(0, -2, order="1")], [move(0.5, -2, order="7")]
    found = verdict(2, stores(uk, sw, shelf_uk=0, shelf_sw=0, buffer=1))
    assert (found.oversold, found.oversold_bound, found.oversold_beyond_bound) == (2, 1, 1)


def test_units_that_came_back_are_not_oversold():
    uk = [move(0, -2, order="1"), move(1, 2, "cancel", "1")]
    sw = [move(2, -2, order="7")]
    assert verdict(2, stores(uk, sw, shelf_uk=0, shelf_sw=0)).oversold == 0


def test_overselling_counts_only_what_was_not_there():
    uk, sw = [move(0, -1, order="1")], [move(0.1, -3, order="7")]
    assert verdict(2, stores(uk, sw, shelf_uk=0, shelf_sw=0)).oversold == 2


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([3.0], 0.99, 3.0), ([4, 1, 3, 2], 0.5, 2), (range(1, 101), 0.99, 99)],
)
def test_percentiles_are_values_that_occurred(values, share, expected):
    assert percentile(values, share) == expected
