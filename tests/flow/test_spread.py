"""Several locations of one channel in one warehouse divide its target; the first time, as a plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from syncd.connectors.memory import MemoryStore
from syncd.stock.policy import retold
from tests.flow.commands import Operator
from tests.flow.test_explain import told
from tests.flow.town import LEVELS, Town

PLACES = {"front": "main", "back": "main"}
GUARDED: Mapping[str, Any] = {"truth": "orders", "write": "cas", "key_lifetime_s": 72000.0}
"""Compared writes, and orders for the truth."""


def at(store: MemoryStore, sku: str = "MUG") -> tuple[int, int]:
    """What is shown in front and in the back."""
    return store.shelf(sku, "front"), store.shelf(sku, "back")


async def two_places(
    town: Town, character: Mapping[str, Any] = LEVELS, **channel: Any
) -> MemoryStore:
    """A source with ten mugs, and a shop that shows four in front and three in the back."""
    town.store("uk", LEVELS).add("MUG", 10)
    shop = town.store(
        "shop", {**character, "locations": tuple(PLACES)}, **{"locations": PLACES, **channel}
    )
    shop.add("MUG", 4, location="front")
    shop.items["MUG"].counts["back"] = (3, town.clock())
    await town.open()
    await town.seed()
    town.clock.forward(60)
    return shop


async def waiting(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows("select id, kind from plan where state = 'open' order by id")


async def say_yes(town: Town) -> None:
    """Somebody applies what waits, and the channel is swept."""
    for plan_id, _ in await waiting(town):
        async with town.db.transaction("yes") as conn:
            await conn.execute("update plan set state = 'applying' where id = $1", plan_id)
        await town.ask("apply", plan_id=plan_id)
    await town.settle()


@pytest.mark.parametrize("character", [LEVELS, GUARDED], ids=["levels", "guarded"])
async def test_a_first_division_waits_and_is_then_made(
    plan: Town, character: Mapping[str, Any]
) -> None:
    shop = await two_places(plan, character)
    assert at(shop) == (4, 3), "nobody said yes yet"
    assert [kind for _, kind in await waiting(plan)] == ["division"]
    await plan.stores["uk"].sell({"MUG": 5})
    await plan.settle()
    assert sum(at(shop)) <= 5, "what is sold lowers them meanwhile"
    await say_yes(plan)
    assert sum(at(shop)) == 5
    assert await plan.level("MUG") == 5


@pytest.mark.parametrize("character", [LEVELS, GUARDED], ids=["levels", "guarded"])
async def test_changes_from_elsewhere_go_to_the_first_and_spill_to_the_next(
    plan: Town, character: Mapping[str, Any]
) -> None:
    shop = await two_places(plan, character)
    await say_yes(plan)
    assert at(shop) == (7, 3)
    for units, parts in ((2, (5, 3)), (6, (0, 2))):
        plan.clock.forward(60)
        await plan.stores["uk"].sell({"MUG": units})
        await plan.settle()
        assert at(shop) == parts
    plan.clock.forward(60)
    await plan.stores["uk"].edit("MUG", 12)
    await plan.settle()
    assert at(shop) == (10, 2)


async def test_what_is_sold_at_one_of_them_moves_no_other(plan: Town) -> None:
    shop = await two_places(plan)
    await say_yes(plan)
    plan.clock.forward(60)
    await shop.sell({"MUG": 2}, location="back")
    await plan.settle()
    assert at(shop) == (7, 1)
    assert plan.stores["uk"].shelf("MUG") == 8


async def test_where_each_shows_all_nothing_is_divided_and_nothing_waits(plan: Town) -> None:
    shop = await two_places(plan, spread="each")
    assert await waiting(plan) == []
    assert at(shop) == (10, 10)
    settings = plan.parsed({})
    assert settings.channels["shop"].spread == "each"


async def test_dividing_after_each_showed_all_is_a_plan_and_back_again_is_none(plan: Town) -> None:
    shop = await two_places(plan, spread="each")
    await plan.change("shop", spread="divide")
    await plan.settle()
    assert at(shop) == (10, 10)
    assert [kind for _, kind in await waiting(plan)] == ["division"]
    await say_yes(plan)
    assert at(shop) == (0, 10)
    await plan.change("shop", spread="each")
    await plan.sweepers["shop"].sweep()
    await plan.settle()
    assert at(shop) == (10, 10)


async def test_a_location_that_comes_later_waits_and_doubles_nothing(plan: Town) -> None:
    plan.store("uk", LEVELS).add("MUG", 10)
    shop = plan.store("shop", {**LEVELS, "locations": ("front", "back")}, locations={"*": "main"})
    shop.add("MUG", 4, location="front")
    shop.items["MUG"].counts.pop("back", None)
    await plan.open()
    await plan.seed()
    assert shop.shelf("MUG", "front") == 10
    assert await waiting(plan) == []
    plan.clock.forward(60)
    shop.items["MUG"].counts["back"] = (6, plan.clock())
    await plan.sweepers["shop"].sweep()
    await plan.settle()
    assert at(shop) == (10, 6), "neither is written before somebody says yes"
    assert [kind for _, kind in await waiting(plan)] == ["division"]
    await say_yes(plan)
    assert at(shop) == (10, 0) or at(shop) == (4, 6)
    assert sum(at(shop)) == 10


async def test_explain_makes_the_part_again_and_locations_say_it(
    plan: Town, dsn: str, tmp_path: Path
) -> None:
    await two_places(plan)
    await say_yes(plan)
    parts = {x.location: x for x in (await told(plan, "MUG", channel="shop")).listings}
    assert {place: part.target for place, part in parts.items()} == {"front": 7, "back": 3}
    step = next(s for s in parts["front"].steps if s.name == "spread")
    assert (step.before, step.after) == (10, 7)
    assert step.why == "2 locations divide 10: the channel sells their sum"
    write = parts["front"].write
    assert write is not None
    assert write.recomputed == write.line.after == 7
    assert retold(write.level or 0, write.inputs).target == 7
    operator = Operator(plan, dsn, tmp_path)
    shows = {x["location"]: x["shows"] for x in await operator.json("locations", "shop")}
    assert shows == {"front": "a part, 1st", "back": "a part, 2nd"}
