"""Listings that come twice, change their sku or vanish in numbers: what is counted stays counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from syncd.connectors.memory_shapes import ItemBody
from syncd.connectors.memory_store import MemoryStore
from syncd.corridor import follow_links
from syncd.db import bookmark, shelf, status
from syncd.db.bookmark import Wish
from syncd.errors import DatabaseAway, RetryLater
from syncd.fanout import Heard, book
from syncd.reconcile import VANISH_READINGS
from syncd.stock.model import ItemSeen
from tests.flow.town import Town

BOUND_S = 10.0


async def sweep(town: Town) -> None:
    for sweeper in town.sweepers.values():
        await sweeper.sweep()
    await town.settle()


async def skips(town: Town, channel: str) -> dict[str, str]:
    """Why listings are not served, by remote id."""
    return dict(
        await town.rows(
            "select remote, skip from listing where channel_id = $1", town.channel(channel).id
        )
    )


async def doubts_told(town: Town) -> set[tuple[str, str, str]]:
    """(sku, remote, reason) of what the journal says of doubts about woo's listings."""
    return set(
        await town.rows(
            "select j.sku, l.remote, j.reason from journal j join listing l on l.id = j.listing_id"
            " where j.outcome = 'relinked' and j.channel_id = $1",
            town.channel("woo").id,
        )
    )


async def in_doubt(town: Town) -> dict[str, int]:
    async with town.db.transaction("status") as conn:
        return {row.name: row.in_doubt for row in await status.channels(conn)}


def tell(store: MemoryStore, key: str) -> None:
    store._emit("items/update", ItemBody(tuple(store._rows(store.items[key]))))


def twin(store: MemoryStore, sku: str, quantity: int) -> None:
    """A second listing of a sku, told by a webhook that bears it."""
    mute = store.subscriptions.pop("items/update")
    store.add("TWIN", quantity)
    store.subscriptions["items/update"] = mute
    rename(store, "TWIN", sku)
    tell(store, "TWIN")


def rename(store: MemoryStore, key: str, sku: str) -> None:
    store.items[key].sku = sku


async def test_sales_on_the_counted_listing_count_while_its_sku_is_listed_twice(
    town: Town,
) -> None:
    uk = town.stores["uk"]
    uk.add("TWIN", 0)
    town.lose_webhooks()  # which would tell its former sku after the sweep has seen the new one
    rename(uk, "TWIN", "MUG")
    await sweep(town)
    assert set((await skips(town, "uk")).values()) == {"duplicate", ""}
    town.clock.forward(60)
    await uk.sell({"MUG": 5})
    await town.settle()
    assert await town.level("MUG") == 45
    rename(uk, "TWIN", "OTHER")
    town.clock.forward(900)
    await sweep(town)
    assert await town.level("MUG") == 45
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 45}


async def test_both_of_a_new_pair_are_reported_and_neither_is_served_before_any_sweep(
    town: Town,
) -> None:
    woo = town.stores["woo"]
    twin(woo, "MUG", 3)
    await town.settle()
    pair = {woo.items[key].remote for key in ("MUG", "TWIN")}
    found = await skips(town, "woo")
    assert {found[remote] for remote in pair} == {"duplicate"}
    assert await doubts_told(town) == {("MUG", remote, "duplicate") for remote in pair}
    assert await in_doubt(town) == {"uk": 0, "sw": 0, "woo": 2}
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    assert (woo.items["TWIN"].counts[""][0], woo.shelf("MUG")) == (3, 50)


async def test_what_a_deleted_twin_leaves_single_is_served_before_any_sweep(town: Town) -> None:
    woo = town.stores["woo"]
    twin(woo, "MUG", 3)
    await town.settle()
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    woo.remove("TWIN")
    await town.settle()
    assert (await skips(town, "woo"))[woo.items["MUG"].remote] == ""
    assert woo.shelf("MUG") == 49


async def test_twins_told_of_at_once_by_two_intakes_are_both_marked(town: Town) -> None:
    """Neither page sees the other's listing: the one that commits last finds both."""
    woo = town.stores["woo"]
    woo.remove("MUG")
    await town.settle()
    told = []
    for key in ("FIRST", "SECOND"):
        woo.add(key, 5)
        rename(woo, key, "MUG")
        told.append(ItemSeen(tuple(row.seen() for row in woo._rows(woo.items[key]))))
    town.lose_webhooks()
    channel = town.channel("woo").id
    async with (
        town.core.booking("first") as (one, first),
        town.core.booking("second") as (other, second),
    ):
        await book(one, first, [Heard(channel, told[0])])
        await book(other, second, [Heard(channel, told[1])])
    for booking in (first, second):
        await follow_links(town.core, booking)
    found = await skips(town, "woo")
    assert {found[woo.items[key].remote] for key in ("FIRST", "SECOND")} == {"duplicate"}


async def test_a_new_title_does_not_serve_a_duplicate(town: Town) -> None:
    woo = town.stores["woo"]
    twin(woo, "MUG", 3)
    await town.settle()
    await sweep(town)
    for key in ("TWIN", "MUG"):
        woo.items[key].title = "another title"
        tell(woo, key)
    await town.settle()
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    assert (woo.items["TWIN"].counts[""][0], woo.shelf("MUG")) == (3, 50)


async def test_what_is_single_again_gets_what_it_missed(town: Town) -> None:
    woo = town.stores["woo"]
    twin(woo, "MUG", 3)
    await town.settle()
    await sweep(town)
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    assert woo.shelf("MUG") == 50
    # the page of this sweep comes before the mark is taken off: one sweep has to do
    rename(woo, "TWIN", "NOBODY")
    town.clock.forward(900)
    await town.sweepers["woo"].sweep()
    await town.settle()
    assert woo.shelf("MUG") == 49
    assert (await skips(town, "woo"))[woo.items["TWIN"].remote] == "unlinked"


async def test_a_twin_that_outlives_the_counted_listing_is_linked(town: Town) -> None:
    woo = town.stores["woo"]
    twin(woo, "MUG", 3)
    await town.settle()
    remote = woo.items["TWIN"].remote
    woo.remove("MUG")
    await town.settle()
    town.clock.forward(900)
    await town.sweepers["woo"].sweep()
    await town.settle()
    assert (await skips(town, "woo"))[remote] == ""
    assert woo.items["TWIN"].counts[""][0] == 50


@pytest.mark.parametrize("told_by", ["sweep", "webhook"])
async def test_a_listing_linked_while_a_sale_is_booked_is_owed_its_level(
    town: Town, monkeypatch: pytest.MonkeyPatch, told_by: str
) -> None:
    woo = town.stores["woo"]
    woo.remove("MUG")
    await town.settle()
    woo.add("MUG", 50)
    if told_by == "sweep":
        town.lose_webhooks()
    await town.knock()
    town.clock.forward(60)
    sold = town.stores["sw"].order(await town.stores["sw"].sell({"MUG": 2}))
    locked, owing, commit = asyncio.Event(), asyncio.Event(), asyncio.Event()
    real = shelf.lock

    async def lock(*args: Any, **named: Any) -> list[shelf.Shelf]:
        sale = getattr(asyncio.current_task(), "get_name", str)() == "sale"
        if not sale and any(args[2]):
            owing.set()  # the page and its links are committed
            commit.set()
        found = await real(*args, **named)
        if sale:
            locked.set()
            await commit.wait()
        return found

    monkeypatch.setattr(shelf, "lock", lock)

    async def sale() -> None:
        async with town.core.booking("sale") as (conn, booking):
            await book(conn, booking, [Heard(town.channel("sw").id, sold)])

    async with asyncio.timeout(BOUND_S):
        booked = asyncio.create_task(sale(), name="sale")
        await locked.wait()
        if told_by == "sweep":
            await town.sweepers["woo"].sweep()
        else:
            await town.intake.step()
        commit.set()
        await booked
    assert owing.is_set()
    town.lose_webhooks()
    await town.settle()
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


async def test_a_listing_told_of_by_webhook_is_served_before_any_sweep(town: Town) -> None:
    woo = town.stores["woo"]
    woo.remove("MUG")
    await town.settle()
    town.clock.forward(60)
    woo.add("MUG", 9)
    await town.settle()
    assert woo.shelf("MUG") == 50


async def test_a_wish_broken_off_by_the_database_is_taken_up_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = town.bulk._carry_out
    broken, done = asyncio.Event(), asyncio.Event()

    async def once_away(wish: Wish) -> dict[str, object]:
        if not broken.is_set():
            broken.set()
            town.core.bells.wishes.set()
            raise DatabaseAway("a moment")
        done.set()
        return await carry_out(wish)

    monkeypatch.setattr(town.bulk, "_carry_out", once_away)
    async with town.db.transaction("ask") as conn:
        await bookmark.ask(conn, "push", None, None, town.clock())
    running = asyncio.create_task(town.bulk.run())
    try:
        await asyncio.wait_for(done.wait(), BOUND_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_many_real_deletions_are_told_and_found_gone(town: Town) -> None:
    woo = town.stores["woo"]
    gone = {woo.items[key].remote for key in ("TEE", "CAP")}
    woo.remove("TEE")
    woo.remove("CAP")
    town.lose_webhooks()
    assert len(gone) < VANISH_READINGS
    await town.sweepers["woo"].sweep()
    assert await town.rows("select remote from listing where gone_at is not null") == []
    await town.settle()
    found = await town.rows("select remote from listing where gone_at is not null")
    assert {remote for (remote,) in found} == gone
    assert await town.rows("select 1 from journal where reason = 'catalogue_short'") == [(1,)]
    assert await town.rows("select swept_at is not null from channel where name = 'woo'") == [
        (True,)
    ]


async def test_a_sweep_that_failed_a_thousand_times_is_tried_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper = town.sweepers["woo"]
    times, enough = 0, asyncio.Event()

    async def fail() -> None:
        nonlocal times
        await asyncio.sleep(0)
        times += 1
        if times > 1100:
            enough.set()
        town.core.bells.sweeps[town.channel("woo").id].set()
        raise RetryLater("still down")

    monkeypatch.setattr(sweeper, "sweep", fail)
    running = asyncio.create_task(sweeper.run())
    waiting = asyncio.create_task(enough.wait())
    async with asyncio.timeout(BOUND_S):
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert times > 1100


async def test_listings_that_exchange_their_skus_are_written_no_more_and_told(
    town: Town,
) -> None:
    woo = town.stores["woo"]
    mug, tee = woo.items["MUG"], woo.items["TEE"]
    mug.sku, tee.sku = "TEE", "MUG"
    await sweep(town)
    assert (await skips(town, "woo"))[mug.remote] == "relinked"
    assert (await skips(town, "woo"))[tee.remote] == "relinked"
    told = await town.rows(
        "select distinct sku from journal where outcome = 'skipped' and reason = 'relinked'"
    )
    assert {sku for (sku,) in told} == {"MUG", "TEE"}
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert (mug.counts[""][0], tee.counts[""][0]) == (50, 10)
    mug.sku, tee.sku = "MUG", "TEE"
    town.clock.forward(900)
    await sweep(town)
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 45}


async def test_a_listing_that_takes_the_sku_of_another_item_is_told_and_counted_once(
    town: Town,
) -> None:
    """Its link stays: a slip of the pen moves no stock from item to item."""
    woo = town.stores["woo"]
    woo.remove("TEE")
    await town.settle()
    mug = woo.items["MUG"]
    mug.sku = "TEE"
    tell(woo, "MUG")
    await town.settle()
    assert await doubts_told(town) == {("TEE", mug.remote, "relinked")}
    assert await in_doubt(town) == {"uk": 0, "sw": 0, "woo": 1}
    town.clock.forward(60)
    await woo.sell({"MUG": 2})
    await town.settle()
    assert (await town.level("MUG"), await town.level("TEE")) == (48, 10)
    await town.stores["uk"].sell({"TEE": 1})
    await town.settle()
    assert mug.counts[""][0] == 48
    assert await town.level("TEE") == 9
    mug.sku = "MUG"
    await town.stores["uk"].sell({"MUG": 1})
    tell(woo, "MUG")
    await town.settle()
    assert (await skips(town, "woo"))[mug.remote] == ""
    assert mug.counts[""][0] == 47
    assert await in_doubt(town) == {"uk": 0, "sw": 0, "woo": 0}
