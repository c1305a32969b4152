"""A blind write is read for first: what was read is what is written, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from syncd.connectors.memory import MemoryStore
from syncd.lane import Lane
from tests.flow.town import Town

BOUND_S = 30.0


async def owe(town: Town, **sold: int) -> None:
    """The source sells, and every other store is owed it."""
    town.clock.forward(60)
    await town.stores["uk"].sell(sold)
    await town.book()


async def look_rows(town: Town) -> list[tuple[str, str]]:
    return await town.rows(
        "select l.sku, k.reason from look k join listing l on l.id = k.listing_id"
        " join channel c on c.id = k.channel_id where c.name = 'woo' order by 1"
    )


async def test_a_quiet_shelf_costs_a_reading_and_a_write_and_no_booking(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owe(town, MUG=1)
    lane, names = town.lanes["woo"], list[str]()
    transaction = town.db.transaction

    def named(name: str, **words: Any) -> Any:
        names.append(name)
        return transaction(name, **words)

    monkeypatch.setattr(town.db, "transaction", named)
    assert await lane.writing.write_owed(lambda: None)
    assert names == ["claim", "settle"]
    assert town.stores["woo"].shelf("MUG") == 49


async def test_what_a_surprising_reading_shows_is_booked_before_the_write(town: Town) -> None:
    await owe(town, MUG=1)
    woo = town.stores["woo"]
    await woo.edit("MUG", 99)
    town.lose_webhooks()
    assert await town.lanes["woo"].writing.write_owed(lambda: None)
    assert woo.shelf("MUG") == 49
    told = await town.rows("select before, after from journal where outcome = 'differs'")
    assert told == [(50, 99)]


async def test_a_sale_booked_after_the_reading_is_neither_lost_nor_shown_too_high(
    town: Town,
) -> None:
    await owe(town, MUG=1)
    woo, lane = town.stores["woo"], town.lanes["woo"]

    async def meanwhile() -> None:
        town.clock.forward(60)
        await woo.sell({"MUG": 2})
        await town.book()

    with town.after_reading("woo", meanwhile):
        await lane.writing.write_owed(lambda: None)
    await town.settle()
    assert await town.level("MUG") == 47
    assert town.shelves("MUG") == {"uk": 47, "sw": 47, "woo": 47}


async def test_only_what_was_read_is_written(town: Town) -> None:
    """A delivery owed while others are read waits for a reading of its own."""
    await owe(town, MUG=1)
    woo, lane = town.stores["woo"], town.lanes["woo"]

    async def meanwhile() -> None:
        await owe(town, TEE=1)

    with town.after_reading("woo", meanwhile):
        await lane.writing.write_owed(lambda: None)
    assert woo.shelves() == {"MUG": 49, "TEE": 10, "CAP": 3}
    await town.settle()
    assert woo.shelves() == {"MUG": 49, "TEE": 9, "CAP": 3}


@asynccontextmanager
async def a_reading_hangs(town: Town, name: str) -> AsyncIterator[asyncio.Event]:
    """Inside, the lane of a channel runs, and its first reading hangs until the event is set."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        await go_on.wait()

    with town.after_reading(name, hang):
        running = asyncio.create_task(town.lanes[name].run())
        try:
            async with asyncio.timeout(BOUND_S):
                await asked.wait()
                yield go_on
        finally:
            go_on.set()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def until_shown(store: MemoryStore, sku: str, quantity: int) -> None:
    while store.shelf(sku) != quantity:  # noqa: ASYNC110 - shelves ring no bell
        await asyncio.sleep(0.01)


async def test_while_one_is_read_the_next_sale_is_read_and_written(town: Town) -> None:
    """The first reading hangs; the second sale does not wait for it."""
    await owe(town, MUG=1)
    woo = town.stores["woo"]
    async with a_reading_hangs(town, "woo") as go_on:
        await owe(town, TEE=1)
        await until_shown(woo, "TEE", 9)
        assert woo.shelf("MUG") == 50
        go_on.set()
        await until_shown(woo, "MUG", 49)


async def test_a_sale_on_a_listing_that_is_being_read_goes_as_soon_as_it_is(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane's poll is not what it waits for: the reading's end wakes the lane."""
    monkeypatch.setattr("syncd.lane.loop.POLL_S", 3600.0)
    await town.look("woo", "MUG")
    async with a_reading_hangs(town, "woo") as go_on:
        await owe(town, MUG=1)
        await rounds_seen(town.lanes["woo"])
        go_on.set()
        await until_shown(town.stores["woo"], "MUG", 49)


async def rounds_seen(lane: Lane) -> None:
    """The lane has heard its bell and found what is owed blocked by the reading."""
    while lane._bell.is_set() or not lane._held:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def test_a_reading_that_repeats_fulfils_the_wishes_made_before_it(town: Town) -> None:
    await town.look("woo", "MUG")
    lane = town.lanes["woo"]

    async def meanwhile() -> None:
        await town.look("woo", "TEE")

    with town.after_reading("woo", meanwhile):
        assert await lane.reading.read_wished(lambda: None)
    assert await look_rows(town) == [("TEE", "asked")]


async def test_a_wish_made_while_the_listing_was_read_survives_it(town: Town) -> None:
    await town.look("woo", "MUG")
    lane = town.lanes["woo"]

    async def meanwhile() -> None:
        await town.look("woo", "MUG")

    with town.after_reading("woo", meanwhile):
        assert await lane.reading.read_wished(lambda: None)
    assert await look_rows(town) == [("MUG", "asked")]


async def test_readings_after_writes_are_gathered_where_orders_are_the_truth(town: Town) -> None:
    lane = town.lanes["woo"]
    await town.look("woo", "MUG")
    await town.look("woo", "TEE")
    await lane.round()
    await asyncio.gather(*lane._jobs)
    calls = town.stores["woo"].counters.calls
    await town.look("woo", "CAP")
    wait_s = await lane.round()
    assert not lane._jobs
    assert 0 < wait_s <= 0.2
    assert town.stores["woo"].counters.calls == calls


async def test_readings_are_not_gathered_where_levels_are_the_truth(town: Town) -> None:
    """There a sale waits for them."""
    lane = town.lanes["uk"]
    for sku in ("MUG", "TEE"):
        await town.look("uk", sku)
        await lane.round()
        assert lane._jobs
        await asyncio.gather(*lane._jobs)


async def test_a_guarded_write_does_not_wait_for_a_reading_that_hangs(town: Town) -> None:
    """It compares: what the reading would have shown cannot be lost."""
    await town.look("uk", "MUG")
    async with a_reading_hangs(town, "uk"):
        town.clock.forward(60)
        await town.stores["woo"].sell({"MUG": 1})
        await town.book_orders()
        town.clock.forward(60)
        await until_shown(town.stores["uk"], "MUG", 49)
