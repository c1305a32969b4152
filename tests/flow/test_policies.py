"""Policies on the shelves: what each shows after sales, and what one that keeps its number is spared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

EVERY = pytest.mark.parametrize(
    "character", [LEVELS, ORDERS, ONE_BY_ONE], ids=["levels", "read", "unread"]
)


async def shop_with(town: Town, character: Any, **channel: Any) -> None:
    """A source with some of everything and a shop under these rules, seeded and at rest."""
    source, shop = town.store("uk", LEVELS), town.store("shop", character, **channel)
    for sku, units in (("MUG", 5), ("TEE-1", 50), ("TEE-2", 50), ("CAP", 0)):
        source.add(sku, units)
        shop.add(sku, 9)
    await town.open()
    await town.seed()
    town.clock.forward(60)


async def skipped(town: Town, sku: str) -> list[str]:
    found = await town.rows(
        "select reason from journal where outcome = 'skipped' and sku = $1 order by at", sku
    )
    return [row[0] for row in found]


@EVERY
async def test_a_pattern_differs_from_the_channel_and_an_item_from_both(
    plan: Town, character: Any
) -> None:
    await shop_with(
        plan,
        character,
        policy={"buffer": 1},
        patterns={"TEE-*": {"percent": 50}},
        items={"TEE-2": {"buffer": 0, "cap": 20}},
    )
    assert plan.stores["shop"].shelves() == {"MUG": 4, "TEE-1": 24, "TEE-2": 20, "CAP": 0}
    await plan.stores["uk"].sell({"TEE-1": 10, "TEE-2": 20, "MUG": 4})
    await plan.settle()
    assert plan.stores["shop"].shelves() == {"MUG": 0, "TEE-1": 19, "TEE-2": 15, "CAP": 0}


@EVERY
async def test_what_may_be_sold_ahead_is_shown_until_it_is_sold(plan: Town, character: Any) -> None:
    await shop_with(plan, character, policy={"preorder": 10})
    shop = plan.stores["shop"]
    assert shop.shelves() == {"MUG": 10, "TEE-1": 50, "TEE-2": 50, "CAP": 10}
    await shop.sell({"MUG": 8})
    await plan.settle()
    assert await plan.level("MUG") == -3
    assert plan.shelves("MUG") == {"uk": 0, "shop": 7}
    plan.clock.forward(60)
    await shop.sell({"MUG": 7})
    await plan.settle()
    assert await plan.level("MUG") == -10
    assert shop.shelf("MUG") == 0


@EVERY
async def test_the_last_units_are_shown_by_one_channel_alone(plan: Town, character: Any) -> None:
    uk = plan.store("uk", LEVELS, policy={"last_units": 3})
    shop = plan.store("shop", character)
    for store in (uk, shop):
        store.add("MUG", 4)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await shop.sell({"MUG": 1})
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 3, "shop": 3}
    plan.clock.forward(60)
    await shop.sell({"MUG": 1})
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 2, "shop": 0}
    plan.clock.forward(60)
    await uk.edit("MUG", 3)
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 3, "shop": 3}


@EVERY
async def test_a_shelf_that_keeps_its_number_is_not_brought_to_zero(
    plan: Town, character: Any
) -> None:
    await shop_with(plan, character, policy={"zero": "keep_last"})
    shop = plan.stores["shop"]
    assert shop.shelves() == {"MUG": 5, "TEE-1": 50, "TEE-2": 50, "CAP": 9}
    writes = shop.counters.writes
    await plan.stores["uk"].sell({"MUG": 5})
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 0, "shop": 5}
    assert "keep_last" in await skipped(plan, "MUG")
    plan.clock.forward(60)
    await shop.sell({"MUG": 2})
    await plan.settle()
    assert await plan.level("MUG") == -2, "what it sells still counts"
    assert shop.shelf("MUG") == 3
    assert shop.counters.writes == writes
    assert await plan.rows("select listing_id from outbox") == []
    plan.clock.forward(60)
    await plan.stores["uk"].edit("MUG", plan.stores["uk"].shelf("MUG") + 9)
    await plan.settle()
    assert shop.shelf("MUG") == await plan.level("MUG")


@EVERY
@pytest.mark.parametrize("where", ["push", "sweep"])
async def test_neither_a_push_nor_a_sweep_touches_what_keeps_its_number(
    plan: Town, character: Any, where: str
) -> None:
    await shop_with(plan, character, policy={"zero": "keep_last"})
    shop, before = plan.stores["shop"], len(await skipped(plan, "CAP"))
    writes = shop.counters.writes
    if where == "push":
        await plan.ask("push", "shop", ["CAP"])
    else:
        await plan.sweepers["shop"].sweep()
    await plan.settle()
    assert shop.shelf("CAP") == 9
    assert shop.counters.writes == writes
    told = len(await skipped(plan, "CAP")) - before
    assert bool(told) == (where == "push"), "a sweep repeats no news"


async def test_a_delivery_that_was_owed_is_dropped_when_nothing_is_left(plan: Town) -> None:
    """It was to show 2 and could not be told; now there is nothing, and it keeps what it shows."""
    await shop_with(plan, ORDERS, policy={"zero": "keep_last"})
    uk, shop = plan.stores["uk"], plan.stores["shop"]
    await uk.sell({"MUG": 3})
    await plan.book()
    assert len(await plan.rows("select listing_id from outbox")) == 1
    await uk.sell({"MUG": 2})
    await plan.book()
    await plan.settle()
    assert await plan.rows("select listing_id from outbox") == []
    assert plan.shelves("MUG") == {"uk": 0, "shop": 5}
    assert shop.shelf("MUG") == 5
