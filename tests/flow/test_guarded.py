"""A platform that compares before it writes, with edits overwritten: orders are the truth there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from syncd.db import bookmark
from syncd.errors import RetryLater
from syncd.fanout import answer_doubt
from syncd.stock.model import Truth
from tests.flow.town import ORDERS, Town

GUARDED: Mapping[str, Any] = {
    "truth": "levels",
    "write": "cas",
    "key_lifetime_s": 72000.0,
    "batch_atomic": True,
    "edits": ["adopt", "overwrite"],
}

SHELVES = (("MUG", 50), ("TEE", 10))


@pytest.fixture
async def pair(plan: Town) -> Town:
    """Two shops that compare and overwrite edits, and a blind one; the first is the source."""
    for name in ("uk", "us"):
        store = plan.store(name, GUARDED, edits="overwrite")
        for sku, quantity in SHELVES:
            store.add(sku, quantity if name == "uk" else 7)
    woo = plan.store("woo", ORDERS)
    for sku, _ in SHELVES:
        woo.add(sku, 7)
    await plan.open()
    await plan.seed()
    plan.clock.forward(600)
    return plan


async def rested(town: Town) -> None:
    for _ in range(3):
        await town.settle()
        town.clock.forward(30)
    await town.settle()


async def movements(town: Town) -> list[tuple[str, int]]:
    return await town.rows(
        "select kind, delta from movement m join item i on i.id = m.item_id"
        " where i.sku = 'MUG' and kind <> 'seed' order by m.id"
    )


async def test_the_truth_follows_from_the_platform_and_edits(pair: Town) -> None:
    assert pair.channel("us").rules.truth is Truth.ORDERS
    assert pair.channel("us").rules.guarded
    assert await pair.level("MUG") == 50
    assert pair.shelves("MUG") == {"uk": 50, "us": 50, "woo": 50}


@pytest.mark.parametrize("where", ["uk", "us", "woo"])
async def test_a_sale_lowers_all_and_its_cancellation_raises_all(pair: Town, where: str) -> None:
    order = await pair.stores[where].sell({"MUG": 3})
    await rested(pair)
    assert await movements(pair) == [("sale", -3)]
    assert pair.shelves("MUG") == {"uk": 47, "us": 47, "woo": 47}
    await pair.stores[where].cancel(order)
    await rested(pair)
    assert await movements(pair) == [("sale", -3), ("cancellation", 3)]
    assert pair.shelves("MUG") == {"uk": 50, "us": 50, "woo": 50}


@pytest.mark.parametrize("typed", [80, 20, 0])
async def test_an_edit_is_told_and_overwritten(pair: Town, typed: int) -> None:
    await pair.stores["us"].edit("MUG", typed)
    await rested(pair)
    assert await movements(pair) == []
    assert pair.shelves("MUG") == {"uk": 50, "us": 50, "woo": 50}
    told = await pair.rows("select before, after from journal where outcome = 'differs'")
    assert told == [(50, typed)]


async def test_a_sale_told_by_its_level_first_is_no_edit(pair: Town) -> None:
    await pair.stores["us"].sell({"MUG": 2})
    await rested(pair)
    assert await pair.rows("select before from journal where outcome = 'differs'") == []
    assert await movements(pair) == [("sale", -2)]


async def test_a_sale_between_reading_and_write_is_not_lost(pair: Town) -> None:
    us = pair.stores["us"]
    await pair.stores["uk"].sell({"MUG": 1})

    async def sold() -> None:
        await us.sell({"MUG": 4})

    with pair.before_write("us", sold):
        await pair.settle()
    await rested(pair)
    assert await movements(pair) == [("sale", -1), ("sale", -4)]
    assert pair.shelves("MUG") == {"uk": 45, "us": 45, "woo": 45}


async def test_a_sale_whose_webhooks_are_lost_is_never_sold_again(pair: Town) -> None:
    """A reading shows it, no order explains it: it is not given back before orders were asked."""
    us = pair.stores["us"]
    await us.sell({"MUG": 4})
    pair.lose_webhooks()
    most = us.shelf("MUG")
    assert most == 46
    await pair.look("us", "MUG")
    for _ in range(3):
        await pair.settle()
        most = max(most, us.shelf("MUG"))
        pair.clock.forward(30)
    assert most == 46
    assert await movements(pair) == [("sale", -4)]
    assert pair.shelves("MUG") == {"uk": 46, "us": 46, "woo": 46}


async def test_an_order_told_while_a_write_is_open_came_after_it(pair: Town) -> None:
    us = pair.stores["us"]
    await pair.stores["uk"].sell({"MUG": 1})
    await pair.book_orders()
    us.faults.lose_answer = 1.0
    with pytest.raises(RetryLater):
        await pair.settle()
    us.faults.lose_answer = 0.0
    assert us.shelf("MUG") == 49
    pair.clock.forward(10)
    await us.sell({"MUG": 2})
    await pair.book_orders()
    await rested(pair)
    assert await movements(pair) == [("sale", -1), ("sale", -2)]
    assert pair.shelves("MUG") == {"uk": 47, "us": 47, "woo": 47}
    assert await pair.rows("select before from journal where outcome = 'differs'") == []


async def test_a_hot_row_goes_as_a_delta_and_its_late_sale_still_counts(pair: Town) -> None:
    """A delta says nothing of what came before it: a sale told late is older than it, and on it."""
    us = pair.stores["us"]
    (listing,) = await pair.rows(
        "select s.listing_id from shelf s join listing l on l.id = s.listing_id"
        " where l.channel_id = $1 and l.sku = 'MUG'",
        pair.channel("us").id,
    )
    await pair.rows("update shelf set stale_times = 2 where listing_id = $1 returning 1", *listing)
    sold = await us.sell({"MUG": 2})
    pair.lose_webhooks()
    pair.clock.forward(20)
    await pair.stores["uk"].sell({"MUG": 1})
    await pair.settle()
    assert us.shelf("MUG") == 47
    pair.clock.forward(20)
    async with pair.db.transaction("wish") as conn:
        await bookmark.wish_orders(conn, [(pair.channel("us").id, sold)], pair.clock())
    await rested(pair)
    assert await movements(pair) == [("sale", -1), ("sale", -2)]
    assert pair.shelves("MUG") == {"uk": 47, "us": 47, "woo": 47}
    assert await pair.rows("select before from journal where outcome = 'differs'") == []


async def test_a_spent_key_puts_nothing_in_doubt(pair: Town) -> None:
    us = pair.stores["us"]
    us.faults.late, us.faults.late_s = 1.0, 1e9
    await pair.stores["uk"].sell({"MUG": 1})
    with pytest.raises(RetryLater):
        await pair.settle()
    us.faults.late = 0.0
    pair.clock.forward(73000)
    await rested(pair)
    assert await pair.rows("select reason from suspense") == []
    assert pair.shelves("MUG") == {"uk": 49, "us": 49, "woo": 49}


@pytest.fixture
async def rooms(plan: Town) -> Town:
    """A guarded shop whose two locations feed two warehouses, and a shop of each of these."""
    shop = plan.store(
        "uk",
        {**GUARDED, "locations": ["front", "back"]},
        edits="overwrite",
        locations={"front": "main", "back": "rear"},
    )
    shop.add("MUG", 50, location="front")
    shop.items["MUG"].counts["back"] = (20, plan.clock())
    for name, warehouse in (("woo", "main"), ("sw", "rear")):
        plan.store(name, ORDERS, locations={"*": warehouse}).add("MUG", 7)
    await plan.open({"main": {"source": "uk/front"}, "rear": {"source": "uk/back"}})
    await plan.seed()
    plan.clock.forward(600)
    return plan


async def levels(town: Town) -> dict[str, int]:
    rows = await town.rows(
        "select w.name, v.quantity from level v join warehouse w on w.id = v.warehouse_id"
    )
    return dict(rows)


async def test_a_line_counts_in_the_warehouse_of_its_location(rooms: Town) -> None:
    uk = rooms.stores["uk"]
    assert await levels(rooms) == {"main": 50, "rear": 20}
    await uk.sell({"MUG": 3}, location="back")
    await uk.sell({"MUG": 1}, location="front")
    await rested(rooms)
    assert await levels(rooms) == {"main": 49, "rear": 17}
    assert rooms.shelves("MUG") == {"uk": 66, "woo": 49, "sw": 17}
    assert (uk.shelf("MUG", "front"), uk.shelf("MUG", "back")) == (49, 17)
    await rooms.stores["sw"].sell({"MUG": 2})
    await rested(rooms)
    assert (uk.shelf("MUG", "front"), uk.shelf("MUG", "back")) == (49, 15)


async def test_a_line_that_moves_and_comes_back_elsewhere(rooms: Town) -> None:
    """Sent from one room, half of it returned to the other, which then holds less than nothing."""
    uk = rooms.stores["uk"]
    order = await uk.sell({"MUG": 4}, location="back")
    await rested(rooms)
    old = uk._orders[order]
    (line,) = old.lines
    front = msgspec.structs.replace(line, location="front", taken=-2, kept=-2)
    uk._save(msgspec.structs.replace(old, lines=(line, front)), moved=True)
    uk._move("MUG", "front", 2, "refund", order)
    await rested(rooms)
    assert await levels(rooms) == {"main": 52, "rear": 16}
    moved = msgspec.structs.replace(line, location="front")
    uk._save(msgspec.structs.replace(old, lines=(moved,)), moved=True)
    uk._move("MUG", "front", -6, "refund", order)
    uk._move("MUG", "back", 4, "refund", order)
    await rested(rooms)
    assert await levels(rooms) == {"main": 46, "rear": 20}
    assert (uk.shelf("MUG", "front"), uk.shelf("MUG", "back")) == (46, 20)


# --- edits = "alert" ---


@pytest.fixture
async def alerting(plan: Town) -> Town:
    """Two shops that compare, one of which tells a person of edits, and a blind one."""
    for name, edits in (("uk", "overwrite"), ("us", "alert")):
        character = {**GUARDED, "edits": ["adopt", "overwrite", "alert"]}
        store = plan.store(name, character, edits=edits)
        store.add("MUG", 50 if name == "uk" else 7)
    plan.store("woo", ORDERS).add("MUG", 7)
    await plan.open()
    await plan.seed()
    plan.clock.forward(600)
    await rested(plan)
    assert plan.shelves("MUG") == {"uk": 50, "us": 50, "woo": 50}
    return plan


async def later(town: Town) -> None:
    """Time goes by until what was read is settled."""
    for _ in range(6):
        town.clock.forward(150)
        await town.settle()


async def asked(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select reason, candidates, proposal from suspense where resolved_at is null"
    )


async def test_an_edit_is_neither_booked_nor_overwritten_but_told(alerting: Town) -> None:
    us = alerting.stores["us"]
    await us.edit("MUG", 80)
    await later(alerting)
    assert us.shelf("MUG") == 80
    assert await movements(alerting) == []
    assert await asked(alerting) == [("edit", [30], 30)]
    assert (alerting.shelves("MUG")["uk"], alerting.shelves("MUG")["woo"]) == (50, 50)
    await alerting.stores["uk"].sell({"MUG": 2})
    await later(alerting)
    assert us.shelf("MUG") == 80, "nothing is written there before somebody answers"
    assert alerting.shelves("MUG")["woo"] == 48


@pytest.mark.parametrize(("answer", "level"), [(30, 80), (0, 50)])
async def test_the_answer_of_a_person_is_booked_or_overwrites(
    alerting: Town, answer: int, level: int
) -> None:
    us = alerting.stores["us"]
    await us.edit("MUG", 80)
    await later(alerting)
    ((doubt,),) = await alerting.rows("select id from suspense where resolved_at is null")
    async with alerting.core.booking("answer") as (conn, booking):
        await answer_doubt(conn, booking, doubt, answer, "bert")
    await later(alerting)
    assert alerting.shelves("MUG") == {"uk": level, "us": level, "woo": level}
    assert await alerting.level("MUG") == level
    assert await asked(alerting) == []


async def test_sales_and_writes_ask_nobody(alerting: Town) -> None:
    us = alerting.stores["us"]
    for n in range(4):
        await us.sell({"MUG": 1})
        await alerting.stores["uk"].sell({"MUG": 2})
        if n == 2:
            us.faults.lose_answer = 1.0
            with pytest.raises(RetryLater):
                await alerting.settle()
            us.faults.lose_answer = 0.0
        alerting.clock.forward(20)
        await alerting.settle()
    await later(alerting)
    assert await asked(alerting) == []
    assert alerting.shelves("MUG") == {"uk": 38, "us": 38, "woo": 38}


async def test_a_sale_between_reading_and_write_is_no_edit(alerting: Town) -> None:
    us = alerting.stores["us"]

    async def sale() -> None:
        await us.sell({"MUG": 1})

    await alerting.stores["uk"].sell({"MUG": 2})
    with alerting.before_write("us", sale):
        await alerting.settle()
    await later(alerting)
    assert await asked(alerting) == []
    assert alerting.shelves("MUG") == {"uk": 47, "us": 47, "woo": 47}
