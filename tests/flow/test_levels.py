"""Levels as the truth: differences of readings telescope, whatever was lost, repeated or in flight."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncd.errors import RetryLater
from syncd.stock.decide import LAG_ASKS
from tests.flow.town import LEVELS, ORDERS, Town


async def edits(town: Town, sku: str = "MUG") -> list[int]:
    """The movements of a sku that no order explains."""
    found = await town.rows(
        "select delta from movement m join item i on i.id = m.item_id"
        " where i.sku = $1 and kind = 'edit' order by m.id",
        sku,
    )
    return [delta for (delta,) in found]


async def movements(town: Town, sku: str = "MUG") -> int:
    found = await town.rows(
        "select count(*) from movement m join item i on i.id = m.item_id where i.sku = $1", sku
    )
    return int(found[0][0])


async def test_an_edit_is_adopted_everywhere(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 80)
    await town.settle()
    assert await edits(town) == [30]
    assert town.shelves("MUG") == {"uk": 80, "sw": 80, "woo": 80}


async def test_fifty_sales_cost_one_reading_and_one_movement(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    for _ in range(50):
        await store.sell({"MUG": 1})
    before, calls = await movements(town), store.counters.calls
    await town.settle()
    assert await town.level("MUG") == 0
    assert await movements(town) == before + 1
    assert store.counters.calls == calls + 1


async def test_there_and_back_books_nothing(town: Town) -> None:
    town.clock.forward(60)
    before = await movements(town)
    await town.stores["uk"].edit("MUG", 20)
    await town.stores["uk"].edit("MUG", 50)
    await town.settle()
    assert await town.level("MUG") == 50
    assert await movements(town) == before


async def test_there_and_back_with_a_reading_between_books_both_ways(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 20)
    await town.settle()
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 50)
    await town.settle()
    assert await edits(town) == [-30, 30]
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def test_a_value_equal_to_our_write_is_no_echo_when_a_sale_made_it(town: Town) -> None:
    """We write 48 for a sale elsewhere; two are sold here while it is under way: 48 is no echo."""
    town.clock.forward(60)
    store = town.stores["uk"]
    await town.stores["sw"].sell({"MUG": 2})
    await town.book()

    async def two_are_sold() -> None:
        await store.sell({"MUG": 2})

    with town.before_write("uk", two_are_sold):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    await town.settle()
    assert await town.level("MUG") == 46
    assert town.shelves("MUG") == {"uk": 46, "sw": 46, "woo": 46}


async def test_a_row_named_stale_twice_goes_as_a_keyed_delta(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    await town.stores["sw"].sell({"MUG": 2})
    await town.book()

    async def one_is_sold() -> None:
        await store.sell({"MUG": 1})

    for _ in range(3):
        town.clock.forward(1)
        with town.before_write("uk", one_is_sold):
            await town.lanes["uk"].writing.write_owed(lambda: None)
        await town.book()
    ops = await town.rows(
        "select outcome, detail->>'op' from journal j join channel c on c.id = j.channel_id"
        " where c.name = 'uk' and outcome in ('stale', 'delivered') order by at"
    )
    assert ops == [("stale", "set"), ("stale", "set"), ("delivered", "delta")]
    await town.settle()
    assert await town.level("MUG") == 45
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 45}


async def test_a_lost_answer_is_sent_again_under_its_own_key(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    store.faults.lose_answer = 1.0
    await town.stores["sw"].sell({"MUG": 2})
    await town.book()
    with pytest.raises(RetryLater):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    assert store.shelf("MUG") == 48, "it was applied, and nobody told us"
    await store.sell({"MUG": 3})
    store.faults.lose_answer = 0.0
    town.clock.forward(60)
    await town.settle()
    assert await town.level("MUG") == 45
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 45}


async def test_a_refused_connection_leaves_nothing_open(town: Town) -> None:
    town.clock.forward(60)
    town.stores["uk"].faults.down = True
    await town.stores["sw"].sell({"MUG": 2})
    await town.book_orders()
    with pytest.raises(RetryLater):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    assert await town.rows("select * from attempt") == []
    town.stores["uk"].faults.down = False
    await town.settle()
    assert town.stores["uk"].shelf("MUG") == 48


@pytest.mark.parametrize(
    ("sold", "verdict"), [(0, "applied"), (3, "unclear")], ids=["quiet", "traded"]
)
async def test_a_spent_key_is_settled_by_a_reading_and_put_to_a_person(
    town: Town, sold: int, verdict: str
) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    store.faults.lose_answer = 1.0
    await town.stores["sw"].sell({"MUG": 2})
    await town.book()
    with pytest.raises(RetryLater):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    store.faults.lose_answer = 0.0
    town.clock.forward(21 * 3600)
    if sold:
        await store.sell({"MUG": sold})
    await town.settle()
    doubts = await town.rows(
        "select reason, candidates, evidence::jsonb->>'verdict', evidence::jsonb->>'observed'"
        " from suspense"
    )
    assert [(d[0], d[2], d[3]) for d in doubts] == [("spent_key", verdict, str(48 - sold))]
    assert -sold in doubts[0][1], "what really happened is among the candidates"
    assert await town.rows("select * from attempt") == []


async def test_a_key_spent_on_a_write_that_never_landed_goes_again(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    store.faults.status = 500
    await town.stores["sw"].sell({"MUG": 2})
    await town.book_orders()
    with pytest.raises(RetryLater):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    store.faults.status = None
    town.clock.forward(21 * 3600)
    await town.settle()
    assert await town.rows("select evidence->>'verdict' from suspense") == [("not_applied",)]
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


async def test_a_lagging_reading_is_asked_five_times_and_then_believed(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    await town.stores["sw"].sell({"MUG": 2})
    await town.settle()
    assert store.shelf("MUG") == 48
    item = store.items["MUG"]
    item.counts[""] = (50, town.clock() - timedelta(seconds=600))  # an old copy answers
    await town.look("uk", "MUG")
    for asked in range(LAG_ASKS):
        await town.settle()
        assert await town.level("MUG") == 48, f"not believed when asked {asked + 1} times"
        town.clock.forward(2)
    await town.settle()
    assert await town.level("MUG") == 50


async def test_a_lagging_copy_that_catches_up_books_nothing(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    await town.stores["sw"].sell({"MUG": 2})
    await town.settle()
    newest = store.items["MUG"].counts[""]
    store.items["MUG"].counts[""] = (50, town.clock() - timedelta(seconds=600))
    before = await movements(town)
    await town.look("uk", "MUG")
    await town.settle()
    store.items["MUG"].counts[""] = newest
    town.clock.forward(2)
    await town.settle()
    assert await movements(town) == before
    assert await town.rows("select lag_asks from shelf where lag_asks <> 0") == [(1,)]


def stamp_nothing(town: Town, name: str) -> None:
    """From now on the store does not say when a count became what it is."""
    store = town.stores[name]
    read, put = store._reading, store._put
    store._reading = lambda ref: replace(read(ref), at=None)  # type: ignore[method-assign]
    store._put = lambda row, op: replace(put(row, op), at=None)  # type: ignore[method-assign]


@pytest.mark.parametrize("stamped", [True, False])
async def test_a_reading_is_dropped_when_a_write_was_made_meanwhile(
    town: Town, stamped: bool
) -> None:
    """Read 50, then our write makes it 48, then the answer 50 arrives: no two units came back."""
    town.clock.forward(60)
    if not stamped:
        stamp_nothing(town, "uk")
    await town.stores["sw"].sell({"MUG": 2})
    await town.book_orders()
    await town.look("uk", "MUG")

    async def a_write_goes_out() -> None:
        # the reading that is wished for is under way, so that the write goes as a delta
        town.clock.forward(1)
        await town.lanes["uk"].writing.write_owed(lambda: None)

    with town.after_reading("uk", a_write_goes_out):
        await town.lanes["uk"].reading.read_wished(lambda: None)
    assert town.stores["uk"].shelf("MUG") == 48
    await town.settle()
    assert await town.level("MUG") == 48
    assert await edits(town) == []
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


async def test_a_reading_is_dropped_while_a_write_is_open(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    await town.stores["sw"].sell({"MUG": 2})
    await town.book_orders()
    await town.look("uk", "MUG")
    store.faults.lose_answer = 1.0

    async def a_write_is_lost() -> None:
        town.clock.forward(1)
        with pytest.raises(RetryLater):
            await town.lanes["uk"].writing.write_owed(lambda: None)

    with town.after_reading("uk", a_write_is_lost):
        await town.lanes["uk"].reading.read_wished(lambda: None)
    store.faults.lose_answer = 0.0
    assert await town.level("MUG") == 48
    town.clock.forward(60)
    await town.settle()
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


async def test_a_sale_just_before_the_first_count_is_never_booked_twice(plan: Town) -> None:
    """The count holds the sale; its webhooks come after it."""
    store, other = plan.store("uk", LEVELS), plan.store("woo", ORDERS)
    for one in (store, other):
        one.add("MUG", 50)
    await plan.open()
    await plan.sweepers["uk"].sweep()
    await plan.sweepers["woo"].sweep()
    plan.clock.forward(60)
    await store.sell({"MUG": 2})
    await other.sell({"MUG": 1})
    plan.clock.forward(10)  # before it by more than clocks may differ
    await plan.seed()
    assert await plan.level("MUG") == 48
    assert plan.shelves("MUG") == {"uk": 48, "woo": 48}
    assert await movements(plan) == 1


async def test_an_item_counted_in_one_warehouse_is_not_counted_in_another(plan: Town) -> None:
    """Absent is never zero: a difference read where an item has no level yet makes none."""
    north = plan.store("uk", LEVELS)
    south = plan.store("south", LEVELS, locations={"*": "south"})
    other = plan.store("outlet", LEVELS, locations={"*": "south"})
    for store in (north, south, other):
        store.add("MUG", 50)
    await plan.open(warehouses={"south": {}})
    await plan.seed()
    plan.clock.forward(60)
    await south.sell({"MUG": 3})
    await plan.settle()
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 50, "south": 47, "outlet": 50}
    assert await plan.rows("select w.name from level join warehouse w on w.id = warehouse_id") == [
        ("main",)
    ]
