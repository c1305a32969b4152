"""Our clock may be wrong, jump ahead and be set back: no order is missed and nothing waits for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from syncd.connectors.memory_store import MemoryStore
from syncd.db import attempts, outbox
from syncd.lane import Lane
from tests.flow.town import Town


class Skew:
    """How far our clock is ahead of the platforms'."""

    def __init__(self, town: Town, ahead: timedelta = timedelta(0)) -> None:
        self._true = town.clock
        self.ahead = ahead
        town.core.clock = self

    def __call__(self) -> datetime:
        return self._true() + self.ahead


async def sweep(town: Town) -> None:
    for sweeper in town.sweepers.values():
        await sweeper.sweep()


async def step_by_our_clock(town: Town, lane: Lane) -> None:
    """As `Town.step`, but what is due is told by our clock alone."""
    async with town.db.transaction("due") as conn:
        due = await outbox.due(conn, lane._channel.id, town.core.clock(), [], [])
    jobs = [
        (due.attempts, lane.writing.resume),
        (due.orders, lane.fetching.fetch_wished),
        (lane.fetching.wanted, lane.fetching.fetch_changed),
        (due.looks, lane.reading.read_wished),
        (due.writes, lane.writing.write_owed),
    ]
    for wanted, job in jobs:
        if wanted:
            await job(lambda: None)


async def mark(town: Town, column: str) -> datetime | None:
    found = await town.rows(f"select {column} from channel where name = 'woo'")
    return found[0][0]


async def lose_a_sale(town: Town, store: MemoryStore) -> None:
    await store.sell({"MUG": 2})
    town.lose_webhooks()


async def test_a_sale_is_found_after_our_clock_jumped_ahead_for_one_sweep(town: Town) -> None:
    skew = Skew(town, timedelta(days=3))
    await sweep(town)
    skew.ahead = timedelta(0)
    town.clock.forward(3600)
    await lose_a_sale(town, town.stores["woo"])
    town.clock.forward(900)
    await sweep(town)
    assert await town.level("MUG") == 48


async def test_a_sale_is_found_after_our_clock_jumped_ahead_by_years(town: Town) -> None:
    skew = Skew(town, timedelta(days=2000))
    await town.sweepers["woo"].sweep()
    skew.ahead = timedelta(0)
    town.clock.forward(3600)
    await lose_a_sale(town, town.stores["woo"])
    town.clock.forward(7200)
    await town.sweepers["woo"].sweep()
    assert await town.level("MUG") == 48


async def test_a_sale_is_found_while_our_clock_is_ahead(town: Town) -> None:
    Skew(town, timedelta(minutes=16))
    await sweep(town)
    town.clock.forward(60)
    await lose_a_sale(town, town.stores["woo"])
    town.clock.forward(900)
    await sweep(town)
    assert await town.level("MUG") == 48


async def test_the_watermark_is_the_newest_change_by_the_platforms_clock(town: Town) -> None:
    skew = Skew(town, timedelta(minutes=30))
    woo = town.stores["woo"]
    await woo.sell({"MUG": 2})
    newest = max(order.version for order in woo._orders.values())
    await town.sweepers["woo"].sweep()
    through = await mark(town, "orders_through")
    assert through == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
    skew.ahead = timedelta(days=3)
    await town.sweepers["woo"].sweep()
    assert await mark(town, "orders_through") == through


async def test_an_order_from_the_far_future_moves_no_watermark(town: Town) -> None:
    woo = town.stores["woo"]
    before = woo.clock
    woo.clock = lambda: town.clock() + timedelta(days=400)
    await woo.sell({"TEE": 1})
    woo.clock = before
    await town.sweepers["woo"].sweep()
    through = await mark(town, "orders_through")
    assert through is not None
    assert through <= town.clock()


async def test_a_quiet_channel_is_asked_for_a_bounded_time(town: Town) -> None:
    await town.sweepers["woo"].sweep()
    town.clock.forward(100 * 86400)
    await town.sweepers["woo"].sweep()
    through = await mark(town, "orders_through")
    assert through is not None
    assert town.clock() - through < timedelta(days=15)


async def test_everything_goes_on_after_our_clock_was_set_back(town: Town) -> None:
    skew = Skew(town)
    town.clock.forward(7200)
    await town.stores["uk"].edit("MUG", 60)
    await town.book()
    skew.ahead = timedelta(hours=-2)
    for _ in range(2):
        town.clock.forward(600)
        await sweep(town)
        for lane in [*town.lanes.values()] * 3:
            await step_by_our_clock(town, lane)
    assert town.shelves("MUG") == {"uk": 60, "sw": 60, "woo": 60}


async def test_no_raise_goes_by_a_fetch_that_an_errant_clock_dated_ahead(town: Town) -> None:
    skew = Skew(town, timedelta(days=3))
    await town.sweepers["woo"].sweep()
    skew.ahead = timedelta(0)
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 60)
    await town.book()
    lane = town.lanes["woo"]
    await lane.writing.write_owed(lambda: None)
    assert lane.fetching.wanted
    assert town.stores["woo"].shelf("MUG") == 50
    await lane.fetching.fetch_changed(lambda: None)
    asked = await mark(town, "orders_asked_at")
    assert asked is not None
    assert asked <= town.clock()
    await town.settle()
    assert town.stores["woo"].shelf("MUG") == 60


async def test_who_takes_a_lane_over_puts_nothing_off_for_days(town: Town) -> None:
    town.clock.forward(60)
    await town.stores["sw"].sell({"MUG": 2})
    await town.book_orders()
    channel = town.channel("woo")
    await town.look("woo", "TEE")
    await town.rows("update outbox set not_before = not_before + interval '3 days' returning 1")
    await town.rows("update look set not_before = not_before + interval '3 days' returning 1")
    async with town.db.transaction("take") as conn:
        await attempts.take_lane(conn, channel.id, town.clock())
    late = await town.rows(
        "select not_before from outbox where channel_id = $1 union all "
        "select not_before from look where channel_id = $1",
        channel.id,
    )
    assert len(late) >= 2
    assert all(row[0] <= town.clock() + outbox.LONGEST_PAUSE for row in late)
