"""Poison: whatever an event, an order or a catalogue says, it has a defined answer and stops nobody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from typing import Any

import pytest

from syncd.connectors.base import Page, Ref
from syncd.connectors.memory import MemoryStore
from syncd.corridor import Core
from syncd.db import inbox
from syncd.db.inbox import NewEvent
from syncd.errors import Refused
from syncd.intake import BATCH
from syncd.stock.model import Fact, LevelSeen, OrderHint, OrderNews, OrderSeen, Reading
from tests.flow.town import Town

NUL = "MUG\x00"
numbers = count(1)


def body(store: MemoryStore, **said: Any) -> bytes:
    """An order of one mug, bent by `said`; `taken` and `sku` bend its line."""
    number = f"P{next(numbers)}"
    line = {"line": "1", "listing": store.items["MUG"].remote, "sku": "MUG", "location": ""}
    line |= {"taken": said.pop("taken", 1), "kept": 1, "sku": said.pop("sku", "MUG")}
    at = store.clock().isoformat()
    order = {"id": number, "number": f"#{number}", "version": 10**15, "at": at, "paid": True}
    order |= {"terminal": False, "kind": "sale", "lines": [line]}
    return json.dumps(order | said).encode()


async def post(town: Town, bodies: Sequence[bytes], topic: str = "orders/update") -> None:
    events = [
        NewEvent(
            town.channel("woo").id,
            blake2b(str(next(numbers)).encode(), digest_size=16).digest(),
            topic,
            one,
            None,
            town.clock(),
        )
        for one in bodies
    ]
    async with town.db.transaction("post") as conn:
        await inbox.store(conn, events, town.clock())


async def parked(town: Town) -> list[str]:
    return [row[0] for row in await town.rows("select reason from inbox_parked order by event_id")]


def parsing(town: Town, monkeypatch: pytest.MonkeyPatch, *facts: Fact) -> None:
    """From now on every event of woo says these facts."""
    connector: Any = town.channel("woo").connector
    monkeypatch.setattr(connector, "parse", lambda _: list(facts))


BAD = {
    "no json": lambda _: b"<html>busy</html>",
    "cut off": lambda store: body(store)[:-20],
    "deep": lambda _: b"[" * 100_000,
    "not text": lambda _: b"\xff\xfe\x00",
    "huge": lambda store: body(store, taken=10**30),
    "too many": lambda store: body(store, taken=1_000_000_001),
    "fraction": lambda store: body(store, taken=1.5),
    "negative": lambda store: body(store, taken=-1),
    "as text": lambda store: body(store, taken="1"),
    "absent": lambda store: body(store, taken=None),
    "NUL in an id": lambda store: body(store, id="P\x00"),
    "NUL in a sku": lambda store: body(store, sku=NUL),
    "half a character": lambda store: body(store).replace(b'"MUG"', b'"\\ud800"'),
    "a long id": lambda store: body(store, sku="X" * 5000),
    "a far year": lambda store: body(store, at="9999-12-31T23:59:59+00:00"),
    "version": lambda store: body(store, version=2**63),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_true_is_parked_and_the_rest_is_booked(town: Town, name: str) -> None:
    town.clock.forward(60)
    store = town.stores["woo"]
    good = [body(store) for _ in range(4)]
    await post(town, [*good[:2], BAD[name](store), *good[2:]])
    await town.settle()
    assert await town.level("MUG") == 46
    reasons = await parked(town)
    assert len(reasons) == 1
    assert reasons[0]


async def test_poison_amid_a_full_batch(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["woo"]
    bodies = [body(store) for _ in range(BATCH)]
    for place, name in ((3, "no json"), (250, "NUL in a sku"), (499, "huge")):
        bodies[place] = BAD[name](store)
    await post(town, bodies)
    steps = 0
    while await town.intake.step():
        steps += 1
    assert steps == 1, "what is known to be bad costs the others nothing"
    assert await town.level("MUG") == 50 - (BATCH - 3)
    assert len(await parked(town)) == 3


async def test_an_event_that_hurts_nobody_knows_why_is_found_by_halving(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database refuses what passed every check: only that event is parked, with its error."""
    town.clock.forward(60)
    store = town.stores["woo"]
    await town.rows("alter table movement add constraint unlucky check (note <> '#13')")
    bodies = [body(store) for _ in range(BATCH)]
    bodies[333] = body(store, number="#13")
    await post(town, bodies)
    steps = 0
    while await town.intake.step():
        steps += 1
    assert steps < 50
    assert await town.level("MUG") == 50 - (BATCH - 1)
    (reason,) = await parked(town)
    assert "unlucky" in reason


async def test_the_event_that_failed_is_parked_and_not_one_that_was_stored_late(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are given before they are committed: an older event may appear at any time."""
    town.clock.forward(60)
    store = town.stores["woo"]
    await town.rows("alter table movement add constraint unlucky check (note <> '#13')")
    await post(town, [body(store), body(store, number="#13")])
    ((first,),) = await town.rows("select min(event_id) from inbox_queue")
    booking = Core.booking
    async with town.db.connection("late") as late, AsyncExitStack() as storing:
        await storing.enter_async_context(late.transaction())
        await late.fetch("select from inbox_queue where event_id = $1 for update", first)

        def stepped(core: Core, name: str) -> Any:
            if name == "intake_park":
                return then(booking(core, name))
            return booking(core, name)

        @asynccontextmanager
        async def then(parking: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
            await storing.aclose()
            async with parking as made:
                yield made

        monkeypatch.setattr(Core, "booking", stepped)
        while await town.intake.step():
            pass
    (reason,) = await parked(town)
    assert "unlucky" in reason
    assert await town.rows("select event_id from inbox_parked") == [(first + 1,)]
    assert await town.level("MUG") == 49


async def test_a_parked_event_is_tried_again_when_asked(town: Town) -> None:
    town.clock.forward(60)
    await town.rows("alter table movement add constraint unlucky check (note <> '#13')")
    await post(town, [body(town.stores["woo"], number="#13")])
    await town.settle()
    assert len(await parked(town)) == 1
    await town.rows("alter table movement drop constraint unlucky")
    await town.ask("retry", "woo")
    await town.settle()
    assert await parked(town) == []
    assert await town.level("MUG") == 49


async def test_events_of_a_removed_channel_are_parked_with_the_reason(town: Town) -> None:
    await post(town, [body(town.stores["woo"])])
    del town.core.channels[town.channel("woo").id]
    while await town.intake.step():
        pass
    assert await parked(town) == ["its channel is not configured"]
    assert await town.level("MUG") == 50


async def test_events_of_a_disabled_channel_book_nothing(town: Town) -> None:
    channel = town.channel("woo")
    channel.rules = replace(channel.rules, enabled=False)
    await post(town, [body(town.stores["woo"])])
    while await town.intake.step():
        pass
    assert await parked(town) == []
    assert await town.level("MUG") == 50


async def test_a_parser_that_breaks_parks_its_event(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> list[Fact]:
        raise ZeroDivisionError

    connector: Any = town.channel("woo").connector
    monkeypatch.setattr(connector, "parse", broken)
    await post(town, [b"{}"])
    while await town.intake.step():
        pass
    assert await parked(town) == ["parse failed: ZeroDivisionError"]


@pytest.mark.parametrize(
    "fact",
    [
        LevelSeen(NUL),
        LevelSeen("1", "\ud800"),
        OrderHint(NUL),
        OrderHint("X" * 5000),
        OrderSeen("1", -1, datetime(2026, 11, 23, tzinfo=UTC), ()),
        OrderSeen("1", 1, datetime(2026, 11, 23), ()),  # noqa: DTZ001 - that is the poison
    ],
)
async def test_facts_that_cannot_be_stored_are_parked(
    town: Town, monkeypatch: pytest.MonkeyPatch, fact: Fact
) -> None:
    parsing(town, monkeypatch, fact)
    await post(town, [b"{}"])
    while await town.intake.step():
        pass
    (reason,) = await parked(town)
    assert "Error" not in reason, "the fact was judged, not tried out on the database"


async def test_a_hint_of_an_impossible_quantity_is_only_a_hint(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = town.stores["woo"].items["MUG"].remote
    parsing(town, monkeypatch, LevelSeen(remote, quantity=10**30))
    await post(town, [b"{}"])
    while await town.intake.step():
        pass
    assert await parked(town) == []
    assert await town.rows("select reason from look") == [("hint",)]


async def test_text_that_cannot_be_stored_is_replaced_where_it_only_speaks(town: Town) -> None:
    town.clock.forward(60)
    await post(town, [body(town.stores["woo"], number="#\x00\x00")])
    await town.settle()
    assert await town.rows("select number from sales_order") == [("#\ufffd\ufffd",)]
    assert await town.level("MUG") == 49


async def test_a_fetched_order_that_cannot_be_true_keeps_no_other_waiting(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    store = town.stores["woo"]
    good = await store.sell({"MUG": 2})
    bad = await store.sell({"MUG": 1})
    town.lose_webhooks()
    seen = store.order(bad)
    impossible = replace(seen, lines=(replace(seen.lines[0], taken=-5),))

    async def fetched(_: datetime) -> AsyncIterator[Sequence[OrderNews]]:
        yield [impossible, store.order(good)]

    connector: Any = town.channel("woo").connector
    monkeypatch.setattr(connector, "orders_since", fetched)
    await town.sweepers["woo"].sweep()
    told = await town.rows(
        "select reason, detail::jsonb->>'order' from journal where outcome = 'unreadable'"
    )
    assert [(order, "-5 units" in reason) for reason, order in told] == [(bad, True)]
    assert await town.level("MUG") == 48


async def test_a_row_of_a_catalogue_that_cannot_be_stored_stops_no_other(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    town.stores["uk"].add("HAT", 12)
    connector: Any = town.channel("uk").connector
    listings: Callable[[], AsyncIterator[Page]] = connector.listings

    async def spoilt() -> AsyncIterator[Page]:
        async for page in listings():
            bad = replace(page.rows[0], remote="R1", sku=NUL)
            titled = [replace(row, title="a \x00 hat") for row in page.rows]
            yield Page([bad, *titled])

    monkeypatch.setattr(connector, "listings", spoilt)
    await town.sweepers["uk"].sweep()
    await town.settle()
    assert await town.level("HAT") == 12
    assert await town.rows("select sku from journal where reason = 'unreadable'") == [
        ("MUG\ufffd",)
    ]


async def test_a_count_beyond_all_bounds_is_not_booked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    connector: Any = town.channel("uk").connector
    read = connector.read

    async def lying(refs: Sequence[Ref]) -> list[Reading]:
        return [replace(one, quantity=-(10**9)) for one in await read(refs)]

    monkeypatch.setattr(connector, "read", lying)
    await town.look("uk", "MUG")
    await town.settle()
    assert await town.level("MUG") == 50
    assert await town.rows("select reason from journal where outcome = 'skipped'") == [
        ("out_of_bounds",)
    ]
    assert await town.rows("select * from look") == [], "it is not asked for again and again"


async def test_a_platforms_words_are_kept_as_far_as_they_can_be(town: Town) -> None:
    town.clock.forward(60)
    store = town.stores["woo"]
    store.faults.refuse_skus = {"TEE"}
    problem = store._problem

    def spoilt(row: Any, op: Any) -> Any:
        found = problem(row, op)
        return found and replace(found, reason="no \x00 way")

    store._problem = spoilt  # type: ignore[method-assign]
    await town.stores["uk"].sell({"TEE": 1})
    await town.settle()
    assert await town.rows("select reason from outbox where parked_at is not null") == [
        ("no \ufffd way",)
    ]


async def test_an_order_that_is_refused_is_told_and_keeps_no_other_waiting(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    store = town.stores["woo"]
    ids = [await store.sell({"MUG": 1}) for _ in range(5)]
    town.lose_webhooks()
    connector: Any = town.channel("woo").connector
    orders = connector.orders

    async def choosy(asked: Sequence[str]) -> Sequence[OrderNews]:
        if ids[2] in asked:
            raise Refused("that order is none of yours")
        return list(await orders(asked))

    monkeypatch.setattr(connector, "orders", choosy)
    parsing(town, monkeypatch, *[OrderHint(one) for one in ids])
    await post(town, [b"{}"])
    await town.settle()
    assert await town.level("MUG") == 46
    assert await town.rows("select * from order_look") == []
    assert await town.rows(
        "select detail::jsonb->>'order' from journal where outcome = 'unreadable'"
    ) == [(ids[2],)]


async def test_a_listing_that_is_refused_keeps_no_other_unread(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    store = town.stores["uk"]
    connector: Any = town.channel("uk").connector
    read = connector.read

    async def choosy(refs: Sequence[Ref]) -> Sequence[Reading]:
        if any(ref.sku == "TEE" for ref in refs):
            raise Refused("that product is none of yours")
        return list(await read(refs))

    monkeypatch.setattr(connector, "read", choosy)
    await store.sell({"MUG": 1, "TEE": 1, "CAP": 1})
    await town.settle()
    assert [await town.level(sku) for sku in ("MUG", "TEE", "CAP")] == [49, 10, 2]
    calls = store.counters.calls
    await town.settle()
    assert store.counters.calls == calls, "it is not asked for again and again"
    monkeypatch.setattr(connector, "read", read)
    town.clock.forward(400)
    await town.settle()
    assert await town.level("TEE") == 9
