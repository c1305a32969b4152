"""Where one reading costs a call, no backlog of readings arises, and none keeps a write waiting."""

from __future__ import annotations

import asyncio

from syncd.fanout import Found, book_readings
from tests.flow.town import ONE_BY_ONE, ORDERS, Town

LOOKS = "select c.name, count(*) from look k join channel c on c.id = k.channel_id group by 1"


async def test_the_page_that_brings_listings_is_their_first_reading(plan: Town) -> None:
    for name, character in (("woo", ORDERS), ("sw", ONE_BY_ONE)):
        plan.store(name, character).add("MUG", 7)
    await plan.open()
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    shown = await plan.rows("select shown from shelf")
    assert shown == [(7,), (7,)]
    assert await plan.rows(LOOKS) == []


async def test_an_overlapped_page_asks_again_only_where_that_is_cheap(town: Town) -> None:
    listings = dict(
        await town.rows("select c.name, l.id from listing l join channel c on c.id = l.channel_id")
    )
    async with town.core.booking("overlapped") as (conn, booking):
        found = [Found(i, 1, None, unannounced=True) for i in listings.values()]
        await book_readings(conn, booking, found, 0, booking.now)
    assert sorted(await town.rows(LOOKS)) == [("uk", 1), ("woo", 1)]


async def test_an_overlapped_reading_of_one_listing_is_asked_again_everywhere(town: Town) -> None:
    ((listing,),) = await town.rows(
        "select l.id from listing l join channel c on c.id = l.channel_id"
        " where c.name = 'sw' and l.sku = 'MUG'"
    )
    async with town.core.booking("overlapped") as (conn, booking):
        await book_readings(conn, booking, [Found(listing, 1, None)], 0, booking.now)
    assert await town.rows(LOOKS) == [("sw", 1)]


async def test_jobs_that_wait_for_their_budget_keep_no_write_from_queueing(town: Town) -> None:
    lane = town.lanes["sw"]
    started = set()

    def waits(kind):
        async def job(_chosen):
            started.add(kind)
            await asyncio.Event().wait()

        return job

    kinds = ("attempts", "orders", "looks", "writes")
    for kind in kinds:
        lane._start(kind, waits(kind))
    await asyncio.sleep(0)
    jobs = list(lane._jobs)
    for task in jobs:
        task.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert started == set(kinds)
