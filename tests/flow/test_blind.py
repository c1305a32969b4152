"""Blind writes: what an absolute number could erase is fetched, waited for, read back and journalled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from syncd.errors import RetryLater
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

BLIND = pytest.mark.parametrize("where", ["sw", "woo"])


async def journalled(town: Town, outcome: str, channel: str) -> list[tuple[str, int, int]]:
    """(sku, before, after) of a channel's journal lines with this outcome, oldest first."""
    return await town.rows(
        "select sku, before, after from journal j join channel c on c.id = j.channel_id"
        " where outcome = $1 and c.name = $2 order by at",
        outcome,
        channel,
    )


async def parked(town: Town) -> list[tuple[str, str]]:
    return await town.rows(
        "select l.sku, o.reason from outbox o join listing l on l.id = o.listing_id"
        " where parked_at is not null order by 1"
    )


@BLIND
async def test_a_raise_waits_until_orders_were_fetched(town: Town, where: str) -> None:
    town.clock.forward(60)
    store = town.stores[where]
    writes = store.counters.writes
    await store.sell({"MUG": 1})
    town.lose_webhooks()  # an order nobody told us of
    await town.stores["uk"].edit("MUG", 60)
    await town.book()
    lane = town.lanes[where]
    assert await lane.writing.write_owed(lambda: None) is False
    assert store.counters.writes == writes
    assert lane.fetching.wanted
    await town.settle()
    assert await town.level("MUG") == 59
    assert town.shelves("MUG") == {"uk": 59, "sw": 59, "woo": 59}
    assert 60 not in [after for _, _, after in await journalled(town, "delivered", where)]


@BLIND
async def test_a_decrease_does_not_wait(town: Town, where: str) -> None:
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.book()
    lane = town.lanes[where]
    assert await lane.writing.write_owed(lambda: None)
    assert not lane.fetching.wanted
    assert town.stores[where].shelf("MUG") == 45


@BLIND
async def test_a_write_without_an_answer_waits_for_its_late_window(town: Town, where: str) -> None:
    town.clock.forward(60)
    store = town.stores[where]
    store.faults.late, store.faults.late_s = 1.0, 3600.0
    await town.stores["uk"].sell({"MUG": 5})
    await town.book()
    with pytest.raises(RetryLater):
        await town.lanes[where].writing.write_owed(lambda: None)
    store.faults.late = 0.0
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert store.shelf("MUG") == 50, "nothing is written while the first may still be applied"
    town.clock.forward(1)
    store.land()
    assert store.shelf("MUG") == 45
    town.clock.forward(10)
    await town.settle()
    assert await town.level("MUG") == 40
    assert town.shelves("MUG") == {"uk": 40, "sw": 40, "woo": 40}


@BLIND
async def test_a_write_that_never_landed_is_made_again_after_its_window(
    town: Town, where: str
) -> None:
    town.clock.forward(60)
    store = town.stores[where]
    store.faults.status = 500
    await town.stores["uk"].sell({"MUG": 5})
    await town.book()
    with pytest.raises(RetryLater):
        await town.lanes[where].writing.write_owed(lambda: None)
    store.faults.status = None
    town.clock.forward(60)
    await town.settle()
    assert store.shelf("MUG") == 45


@BLIND
async def test_an_open_write_blocks_only_its_own_listing(town: Town, where: str) -> None:
    town.clock.forward(60)
    store = town.stores[where]
    store.faults.late, store.faults.late_s = 1.0, 3600.0
    await town.stores["uk"].sell({"MUG": 5})
    await town.book()
    with pytest.raises(RetryLater):
        await town.lanes[where].writing.write_owed(lambda: None)
    store.faults.late = 0.0
    await town.stores["uk"].sell({"TEE": 4})
    await town.settle()
    assert store.shelves() == {"MUG": 50, "TEE": 6, "CAP": 3}


async def test_an_edit_is_overwritten_and_journalled(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["woo"].edit("MUG", 99)
    await town.settle()
    assert await town.level("MUG") == 50
    assert town.stores["woo"].shelf("MUG") == 50
    assert await journalled(town, "differs", "woo") == [("MUG", 50, 99)]


async def test_a_write_is_read_back(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["woo"]
    store.faults.clamp = 40
    await town.stores["uk"].sell({"MUG": 5})
    await town.book()
    await town.lanes["woo"].writing.write_owed(lambda: None)
    assert await town.rows("select reason from look") == [("verify",)]
    await town.lanes["woo"].reading.read_wished(lambda: None)
    assert await journalled(town, "differs", "woo") == [("MUG", 45, 40)]
    store.faults.clamp = None
    await town.settle()
    assert store.shelf("MUG") == 45


@BLIND
async def test_a_sale_booked_during_a_write_that_failed_is_not_forgotten(
    town: Town, where: str
) -> None:
    """The shelf fell by itself while the write was open: what is shown must not stay too high."""
    town.clock.forward(60)
    store, uk = town.stores[where], town.stores["uk"]
    await uk.edit("MUG", 52)
    await town.book()
    await town.lanes[where].fetching.fetch_changed(lambda: None)

    async def meanwhile() -> None:
        town.clock.forward(60)
        await store.sell({"MUG": 2})
        await town.book()
        store.faults.status, store.faults.retry_after_s = 429, 0.0

    with town.before_write(where, meanwhile), pytest.raises(RetryLater):
        await town.lanes[where].writing.write_owed(lambda: None)
    store.faults.status = None
    await town.settle()
    assert await town.level("MUG") == 50
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_batch_that_fails_without_names_is_halved_until_the_bad_row_stands_alone(
    plan: Town,
) -> None:
    source = plan.store("uk", {"truth": "levels", "write": "cas", "key_lifetime_s": 72000.0})
    store = plan.store("woo", ORDERS)
    skus = [f"SKU-{n:02}" for n in range(32)]
    for sku in skus:
        source.add(sku, 20)
        store.add(sku, 20)
    await plan.open()
    await plan.seed()
    store.faults.unnamed_skus = {"SKU-13"}
    plan.clock.forward(60)
    await source.sell(dict.fromkeys(skus, 1))
    await plan.settle()
    good = {sku: n for sku, n in store.shelves().items() if sku != "SKU-13"}
    assert set(good.values()) == {19}
    for _ in range(20):
        plan.clock.forward(400)
        await plan.settle()
    assert await parked(plan) == [("SKU-13", "something in the write is wrong")]
    calls = store.counters.writes
    plan.clock.forward(400)
    await plan.settle()
    assert store.counters.writes == calls, "what is parked is left alone"


@pytest.mark.parametrize("where", ["uk", "sw", "woo"])
async def test_a_refused_row_is_parked_and_the_rest_goes_on(town: Town, where: str) -> None:
    town.clock.forward(60)
    store = town.stores[where]
    store.faults.refuse_skus = {"TEE"}
    other = town.stores["woo" if where == "uk" else "uk"]
    await other.sell({"MUG": 1, "TEE": 1, "CAP": 1})
    await town.settle()
    assert store.shelves() == {"MUG": 49, "TEE": 10, "CAP": 2}
    assert await parked(town) == [("TEE", "the store refuses this product")]

    store.faults.refuse_skus = set()
    await town.ask("retry")
    await town.settle()
    assert store.shelf("TEE") == 9
    assert await parked(town) == []


async def test_a_refused_row_stops_no_other_where_batches_are_atomic(plan: Town) -> None:
    source = plan.store("uk", {"truth": "levels", "write": "cas", "key_lifetime_s": 72000.0})
    store = plan.store("woo", {**ORDERS, "batch_atomic": True})
    for sku in ("MUG", "TEE", "CAP"):
        source.add(sku, 20)
        store.add(sku, 20)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    store.faults.refuse_skus = {"TEE"}
    await source.sell({"MUG": 1, "TEE": 1, "CAP": 1})
    await plan.settle()
    assert store.shelves() == {"MUG": 19, "TEE": 20, "CAP": 19}
    assert await parked(plan) == [("TEE", "the store refuses this product")]


async def test_a_read_only_listing_at_a_time_shop_needs_no_reading_to_be_right(plan: Town) -> None:
    """Where a reading costs a call each, deliveries alone bring the shelf to its target."""
    source = plan.store("uk", {"truth": "levels", "write": "cas", "key_lifetime_s": 72000.0})
    store = plan.store("sw", ONE_BY_ONE)
    source.add("MUG", 20)
    store.add("MUG", 20)
    await plan.open()
    await plan.seed()
    for _ in range(5):
        plan.clock.forward(60)
        await source.sell({"MUG": 1})
        await store.sell({"MUG": 1})
        await plan.settle()
    assert plan.shelves("MUG") == {"uk": 10, "sw": 10}


async def test_a_reading_that_repeats_what_is_shown_dates_it(town: Town) -> None:
    """A sale that is not told yet may have made the very number that an uncertain one predicts."""
    town.clock.forward(60)
    uk, woo, lane = town.stores["uk"], town.stores["woo"], town.lanes["woo"]
    woo.disable("levels/update")
    await uk.sell({"MUG": 1})
    await town.book()
    await woo.sell({"MUG": 1})
    await town.look("woo", "MUG")
    await lane.reading.read_wished(lambda: None)
    await lane.writing.write_owed(lambda: None)  # the level is shown already: nothing is written
    await (
        town.book_orders()
    )  # on which side of the reading was it? One less is shown, and looked for
    town.clock.forward(10)
    await woo.sell({"MUG": 1})
    await lane.reading.read_wished(lambda: None)
    town.clock.forward(10)
    await town.settle()
    assert await town.level("MUG") == 47
    assert town.shelves("MUG") == {"uk": 47, "sw": 47, "woo": 47}


async def test_while_behind_a_write_goes_without_a_reading_before_it(plan: Town) -> None:
    """What it erases is told by its order, and every shelf ends right all the same."""
    source = plan.store("uk", {"truth": "levels", "write": "cas", "key_lifetime_s": 72000.0})
    store = plan.store("woo", {**ORDERS, "batch_max": 2})
    skus = ["MUG", "TEE", "CAP"]
    for sku in skus:
        source.add(sku, 20)
        store.add(sku, 20)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await source.sell(dict.fromkeys(skus, 5))
    await plan.book()
    lane = plan.lanes["woo"]
    await lane.writing.write_owed(lambda: None)  # a full batch: there may be more
    await store.sell(dict.fromkeys(skus, 1))
    calls = store.counters.calls
    await lane.writing.write_owed(lambda: None)
    assert store.counters.calls == calls + 1
    assert sorted(store.shelves().values()) == [14, 14, 15], "the sale of one is erased"
    await plan.settle()
    assert store.shelves() == source.shelves() == dict.fromkeys(skus, 14)


@pytest.mark.parametrize("character", [ONE_BY_ONE, ORDERS])
async def test_what_a_write_erased_is_not_taken_for_shown_where_nobody_says_when_it_came_back(
    plan: Town, character: Mapping[str, Any]
) -> None:
    """A cancellation dated by its fetching alone lies before or after the write: nobody knows."""
    uk, shop = plan.store("uk", LEVELS), plan.store("shop", {**character, "dates_moves": False})
    for store in (uk, shop):
        store.add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    order = await shop.sell({"MUG": 2})
    await plan.settle()
    plan.clock.forward(60)
    await shop.cancel(order)
    plan.lose_webhooks()
    plan.clock.forward(60)
    await uk.sell({"MUG": 1})
    await plan.book()
    plan.core.gather_s = 0.001  # without a reading before it
    await plan.lanes["shop"].writing.write_owed(lambda: None)
    plan.core.gather_s = 0.0
    assert shop.shelf("MUG") == 47, "what came back is erased"
    plan.lose_webhooks()
    plan.clock.forward(60)
    await plan.settle()
    await plan.lanes["shop"].fetching.fetch_changed(lambda: None)
    await plan.settle()
    assert await plan.level("MUG") == 49
    assert plan.shelves("MUG") == {"uk": 49, "shop": 49}


@BLIND
async def test_what_is_booked_while_an_unconfirmed_write_is_read_is_not_forgotten(
    town: Town, where: str
) -> None:
    """The reading says nothing of it, and may be the very number that is wanted now."""
    town.clock.forward(60)
    store, uk, lane = town.stores[where], town.stores["uk"], town.lanes[where]
    store.disable("levels/update")
    await uk.sell({"MUG": 1})
    await town.book()
    store.faults.late, store.faults.late_s = 1.0, 3600.0
    with pytest.raises(RetryLater):
        await lane.writing.write_owed(lambda: None)
    store.faults.late = 0.0
    town.clock.forward(10)

    async def meanwhile() -> None:
        await store.sell({"MUG": 1})
        await uk.edit("MUG", 51)
        await town.book()

    with town.after_reading(where, meanwhile):
        await lane.writing.resume(lambda: None)
    await town.settle()
    assert await town.level("MUG") == 50
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}
