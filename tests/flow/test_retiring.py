"""What shows 0 is taken out of sale where its policy says so, and is back before anybody misses it."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.app.stocklist import Wanted, stock_rows
from syncd.errors import RetryLater
from syncd.explain.telling import explain
from syncd.lane.retiring import Retiring
from syncd.stock.states import State
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

EVERY = pytest.mark.parametrize(
    "character", [LEVELS, ORDERS, ONE_BY_ONE], ids=["levels", "read", "unread"]
)
RETIRE: dict[str, Any] = {"policy": {"zero": "retire"}}


class Shop:
    """A shop whose empty listings are taken out of sale."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.uk, self.shop = town.stores["uk"], town.stores["shop"]
        self.lane = Retiring(town.core, town.channel("shop"))

    async def rest(self) -> None:
        """Everything settles, and what is owed to the shop's listings is asked."""
        await self.town.settle()
        while await self.lane.step():
            pass
        await self.town.settle()

    def on_sale(self, sku: str = "MUG") -> bool:
        return self.shop.items[sku].on_sale

    async def told(self) -> list[str]:
        rows = await self.town.rows(
            "select outcome from journal where outcome in ('retired', 'relisted', 'parked')"
            " order by at"
        )
        return [row[0] for row in rows]


async def shop_with(town: Town, character: Any, **channel: Any) -> Shop:
    town.store("uk", LEVELS)
    town.store("shop", {**character, "retires": True}, **{**RETIRE, **channel})
    for store in town.stores.values():
        for sku, units in (("MUG", 5), ("TEE", 9), ("CAP", 3)):
            store.add(sku, units)
    await town.open()
    await town.seed()
    town.clock.forward(60)
    made = Shop(town)
    await made.rest()
    return made


@EVERY
async def test_what_is_sold_out_elsewhere_is_retired_after_its_zero(
    plan: Town, character: Any
) -> None:
    shop = await shop_with(plan, character)
    await shop.uk.sell({"MUG": 5})
    await plan.book()
    while await shop.lane.step():
        pass
    assert shop.on_sale(), "it does not show 0 yet"
    await shop.rest()
    assert shop.shop.shelf("MUG") == 0
    assert not shop.on_sale()
    assert shop.on_sale("TEE")
    assert await shop.told() == ["retired"]


@EVERY
async def test_what_sells_its_own_last_units_is_retired_and_back_with_new_ones(
    plan: Town, character: Any
) -> None:
    shop = await shop_with(plan, character)
    order = await shop.shop.sell({"MUG": 5})
    await shop.rest()
    assert not shop.on_sale()
    plan.clock.forward(60)
    await shop.shop.cancel(order)
    await shop.rest()
    assert shop.on_sale()
    assert plan.shelves("MUG") == {"uk": 5, "shop": 5}
    plan.clock.forward(60)
    await shop.uk.sell({"MUG": 5})
    await shop.rest()
    plan.clock.forward(60)
    await shop.uk.edit("MUG", 4)
    await shop.rest()
    assert shop.on_sale()
    assert plan.shelves("MUG") == {"uk": 4, "shop": 4}
    assert await shop.told() == ["retired", "relisted"] * 2
    assert await plan.rows("select * from retirement") == []


async def test_what_showed_nothing_before_the_rule_is_retired_too(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS, policy={})
    await shop.uk.sell({"MUG": 5})
    await shop.rest()
    assert shop.on_sale()
    plan.settings["shop"] |= RETIRE
    await plan.adopt()
    await shop.rest()
    assert not shop.on_sale()
    plan.settings["shop"]["policy"] = {}
    await plan.adopt()
    await shop.rest()
    assert shop.on_sale(), "nobody wants it retired any more"


async def test_only_the_items_that_are_ruled_so(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS, policy={}, items={"TEE": {"zero": "retire"}})
    await shop.uk.sell({"MUG": 5, "TEE": 9})
    await shop.rest()
    assert shop.on_sale()
    assert not shop.on_sale("TEE")


async def test_a_lost_answer_is_asked_again(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS)
    await shop.uk.sell({"MUG": 5})
    await plan.settle()
    shop.shop.faults.lose_answer = 1.0
    with pytest.raises(RetryLater):
        await shop.lane.step()
    assert not shop.on_sale(), "it was done, and nobody knows"
    assert await plan.rows("select wants, retired, unsure from retirement") == [(True, False, True)]
    shop.shop.faults.lose_answer = 0.0
    plan.clock.forward(60)
    await shop.uk.edit("MUG", 4)
    await shop.rest()
    assert shop.on_sale(), "what may have been done is undone"


async def test_a_later_daemon_goes_on_with_what_is_owed(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS)
    await shop.uk.sell({"MUG": 5})
    await plan.settle()
    shop.shop.faults.down = True
    with pytest.raises(RetryLater):
        await shop.lane.step()
    shop.shop.faults.down = False
    shop.lane = Retiring(plan.core, plan.channel("shop"))
    plan.clock.forward(600)
    await shop.rest()
    assert not shop.on_sale()


async def test_what_is_refused_is_parked_until_somebody_acts(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS)
    await shop.uk.sell({"MUG": 5, "TEE": 9})
    await plan.settle()
    shop.shop.faults.refuse_skus = {"MUG"}
    await shop.rest()
    assert shop.on_sale()
    assert not shop.on_sale("TEE")
    assert (await shop.told()).count("parked") == 1
    shop.shop.faults.refuse_skus = set()
    plan.clock.forward(600)
    await shop.rest()
    assert shop.on_sale()
    await plan.ask("retry")
    await shop.rest()
    assert not shop.on_sale()


async def test_what_the_shop_itself_hid_is_not_brought_back(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS)
    shop.shop.hide("MUG")
    await shop.uk.sell({"MUG": 5})
    await shop.rest()
    assert await plan.rows("select retired from retirement") == [(False,)]
    reasons = await plan.rows(
        "select reason from journal where outcome = 'skipped' and sku = 'MUG'"
    )
    assert ("not_on_sale",) in reasons
    plan.clock.forward(3600)
    await shop.rest()
    await shop.uk.edit("MUG", 4)
    await shop.rest()
    assert plan.shelves("MUG") == {"uk": 4, "shop": 4}
    assert not shop.on_sale(), "nobody but the shop may bring it back"
    assert await shop.told() == []


async def test_what_may_show_more_meanwhile_is_not_retired(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS)
    await shop.uk.sell({"MUG": 5})
    await plan.settle()
    plan.clock.forward(60)
    await shop.uk.edit("MUG", 4)
    await plan.book()
    while await shop.lane.step():
        pass
    assert shop.on_sale()
    await shop.rest()
    assert plan.shelves("MUG") == {"uk": 4, "shop": 4}
    assert await shop.told() == []


async def test_it_is_told_that_it_is_out_of_sale(plan: Town) -> None:
    shop = await shop_with(plan, ORDERS)
    await shop.uk.sell({"MUG": 5})
    await shop.rest()
    async with plan.db.transaction("explain") as conn:
        found = await explain(conn, plan.core.rulebook, "MUG", plan.clock(), channel="shop")
    assert found is not None
    [one] = found.listings
    assert (one.target, one.zero, one.state) == (0, "retire", "shown")
    assert (one.steps[-1].name, one.steps[-1].why) == ("zero", "taken out of sale")
    items = [item async for item in stock_rows(plan.core, Wanted("shop", skus=("MUG",)))]
    assert [one.state for item in items for one in item.listings] == [State.RETIRED]
