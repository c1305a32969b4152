"""Writes that are taken up again, and rows that break their platform: nothing is booked twice, nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from syncd.connectors.memory import MemoryStore
from syncd.connectors.memory_store import Answered, Silence, Unreachable
from syncd.errors import RetryLater
from tests.flow.town import FOLLOWED, LEVELS, Town

Act = Callable[[Callable[[], object]], Awaitable[object]]


async def applied_and_killed(work: Callable[[], object]) -> object:
    work()
    raise asyncio.CancelledError


async def applied_and_silent(work: Callable[[], object]) -> object:
    work()
    raise Silence


async def unreachable(_: Callable[[], object]) -> object:
    raise Unreachable


async def throttled(_: Callable[[], object]) -> object:
    raise Answered(429)


async def refused(_: Callable[[], object]) -> object:
    raise Answered(422, "locked")


def writes_go(store: MemoryStore, *acts: Act) -> None:
    """The next writes of a store end so; then it works again."""
    serve, plan = store.serve, list(acts)

    async def serving(token: str, work: Callable[[], Any], *, writes: bool) -> Any:
        if writes and plan:
            return await plan.pop(0)(work)
        return await serve(token, work, writes=writes)

    store.serve = serving  # type: ignore[method-assign]


async def settled(town: Town) -> None:
    for _ in range(5):
        town.clock.forward(60)
        await town.settle()
    await town.sweepers["uk"].sweep()
    await town.settle()


@pytest.mark.parametrize("again", [unreachable, throttled, refused])
@pytest.mark.parametrize("first", [applied_and_killed, applied_and_silent])
async def test_what_a_resend_meets_says_nothing_of_the_first_sending(
    town: Town, first: Act, again: Act
) -> None:
    town.clock.forward(60)
    writes_go(town.stores["uk"], first, again)
    await town.stores["sw"].sell({"MUG": 2})
    await town.book_orders()
    with suppress(asyncio.CancelledError, RetryLater):
        await town.lanes["uk"].writing.write_owed(lambda: None)
    await town.start_lane("uk")
    town.clock.forward(60)
    with suppress(RetryLater):
        await town.lanes["uk"].writing.resume(lambda: None)
    await settled(town)
    assert await town.level("MUG") == 48
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


@pytest.mark.parametrize("where", ["sw", "woo"])
async def test_one_row_that_breaks_every_blind_write_holds_no_other(town: Town, where: str) -> None:
    store, other = town.stores[where], "woo" if where != "woo" else "sw"
    check = store._check

    def checking(write: Any) -> None:
        if any(store._sku(row.ref) == "CAP" for row in write.rows):
            raise Answered(500, "fatal in a plugin")
        check(write)

    store._check = checking  # type: ignore[method-assign]
    town.clock.forward(60)
    for sku in ("MUG", "CAP", "TEE"):
        await town.stores[other].sell({sku: 2})
    for _ in range(60):
        town.clock.forward(60)
        with suppress(RetryLater):
            await town.settle()
    assert (store.shelf("MUG"), store.shelf("TEE")) == (48, 8)


async def test_a_shelf_that_surprises_is_not_raised_before_its_orders_are_fetched(
    town: Town,
) -> None:
    town.clock.forward(60)
    woo, written = town.stores["woo"], []
    put = woo._put
    await woo.sell({"MUG": 2})
    town.lose_webhooks()
    await town.look("woo", "MUG")

    def putting(row: Any, op: Any) -> Any:
        written.append(row.to_quantity)
        return put(row, op)

    woo._put = putting  # type: ignore[method-assign]
    for _ in range(2):  # the claim that waits for orders asks for them; they come in the next round
        await town.settle()
    assert 50 not in written
    assert await town.level("MUG") == 48


async def test_what_the_platform_stopped_tracking_is_not_written(town: Town) -> None:
    woo = town.stores["woo"]
    woo.unmanage("MUG")
    await town.settle()
    before = woo.counters.writes
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    assert woo.counters.writes == before
    assert woo.items["MUG"].counts[""][0] == 50


def reading_breaks(store: MemoryStore, sku: str) -> None:
    """Every call that asks for this one is answered 500, whatever else it asks for."""
    read = store.read

    def reading(refs: Any) -> Any:
        if any(store._sku(ref) == sku for ref in refs):
            raise Answered(500, "fatal in a plugin")
        return read(refs)

    store.read = reading  # type: ignore[method-assign]


async def test_one_listing_that_cannot_be_read_keeps_no_other_write_open(town: Town) -> None:
    """Two writes without an answer, one of them of a listing that breaks its platform's reading."""
    woo = town.stores["woo"]
    town.clock.forward(60)
    writes_go(woo, applied_and_silent, applied_and_silent)
    for skus in (("CAP", "TEE"), ("MUG",)):
        for sku in skus:
            await town.stores["uk"].sell({sku: 1})
        await town.book()
        with suppress(RetryLater):
            await town.lanes["woo"].writing.write_owed(lambda: None)
    reading_breaks(woo, "CAP")
    for _ in range(10):
        town.clock.forward(60)
        with suppress(RetryLater):
            await town.settle()
    open_rows = "select l.sku from attempt_row r join listing l on l.id = r.listing_id"
    assert {row[0] for row in await town.rows(open_rows)} <= {"CAP"}
    await town.stores["uk"].sell({"TEE": 1, "MUG": 1})
    await town.settle()
    assert (woo.shelf("MUG"), woo.shelf("TEE")) == (48, 8)


async def test_one_listing_that_cannot_be_read_holds_no_delivery_where_edits_are_adopted(
    plan: Town,
) -> None:
    uk, woo = plan.store("uk", LEVELS), plan.store("woo", FOLLOWED, edits="adopt")
    for store in (uk, woo):
        for sku in ("MUG", "CAP", "TEE"):
            store.add(sku, 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    reading_breaks(woo, "CAP")
    for sku in ("CAP", "MUG", "TEE"):
        await uk.sell({sku: 2})
    for _ in range(20):
        plan.clock.forward(60)
        with suppress(RetryLater):
            await plan.settle()
    assert (woo.shelf("MUG"), woo.shelf("TEE")) == (48, 48)
