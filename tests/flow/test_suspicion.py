"""What is suspected and not booked: whom it lowers, whom it leaves alone, and what is told of the write."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from syncd.connectors.memory_store import MemoryStore
from syncd.db import suspense, suspicion
from syncd.db.suspense import Doubt
from syncd.db.suspicion import Suspicion
from syncd.errors import RetryLater
from syncd.fanout import hold_items, owe_items
from syncd.stock.policy import retold
from tests.flow.test_parked import refuses_above
from tests.flow.town import LEVELS, ORDERS, Town

EVERY = pytest.mark.parametrize("where", ["uk", "sw", "woo"])


async def listing_of(town: Town, name: str, sku: str = "MUG") -> tuple[int, int, int]:
    """(listing, item, warehouse)."""
    channel = town.channel(name).id
    sql = "select id, item_id, warehouse_id from listing where channel_id = $1 and sku = $2"
    [row] = await town.rows(sql, channel, sku)
    return row  # type: ignore[return-value]


async def suspect(town: Town, name: str, own: int, others: int) -> list[tuple[int, int]]:
    """Somebody finds this open amount on a listing; gives the pairs whose targets moved."""
    listing, item, warehouse = await listing_of(town, name)
    async with town.core.booking("suspect") as (conn, booking):
        await hold_items(conn, [(item, warehouse)])
        kept = [Suspicion(listing, item, warehouse, own, others)]
        moved = await suspicion.keep(conn, kept, booking.now)
        await owe_items(conn, booking, moved)
    return moved


async def doubt(
    town: Town, name: str, candidates: tuple[int, ...], proposal: int, **more: Any
) -> None:
    listing, item, warehouse = await listing_of(town, name)
    async with town.core.booking("doubt") as (conn, booking):
        await hold_items(conn, [(item, warehouse)])
        kept = Doubt(listing, "spent_key", candidates, proposal, {}, **more)
        await suspense.keep(conn, [kept], booking.now)
        await owe_items(conn, booking, [(item, warehouse)])


async def told(town: Town, name: str, sku: str = "MUG") -> list[tuple[int, dict[str, Any]]]:
    """(number sent, what is told of it) of all deliveries to a listing, oldest first."""
    rows = await town.rows(
        "select after, detail from journal where outcome = 'delivered' and channel_id = $1"
        " and sku = $2 order by at",
        town.channel(name).id,
        sku,
    )
    return [(after, json.loads(detail)) for after, detail in rows]


@EVERY
async def test_a_suspected_fall_lowers_all_others_at_once_and_not_its_own(
    town: Town, where: str
) -> None:
    town.clock.forward(60)
    await suspect(town, where, 0, -3)
    await town.settle()
    lowered = {name: 50 if name == where else 47 for name in town.stores}
    assert town.shelves("MUG") == lowered
    assert await town.level("MUG") == 50, "nothing is booked"
    for store in town.stores.values():
        assert store.shelf("TEE") == 10, "another item"


@EVERY
async def test_what_turns_out_to_be_nothing_raises_them_again(town: Town, where: str) -> None:
    town.clock.forward(60)
    await suspect(town, where, -3, -3)
    await town.settle()
    assert set(town.shelves("MUG").values()) == {47}
    town.clock.forward(60)
    assert await suspect(town, where, 0, 0)
    await town.settle()
    assert set(town.shelves("MUG").values()) == {50}
    assert await town.rows("select * from suspicion") == []


@EVERY
async def test_a_suspected_rise_raises_nobody_but_its_own(town: Town, where: str) -> None:
    town.clock.forward(60)
    await suspect(town, where, 4, 0)
    await town.settle()
    assert town.shelves("MUG") == {name: 54 if name == where else 50 for name in town.stores}


async def test_the_same_amount_again_moves_nothing(town: Town) -> None:
    town.clock.forward(60)
    assert await suspect(town, "woo", -1, -1)
    await town.settle()
    before = await town.rows("select changed_at from level order by item_id")
    assert await suspect(town, "woo", -1, -1) == []
    assert await town.rows("select changed_at from level order by item_id") == before
    assert await town.rows("select * from outbox") == []


@pytest.mark.parametrize("channel", [{"policy": {"cap": 10}}, {"policy": {"cap": 10, "buffer": 2}}])
@pytest.mark.parametrize(("own", "shown"), [(5, 15), (-4, 6), (-99, 0)])
async def test_the_own_amount_is_added_after_the_cap_and_floored_at_nothing(
    plan: Town, channel: dict[str, Any], own: int, shown: int
) -> None:
    uk, shop = plan.store("uk", LEVELS), plan.store("shop", ORDERS, **channel)
    for store in (uk, shop):
        store.add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await suspect(plan, "shop", own, 0)
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 50, "shop": shown}


async def test_a_sale_beside_a_suspicion_is_booked_and_both_count(town: Town) -> None:
    town.clock.forward(60)
    await suspect(town, "woo", 0, -3)
    await town.stores["sw"].sell({"MUG": 2})
    await town.settle()
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 48}


async def test_a_sweep_leaves_what_is_lowered_by_a_suspicion(town: Town) -> None:
    town.clock.forward(60)
    await suspect(town, "woo", 0, -3)
    await town.settle()
    writes = {name: store.counters.writes for name, store in town.stores.items()}
    for sweeper in town.sweepers.values():
        swept = await sweeper.sweep()
        assert swept.differing == 0
    await town.settle()
    assert {name: store.counters.writes for name, store in town.stores.items()} == writes


@pytest.mark.parametrize(
    ("candidates", "proposal", "others", "own"),
    [((-3, 0), 0, 47, 50), ((-5, -2), -2, 45, 48), ((0, 4), 4, 50, 54), ((2, 6), 2, 50, 52)],
)
async def test_a_doubt_counts_its_lowest_fall_elsewhere_and_its_proposal_at_home(
    town: Town, candidates: tuple[int, ...], proposal: int, others: int, own: int
) -> None:
    town.clock.forward(60)
    await doubt(town, "woo", candidates, proposal)
    await town.settle()
    assert town.shelves("MUG") == {"uk": others, "sw": others, "woo": own}


async def test_a_doubt_whose_amount_is_suspected_already_counts_once(town: Town) -> None:
    town.clock.forward(60)
    await suspect(town, "woo", -2, -3)
    await doubt(town, "woo", (-3, -2), -2, counted=False)
    await town.settle()
    assert town.shelves("MUG") == {"uk": 47, "sw": 47, "woo": 48}


async def answer(town: Town) -> None:
    """A person answers the doubts about MUG."""
    _, item, warehouse = await listing_of(town, "woo")
    async with town.core.booking("answer") as (conn, booking):
        await hold_items(conn, [(item, warehouse)])
        await conn.execute("update suspense set resolved_at = $1", booking.now)
        await owe_items(conn, booking, [(item, warehouse)])


async def test_a_person_who_answers_a_doubt_frees_the_others(town: Town) -> None:
    town.clock.forward(60)
    await doubt(town, "woo", (-3, 0), 0)
    await town.settle()
    await answer(town)
    await town.settle()
    assert set(town.shelves("MUG").values()) == {50}


@pytest.mark.parametrize("doubted", [False, True], ids=["suspected", "doubted"])
async def test_a_blind_raise_by_what_is_cleared_up_waits_for_an_order_fetch(
    town: Town, doubted: bool
) -> None:
    town.clock.forward(60)
    await (doubt(town, "uk", (-3, 0), 0) if doubted else suspect(town, "uk", 0, -3))
    await town.settle()
    town.clock.forward(60)
    await town.lanes["woo"].fetching.fetch_changed(lambda: None)
    await (answer(town) if doubted else suspect(town, "uk", 0, 0))
    await town.lanes["woo"].writing.write_owed(lambda: None)
    assert town.stores["woo"].shelf("MUG") == 47
    assert town.lanes["woo"].fetching.wanted
    await town.settle()
    assert town.stores["woo"].shelf("MUG") == 50


async def test_what_was_refused_is_tried_again_when_a_suspicion_changes_it(town: Town) -> None:
    town.clock.forward(60)
    refuses_above(town.stores["woo"], 60)
    await town.stores["uk"].edit("MUG", 61)
    await town.settle()
    assert town.shelves("MUG") == {"uk": 61, "sw": 61, "woo": 50}
    town.clock.forward(60)
    await suspect(town, "uk", 0, -1)
    await town.settle()
    assert town.shelves("MUG") == {"uk": 61, "sw": 60, "woo": 60}


async def test_a_spent_key_lowers_the_others_until_a_person_answers(town: Town) -> None:
    """Three were sold while nobody knew whether our write had landed: the ledger cannot tell."""
    town.clock.forward(60)
    store = town.stores["uk"]
    store.faults.lose_answer = 1.0
    await town.stores["sw"].sell({"MUG": 2})
    await town.book()
    with pytest.raises(RetryLater):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    store.faults.lose_answer = 0.0
    town.clock.forward(21 * 3600)
    await store.sell({"MUG": 3})
    await town.settle()
    [(candidates, proposal)] = await town.rows("select candidates, proposal from suspense")
    assert (candidates, proposal) == ([-5, -3], -3)
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 45, "sw": 43, "woo": 43}


async def test_what_was_sent_can_be_made_again_from_what_is_told(plan: Town) -> None:
    uk = plan.store("uk", LEVELS)
    shop = plan.store("shop", ORDERS, policy={"percent": 60, "buffer": 1, "cap": 20})
    bare = plan.store("bare", ORDERS)
    for store in (uk, shop, bare):
        store.add("MUG", 40)
    await plan.open()
    await plan.seed()
    for step in range(8):
        plan.clock.forward(60)
        await suspect(plan, ("uk", "shop", "bare")[step % 3], step % 5 - 2, -(step % 3))
        await uk.sell({"MUG": 4})
        await plan.settle()
    assert await plan.rows("select * from attempt_row") == []
    sent = 0
    for name, store in plan.stores.items():
        for number, detail in await told(plan, name):
            sent += 1
            assert retold(detail["level"], detail.get("inputs")).target == number
        assert name == "uk" or (await told(plan, name))[-1][0] == store.shelf("MUG")
    assert sent > 15
    assert any("inputs" not in detail for _, detail in await told(plan, "bare"))
    assert any("inputs" in detail for _, detail in await told(plan, "bare"))
    assert all("inputs" in detail for _, detail in await told(plan, "shop"))


async def test_what_was_sent_is_told_also_where_a_later_daemon_ends_it(plan: Town) -> None:
    uk, shop = plan.store("uk", LEVELS), plan.store("shop", LEVELS, policy={"buffer": 3})
    for store in (uk, shop):
        store.add("MUG", 40)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    shop.faults.lose_answer = 1.0
    await uk.sell({"MUG": 4})
    await plan.book()
    with pytest.raises(RetryLater):
        await plan.lanes["shop"].writing.write_owed(lambda: None)
    [(inputs,)] = await plan.rows("select inputs from attempt_row")
    assert retold(36, json.loads(inputs)).target == 33
    shop.faults.lose_answer = 0.0
    await plan.start_lane("shop")
    plan.clock.forward(300)
    await plan.settle()
    assert await plan.rows("select * from attempt") == []
    number, detail = (await told(plan, "shop"))[-1]
    assert (number, detail["inputs"]) == (33, {"level": 36, "policy": {"buffer": 3}})


async def test_a_sale_that_waits_for_the_locks_sees_what_was_suspected_meanwhile(
    town: Town,
) -> None:
    """It shows just what the sale alone would ask for: nothing would be owed by what was known before."""
    town.clock.forward(60)
    store: MemoryStore = town.stores["woo"]
    listing, item, warehouse = await listing_of(town, "woo")
    mine = (await listing_of(town, "uk"))[0]
    await town.rows("update shelf set shown = 48 where listing_id = $1 returning 1", listing)
    store.items["MUG"].counts[""] = (48, town.clock())
    await town.stores["sw"].sell({"MUG": 2})
    await town.knock()
    async with town.core.booking("suspect") as (conn, booking):
        await hold_items(conn, [(item, warehouse)])
        sale = asyncio.create_task(town.intake.step())
        waiting = "select 1 from pg_locks where not granted"
        for _ in range(1000):
            if await town.rows(waiting):
                break
        else:
            raise AssertionError("the sale does not wait")
        moved = await suspicion.keep(conn, [Suspicion(mine, item, warehouse, 0, -2)], booking.now)
        await owe_items(conn, booking, moved)
    await sale
    await town.settle()
    assert town.shelves("MUG") == {"uk": 48, "sw": 46, "woo": 46}
