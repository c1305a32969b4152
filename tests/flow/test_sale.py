"""One sale, end to end: it is booked once and every other store shows one less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.flow.town import Town


async def test_a_seed_brings_every_store_to_the_sources_counts(town: Town) -> None:
    assert await town.level("MUG") == 50
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}
    assert town.shelves("CAP") == {"uk": 3, "sw": 3, "woo": 3}


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_a_sale_lowers_every_other_store(town: Town, where: str) -> None:
    town.clock.forward(60)
    await town.stores[where].sell({"MUG": 2})
    await town.settle()
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_the_same_webhooks_many_times_book_once(town: Town, where: str) -> None:
    town.clock.forward(60)
    await town.stores[where].sell({"MUG": 2, "TEE": 1})
    await town.knock(copies=100)
    await town.settle()
    assert await town.level("MUG") == 48
    assert town.shelves("TEE") == {"uk": 9, "sw": 9, "woo": 9}


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_webhooks_in_reverse_book_the_same(town: Town, where: str) -> None:
    town.clock.forward(60)
    store = town.stores[where]
    first = await store.sell({"MUG": 5})
    town.clock.forward(60)
    await store.refund(first, "MUG", 2, restock=True)
    town.clock.forward(60)
    second = await store.sell({"MUG": 1})
    town.clock.forward(60)
    await store.cancel(second)
    await town.knock(backwards=True)
    await town.settle()
    assert await town.level("MUG") == 47
    assert town.shelves("MUG") == {"uk": 47, "sw": 47, "woo": 47}


async def test_three_stores_sell_at_once_and_no_sale_is_lost(town: Town) -> None:
    town.clock.forward(60)
    for store in town.stores.values():
        await store.sell({"MUG": 1})
    await town.settle()
    assert await town.level("MUG") == 47
    assert town.shelves("MUG") == {"uk": 47, "sw": 47, "woo": 47}


async def test_one_sale_makes_one_write_per_other_store_and_no_echo_storm(town: Town) -> None:
    town.clock.forward(60)
    before = {name: store.counters.writes for name, store in town.stores.items()}
    await town.stores["sw"].sell({"MUG": 1})
    await town.settle()
    for _ in range(5):
        town.clock.forward(600)
        await town.settle()
    writes = {n: s.counters.writes - before[n] for n, s in town.stores.items()}
    assert writes == {"uk": 1, "sw": 0, "woo": 1}


async def test_where_readings_are_dear_a_hint_that_its_order_explains_costs_none(
    town: Town,
) -> None:
    town.clock.forward(60)
    store = town.stores["sw"]
    before = store.counters.calls
    await store.sell({"MUG": 2})
    await town.settle()
    town.clock.forward(60)
    await town.settle()
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}
    assert store.counters.calls == before


async def test_where_readings_are_dear_an_edit_is_still_found_by_its_hint(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["sw"].edit("MUG", 80)
    await town.settle()
    town.clock.forward(60)
    await town.settle()
    assert await town.level("MUG") == 50
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


@pytest.mark.parametrize("where", ["uk", "woo"])
async def test_listings_of_a_channel_that_was_removed_hinder_no_sale(
    town: Town, where: str
) -> None:
    town.clock.forward(60)
    rules = town.core.rulebook
    removed = town.channel("sw").id
    kept = {number: one for number, one in rules.channels.items() if number != removed}
    town.core.rulebook = replace(rules, channels=kept)
    del town.core.channels[removed], town.lanes["sw"]
    await town.stores[where].sell({"MUG": 2})
    for name in ("uk", "woo"):
        # near enough in time that a shelf is uncertain and has to be looked at
        await town.stores[name].sell({"MUG": 1})
    town.stores.pop("sw")
    await town.settle()
    assert await town.level("MUG") == 46
    assert town.shelves("MUG") == {"uk": 46, "woo": 46}
    assert await town.rows("select reason from inbox_parked") == []
