"""Raises that are told in steps: so many at once, the rest by and by, and nothing lower late."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.app.stocklist import Wanted, stock_rows
from syncd.explain.telling import explain
from syncd.stock.states import State
from tests.flow.test_speeds import EVERY, shop_with
from tests.flow.town import ORDERS, Town


async def restock(town: Town, units: int) -> None:
    """Somebody puts units on the source's shelf, and all that follows happens."""
    uk = town.stores["uk"]
    await uk.edit("MUG", uk.shelf("MUG") + units)
    await town.settle()


async def sweep(town: Town) -> None:
    await town.sweepers["shop"].sweep()
    await town.settle()


@EVERY
async def test_a_large_restock_is_shown_in_steps_with_the_sweeps(
    plan: Town, character: Any
) -> None:
    await shop_with(plan, character, policy={"announce_max": 20})
    shop = plan.stores["shop"]
    await restock(plan, 50)
    assert plan.shelves("MUG") == {"uk": 100, "shop": 70}
    await sweep(plan)
    assert shop.shelf("MUG") == 70, "just raised"
    plan.clock.forward(15 * 60)
    await sweep(plan)
    assert shop.shelf("MUG") == 90
    plan.clock.forward(15 * 60)
    await sweep(plan)
    assert shop.shelf("MUG") == 100
    assert (await sweep_writes(plan)) == 0


async def sweep_writes(town: Town) -> int:
    before = town.stores["shop"].counters.writes
    town.clock.forward(15 * 60)
    await sweep(town)
    return town.stores["shop"].counters.writes - before


@EVERY
async def test_a_small_restock_is_shown_at_once(plan: Town, character: Any) -> None:
    await shop_with(plan, character, policy={"announce_max": 20})
    await restock(plan, 20)
    assert plan.stores["shop"].shelf("MUG") == 70


@EVERY
@pytest.mark.parametrize("sold", [3, 60, 100])
async def test_nothing_is_lowered_late(plan: Town, character: Any, sold: int) -> None:
    await shop_with(plan, character, policy={"announce_max": 20})
    await restock(plan, 50)
    await plan.stores["uk"].sell({"MUG": sold})
    await plan.settle()
    level = await plan.level("MUG")
    assert level == 100 - sold
    assert plan.stores["shop"].shelf("MUG") == min(70, level)


async def test_a_push_shows_the_next_step_at_once(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"announce_max": 20})
    await restock(plan, 50)
    await plan.ask("push", "shop", ["MUG"])
    await plan.settle()
    assert plan.stores["shop"].shelf("MUG") == 90


async def test_it_is_told_why_it_shows_no_more(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"announce_max": 20})
    await restock(plan, 50)
    async with plan.db.transaction("explain") as conn:
        found = await explain(conn, plan.core.rulebook, "MUG", plan.clock(), channel="shop")
    assert found is not None
    [shop] = found.listings
    assert (shop.shown, shop.target, shop.state) == (70, 90, "in_steps")
    assert shop.steps[-1].name == "announce"
    items = [item async for item in stock_rows(plan.core, Wanted("shop", skus=("MUG",)))]
    assert [one.state for item in items for one in item.listings] == [State.IN_STEPS]
