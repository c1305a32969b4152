"""The first count: what was sold before it is inside, what happens after it counts, once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from syncd.bulk.seeding import seed
from syncd.db import ledger
from syncd.fanout import Heard, book
from syncd.stock.model import LineSeen
from tests.flow.town import LEVELS, ORDERS, Town

BOUND_S = 10.0


async def shops(plan: Town, source: Mapping[str, Any], **channel: Any) -> None:
    """A source and a shop with orders, each with mugs and tees; both are not seeded yet."""
    for name, character in (("uk", source), ("woo", ORDERS)):
        store = plan.store(name, character, **(channel if name == "uk" else {}))
        store.add("MUG", 50)
        store.add("TEE", 10)
    await plan.open()


async def ended_or_waiting(plan: Town, task: asyncio.Task[Any]) -> None:
    """Wait until a task is done, or waits for a lock that only others can give back."""
    async with asyncio.timeout(BOUND_S):
        while not task.done() and not await plan.rows(
            "select from pg_locks l join pg_database d on d.oid = l.database"
            " where not granted and locktype = 'advisory' and datname = current_database()"
        ):
            pass


async def later(plan: Town) -> None:
    plan.clock.forward(60)
    await plan.settle()


@pytest.mark.parametrize("known", [True, False], ids=["listed", "not_listed"])
@pytest.mark.parametrize(("source", "where"), [(LEVELS, "woo"), (ORDERS, "uk")])
async def test_a_sale_heard_while_the_first_count_is_read_is_booked_after_it(
    plan: Town, monkeypatch: pytest.MonkeyPatch, source: Mapping[str, Any], where: str, known: bool
) -> None:
    await shops(plan, source)
    for sweeper in plan.sweepers.values() if known else ():
        await sweeper.sweep()
    if not known:
        plan.stores[where].subscribe("orders/update", f"https://town.example/webhooks/{where}")

    store = plan.stores["uk"]
    told: list[object] = []
    page = store.page

    def counting(start: int) -> Any:
        told.append(start)
        return page(start)

    serve = store.serve

    async def serving(token: str, work: Any, *, writes: bool) -> Any:
        answer = await serve(token, work, writes=writes)
        if told == [0]:
            told.append("sold")
            plan.clock.forward(5)
            await plan.stores[where].sell({"MUG": 2})
            await plan.book_orders()
            plan.clock.forward(5)
        return answer

    monkeypatch.setattr(store, "page", counting)
    monkeypatch.setattr(store, "serve", serving)
    await plan.bulk.seed([])
    assert told == [0, "sold"]
    # what was sold at the source itself may be inside what was read: it is read again
    assert await plan.level("MUG") == (50 if where == "woo" else None)
    await plan.settle()
    await plan.sweepers["uk"].sweep()
    assert await plan.level("MUG") == 48
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    await later(plan)
    assert await plan.level("MUG") == 48
    assert plan.shelves("MUG") == {"uk": 48, "woo": 48}
    assert await plan.level("TEE") == 10


async def test_an_order_heard_before_the_first_count_is_inside_it(plan: Town) -> None:
    await shops(plan, LEVELS)
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    order = await plan.stores["woo"].sell({"MUG": 2})
    await plan.settle()
    plan.clock.forward(60)
    await plan.seed()
    assert await plan.level("MUG") == 50
    plan.clock.forward(60)
    await plan.stores["woo"].cancel(order)
    await plan.settle()
    assert await plan.level("MUG") == 52


async def test_a_line_added_after_the_first_count_to_an_older_order_is_a_sale(plan: Town) -> None:
    await shops(plan, LEVELS)
    woo = plan.stores["woo"]
    number = await woo.sell({"TEE": 1})
    first = woo.order(number)
    plan.clock.forward(600)
    await plan.seed()
    plan.clock.forward(600)
    now = plan.clock()
    line = LineSeen(f"{number}.2", 3, 3, remote=woo.items["MUG"].remote, sku="MUG")
    seen = replace(
        first,
        version=int(now.timestamp() * 1e6),
        at=now,
        created=first.at,
        lines=(*first.lines, line),
    )
    async with plan.core.booking("told") as (conn, booking):
        await book(conn, booking, [Heard(plan.channel("woo").id, seen)])
    assert (await plan.level("MUG"), await plan.level("TEE")) == (47, 10)


@pytest.mark.parametrize("heard", ["before", "after"])
async def test_an_order_paid_after_the_first_count_was_off_the_shelf_before(
    plan: Town, heard: str
) -> None:
    await shops(plan, ORDERS, commit_on="paid")
    uk = plan.stores["uk"]
    if heard == "before":
        uk.subscribe("orders/update", "https://town.example/webhooks/uk")
    order = await uk.sell({"MUG": 2}, paid=False)
    await plan.settle()
    plan.clock.forward(600)
    await plan.seed()
    assert await plan.level("MUG") == 48
    plan.clock.forward(600)
    await uk.pay(order)
    await plan.settle()
    assert await plan.level("MUG") == 48
    plan.clock.forward(60)
    await uk.cancel(order)
    await plan.settle()
    assert await plan.level("MUG") == 50


async def sold_after_the_asking(plan: Town) -> Heard:
    plan.clock.forward(5)
    order = await plan.stores["woo"].sell({"MUG": 2})
    plan.lose_webhooks()
    plan.clock.forward(5)
    return Heard(plan.channel("woo").id, plan.stores["woo"].order(order))


@pytest.mark.parametrize("listed", [True, False])
async def test_a_sale_whose_booking_is_open_while_the_first_count_is_booked_counts(
    plan: Town, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """It was found without a level, and is not there yet for the count to see."""
    await shops(plan, LEVELS)
    for sweeper in plan.sweepers.values() if listed else ():
        await sweeper.sweep()
    booked, commit = asyncio.Event(), asyncio.Event()

    async def sale() -> None:
        heard = await sold_after_the_asking(plan)
        async with plan.core.booking("sale") as (conn, booking):
            await book(conn, booking, [heard])
            booked.set()
            await commit.wait()

    async with asyncio.TaskGroup() as tasks:

        async def sold() -> None:
            tasks.create_task(sale())
            await booked.wait()

        with plan.after_reading("uk", sold):
            seed = tasks.create_task(plan.bulk.seed([]))
            await ended_or_waiting(plan, seed)
        commit.set()
    await plan.settle()
    assert await plan.level("MUG") == 48


@pytest.mark.parametrize("listed", [True, False])
async def test_a_sale_heard_while_the_first_count_is_being_stored_counts(
    plan: Town, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """The count has looked for later sales already, and the sale cannot see its level yet."""
    await shops(plan, LEVELS)
    for sweeper in plan.sweepers.values() if listed else ():
        await sweeper.sweep()
    looked, commit = asyncio.Event(), asyncio.Event()
    reopen = ledger.reopen_orders

    async def stepped(*args: Any) -> Any:
        found = await reopen(*args)
        looked.set()
        await commit.wait()
        return found

    monkeypatch.setattr(ledger, "reopen_orders", stepped)

    async def sale() -> None:
        heard = await sold_after_the_asking(plan)
        async with plan.core.booking("sale") as (conn, booking):
            await book(conn, booking, [heard])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(plan.bulk.seed([]))
        await looked.wait()
        sold = tasks.create_task(sale())
        await ended_or_waiting(plan, sold)
        commit.set()
    await plan.settle()
    assert await plan.level("MUG") == 48


@pytest.mark.parametrize("heard", ["webhook", "fetch"])
@pytest.mark.parametrize("inside", [True, False])
async def test_a_sale_at_the_source_while_it_is_read_is_counted_once(
    plan: Town, monkeypatch: pytest.MonkeyPatch, inside: bool, heard: str
) -> None:
    """Between asking and answer: whether it is inside the count, only another reading tells."""
    await shops(plan, ORDERS)
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    uk, page = plan.stores["uk"], plan.stores["uk"].page
    plan.clock.forward(60)
    orders: list[str] = []

    async def sold() -> None:
        plan.clock.forward(0.2)
        orders.append(await uk.sell({"MUG": 2}))
        if heard == "webhook":
            await plan.book_orders()
        plan.lose_webhooks()

    async def pages(start: int) -> Any:
        if inside:
            await sold()
        found = page(start)
        if not inside:
            await sold()
        return found

    serve = uk.serve

    async def serving(token: str, work: Any, *, writes: bool) -> Any:
        answer = await serve(token, work, writes=writes)
        is_page = isinstance(answer, tuple) and not orders
        return await pages(0) if is_page else answer

    monkeypatch.setattr(uk, "serve", serving)
    await plan.bulk.seed([])
    assert len(orders) == 1
    assert await plan.level("MUG") is None
    assert await plan.level("TEE") == 10
    told = await plan.rows("select sku from journal where reason = 'sold_while_counted'")
    assert told == [("MUG",)]
    plan.clock.forward(60)
    for _ in range(2):
        for sweeper in plan.sweepers.values():
            await sweeper.sweep()
        await later(plan)
    assert await plan.level("MUG") == 48
    assert plan.shelves("MUG") == {"uk": 48, "woo": 48}
    await uk.cancel(orders[0])
    await later(plan)
    assert await plan.level("MUG") == 50


async def test_a_sale_stamped_in_the_second_of_the_first_count_is_booked(plan: Town) -> None:
    """A platform that tells whole seconds dates it before the asking."""
    await shops(plan, LEVELS)
    await plan.seed()
    ((counted_at,),) = await plan.rows("select distinct seeded_at from level")
    woo = plan.stores["woo"]
    seen = woo.order(await woo.sell({"MUG": 2}))
    plan.lose_webhooks()
    seen = replace(seen, at=counted_at.replace(microsecond=0), created=None)
    async with plan.core.booking("told") as (conn, booking):
        await book(conn, booking, [Heard(plan.channel("woo").id, seen)])
    assert await plan.level("MUG") == 48


async def test_a_seed_lists_open_orders_that_it_cannot_date(plan: Town) -> None:
    for name, character in (("uk", ORDERS), ("woo", {**ORDERS, "dates_moves": False})):
        plan.store(name, character).add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    order = await plan.stores["woo"].sell({"MUG": 3})
    done = await plan.stores["woo"].sell({"MUG": 1})
    await plan.stores["uk"].sell({"MUG": 1})
    await plan.stores["woo"].cancel(done)
    await plan.settle()
    found = await seed(plan.core, [])
    assert [(x["channel"], x["order"], x["units"]) for x in found["undated"]] == [  # type: ignore[attr-defined]
        ("woo", f"#{order}", 3)
    ]
    assert await plan.rows("select reason from journal where outcome = 'undated'") == [
        ("open when it was counted",)
    ]
