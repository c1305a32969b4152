"""Orders of no channel, posted over real HTTP: the life cycle of any order, beside shops that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from syncd.console import Upkeep
from tests.flow.asking import Client, serving
from tests.flow.town import Town


@pytest.fixture
async def desk(town: Town) -> AsyncIterator[Client]:
    town.clock.forward(600)
    async with serving(town.core) as client:
        yield client


def order(*lines: tuple[str, int], **more: Any) -> dict[str, Any]:
    made = [
        {"line": str(place), "sku": sku, "quantity": quantity}
        for place, (sku, quantity) in enumerate(lines)
    ]
    return {"id": "P-1", "lines": made, **more}


async def posted(desk: Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = await desk.post("/orders", body)
    assert answer.status == 200, answer.raw
    return dict(answer.body)


async def shelves(town: Town, sku: str = "MUG") -> set[int]:
    await town.settle()
    return set(town.shelves(sku).values())


async def test_an_order_by_phone_lowers_every_shop(desk: Client, town: Town) -> None:
    said = await posted(desk, order(("MUG", 2), ("TEE", 1), number="Mrs. Moss"))
    assert said["outcome"] == "booked"
    assert [(x["line"], x["sku"], x["taken"], x["booked"]) for x in said["lines"]] == [
        ("0", "MUG", 2, 2),
        ("1", "TEE", 1, 1),
    ]
    assert await shelves(town) == {48}
    assert await shelves(town, "TEE") == {9}
    told = await town.rows(
        "select m.kind, m.delta, m.cause, m.note from movement m join item i on i.id = m.item_id"
        " where i.sku = 'MUG' and m.kind <> 'seed'"
    )
    assert told == [("sale", -2, "_api:order:P-1:line:0@main:r1", "Mrs. Moss")]


async def test_the_same_state_twice_is_booked_once(desk: Client, town: Town) -> None:
    body = order(("MUG", 2), version=7)
    assert (await posted(desk, body))["outcome"] == "booked"
    assert (await posted(desk, body))["outcome"] == "known"
    assert (await posted(desk, order(("MUG", 9), version=6)))["outcome"] == "old"
    assert await town.level("MUG") == 48


async def test_one_version_says_one_thing(desk: Client, town: Town) -> None:
    await posted(desk, order(("MUG", 2), version=7))
    answer = await desk.post("/orders", order(("MUG", 3), version=7))
    assert (answer.status, answer.body["type"]) == (409, "urn:syncd:problem:version")
    assert await town.level("MUG") == 48


@pytest.mark.parametrize(
    ("after", "level", "kind"),
    [
        ({"quantity": 5}, 45, "sale"),
        ({"quantity": 1}, 49, "cancellation"),
        ({"quantity": 3, "cancelled": 2}, 49, "cancellation"),
        ({"quantity": 3, "refunded": 2}, 49, "refund"),
        ({"quantity": 3, "refunded": 2, "restocked": 0}, 47, None),
        ({"quantity": 3, "cancelled": 1, "refunded": 1, "restocked": 1}, 48, "refund"),
    ],
)
async def test_an_order_may_change(
    desk: Client, town: Town, after: dict[str, Any], level: int, kind: str | None
) -> None:
    await posted(desk, order(("MUG", 3)))
    await posted(desk, {"id": "P-1", "lines": [{"line": "0", "sku": "MUG", **after}]})
    assert await town.level("MUG") == level
    assert await shelves(town) == {level}
    found = await town.rows("select kind from movement where cause like '%:r2'")
    assert found == ([(kind,)] if kind else [])


async def test_lines_come_and_go(desk: Client, town: Town) -> None:
    await posted(desk, order(("MUG", 2)))
    said = await posted(desk, {"id": "P-1", "lines": [{"line": "b", "sku": "TEE", "quantity": 4}]})
    assert [(x["line"], x["booked"]) for x in said["lines"]] == [("0", 0), ("b", 4)]
    assert (await town.level("MUG"), await town.level("TEE")) == (50, 6)


@pytest.mark.parametrize(("restock", "level"), [(True, 50), (False, 47)])
async def test_an_order_is_cancelled_and_taken_up_again(
    desk: Client, town: Town, restock: bool, level: int
) -> None:
    await posted(desk, order(("MUG", 3)))
    await posted(desk, order(("MUG", 3), status="cancelled", restock=restock))
    assert await town.level("MUG") == level
    await posted(desk, order(("MUG", 3)))
    assert await shelves(town) == {47}


async def test_a_sku_nobody_knows_is_kept_and_told(desk: Client, town: Town) -> None:
    said = await posted(desk, order(("MUG", 1), ("WRAP", 1)))
    assert [(x["sku"], x["booked"]) for x in said["lines"]] == [("MUG", 1), ("WRAP", 1)]
    assert await town.level("MUG") == 49
    told = await town.rows("select reason from journal where outcome = 'skipped' and sku = 'WRAP'")
    assert told == [("unlinked",)]


async def test_an_order_can_be_looked_at(desk: Client) -> None:
    await posted(desk, order(("MUG", 2), version=7, number="Mrs. Moss"))
    found = (await desk.get("/orders/P-1")).body
    assert (found["version"], found["number"]) == (7, "Mrs. Moss")
    assert found["lines"][0] == {
        "line": "0",
        "sku": "MUG",
        "warehouse": "main",
        "taken": 2,
        "booked": 2,
        "held": 0,
    }
    assert (await desk.get("/orders/P-2")).status == 404


async def test_an_order_placed_after_a_first_count_is_booked_though_heard_before_it(
    desk: Client, town: Town
) -> None:
    async with town.db.transaction("new") as conn:
        await conn.execute("insert into item (sku, created_at) values ('NEW', now())")
    counted_at = town.clock()
    town.clock.forward(60)
    said = await posted(desk, order(("NEW", 2)))
    assert said["lines"][0]["booked"] == 2
    count = {"cause": "c", "sku": "NEW", "kind": "stocktake", "available": 9, "warehouse": "main"}
    body = {"movements": [{**count, "counted_at": counted_at.isoformat()}]}
    assert (await desk.post("/movements", body)).body["results"][0]["level"] == 9
    await Upkeep(town.core).step()
    assert await town.level("NEW") == 7
    assert await town.rows("select 1 from order_look") == []


async def test_a_pick_may_name_an_order_of_no_channel(desk: Client, town: Town) -> None:
    await posted(desk, order(("MUG", 2)))
    row = {"cause": "c", "sku": "MUG", "kind": "pick", "delta": -2, "warehouse": "main"}
    answer = await desk.post("/movements", {"movements": [{**row, "order": {"id": "P-1"}}]})
    assert answer.body["results"][0]["outcome"] == "kept"
    assert await town.level("MUG") == 48


BAD: list[tuple[dict[str, Any], str]] = [
    ({"id": ""}, "/id"),
    ({"id": "x" * 256}, "/id"),
    ({"lines": None}, "/lines"),
    ({"lines": [{"line": "0", "sku": "MUG"}]}, "/lines/"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": -1}]}, "/lines/"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": 1.5}]}, "/lines/"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": 10**10}]}, "/lines/"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": 1}] * 2}, "/lines/1/line"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": 1, "warehouse": "x"}]}, "/lines/0/ware"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": 1, "cancelled": 2}]}, "/lines/0/quantity"),
    ({"lines": [{"line": "0", "sku": "MUG", "quantity": 1, "restocked": 1}]}, "/lines/0/quantity"),
    ({"lines": [{"line": "0", "sku": "M\u0000", "quantity": 1}]}, "/lines/0/sku"),
    ({"version": -1}, "/version"),
    ({"version": 2**63}, "/version"),
    ({"status": "lost"}, "/status"),
    ({"at": "2199-01-01T00:00:00Z"}, "/at"),
    ({"placed_at": "0001-01-01T00:00:00Z"}, "/placed_at"),
    ({"at": "2026-11-23"}, "/at"),
    ({"total": "9.99"}, "/total"),
]


@pytest.mark.parametrize(("wrong", "pointer"), BAD)
async def test_a_bad_order_is_refused_with_its_field(
    desk: Client, town: Town, wrong: dict[str, Any], pointer: str
) -> None:
    answer = await desk.post("/orders", {**order(("MUG", 1)), **wrong})
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"].startswith(pointer)
    assert await town.level("MUG") == 50


async def test_our_clock_may_be_set_back_between_two_states(desk: Client, town: Town) -> None:
    await posted(desk, order(("MUG", 1)))
    town.clock.now -= timedelta(hours=2)
    said = await posted(desk, order(("MUG", 4)))
    assert said["outcome"] == "booked"
    assert await town.level("MUG") == 46


async def test_a_reserved_order_holds_until_it_is_sold(desk: Client, town: Town) -> None:
    said = await posted(desk, order(("MUG", 3), status="reserved"))
    assert [(x["taken"], x["booked"], x["held"]) for x in said["lines"]] == [(3, 0, 3)]
    assert await shelves(town) == {47}
    assert await town.level("MUG") == 50
    shown = await desk.get("/holds")
    assert [(x["order"], x["sku"], x["units"], x["until"]) for x in shown.body["holds"]] == [
        ("P-1", "MUG", 3, None)
    ]
    await posted(desk, order(("MUG", 3)))
    assert await shelves(town) == {47}
    assert await town.level("MUG") == 47
    assert (await desk.get("/holds")).body["holds"] == []


async def test_a_reservation_ends_by_its_time_or_when_it_is_cancelled(
    desk: Client, town: Town
) -> None:
    until = (town.clock() + timedelta(hours=1)).isoformat()
    await posted(desk, order(("MUG", 3), status="reserved", reserved_until=until))
    await posted(desk, order(("TEE", 2), status="reserved") | {"id": "P-2"})
    assert (await shelves(town), await shelves(town, "TEE")) == ({47}, {8})
    town.clock.forward(3601)
    await Upkeep(town.core).step()
    assert (await shelves(town), await shelves(town, "TEE")) == ({50}, {8})
    await posted(desk, order(("TEE", 2), status="cancelled") | {"id": "P-2"})
    assert await shelves(town, "TEE") == {10}
    await posted(desk, order(("MUG", 3)))
    assert await shelves(town) == {47}, "sold after all"


async def test_only_a_reservation_has_an_end(desk: Client, town: Town) -> None:
    until = town.clock().isoformat()
    answer = await desk.post("/orders", order(("MUG", 3), reserved_until=until))
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == "/reserved_until"
