"""What inferred edits ask people, and what they answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncd.db import suspense
from syncd.db.counts import NewCount
from syncd.fanout import NotAsked, answer_doubt, hold_items, owe_items, settle_counted
from syncd.fanout.recounting import take
from tests.flow.commands import Operator
from tests.flow.following import asked, booked, everywhere, opened, pass_by, served, unclear
from tests.flow.town import Town


@pytest.fixture
async def shops(plan: Town) -> Town:
    return await opened(plan)


@pytest.fixture
def operator(shops: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(shops, dsn, tmp_path)


async def test_what_has_two_answers_is_asked_and_not_booked(shops: Town) -> None:
    await unclear(shops)
    found = await asked(shops)
    assert len(found) == 1
    reason, candidates, proposal, resolution = found[0]
    assert (reason, resolution) == ("unclear_edit", None)
    assert len(candidates) == 2
    assert proposal in candidates
    assert await booked(shops) == []
    level = await shops.level("MUG")
    assert level == 42
    assert shops.shelves("MUG")["uk"] == 42, "a suspected rise raises nobody"
    lines = await shops.rows("select before, after from journal where outcome = 'suspense'")
    assert len(lines) == 1


async def test_an_alert_leaves_the_shelf_alone_until_a_person_answers(plan: Town) -> None:
    town = await opened(plan, edits="alert")
    shop = town.stores["shop"]
    await shop.edit("MUG", 57)
    await town.settle()
    await pass_by(town)
    assert [row[:3] for row in await asked(town)] == [("edit", [7], 7)]
    writes = shop.counters.writes
    await town.stores["uk"].sell({"MUG": 2})
    await town.settle()
    assert town.shelves("MUG") == {"uk": 48, "shop": 57, "woo": 48}
    assert shop.counters.writes == writes
    assert await booked(town) == []


async def test_a_later_step_opens_what_a_person_answered(shops: Town) -> None:
    await unclear(shops)
    [(doubt, low, high)] = await shops.rows(
        "select id, candidates[1], candidates[2] from suspense where resolved_at is null"
    )
    async with shops.core.booking("answer") as (conn, booking):
        await answer_doubt(conn, booking, doubt, high, "ann", (low, high))
    await shops.settle()
    assert await booked(shops) == [high]
    with pytest.raises(NotAsked):
        async with shops.core.booking("answer") as (conn, booking):
            await answer_doubt(conn, booking, doubt, low, "ann")


async def test_people_answer_at_the_command_line(shops: Town, operator: Operator) -> None:
    assert "nothing waits" in (await operator.ask("suspense", "list")).stdout
    await unclear(shops)
    found = await operator.ask("suspense", "list", "--json")
    assert found.exit_code == 3
    [row] = json.loads(found.stdout)
    assert (row["channel"], row["sku"], row["reason"]) == ("shop", "MUG", "unclear_edit")
    assert {"readings", "orders", "write"} <= row["evidence"].keys()
    gone = await served(shops, operator, "suspense", "accept", str(row["id"] + 1))
    assert gone.exit_code == 1
    amount = row["candidates"][-1]
    done = await served(shops, operator, "suspense", "set", str(row["id"]), str(amount))
    assert done.exit_code == 0, done.output
    await shops.settle()
    assert await booked(shops) == [amount]
    await everywhere(shops, 42 + amount)
    assert (await operator.ask("suspense", "list")).exit_code == 0
    lines = await shops.rows("select reason from journal where outcome = 'edit'")
    assert lines[0][0].startswith(f"{amount:+} by ")


async def test_an_answer_to_another_question_is_refused(shops: Town) -> None:
    await unclear(shops)
    async with shops.db.transaction("answer") as conn:
        [doubt] = await suspense.open_doubts(conn)
        assert await suspense.answer(conn, doubt.id, 4, doubt.candidates, "ann")
    await shops.rows(
        "update suspense set candidates = '{1,2}' where id = $1 returning id", doubt.id
    )
    await shops.ask("answer")
    assert await booked(shops) == []
    [(result,)] = await shops.rows("select result from wish where kind = 'answer'")
    assert str(doubt.id) in json.loads(result)["refused"]


async def test_a_count_settles_what_is_asked(shops: Town) -> None:
    await unclear(shops)
    [(item, warehouse)] = await shops.rows("select item_id, warehouse_id from level")
    async with shops.core.booking("counted") as (conn, booking):
        await hold_items(conn, [(item, warehouse)])
        await settle_counted(conn, booking, [((item, warehouse), booking.now)])
    assert await booked(shops) == []
    assert [row[3] for row in await asked(shops)] == ["answered: held by a count"]
    await shops.settle()
    await everywhere(shops, 42)


@pytest.mark.parametrize("then", ["some come back", "all come back"])
async def test_an_order_that_changed_twice_unheard_beside_a_write_is_asked(
    shops: Town, then: str
) -> None:
    """The write erased what was bought just before it; the order is dated by what came back later."""
    shop, orders = shops.stores["shop"], list[str]()

    async def meanwhile() -> None:
        orders.append(await shop.sell({"MUG": 3}))
        shops.lose_webhooks()

    with shops.before_write("shop", meanwhile):
        await shops.stores["uk"].sell({"MUG": 5})
        await shops.settle()
    assert shop.shelf("MUG") == 45
    shops.clock.forward(30)
    if then == "some come back":
        await shop.refund(orders[0], "MUG", 1, restock=True)
    else:
        await shop.cancel(orders[0])
    shops.lose_webhooks()
    shops.clock.forward(10)
    await shops.look("shop", "MUG")
    await shops.settle()
    await pass_by(shops)
    assert [row[:2] for row in await asked(shops)] == [("unclear_edit", [0, 3])]
    assert await booked(shops) == []
    assert await shops.level("MUG") == (43 if then == "some come back" else 45)


@pytest.mark.parametrize("read_again", [False, True])
async def test_an_edit_that_was_seen_before_a_count_is_inside_it(
    shops: Town, *, read_again: bool
) -> None:
    """Also where the shelf was read again after the count and before that was booked."""
    await shops.stores["shop"].edit("MUG", 55)
    await shops.settle()
    shops.clock.forward(30)
    [(item, warehouse)] = await shops.rows("select item_id, warehouse_id from level")
    counted = NewCount(item, warehouse, shops.clock(), 55, "available", "c1", None, "WMS", "")
    if read_again:
        shops.clock.forward(30)
        await shops.look("shop", "MUG")
        await shops.settle()
    async with shops.core.booking("counted") as (conn, booking):
        await hold_items(conn, [(item, warehouse)])
        await take(conn, booking, [counted])
        await settle_counted(conn, booking, [((item, warehouse), counted.counted_at)])
        await owe_items(conn, booking, [(item, warehouse)])
    await shops.settle()
    if not read_again:
        await everywhere(shops, 55)
    for _ in range(3):
        await pass_by(shops)
    assert await shops.level("MUG") == 55
    await everywhere(shops, 55)
