"""Escrow: accounts and transfers add up to the stock, so all channels together never oversell."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from syncd.stock.escrow import Transfer, begun, ended, moved, rebalancing, settled, shares
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
