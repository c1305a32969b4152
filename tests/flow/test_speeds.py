"""Buffers by the speed at which an item sells: counted from the ledger, told of, and gone when it slows down."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.app import speeds
from syncd.explain.telling import explain
from syncd.stock.policy import retold
from tests.flow.test_suspicion import told
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

EVERY = pytest.mark.parametrize(
    "character", [LEVELS, ORDERS, ONE_BY_ONE], ids=["levels", "read", "unread"]
)
SALES = "select sold, hours, unseen from sales order by item_id, channel_id"


async def shop_with(town: Town, character: Any, **channel: Any) -> None:
    """A source and a shop under these rules, both with mugs and tees."""
    for store in (town.store("uk", LEVELS), town.store("shop", character, **channel)):
        store.add("MUG", 50)
        store.add("TEE", 50)
    await town.open()
    await town.seed()
    town.clock.forward(60)


async def refresh(town: Town) -> int:
    found = await speeds.refresh(town.core)
    await town.settle()
    return found


@EVERY
async def test_what_sells_fast_is_held_back_for_so_long(plan: Town, character: Any) -> None:
    """14 in a week are 2 a day: two days of them are held back."""
    await shop_with(plan, character, policy={"speed": "48h"})
    await plan.stores["uk"].sell({"MUG": 10})
    await plan.stores["shop"].sell({"MUG": 4})
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 36, "shop": 36}, "not counted yet"
    assert await refresh(plan) == 1
    assert plan.shelves("MUG") == {"uk": 36, "shop": 32}
    assert plan.shelves("TEE") == {"uk": 50, "shop": 50}
    assert await refresh(plan) == 0
    plan.clock.forward(8 * 24 * 3600)
    await refresh(plan)
    assert plan.shelves("MUG") == {"uk": 36, "shop": 36}
    assert await plan.rows(SALES) == []


async def test_only_items_that_a_rule_asks_for_are_counted(plan: Town) -> None:
    await shop_with(plan, ORDERS, items={"TEE": {"speed": "7d"}})
    await plan.stores["uk"].sell({"MUG": 10, "TEE": 3})
    await plan.settle()
    assert await refresh(plan) == 1
    assert await plan.rows(SALES) == [(3, 168, 0)]
    assert plan.shelves("TEE") == {"uk": 47, "shop": 44}


async def test_nothing_is_counted_where_no_rule_asks(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"buffer": 1})
    await plan.stores["uk"].sell({"MUG": 10})
    await plan.settle()
    before = plan.db.statements
    assert await refresh(plan) == 0
    assert await plan.rows(SALES) == []
    assert plan.db.statements - before < 20


async def test_a_rule_that_is_taken_away_is_forgotten_with_its_effect(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"speed": "7d"})
    await plan.stores["uk"].sell({"MUG": 5})
    await plan.settle()
    await refresh(plan)
    assert plan.stores["shop"].shelf("MUG") == 40
    await plan.change("shop", policy={})
    await refresh(plan)
    await plan.sweepers["shop"].sweep()
    await plan.settle()
    assert await plan.rows(SALES) == []
    assert plan.stores["shop"].shelf("MUG") == 45


async def test_what_was_sent_is_made_again_from_what_was_told(plan: Town) -> None:
    await shop_with(plan, ORDERS, policy={"speed": "48h", "buffer": 1})
    await plan.stores["uk"].sell({"MUG": 7})
    await plan.settle()
    await refresh(plan)
    number, detail = (await told(plan, "shop"))[-1]
    assert number == plan.stores["shop"].shelf("MUG") == 40
    assert detail["inputs"]["sold"] == 7
    assert retold(detail["level"], detail["inputs"]).target == number
    async with plan.db.transaction("explain") as conn:
        found = await explain(conn, plan.core.rulebook, "MUG", plan.clock())
    assert found is not None
    steps = {x.channel: [s.name for s in x.steps] for x in found.listings}
    assert steps == {"uk": ["level"], "shop": ["level", "buffer", "speed"]}
    assert {x.state for x in found.listings} == {"shown"}


async def test_cancelled_units_count_as_sold_and_returned_ones_are_not_sold_again(
    plan: Town,
) -> None:
    """How fast it sells is what people took, whatever they gave back."""
    await shop_with(plan, ORDERS, policy={"speed": "7d"})
    order = await plan.stores["uk"].sell({"MUG": 4})
    await plan.settle()
    plan.clock.forward(60)
    await plan.stores["uk"].cancel(order)
    await plan.settle()
    await refresh(plan)
    assert await plan.level("MUG") == 50
    assert plan.stores["shop"].shelf("MUG") == 46
