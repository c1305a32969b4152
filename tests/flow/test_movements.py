"""Movements posted by a WMS over real HTTP, beside shops whose sales are booked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from syncd.console import Upkeep
from syncd.db.pool import Database
from syncd.errors import RetryLater
from tests.flow.asking import Client, serving
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town


class Dock:
    """A WMS that posts to a town, and what became of each row."""

    def __init__(self, town: Town, api: Client) -> None:
        self.town = town
        self.api = api
        self.posted = 0

    async def post(
        self, *rows: dict[str, Any], channel: str | None = "wms"
    ) -> list[dict[str, Any]]:
        made = []
        for row in rows:
            self.posted += 1
            made.append({"cause": f"c{self.posted}", "sku": "MUG", **row})
        answer = await self.api.post("/movements", {"movements": made, "channel": channel})
        assert answer.status == 200, answer.raw
        assert len(answer.body["results"]) == len(made)
        return list(answer.body["results"])

    async def one(self, **row: Any) -> tuple[str, int | None, int | None]:
        (result,) = await self.post(row)
        return result["outcome"], result["delta"], result["level"]

    async def look_after(self) -> None:
        while await Upkeep(self.town.core).step():
            pass

    def ago(self, seconds: float) -> str:
        return (self.town.clock() - timedelta(seconds=seconds)).isoformat()


@pytest.fixture
async def dock(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Dock]:
    """A WMS, and three shops of every character with 50 mugs."""
    town = Town(database, request.node.nodeid)
    for name, character in (("uk", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        store = town.store(name, character)
        for sku in ("MUG", "TEE"):
            store.add(sku, 50)
    town.posting["wms"] = {"locations": {"AKL": "main", "SYD": "annex"}}
    await town.open({"annex": {}})
    await town.seed()
    town.clock.forward(600)
    async with serving(town.core) as api:
        yield Dock(town, api)
    await town.close()


async def shelves(dock: Dock, sku: str = "MUG") -> set[int]:
    await dock.town.settle()
    return set(dock.town.shelves(sku).values())


# ---- what each kind does


async def test_movements_arrive_as_deltas_and_every_shop_follows(dock: Dock) -> None:
    results = await dock.post(
        {"kind": "receipt", "delta": 24, "warehouse": "main"},
        {"kind": "pick", "delta": -4, "location": "AKL"},
        {"kind": "adjustment", "delta": -3, "warehouse": "main", "note": "broken"},
        {"kind": "stocktake", "delta": 2, "warehouse": "main"},
    )
    assert [(r["outcome"], r["delta"]) for r in results] == [
        ("booked", 24),
        ("booked", -4),
        ("booked", -3),
        ("booked", 2),
    ]
    assert {r["level"] for r in results} == {69}
    assert await dock.town.level("MUG") == 69
    assert await shelves(dock) == {69}
    rows = await dock.town.rows(
        "select kind, delta, cause, actor, note from movement where kind <> 'seed' order by id"
    )
    assert rows == [
        ("receipt", 24, "wms:post:c1:r1", "wms", ""),
        ("pick", -4, "wms:post:c2:r1", "wms", ""),
        ("adjustment", -3, "wms:post:c3:r1", "wms", "broken"),
        ("stocktake", 2, "wms:post:c4:r1", "wms", ""),
    ]


async def test_a_shop_that_is_down_keeps_nothing_waiting(dock: Dock) -> None:
    woo, lanes = dock.town.stores["woo"], dock.town.lanes
    woo.faults.down = True
    for row in (
        {"kind": "receipt", "delta": 10},
        {"kind": "pick", "delta": -1},
        {"kind": "adjustment", "delta": 1},
        {"kind": "stocktake", "delta": -2},
    ):
        (result,) = await dock.post({**row, "location": "AKL"})
        assert result["outcome"] == "booked"
    assert await dock.town.level("MUG") == 58
    lane = lanes.pop("woo")
    assert await shelves(dock) == {50, 58}, "the others do not wait either"
    with suppress(RetryLater):
        await dock.town.step(lane)
    assert woo.shelf("MUG") == 50
    lanes["woo"], woo.faults.down = lane, False
    dock.town.clock.forward(3600)
    assert await shelves(dock) == {58}


async def test_staged_goods_count_once_they_are_put_away(dock: Dock) -> None:
    assert await dock.one(kind="receipt", mode="staged", delta=24, location="AKL") == (
        "kept",
        0,
        50,
    )
    assert await shelves(dock) == {50}
    assert await dock.one(kind="putaway", delta=20, location="AKL") == ("booked", 20, 70)
    assert await shelves(dock) == {70}


async def test_a_transfer_moves_units_under_one_cause(dock: Dock) -> None:
    assert (await dock.one(kind="transfer", delta=5, location="AKL", to="annex"))[0] == "booked"
    rows = await dock.town.rows(
        "select w.name, m.delta, m.cause from movement m join warehouse w on w.id = m.warehouse_id"
        " where kind = 'transfer' order by w.name"
    )
    assert rows == [("annex", 5, "wms:post:c1:r1"), ("main", -5, "wms:post:c1:r1")]
    assert await shelves(dock) == {45}


# ---- each cause once


async def test_a_cause_happens_once_however_often_it_is_posted(dock: Dock) -> None:
    row = {"cause": "r-1", "kind": "receipt", "delta": 24, "location": "AKL"}
    first, again = await dock.post(row, row)
    assert (first["outcome"], again["outcome"]) == ("booked", "duplicate")
    (later,) = await dock.post({**row, "note": "worded anew"})
    assert (later["outcome"], later["delta"]) == ("duplicate", 24)
    (other,) = await dock.post({**row, "delta": 25})
    assert other["outcome"] == "refused"
    assert "cause was posted before" in other["reason"]
    assert await dock.town.level("MUG") == 74
    # the same cause of another sku, another channel, or no channel is another one
    assert (await dock.post({**row, "sku": "TEE"}))[0]["outcome"] == "booked"
    (free,) = await dock.post({**row, "location": None, "warehouse": "main"}, channel=None)
    assert (free["outcome"], free["level"]) == ("booked", 98)


# ---- orders


@pytest.mark.parametrize("name", ["uk", "sw", "woo"])
@pytest.mark.parametrize("kind", ["pick", "shipment"])
@pytest.mark.parametrize("first", ["order", "pick"])
async def test_what_an_order_took_is_not_taken_again(
    dock: Dock, name: str, kind: str, first: str
) -> None:
    town = dock.town
    order = await town.stores[name].sell({"MUG": 2})
    named = {"channel": name, "id": order}
    row = {"kind": kind, "delta": -2, "location": "AKL", "order": named}
    if first == "order":
        await town.settle()
        assert await dock.one(**row) == ("kept", 0, 48)
    else:
        assert await dock.one(**row) == ("provisional", 0, 50)
        await town.settle()
        await dock.look_after()
    assert await town.level("MUG") == 48
    assert await shelves(dock) == {48}
    assert await town.rows("select standing, booked from posting") == [("kept", 0)]
    dock.town.clock.forward(7 * 86400)
    await dock.look_after()
    assert await town.rows("select 1 from suspense") == []


async def test_goods_that_go_straight_out_for_an_order_are_nothing_new(dock: Dock) -> None:
    order = await dock.town.stores["woo"].sell({"MUG": 2})
    await dock.town.settle()
    named = {"channel": "woo", "id": order}
    row = {"kind": "receipt", "mode": "cross_dock", "delta": 2, "location": "AKL", "order": named}
    assert await dock.one(**row) == ("kept", 0, 48)


async def test_an_order_that_never_comes_is_put_to_a_person(dock: Dock) -> None:
    named = {"channel": "woo", "id": "nobody-knows-it"}
    row = {"kind": "pick", "delta": -2, "location": "AKL", "order": named}
    assert (await dock.one(**row))[0] == "provisional"
    await dock.look_after()
    assert await dock.town.rows("select standing from posting") == [("provisional",)]
    dock.town.clock.forward(86401)
    await dock.look_after()
    found = await dock.town.rows(
        "select reason, candidates, proposal, evidence ->> 'order' from suspense"
        " where resolved_at is null"
    )
    assert found == [("order_unheard", [-2, 0], 0, "nobody-knows-it")]
    assert await dock.town.level("MUG") == 50
    # nobody sells what may be gone
    dock.town.clock.forward(3600)
    assert await shelves(dock) == {48}
    told = await dock.town.rows("select sku, reason from journal where outcome = 'suspense'")
    assert told == [("MUG", "order_unheard")]


async def test_who_posts_picks_and_shipments_for_a_channel_nobody_books_posts_them_once(
    dock: Dock,
) -> None:
    named = {"channel": "wms", "id": "b2b-7"}
    row = {"location": "AKL", "order": named}
    assert await dock.one(kind="pick", delta=-3, **row) == ("booked", -3, 47)
    assert await dock.one(kind="shipment", delta=-3, **row) == ("kept", 0, 47)


# ---- counts


async def test_a_count_is_taken_against_the_level_of_its_time(dock: Dock) -> None:
    counted_at = dock.ago(0)
    dock.town.clock.forward(60)
    await dock.town.stores["woo"].sell({"MUG": 4})
    await dock.town.settle()
    row = {"kind": "stocktake", "available": 47, "counted_at": counted_at, "location": "AKL"}
    assert await dock.one(**row) == ("booked", -3, 43)
    assert await shelves(dock) == {43}


async def test_a_sale_before_a_count_that_is_heard_after_it_is_inside_it(dock: Dock) -> None:
    town = dock.town
    await town.stores["woo"].sell({"MUG": 2})
    town.clock.forward(60)
    row = {"kind": "stocktake", "available": 47, "counted_at": dock.ago(0), "location": "AKL"}
    assert await dock.one(**row) == ("booked", -3, 47)
    await town.settle()
    assert await town.level("MUG") == 47
    assert await shelves(dock) == {47}
    assert await town.rows("select booked, revision from stock_count") == [(-1, 2)]
    await town.stores["woo"].sell({"MUG": 1})
    await town.settle()
    assert await shelves(dock) == {46}


@pytest.mark.parametrize("picked", ["never", "before", "told late"])
async def test_what_lies_there_and_is_sold_cannot_be_sold_again(dock: Dock, picked: str) -> None:
    town = dock.town
    order = await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    town.clock.forward(60)
    named = {"channel": "woo", "id": order}
    pick = {"kind": "pick", "delta": -3, "location": "AKL", "order": named}
    if picked == "before":
        await dock.one(**pick)
    picked_at = dock.ago(0)
    town.clock.forward(60)
    count = {"kind": "stocktake", "on_hand": 47, "counted_at": dock.ago(0), "location": "AKL"}
    level = 47 if picked == "before" else 44
    assert await dock.one(**count) == ("booked", level - 47, level)
    if picked == "told late":
        assert await dock.one(**pick, occurred_at=picked_at) == ("kept", 0, 47)
        level = 47
    assert await shelves(dock) == {level}


async def test_an_item_is_counted_for_the_first_time_by_a_stocktake(dock: Dock) -> None:
    row = {"location": "SYD", "counted_at": dock.ago(0)}
    assert await dock.one(kind="stocktake", available=9, **row) == ("booked", 9, 9)
    assert await dock.one(kind="receipt", delta=1, location="SYD") == ("booked", 1, 10)


async def test_a_count_settles_what_is_in_suspense(dock: Dock) -> None:
    named = {"channel": "woo", "id": "nobody-knows-it"}
    await dock.one(kind="pick", delta=-2, location="AKL", order=named)
    dock.town.clock.forward(86401)
    await dock.look_after()
    row = {"kind": "stocktake", "available": 48, "counted_at": dock.ago(0), "location": "AKL"}
    assert await dock.one(**row) == ("booked", -2, 48)
    assert await dock.town.rows("select resolution from suspense") == [("counted",)]


async def test_counting_is_told_by_a_movement_even_where_nothing_differs(dock: Dock) -> None:
    row = {"kind": "stocktake", "available": 50, "counted_at": dock.ago(0), "location": "AKL"}
    assert await dock.one(**row) == ("booked", 0, 50)
    assert await dock.town.rows("select delta from movement where kind = 'stocktake'") == [(0,)]


# ---- whatever is posted has an answer

GOOD: dict[str, Any] = {"kind": "receipt", "delta": 1, "location": "AKL"}

BAD: list[tuple[dict[str, Any], str]] = [
    ({"sku": "NONE"}, "no item has this sku"),
    ({"sku": ""}, "sku"),
    ({"cause": ""}, "cause"),
    ({"cause": "x" * 201}, "cause"),
    ({"cause": "a\u0000b"}, "cannot be stored"),
    ({"kind": "theft"}, "kind"),
    ({"delta": 0}, "moves nothing"),
    ({"delta": -1}, "above 0"),
    ({"delta": 1_000_000_001}, "delta"),
    ({"delta": 1.5}, "delta"),
    ({"delta": "1"}, "delta"),
    ({"delta": None}, "say one of"),
    ({"available": 3}, "say one of"),
    ({"kind": "pick"}, "below 0"),
    ({"kind": "stocktake", "delta": None, "available": 1}, "counted_at is missing"),
    ({"kind": "adjustment", "mode": "direct"}, "receipt's alone"),
    ({"kind": "adjustment", "to": "annex"}, "transfer's alone"),
    ({"mode": "cross_dock"}, "names the order"),
    ({"kind": "transfer", "to": "main"}, "another warehouse"),
    ({"kind": "transfer", "to": "moon"}, "no warehouse is named moon"),
    ({"warehouse": "moon", "location": None}, "no warehouse is named moon"),
    ({"warehouse": "main"}, "not both"),
    ({"location": "MOON"}, "feeds no warehouse"),
    ({"channel": "moon"}, "no channel is named moon"),
    ({"order": {"id": "1", "channel": "moon"}}, "no channel is named moon"),
    ({"order": {"id": "#"}}, "names no order"),
    ({"order": "1"}, "order"),
    ({"occurred_at": "yesterday"}, "occurred_at"),
    ({"occurred_at": "2026-11-23T12:00:00"}, "occurred_at"),
    ({"occurred_at": "2199-01-01T00:00:00Z"}, "lies ahead"),
    ({"occurred_at": "1066-10-14T00:00:00Z"}, "no time"),
    ({"quantity": 4}, "not known"),
]


@pytest.mark.parametrize(("wrong", "says"), BAD, ids=[says for _, says in BAD])
async def test_a_bad_row_is_refused_and_hurts_no_other(
    dock: Dock, wrong: dict[str, Any], says: str
) -> None:
    before, bad, after = await dock.post(GOOD, {**GOOD, **wrong}, GOOD)
    assert (before["outcome"], after["outcome"]) == ("booked", "booked")
    assert bad["outcome"] == "refused"
    assert says in bad["reason"]
    assert await dock.town.level("MUG") == 52


async def test_rows_that_are_no_rows_are_refused_one_by_one(dock: Dock) -> None:
    body = {"movements": [None, 1, "x", [], {}, {**GOOD, "cause": "c", "sku": "MUG"}]}
    answer = await dock.api.post("/movements", {**body, "channel": "wms"})
    assert [r["outcome"] for r in answer.body["results"]] == ["refused"] * 5 + ["booked"]


async def test_a_row_that_the_database_refuses_stands_alone(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncd.db import postings

    keep = postings.keep

    async def picky(conn: Any, made: Any, now: datetime) -> None:
        if any(one.cause == "poison" for one in made):
            await conn.execute("select 1/0")
        await keep(conn, made, now)

    monkeypatch.setattr(postings, "keep", picky)
    results = await dock.post(GOOD, {**GOOD, "cause": "poison"}, GOOD, GOOD)
    assert [r["outcome"] for r in results] == ["booked", "refused", "booked", "booked"]
    assert await dock.town.level("MUG") == 53


async def test_a_lost_race_refuses_nothing(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with the row: the whole call is run again, and no refusal is kept."""
    from syncd.db import postings

    keep, tries = postings.keep, 0

    async def racing(conn: Any, made: Any, now: datetime) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await conn.execute("do $$ begin raise exception 'x' using errcode = '40P01'; end $$")
        await keep(conn, made, now)

    monkeypatch.setattr(postings, "keep", racing)
    assert [r["outcome"] for r in await dock.post(GOOD)] == ["booked"]
    assert tries == 2


async def test_a_row_that_waited_too_long_for_a_lock_is_not_refused(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored of such a call: under its key it can be sent again."""
    from syncd.db import postings

    keep = postings.keep

    async def waiting(conn: Any, made: Any, now: datetime) -> None:
        await conn.execute("do $$ begin raise exception 'x' using errcode = '55P03'; end $$")
        await keep(conn, made, now)

    row = {**GOOD, "cause": "late", "sku": "MUG"}
    body = {"movements": [row], "channel": "wms"}
    with monkeypatch.context() as patched:
        patched.setattr(postings, "keep", waiting)
        assert (await dock.api.post("/movements", body, key="k1")).status == 503
    answer = await dock.api.post("/movements", body, key="k1")
    assert [r["outcome"] for r in answer.body["results"]] == ["booked"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"movements": []},
        {"movements": {}},
        {"movements": [GOOD] * 1001},
        {"movements": [GOOD], "channel": "moon"},
        {"movements": [GOOD], "channel": "woo"},
        {"movements": [GOOD], "chanel": "wms"},
    ],
)
async def test_a_bad_batch_is_refused_as_a_whole(dock: Dock, body: dict[str, Any]) -> None:
    answer = await dock.api.post("/movements", body)
    assert answer.status == 422
    assert answer.body["errors"]
    assert await dock.town.level("MUG") == 50


async def test_what_is_skipped_is_told_in_the_journal(dock: Dock) -> None:
    await dock.post({**GOOD, "sku": "NONE"})
    await dock.post({**GOOD, "sku": "TEE", "location": "SYD", "kind": "adjustment"})
    told = await dock.town.rows(
        "select sku, reason from journal where outcome = 'skipped' and sku = 'NONE'"
    )
    assert told == [("NONE", "unknown_sku")]


async def test_a_thousand_rows_are_booked_together(dock: Dock) -> None:
    before = dock.town.db.statements
    results = await dock.post(*([GOOD] * 1000))
    assert {r["outcome"] for r in results} == {"booked"}
    assert dock.town.db.statements - before < 40
    assert await dock.town.level("MUG") == 1050


async def test_posting_again_under_the_same_key_books_nothing(dock: Dock) -> None:
    body = {"movements": [{**GOOD, "cause": "c", "sku": "MUG"}], "channel": "wms"}
    first = await dock.api.post("/movements", body, key="k")
    again = await dock.api.post("/movements", body, key="k")
    assert first.raw == again.raw
    assert await dock.town.level("MUG") == 51


# ---- a WMS as the source


async def test_a_wms_that_is_the_source_brings_items_in(
    database: Database, request: pytest.FixtureRequest
) -> None:
    town = Town(database, request.node.nodeid)
    town.store("woo", ORDERS).add("NEW", 0)
    town.posting["wms"] = {}
    await town.open({"main": {"source": "wms"}})
    await town.sweepers["woo"].sweep()
    async with serving(town.core) as api:
        dock = Dock(town, api)
        assert await dock.one(sku="NEW", kind="receipt", delta=7) == ("booked", 7, 7)
        await town.settle()
        assert town.shelves("NEW") == {"woo": 7}
    await town.close()


async def test_a_level_begun_by_a_receipt_loses_neither_older_movements_nor_sales(
    database: Database, request: pytest.FixtureRequest
) -> None:
    """A receipt is no count: nothing that occurred before it was posted is inside it."""
    town = Town(database, request.node.nodeid)
    town.store("woo", ORDERS).add("NEW", 2)
    town.posting["wms"] = {}
    await town.open({"main": {"source": "wms"}})
    await town.sweepers["woo"].sweep()
    began = town.clock()
    town.clock.forward(3600)
    await town.stores["woo"].sell({"NEW": 2})
    town.clock.forward(60)
    async with serving(town.core) as api:
        dock = Dock(town, api)
        first = {"sku": "NEW", "kind": "receipt", "delta": 7, "occurred_at": began.isoformat()}
        assert (await dock.one(**first))[:2] == ("booked", 7)
        town.clock.forward(60)
        for later_s in (30, -30):
            at = (began + timedelta(seconds=later_s)).isoformat()
            row = {"sku": "NEW", "kind": "receipt", "delta": 1, "occurred_at": at}
            assert (await dock.one(**row))[:2] == ("booked", 1)
        await town.settle()
        assert town.shelves("NEW") == {"woo": 7}
        assert await town.level("NEW") == 7
    await town.close()


# ---- looking at what was posted


async def test_what_was_posted_under_a_cause_can_be_looked_at(dock: Dock) -> None:
    town = dock.town
    order = await town.stores["woo"].sell({"MUG": 2})
    await dock.post(
        {"cause": "day/1", "kind": "pick", "delta": -2, "location": "AKL", "order": {"id": order}},
        {"cause": "day/1", "sku": "TEE", "kind": "receipt", "delta": 3, "location": "AKL"},
    )
    await town.settle()
    await dock.look_after()
    found = (await dock.api.get("/movements/day%2F1")).body["posted"]
    assert [(x["sku"], x["kind"], x["standing"], x["booked"]) for x in found] == [
        ("MUG", "pick", "kept", 0),
        ("TEE", "receipt_direct", "booked", 3),
    ]
    assert [m["delta"] for m in found[1]["movements"]] == [3]
    assert (await dock.api.get("/movements/day%2F1", channel="woo")).status == 404
    assert (await dock.api.get("/movements/none")).status == 404


async def test_a_count_shows_what_its_revisions_made_of_it(dock: Dock) -> None:
    await dock.town.stores["woo"].sell({"MUG": 2})
    dock.town.clock.forward(60)
    row = {"kind": "stocktake", "available": 47, "counted_at": dock.ago(0), "location": "AKL"}
    await dock.post({"cause": "st", **row})
    await dock.town.settle()
    (found,) = (await dock.api.get("/movements/st")).body["posted"]
    assert found["booked"] == -1
    assert [m["delta"] for m in found["movements"]] == [-3, 2]


async def test_suspense_is_listed(dock: Dock) -> None:
    for place in range(3):
        named = {"channel": "woo", "id": f"unknown-{place}"}
        await dock.one(kind="pick", delta=-1, location="AKL", order=named)
    dock.town.clock.forward(86401)
    await dock.look_after()
    first = (await dock.api.get("/suspense", limit=2)).body
    rest = (await dock.api.get("/suspense", limit=2, after=first["next"])).body
    found = first["suspense"] + rest["suspense"]
    assert [x["evidence"]["order"] for x in found] == ["unknown-0", "unknown-1", "unknown-2"]
    assert {(x["channel"], x["sku"], x["warehouse"], x["reason"]) for x in found} == {
        ("wms", "MUG", "main", "order_unheard")
    }
    assert (await dock.api.get("/suspense", sku="TEE")).body["suspense"] == []


async def test_a_person_says_what_a_pick_moved_and_its_order_still_takes_it_back(
    dock: Dock,
) -> None:
    from syncd.fanout.unheard import answer

    town = dock.town
    order = await town.stores["woo"].sell({"MUG": 2})
    named = {"channel": "woo", "id": order}
    await dock.one(kind="pick", delta=-2, location="AKL", order=named)
    town.clock.forward(86401)
    await dock.look_after()
    [(suspense_id,)] = await town.rows("select id from suspense")
    async with town.core.booking("answer") as (conn, booking):
        assert await answer(conn, booking, suspense_id, -2, "ann")
        assert not await answer(conn, booking, suspense_id + 1, -2, "ann")
    assert await town.level("MUG") == 48
    assert await town.rows("select resolution from suspense") == [("answered",)]
    await town.settle()
    await dock.look_after()
    assert await town.level("MUG") == 48
    assert await shelves(dock) == {48}
