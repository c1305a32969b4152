"""Listings that a reading says are missing: gone where they are missing, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from syncd.errors import RetryLater
from tests.flow.town import LEVELS, ORDERS, Town

BOTH = pytest.mark.parametrize("character", [LEVELS, ORDERS], ids=["levels", "orders"])


async def shop_with_two_places(plan: Town, character: Mapping[str, Any]) -> None:
    """A shop whose front is stocked as uk and whose back is stocked as outlet, seeded, at rest."""
    plan.store("uk", LEVELS).add("MUG", 50)
    plan.store("outlet", LEVELS, locations={"*": "back"}).add("MUG", 30)
    places = {"front": "main", "back": "back"}
    shop = plan.store("shop", {**character, "locations": tuple(places)}, locations=places)
    shop.add("MUG", 7)
    shop.add("TEE", 7)
    await plan.open({"back": {"source": "outlet"}})
    await plan.seed()
    assert shop.items["MUG"].counts["front"][0] == 50
    assert shop.items["MUG"].counts["back"][0] == 30
    plan.clock.forward(60)


async def gone(town: Town) -> list[str]:
    found = await town.rows("select location from listing where gone_at is not null order by 1")
    return [location for (location,) in found]


async def told(town: Town) -> list[str]:
    return [sku for (sku,) in await town.rows("select sku from journal where outcome = 'gone'")]


def take_away(town: Town) -> None:
    """Mugs are kept at the back no more."""
    del town.stores["shop"].items["MUG"].counts["back"]


async def sell_a_mug(town: Town, store: str) -> None:
    await town.stores[store].sell({"MUG": 1})
    await town.book()


@BOTH
async def test_a_place_that_keeps_it_no_more_is_gone_and_the_other_is_served(
    plan: Town, character: Mapping[str, Any]
) -> None:
    await shop_with_two_places(plan, character)
    take_away(plan)
    await plan.look("shop", "MUG")
    await plan.settle()
    assert await gone(plan) == ["back"]
    assert await told(plan) == ["MUG"]
    plan.clock.forward(60)
    await sell_a_mug(plan, "uk")
    await plan.settle()
    assert plan.stores["shop"].items["MUG"].counts["front"][0] == 49


@pytest.mark.parametrize("write", ["spent", "blind"])
async def test_a_write_without_an_answer_to_what_is_missing_is_over(plan: Town, write: str) -> None:
    """Its key is spent or its late window is over, and the reading finds nothing there."""
    await shop_with_two_places(plan, LEVELS if write == "spent" else ORDERS)
    shop = plan.stores["shop"]
    for source in ("outlet", "uk"):
        await sell_a_mug(plan, source)
        shop.faults.status = 500
        with pytest.raises(RetryLater):
            await plan.lanes["shop"].writing.write_owed(lambda: None)
        shop.faults.status = None
    take_away(plan)
    plan.clock.forward(21 * 3600 if write == "spent" else 60)
    while await plan.lanes["shop"].writing.resume(lambda: None):
        pass
    assert await gone(plan) == ["back"]
    assert await told(plan) == ["MUG"]
    await plan.settle()
    assert await told(plan) == ["MUG"]
    assert await plan.rows("select 1 from attempt union all select 1 from outbox") == []
    assert shop.items["MUG"].counts["front"][0] == 49
