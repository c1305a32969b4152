"""Listings find their items by sku, barcode or handle, keep them whatever they are called later, and are
never guessed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from syncd.connectors.memory_store import MemoryStore
from tests.flow.test_catalogue import skips, sweep, tell
from tests.flow.town import LEVELS, ORDERS, Town

Opened = Callable[..., Awaitable[Town]]


@pytest.fixture
def opened(plan: Town) -> Opened:
    """A town of a source and a second store, seeded after `prepare` has named their products."""

    async def open_it(
        prepare: Callable[[MemoryStore, MemoryStore], None], match: list[str], **second: Any
    ) -> Town:
        uk = plan.store("uk", LEVELS, match=match)
        woo = plan.store("woo", ORDERS, match=match, **second)
        for sku, quantity in (("MUG", 50), ("TEE", 10)):
            uk.add(sku, quantity)
            woo.add(sku, 7)
        prepare(uk, woo)
        plan.lose_webhooks()
        await plan.open()
        await plan.seed()
        return plan

    return open_it


def called(store: MemoryStore, key: str, **names: Any) -> None:
    for field, name in names.items():
        setattr(store.items[key], field, name)


async def told(town: Town, outcome: str) -> list[tuple[str, str]]:
    return await town.rows(
        "select sku, reason from journal where outcome = $1 order by sku", outcome
    )


async def test_a_barcode_links_what_has_another_sku(opened: Opened, plan: Town) -> None:
    def prepare(uk: MemoryStore, woo: MemoryStore) -> None:
        called(uk, "MUG", barcode="5012345")
        called(woo, "MUG", sku="W-1", barcode="5012345")

    await opened(prepare, ["sku", "barcode"])
    town = plan
    assert town.shelves("MUG") == {"uk": 50, "woo": 50}
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    assert (await town.level("MUG"), town.shelves("MUG")) == (47, {"uk": 47, "woo": 47})
    delivered = await town.rows("select distinct sku from journal where outcome = 'delivered'")
    assert ("W-1",) not in delivered


async def test_a_handle_with_options_links_and_makes_a_sku_that_can_be_found(
    opened: Opened, plan: Town
) -> None:
    def prepare(uk: MemoryStore, woo: MemoryStore) -> None:
        for store in (uk, woo):
            called(store, "MUG", sku="", handle="mug/red")
            called(store, "TEE", sku="", handle="tee")

    await opened(prepare, ["handle"])
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50}
    assert await plan.rows("select sku from item order by sku") == [("~mug/red",), ("~tee",)]
    plan.clock.forward(60)
    await plan.stores["woo"].sell({"TEE": 4})
    await plan.settle()
    assert await plan.level("~tee") == 6
    assert plan.shelves("TEE") == {"uk": 6, "woo": 6}


async def test_the_first_rule_that_finds_an_item_decides(opened: Opened, plan: Town) -> None:
    def prepare(uk: MemoryStore, woo: MemoryStore) -> None:
        called(uk, "MUG", barcode="1")
        called(uk, "TEE", barcode="2")
        called(woo, "MUG", barcode="2", sku="NONE")

    await opened(prepare, ["sku", "barcode"])
    # woo lists TEE by its sku already: a second listing of it is not guessed
    assert (await skips(plan, "woo"))[plan.stores["woo"].items["MUG"].remote] == "ambiguous"
    assert plan.stores["woo"].shelf("MUG") == 7
    assert ("NONE", "ambiguous") in await told(plan, "relinked")


async def test_a_barcode_of_two_items_links_to_neither_until_one_gives_it_up(
    opened: Opened, plan: Town
) -> None:
    def prepare(uk: MemoryStore, woo: MemoryStore) -> None:
        called(uk, "MUG", barcode="1")
        called(uk, "TEE", barcode="1")
        called(woo, "MUG", sku="W-1", barcode="1")
        woo.remove("TEE")

    await opened(prepare, ["sku", "barcode"])
    remote = plan.stores["woo"].items["MUG"].remote
    assert (await skips(plan, "woo"))[remote] == "ambiguous"
    assert plan.stores["woo"].shelf("MUG") == 7
    called(plan.stores["uk"], "TEE", barcode="2")
    plan.clock.forward(900)
    await sweep(plan)
    plan.clock.forward(900)
    await sweep(plan)
    assert (await skips(plan, "woo"))[remote] == ""
    assert plan.stores["woo"].shelf("MUG") == 50


async def test_a_listing_that_waits_is_linked_by_its_barcode_when_its_item_comes(
    opened: Opened, plan: Town
) -> None:
    def prepare(_: MemoryStore, woo: MemoryStore) -> None:
        woo.add("NEW", 3)
        called(woo, "NEW", sku="W-9", barcode="9")

    await opened(prepare, ["sku", "barcode"])
    assert (await skips(plan, "woo"))[plan.stores["woo"].items["NEW"].remote] == "unlinked"
    plan.stores["uk"].add("SHOE", 20)
    called(plan.stores["uk"], "SHOE", barcode="9")
    plan.lose_webhooks()
    plan.clock.forward(900)
    await plan.sweepers["uk"].sweep()
    await plan.settle()
    assert plan.stores["woo"].shelf("NEW") == 20
    assert await told(plan, "linked") == [("W-9", "")]


async def test_skus_name_nothing_where_the_channel_does_not_match_by_them(
    opened: Opened, plan: Town
) -> None:
    def prepare(uk: MemoryStore, woo: MemoryStore) -> None:
        called(uk, "MUG", barcode="1")
        called(woo, "MUG", sku="TEE", barcode="1")
        called(woo, "TEE", sku="TEE", barcode="77")

    await opened(prepare, ["barcode"])
    plan.clock.forward(60)
    await plan.stores["woo"].sell({"TEE": 2})
    await plan.stores["woo"].sell({"MUG": 1})
    await plan.settle()
    assert await plan.level("MUG") == 49
    levels = await plan.rows(
        "select i.sku, v.quantity from item i join level v on v.item_id = i.id"
    )
    assert ("TEE", 8) not in levels


@pytest.mark.parametrize("told_by", ["sweep", "webhook"])
async def test_a_renamed_listing_stays_its_item_and_is_told(town: Town, told_by: str) -> None:
    woo = town.stores["woo"]
    woo.items["MUG"].sku = "MUG-2026"
    if told_by == "webhook":
        tell(woo, "MUG")
    town.clock.forward(60)
    await (sweep(town) if told_by == "sweep" else town.settle())
    assert (await skips(town, "woo"))[woo.items["MUG"].remote] == ""
    assert await told(town, "renamed") == [("MUG", "listed as MUG-2026 now, was MUG")]
    town.clock.forward(60)
    await woo.sell({"MUG": 2})
    await town.settle()
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}
    assert await town.rows("select sku from item order by sku") == [("CAP",), ("MUG",), ("TEE",)]


async def test_a_listing_that_loses_its_sku_stays_its_item(town: Town) -> None:
    woo = town.stores["woo"]
    woo.items["MUG"].sku = ""
    tell(woo, "MUG")
    await town.settle()
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert woo.shelf("MUG") == 45


async def test_an_item_renamed_at_its_source_is_called_so_everywhere(town: Town) -> None:
    uk, woo = town.stores["uk"], town.stores["woo"]
    uk.items["MUG"].sku = "MUG-2026"
    tell(uk, "MUG")
    await town.settle()
    assert await town.level("MUG-2026") == 50
    assert await told(town, "renamed") == [
        ("MUG", "is MUG-2026 now"),
        ("MUG-2026", "was MUG"),
    ]
    town.clock.forward(60)
    await woo.sell({"MUG": 1})
    await town.settle()
    assert await town.level("MUG-2026") == 49
    assert town.shelves("MUG") == {"uk": 49, "sw": 49, "woo": 49}
    # who is called so only now finds it
    woo.add("FRESH", 1)
    woo.items["FRESH"].sku = "MUG-2026"
    tell(woo, "FRESH")
    await town.settle()
    assert (await skips(town, "woo"))[woo.items["FRESH"].remote] == "ambiguous"


async def test_a_made_up_sku_gives_way_to_the_one_the_source_gets(
    opened: Opened, plan: Town
) -> None:
    def prepare(uk: MemoryStore, woo: MemoryStore) -> None:
        for store in (uk, woo):
            called(store, "MUG", sku="", handle="mug")

    await opened(prepare, ["sku", "handle"])
    assert await plan.level("~mug") == 50
    called(plan.stores["uk"], "MUG", sku="MUG-1")
    plan.clock.forward(900)
    await sweep(plan)
    assert await plan.level("MUG-1") == 50
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50}


async def test_a_location_feeds_one_warehouse_whatever_is_configured(town: Town) -> None:
    other = await town.rows("insert into warehouse (name) values ('other') returning id")
    with pytest.raises(Exception, match="listing_place"):
        await town.rows("update listing set warehouse_id = $1 where sku = 'MUG'", other[0][0])
    with pytest.raises(Exception, match="place_pkey"):
        await town.rows("insert into place select channel_id, location, $1 from place", other[0][0])
