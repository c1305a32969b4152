"""Escrow: accounts and transfers add up to the stock, so all channels together never oversell."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from syncd.stock.escrow import (
    Change,
    Transfer,
    begun,
    booked,
    ended,
    is_uneven,
    landed,
    moved,
    rebalancing,
    settled,
    shares,
    spread,
)
from syncd.stock.policy import Allocation, Inputs, Policy, target_of

CHANNELS = ("uk", "eu", "us")
weights = st.dictionaries(st.sampled_from(CHANNELS), st.integers(0, 9), min_size=1).filter(
    lambda found: sum(found.values()) > 0
)
accounts = st.dictionaries(st.sampled_from(CHANNELS), st.integers(-9, 60))
ESCROW = Policy(allocation=Allocation.ESCROW)


def shown_by(held: Mapping[str, int], stock: int) -> dict[str, int]:
    return {n: target_of(Inputs(stock, account=units), ESCROW) for n, units in held.items()}


@given(st.integers(0, 10_000), weights)
def test_shares_add_up_and_are_within_one_of_fair(units: int, by: dict[str, int]) -> None:
    parts = shares(units, by)
    assert sum(parts.values()) == units
    total = sum(by.values())
    for name, part in parts.items():
        assert abs(part * total - units * by[name]) < total
        assert part == 0 or by[name] > 0


@pytest.mark.parametrize(
    ("units", "by"), [(5, {}), (5, {"uk": 0}), (-1, {"uk": 1}), (5, {"uk": 3, "eu": -1})]
)
def test_what_cannot_be_shared(units: int, by: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        shares(units, by)


@given(accounts, st.integers(-200, 200))
def test_a_change_of_the_stock_is_on_the_accounts(held: dict[str, int], difference: int) -> None:
    after = settled(held, difference, list(CHANNELS))
    assert sum(after.values()) == sum(held.values()) + difference
    for name in CHANNELS[1:]:
        assert after[name] >= min(held.get(name, 0), 0), "only the first one owes for the others"
    with pytest.raises(ValueError, match="channel"):
        settled(held, 1, [])


@given(accounts, weights)
def test_rebalancing_reaches_the_shares_and_moves_no_unit_twice(
    held: dict[str, int], by: dict[str, int]
) -> None:
    transfers = rebalancing(held, by)
    total = sum(held.values())
    after: dict[str, int] = dict(held)
    for transfer in transfers:
        after = ended(begun(after, transfer), transfer)
    assert sum(after.values()) == total
    if total >= 0:
        wanted = shares(total, by)
        assert all(after.get(name, 0) == wanted.get(name, 0) for name in {*after, *wanted})
        assert rebalancing(after, by) == []
        missing = sum(max(wanted.get(n, 0) - held.get(n, 0), 0) for n in {*held, *wanted})
        assert sum(transfer.units for transfer in transfers) == missing
    givers, takers = {t.giver for t in transfers}, {t.taker for t in transfers}
    assert not givers & takers


def test_an_account_gives_no_more_than_it_has() -> None:
    for units in (0, -1, 4):
        with pytest.raises(ValueError, match="no more"):
            begun({"uk": 3}, Transfer("uk", "eu", units))


class Shops(RuleBasedStateMachine):
    """Shoppers buy what each channel shows while units move between its accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.stock = 20
        self.held: dict[str, int] = shares(20, {"uk": 2, "eu": 1, "us": 1})
        self.under_way: list[Transfer] = []

    @rule(name=st.sampled_from(CHANNELS), units=st.integers(1, 9))
    def somebody_buys(self, name: str, units: int) -> None:
        sold = min(units, shown_by(self.held, self.stock)[name])
        self.held = moved(self.held, name, -sold)
        self.stock -= sold

    @rule(name=st.sampled_from(CHANNELS), units=st.integers(1, 5))
    def something_comes_back(self, name: str, units: int) -> None:
        self.held = moved(self.held, name, units)
        self.stock += units

    @precondition(lambda self: not self.under_way)
    @rule(by=weights)
    def it_is_rebalanced(self, by: dict[str, int]) -> None:
        self.under_way = rebalancing(self.held, by)
        for transfer in self.under_way:
            self.held = begun(self.held, transfer)

    @precondition(lambda self: self.under_way)
    @rule()
    def a_transfer_ends(self) -> None:
        self.held = ended(self.held, self.under_way.pop())

    @invariant()
    def nobody_oversells(self) -> None:
        moving = sum(transfer.units for transfer in self.under_way)
        assert sum(self.held.values()) + moving == self.stock
        assert sum(shown_by(self.held, self.stock).values()) <= self.stock
        assert self.stock >= 0


TestShops = Shops.TestCase


changes = st.lists(
    st.builds(Change, st.sampled_from(CHANNELS), st.integers(-20, 20).filter(bool), st.booleans()),
    max_size=4,
)


@given(accounts, st.integers(-100, 200), st.integers(0, 9), changes, weights)
def test_after_a_booking_accounts_and_what_is_under_way_make_the_level(
    held: dict[str, int], level: int, under_way: int, done: list[Change], by: dict[str, int]
) -> None:
    after = booked(held, level, under_way, done, by)
    assert sum(after.values()) + under_way == level
    assert by.keys() | held.keys() == after.keys()


@given(accounts.filter(bool), st.integers(0, 9), weights, st.data())
def test_a_sale_moves_its_own_account_alone(
    held: dict[str, int], under_way: int, by: dict[str, int], data: st.DataObject
) -> None:
    channel = data.draw(st.sampled_from(sorted(held)))
    units = data.draw(st.integers(-9, 9))
    level = sum(held.values()) + under_way + units
    after = booked(held, level, under_way, [Change(channel, units)], by)
    assert after == {**dict.fromkeys(by, 0), **moved(held, channel, units)}


@given(accounts, st.integers(1, 100), weights)
def test_a_receipt_goes_where_most_is_missing(
    held: dict[str, int], units: int, by: dict[str, int]
) -> None:
    after = spread(held, units, by)
    assert sum(after.values()) == sum(held.values()) + units
    wanted = shares(max(sum(after.values()), 0), by)
    for name, now in after.items():
        assert now >= held.get(name, 0)
        if now > held.get(name, 0):
            assert now <= wanted.get(name, 0), "nobody gets more than its share"


@pytest.mark.parametrize(
    ("held", "level", "done", "after"),
    [
        ({}, 10, [], {"uk": 5, "eu": 5}),
        ({}, 9, [], {"uk": 5, "eu": 4}),
        ({}, -3, [], {"uk": -3, "eu": 0}),
        ({"uk": 5, "eu": 5}, 7, [Change("eu", -3)], {"uk": 5, "eu": 2}),
        ({"uk": 5, "eu": 2}, 3, [Change("eu", -4)], {"uk": 5, "eu": -2}),
        ({"uk": 5, "eu": -2}, 13, [], {"uk": 7, "eu": 6}),
        ({"uk": 5, "eu": 2}, 3, [Change("eu", -4, edited=True)], {"uk": 3, "eu": 0}),
        ({"uk": 5, "eu": 2}, 11, [Change("eu", 4, edited=True)], {"uk": 5, "eu": 6}),
        ({"uk": 5, "eu": 2}, 1, [], {"uk": 0, "eu": 1}),
        ({"uk": 5, "eu": 2}, 5, [Change("us", -2)], {"uk": 3, "eu": 2}),
    ],
)
def test_accounts_follow_the_level(
    held: dict[str, int], level: int, done: list[Change], after: dict[str, int]
) -> None:
    assert booked(held, level, 0, done, {"uk": 1, "eu": 1}) == after


def test_what_the_giver_oversold_meanwhile_is_filled_first() -> None:
    gone = Transfer("uk", "eu", 5)
    assert landed({"uk": 2, "eu": 1}, gone) == {"uk": 2, "eu": 6}
    assert landed({"uk": -3, "eu": 1}, gone) == {"uk": 0, "eu": 3}
    assert landed({"uk": -9, "eu": 1}, gone) == {"uk": -4, "eu": 1}


@pytest.mark.parametrize(
    ("held", "uneven"),
    [
        ({"uk": 5, "eu": 5}, False),
        ({"uk": 7, "eu": 3}, False),
        ({"uk": 8, "eu": 2}, True),
        ({"uk": 10}, True),
        ({"uk": 5, "eu": 5, "us": 1}, True),
        ({"uk": 1, "eu": 0}, False),
        ({"uk": 0, "eu": 1}, True),
        ({"uk": 0, "eu": 0}, False),
        ({"uk": 3, "eu": -1}, True),
    ],
)
def test_units_move_only_where_it_pays(held: dict[str, int], uneven: bool) -> None:
    assert is_uneven(held, {"uk": 1, "eu": 1}) is uneven
