"""A merchant of Tipo's two-way sync: two shops whose levels are the truth, matched by handle and options."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.commands import Operator
from tests.flow.test_catalogue import sweep
from tests.flow.town import LEVELS, Town

MATCH = {"match": ["handle"], "edits": "adopt"}


@pytest.fixture
async def merchant(plan: Town) -> Town:
    """Source and destination, each with two locations; none of the products has a sku of its own."""
    for name, places in (("source", ("S1", "S2")), ("target", ("T1", "T2"))):
        store = plan.store(
            name, {**LEVELS, "locations": places}, locations={places[0]: "main"}, **MATCH
        )
        for key, handle, quantity in (("A", "tee/Red / L", 50), ("B", "tee/Blue / L", 20)):
            store.add(key, quantity if name == "source" else 0)
            store.items[key].sku, store.items[key].handle = "", handle
    plan.lose_webhooks()
    await plan.open({"main": {"source": "source/S1"}})
    await plan.seed()
    return plan


def both(town: Town, key: str = "A") -> tuple[int, int]:
    return town.stores["source"].shelf(key), town.stores["target"].shelf(key)


async def test_five_sold_at_the_destination_and_ten_restocked_at_the_source(merchant: Town) -> None:
    source, target = merchant.stores["source"], merchant.stores["target"]
    assert both(merchant) == (50, 50)
    merchant.clock.forward(60)
    await target.sell({"A": 5})
    await merchant.settle()
    assert both(merchant) == (45, 45)
    merchant.clock.forward(60)
    await source.edit("A", 55)
    await merchant.settle()
    assert both(merchant) == (55, 55)


@pytest.mark.parametrize("where", ["source", "target"])
async def test_a_refund_and_a_cancellation_return_units_on_both(merchant: Town, where: str) -> None:
    store = merchant.stores[where]
    merchant.clock.forward(60)
    first, second = await store.sell({"A": 5}), await store.sell({"A": 3})
    await merchant.settle()
    assert both(merchant) == (42, 42)
    merchant.clock.forward(60)
    await store.refund(first, "A", 2, restock=True)
    await merchant.settle()
    assert both(merchant) == (44, 44)
    merchant.clock.forward(60)
    await store.cancel(second)
    await merchant.settle()
    assert both(merchant) == (47, 47)
    merchant.clock.forward(60)
    await store.refund(first, "A", 1, restock=False)
    await merchant.settle()
    assert both(merchant) == (47, 47)


async def test_edits_travel_both_ways_and_meet(merchant: Town) -> None:
    source, target = merchant.stores["source"], merchant.stores["target"]
    merchant.clock.forward(60)
    await source.edit("A", 60)
    await target.edit("A", 45)
    await merchant.settle()
    assert both(merchant) == (55, 55)
    assert both(merchant, "B") == (20, 20)


async def test_variants_are_told_apart_by_their_options(merchant: Town) -> None:
    merchant.clock.forward(60)
    await merchant.stores["target"].sell({"B": 4})
    await merchant.settle()
    assert (both(merchant), both(merchant, "B")) == ((50, 50), (16, 16))


async def test_a_made_up_key_can_be_renamed(merchant: Town, dsn: str, tmp_path: Path) -> None:
    assert await merchant.rows("select sku from item order by sku") == [
        ("~tee/Blue / L",),
        ("~tee/Red / L",),
    ]
    operator = Operator(merchant, dsn, tmp_path, {"main": {"source": "source/S1"}})
    await operator.done("rename", "~tee/Red / L", "TEE-R-L")
    merchant.clock.forward(900)
    await sweep(merchant)
    await merchant.stores["target"].sell({"A": 5})
    await merchant.settle()
    assert (await merchant.level("TEE-R-L"), both(merchant)) == (45, (45, 45))


async def test_only_the_linked_locations_share_the_warehouse(merchant: Town) -> None:
    source, target = merchant.stores["source"], merchant.stores["target"]
    merchant.clock.forward(60)
    await source.edit("A", 7, "S2")
    await merchant.settle()
    assert (source.shelf("A", "S1"), target.shelf("A", "T1")) == (50, 50)
    assert (source.shelf("A", "S2"), target.shelf("A", "T2")) == (7, 0)
