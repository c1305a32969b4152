"""Orders as the truth: the newest state of each line against what is booked of it, in any order heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from syncd.connectors.memory import MemoryStore
from syncd.connectors.memory_shapes import LineBody
from syncd.db import bookmark, inbox
from syncd.db.inbox import NewEvent
from syncd.fanout import Heard, book
from syncd.stock.model import OrderHint, OrderSeen
from tests.flow.town import LEVELS, ORDERS, Town


async def movements(town: Town, sku: str = "MUG") -> list[tuple[str, int]]:
    """(kind, delta) of a sku's movements after its first count."""
    return await town.rows(
        "select kind, delta from movement m join item i on i.id = m.item_id"
        " where i.sku = $1 and kind <> 'seed' order by m.id",
        sku,
    )


async def skipped(town: Town) -> list[tuple[str, str]]:
    return await town.rows("select sku, reason from journal where outcome = 'skipped' order by at")


async def change(store: MemoryStore, order: str, lines: Mapping[str, int]) -> None:
    """A person edits an order: these are its lines from now on, by sku."""
    old = store._orders[order]
    there = {line.sku: line for line in old.lines}
    new = tuple(
        msgspec.structs.replace(there[sku], taken=units, kept=units)
        if sku in there
        else LineBody(f"{order}.{sku}", store.items[sku].remote, sku, "", units, units)
        for sku, units in lines.items()
    )
    store._save(msgspec.structs.replace(old, lines=new), moved=True)
    for sku in {*there, *lines}:
        taken = there[sku].taken if sku in there else 0
        store._move(sku, "", taken - lines.get(sku, 0), "edit", order)


async def tell(town: Town, *facts: OrderSeen | OrderHint, channel: str = "woo") -> None:
    """Book facts in one transaction, as intake does."""
    async with town.core.booking("told") as (conn, booking):
        await book(conn, booking, [Heard(town.channel(channel).id, fact) for fact in facts])
    await town.settle()


@pytest.fixture
def woo(town: Town) -> MemoryStore:
    town.clock.forward(60)
    return town.stores["woo"]


async def test_an_order_edited_up_and_down(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 2})
    await town.settle()
    for units, level in ((5, 45), (1, 49)):
        town.clock.forward(60)
        await change(woo, order, {"MUG": units})
        await town.settle()
        assert await town.level("MUG") == level
        assert town.shelves("MUG") == {"uk": level, "sw": level, "woo": level}
    assert await movements(town) == [("sale", -2), ("sale", -3), ("cancellation", 4)]


async def test_a_line_is_added_and_another_removed(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 2})
    await town.settle()
    town.clock.forward(60)
    await change(woo, order, {"MUG": 2, "TEE": 3})
    await town.settle()
    assert (await town.level("MUG"), await town.level("TEE")) == (48, 7)
    town.clock.forward(60)
    await change(woo, order, {"TEE": 3})
    await town.settle()
    assert (await town.level("MUG"), await town.level("TEE")) == (50, 7)
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_cancellation_gives_everything_back_once(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 2, "TEE": 1})
    await town.settle()
    town.clock.forward(60)
    await woo.cancel(order)
    await town.knock(copies=3)
    await town.settle()
    assert await movements(town) == [("sale", -2), ("cancellation", 2)]
    assert await movements(town, "TEE") == [("sale", -1), ("cancellation", 1)]


@pytest.mark.parametrize(("restock", "level"), [(True, 47), (False, 45)])
async def test_a_partial_refund_with_and_without_restock(
    town: Town, woo: MemoryStore, restock: bool, level: int
) -> None:
    order = await woo.sell({"MUG": 5})
    await town.settle()
    town.clock.forward(60)
    await woo.refund(order, "MUG", 2, restock=restock)
    await town.settle()
    assert await town.level("MUG") == level
    assert town.shelves("MUG") == {"uk": level, "sw": level, "woo": level}


async def test_a_refund_and_then_the_cancellation_of_the_rest(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 5})
    await town.settle()
    town.clock.forward(60)
    await woo.refund(order, "MUG", 2, restock=True)
    await town.settle()
    town.clock.forward(60)
    await woo.cancel(order)
    await town.settle()
    assert await movements(town) == [("sale", -5), ("refund", 2), ("cancellation", 3)]


async def test_a_late_refund_after_the_cancellation_moves_nothing(
    town: Town, woo: MemoryStore
) -> None:
    order = await woo.sell({"MUG": 5})
    await town.settle()
    town.clock.forward(60)
    seen = woo.order(order)
    await woo.cancel(order)
    await town.settle()
    late = OrderSeen(order, seen.version + 10**9, town.clock(), seen.lines, seen.number)
    await tell(town, late)
    assert await town.level("MUG") == 50, "a cancelled order is never taken up again"


async def test_events_in_reverse_book_the_newest_state_once(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 5})
    town.clock.forward(60)
    await woo.refund(order, "MUG", 2, restock=True)
    town.clock.forward(60)
    await change(woo, order, {"MUG": 1})
    await town.knock(backwards=True)
    await town.settle()
    assert await movements(town) == [("sale", -1)]


async def test_each_event_in_reverse_by_itself(town: Town, woo: MemoryStore) -> None:
    states = []
    order = await woo.sell({"MUG": 5})
    states.append(woo.order(order))
    for units in (4, 2):
        town.clock.forward(60)
        await change(woo, order, {"MUG": units})
        states.append(woo.order(order))
    for seen in reversed(states):
        await tell(town, seen)
    assert await town.level("MUG") == 48


async def test_a_refund_before_its_order_fetches_the_order(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 5})
    town.clock.forward(60)
    await woo.refund(order, "MUG", 2, restock=True)
    town.lose_webhooks()
    await tell(town, OrderHint(order))
    assert await movements(town) == [("sale", -3)]
    assert await town.rows("select * from order_look") == []


async def test_two_states_under_one_version_are_fetched_again(town: Town, woo: MemoryStore) -> None:
    order = await woo.sell({"MUG": 5})
    await town.settle()
    seen = woo.order(order)
    other = OrderSeen(order, seen.version, seen.at, (), seen.number)
    await tell(town, other)
    assert await town.level("MUG") == 45, "neither is believed before it is fetched"
    calls = woo.counters.calls
    town.clock.forward(5)
    await town.settle()
    assert woo.counters.calls > calls
    assert await town.level("MUG") == 45
    assert await town.rows("select * from order_look") == []


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("last", ["new", "old"])
async def test_two_states_under_one_version_heard_together_are_fetched(
    town: Town, woo: MemoryStore, last: str, known: bool
) -> None:
    order = await woo.sell({"MUG": 5})
    if known:
        await town.settle()
        town.clock.forward(60)
        await change(woo, order, {"MUG": 3})
    town.lose_webhooks()
    new = woo.order(order)
    old = replace(new, lines=(replace(new.lines[0], taken=0, kept=0),))
    await tell(town, *((old, new, new) if last == "new" else (new, old, old)))
    assert await town.level("MUG") == (45 if known else 50), "none is believed before it is fetched"
    town.clock.forward(5)
    await town.settle()
    assert await town.level("MUG") == (47 if known else 45)
    assert await town.rows("select * from order_look") == []


async def test_a_newer_state_heard_with_two_of_one_version_is_believed(
    town: Town, woo: MemoryStore
) -> None:
    order = await woo.sell({"MUG": 5})
    town.lose_webhooks()
    seen = woo.order(order)
    other = replace(seen, lines=(replace(seen.lines[0], taken=0, kept=0),))
    newer = replace(seen, version=seen.version + 1)
    await tell(town, seen, other, newer)
    assert await town.level("MUG") == 45
    assert await town.rows("select * from order_look") == []


async def test_events_stored_together_keep_the_order_in_which_they_came(town: Town) -> None:
    await town.rows("delete from inbox")
    now = town.clock()
    given = [NewEvent(1, bytes([n]), str(n), b"", None, now) for n in (7, 2, 9, 2, 1, 8)]
    async with town.db.transaction("store") as conn:
        assert await inbox.store(conn, given, now) == 5
    topics = await town.rows("select topic from inbox order by id")
    assert [topic for (topic,) in topics] == ["7", "2", "9", "1", "8"]


async def test_an_order_of_five_hundred_lines(plan: Town) -> None:
    source, shop = plan.store("uk", LEVELS), plan.store("woo", ORDERS)
    skus = [f"SKU-{n:03}" for n in range(500)]
    for sku in skus:
        source.add(sku, 9)
        shop.add(sku, 9)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    order = await shop.sell(dict.fromkeys(skus, 2))
    await plan.settle()
    assert set(source.shelves().values()) == {7}
    plan.clock.forward(60)
    await shop.cancel(order)
    await plan.settle()
    assert set(source.shelves().values()) == {9}


async def one_shop(plan: Town, **channel: object) -> MemoryStore:
    """A source and one shop with orders, at fifty mugs."""
    source, shop = plan.store("uk", LEVELS), plan.store("woo", ORDERS, **channel)
    for store in (source, shop):
        store.add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    return shop


async def test_units_are_owed_when_the_order_is_paid(plan: Town) -> None:
    shop = await one_shop(plan, commit_on="paid")
    order = await shop.sell({"MUG": 5}, paid=False)
    await plan.settle()
    assert await plan.level("MUG") == 50
    plan.clock.forward(60)
    await shop.pay(order)
    await plan.settle()
    assert await movements(plan) == [("sale", -5)]
    assert plan.shelves("MUG") == {"uk": 45, "woo": 45}


async def test_an_unpaid_order_that_is_cancelled_moves_nothing(plan: Town) -> None:
    shop = await one_shop(plan, commit_on="paid")
    order = await shop.sell({"MUG": 5}, paid=False)
    await plan.settle()
    plan.clock.forward(60)
    await shop.cancel(order)
    await plan.settle()
    assert await movements(plan) == []
    assert plan.shelves("MUG") == {"uk": 50, "woo": 50}


@pytest.mark.parametrize(
    ("rule", "restock", "level"),
    [("always", False, 47), ("always", True, 47), ("never", True, 45), ("never", False, 45)],
)
async def test_the_restock_rule_beats_the_platform(
    plan: Town, rule: str, restock: bool, level: int
) -> None:
    shop = await one_shop(plan, restock=rule)
    order = await shop.sell({"MUG": 5})
    await plan.settle()
    plan.clock.forward(60)
    await shop.refund(order, "MUG", 2, restock=restock)
    for _ in range(3):
        plan.clock.forward(60)
        await plan.settle()
    assert await plan.level("MUG") == level
    assert plan.shelves("MUG") == {"uk": level, "woo": level}


async def test_an_unknown_sku_is_skipped_and_the_rest_is_booked(
    town: Town, woo: MemoryStore
) -> None:
    woo.add("MYSTERY", 5)
    await woo.sell({"MYSTERY": 1, "MUG": 2})
    await town.settle()
    assert await town.level("MUG") == 48
    assert await town.level("MYSTERY") is None
    assert ("MYSTERY", "unlinked") in await skipped(town)
    assert woo.shelf("MYSTERY") == 4


async def test_a_duplicate_sku_is_served_by_nobody_and_its_sales_count(
    town: Town, woo: MemoryStore
) -> None:
    first = woo.items.pop("TEE")
    woo.add("TEE", 10)
    woo.items["TEE (old)"] = first
    woo._skus[first.remote] = "TEE (old)"
    await town.knock()
    await town.sweepers["woo"].sweep()
    await town.settle()
    assert await town.rows(
        "select skip from listing where sku = 'TEE' and channel_id = $1", town.channel("woo").id
    ) == [("duplicate",), ("duplicate",)]
    town.clock.forward(60)
    await town.stores["uk"].sell({"TEE": 4})
    await town.settle()
    assert (woo.shelf("TEE"), woo.shelf("TEE (old)")) == (10, 10)
    assert town.stores["sw"].shelf("TEE") == 6
    await woo.sell({"TEE": 1})
    await town.settle()
    assert await town.level("TEE") == 5, "a sale is a sale, whichever listing made it"


async def test_an_unmapped_location_is_neither_all_nor_the_first(plan: Town) -> None:
    source = plan.store("uk", LEVELS)
    shop = plan.store("woo", {**ORDERS, "locations": ("shop", "attic")}, locations={"shop": "main"})
    source.add("MUG", 50)
    shop.add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    await shop.edit("MUG", 20, location="attic")
    await shop.sell({"MUG": 3}, location="attic")
    await plan.settle()
    assert await plan.level("MUG") == 50
    assert ("MUG", "unmapped") in await skipped(plan)
    assert (shop.shelf("MUG", "shop"), shop.shelf("MUG", "attic")) == (50, 17)


async def test_an_order_older_than_the_first_count_moves_nothing_but_its_refund_counts(
    plan: Town,
) -> None:
    source, shop = plan.store("uk", LEVELS), plan.store("woo", ORDERS)
    for store in (source, shop):
        store.add("MUG", 50)
    await plan.open()
    await plan.sweepers["woo"].sweep()
    order = await shop.sell({"MUG": 5})
    plan.lose_webhooks()
    plan.clock.forward(3600)
    await plan.seed()
    assert await movements(plan) == []
    plan.clock.forward(60)
    await shop.refund(order, "MUG", 2, restock=True)
    await plan.settle()
    assert await movements(plan) == [("refund", 2)]
    assert plan.shelves("MUG") == {"uk": 52, "woo": 52}


async def test_an_old_order_first_heard_of_after_the_count_is_inside_it(plan: Town) -> None:
    """Too old to be fetched before the count; then somebody pays it, or writes a note."""
    source, shop = plan.store("uk", LEVELS), plan.store("woo", ORDERS)
    for store in (source, shop):
        store.add("MUG", 50)
    await plan.open()
    shop.subscribe("orders/update", "https://town.example/webhooks/woo")
    order = await shop.sell({"MUG": 5}, paid=False)
    plan.lose_webhooks()
    plan.clock.forward(80 * 86400)
    async with plan.db.transaction("partitions") as conn:
        await bookmark.ensure_partitions(conn, plan.clock().date())
    await plan.seed()
    await shop.pay(order)
    await plan.settle()
    assert await movements(plan) == []
    plan.clock.forward(60)
    await shop.refund(order, "MUG", 2, restock=True)
    await plan.settle()
    assert await movements(plan) == [("refund", 2)]
    assert plan.shelves("MUG") == {"uk": 52, "woo": 52}


async def test_an_oversell_is_counted_and_shown_as_zero(town: Town, woo: MemoryStore) -> None:
    await woo.sell({"CAP": 3})
    await town.stores["sw"].sell({"CAP": 2})
    await town.settle()
    assert await town.level("CAP") == -2
    assert town.shelves("CAP") == {"uk": 0, "sw": 0, "woo": 0}
    counted = town.core.metrics.oversell_units_total
    assert sum(counted.labels(name)._value.get() for name in town.stores) == 2


async def test_an_order_that_names_a_line_twice_books_one_state(
    town: Town, woo: MemoryStore
) -> None:
    order = await woo.sell({"MUG": 2})
    seen = woo.order(order)
    town.lose_webhooks()
    again = replace(seen.lines[0], taken=4, kept=4)
    twice = replace(seen, lines=(seen.lines[0], again))
    await tell(town, twice)
    assert await town.level("MUG") == 46
    town.clock.forward(60)
    await tell(town, replace(seen, version=seen.version + 10**8, lines=(), terminal=True))
    assert await town.level("MUG") == 50
