"""What happened can be looked up: the journal by every column, a sku's movements with their levels."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.cli import records
from syncd.db import history, journal
from syncd.db.journal import Line
from syncd.db.pool import Database
from syncd.stock.orders import cause, order_of
from tests.flow.commands import Operator
from tests.flow.town import Town


@pytest.fixture
def operator(town: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(town, dsn, tmp_path)


async def write(database: Database, lines: list[Line], at: datetime) -> None:
    async with database.transaction("write") as conn:
        await journal.write(conn, lines, at)


async def test_a_sale_is_found_by_every_word(town: Town, operator: Operator) -> None:
    await town.stores["uk"].sell({"MUG": 2})
    await town.settle()
    told = await operator.json("journal", "--sku", "MUG", "--outcome", "delivered", "--after", "48")
    assert {row["channel"] for row in told} == {"sw", "woo"}
    one = told[0]
    assert (one["before"], one["after"], one["sku"]) == (50, 48, "MUG")
    assert one["detail"]["level"] == 48
    narrowed = await operator.json("journal", "--channel", "woo", "--before", "50", "--sku", "MUG")
    assert [row["after"] for row in narrowed] == [48]
    assert "MUG" in await operator.done("journal", "--sku", "MUG")


async def test_words_are_looked_for_in_reasons_and_details(town: Town, operator: Operator) -> None:
    at = town.clock()
    lines = [
        Line("parked", "MUG", reason="HTTP 422: Stock is NOT managed_100%"),
        Line("skipped", "TEE", reason="unlinked", detail={"order": "GB-1007"}),
        Line("skipped", "CAP", reason="excluded"),
    ]
    await write(town.db, lines, at)
    for words, sku in (("not managed_100%", "MUG"), ("gb-1007", "TEE"), ("EXCLUDED", "CAP")):
        assert [x["sku"] for x in await operator.json("journal", "--reason", words)] == [sku]
    assert await operator.json("journal", "--reason", "managed_100_") == []
    assert "no such line" in await operator.done("journal", "--reason", "nowhere")


async def test_pages_meet_where_many_lines_are_of_one_moment(
    town: Town, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE", 7)
    at = town.clock()
    await write(town.db, [Line("listed", f"X-{n}") for n in range(50)], at)
    town.clock.forward(1)
    await write(town.db, [Line("gone", f"X-{n}") for n in range(10)], town.clock())
    told = await operator.json("journal", "--since", at.isoformat(), "--limit", "0")
    assert len(told) == 60
    assert [row["outcome"] for row in told] == ["gone"] * 10 + ["listed"] * 50
    assert len({(row["outcome"], row["sku"]) for row in told}) == 60
    some = await operator.json("journal", "--since", at.isoformat(), "--limit", "12")
    assert some == told[:12]
    assert (
        await operator.json("journal", "--since", at.isoformat(), "--until", at.isoformat()) == []
    )


async def test_an_export_keeps_text_as_text(town: Town, operator: Operator) -> None:
    reason = '=cmd|"x",\nnext'
    await write(town.db, [Line("parked", "00123", reason=reason, before=-3)], town.clock())
    [row] = csv.DictReader(io.StringIO(await operator.done("journal", "--sku", "00123", "--csv")))
    assert row["sku"] == "00123"
    assert row["before"] == "-3"
    assert row["reason"] == f"'{reason}"


async def test_what_cannot_be_meant_is_refused(town: Town, operator: Operator) -> None:
    result = await operator.ask("journal", "--channel", "nowhere")
    assert result.exit_code == 1
    assert "no channel was ever named nowhere" in result.output
    result = await operator.ask("journal", "--since", "yesterday-ish")
    assert result.exit_code == 2
    assert "is no time" in result.output
    result = await operator.ask("history", "NOTHING")
    assert result.exit_code == 1
    assert "NOTHING was never counted" in result.output


async def test_control_characters_do_not_reach_the_terminal(town: Town, operator: Operator) -> None:
    await write(town.db, [Line("parked", "\x1b[2JX", reason="a\nb")], town.clock())
    said = await operator.done("journal", "--outcome", "parked")
    assert "\x1b" not in said
    assert len(said.splitlines()) == 2


async def test_every_movement_is_told_with_the_level_it_made(
    town: Town, operator: Operator
) -> None:
    await town.stores["uk"].sell({"MUG": 2})
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    told = await operator.json("history", "MUG")
    assert [(row["kind"], row["delta"]) for row in told][-1] == ("seed", 50)
    assert {(row["actor"], row["delta"]) for row in told[:2]} == {("uk", -2), ("woo", -3)}
    running = 0
    for row in reversed(told):
        running += row["delta"]
        assert row["level"] == running
    assert running == 45 == await town.level("MUG")
    sale = next(row for row in told if row["actor"] == "woo")
    assert sale["order"]
    assert sale["order"] in sale["cause"]
    said = await operator.done("history", "MUG")
    assert "−3" in said
    assert "main" in said


async def test_a_history_keeps_its_levels_from_page_to_page(
    town: Town, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await town.stores["woo"].sell({"MUG": 1})
        await town.settle()
    whole = await operator.json("history", "MUG", "--limit", "0")
    monkeypatch.setattr(records, "PAGE", 2)
    assert await operator.json("history", "MUG", "--limit", "0") == whole
    assert await operator.json("history", "MUG", "--limit", "3") == whole[:3]
    rows = list(csv.DictReader(io.StringIO(await operator.done("history", "MUG", "--csv"))))
    assert [int(row["level"]) for row in rows] == [row["level"] for row in whole]


async def test_what_is_sold_while_pages_turn_moves_no_older_level(town: Town) -> None:
    for _ in range(3):
        await town.stores["woo"].sell({"MUG": 1})
        await town.settle()
    async with town.db.transaction("first") as conn:
        begin = await history.newest(conn, "MUG")
        assert begin is not None
        first, place = await history.page(conn, begin, 2)
    await town.stores["woo"].sell({"MUG": 5})
    await town.settle()
    assert place is not None
    async with town.db.transaction("second") as conn:
        second, end = await history.page(conn, place, 2)
    assert end is not None
    assert [level for _, level in first + second] == [47, 48, 49, 50]


def test_an_order_is_read_out_of_a_cause() -> None:
    order = "gid://shopify/Order/118"
    assert order_of(cause("uk", order, "2", "81", 3)) == order
    assert order_of("uk:level:4:turn:9") == ""


def test_times_are_read() -> None:
    from syncd.cli.output import WHEN

    assert WHEN.convert("2026-11-23T12:00", None, None) == datetime(2026, 11, 23, 12, tzinfo=UTC)
    ago = datetime.now(UTC) - WHEN.convert("2h", None, None)
    assert 7199 < ago.total_seconds() < 7201


async def test_the_journal_is_searched_by_cause(town: Town, operator: Operator) -> None:
    town.clock.forward(60)
    await town.stores["uk"].edit("MUG", 40)
    await town.stores["woo"].edit("TEE", 99)
    town.lose_webhooks()
    for sweeper in town.sweepers.values():
        await sweeper.sweep()
    found = await operator.json("journal", "--cause", "missed_webhook")
    assert [(row["channel"], row["sku"], row["outcome"]) for row in found] == [
        ("uk", "MUG", "drift")
    ]
    found = await operator.json("journal", "--cause", "edited", "--channel", "woo")
    assert [row["sku"] for row in found] == ["TEE"]
    assert await operator.json("journal", "--cause", "nothing") == []


async def test_status_tells_what_waits_for_a_person(town: Town, operator: Operator) -> None:
    assert (await operator.ask("status")).exit_code == 0
    await town.rows(
        "insert into suspense (listing_id, item_id, warehouse_id, reason, candidates, proposal, evidence,"
        " created_at) select l.id, l.item_id, l.warehouse_id, 'cut_over', '{0}', 0, '{}', now()"
        " from listing l join channel c on c.id = l.channel_id where c.name = 'woo' and l.sku = 'MUG'"
        " returning id"
    )
    rows = {row["name"]: row for row in await operator.json_any("status")}
    assert (rows["woo"]["suspense"], rows["uk"]["suspense"]) == (1, 0)
    assert (await operator.ask("status")).exit_code == 3
    await town.rows("update suspense set resolved_at = now() returning id")
    file = Path(str(operator._file)).with_name("stock.csv")
    file.write_text("sku,quantity\nMUG,3\n")
    assert (await operator.ask("import", str(file), "--warehouse", "main")).exit_code == 3
    said = await operator.ask("status")
    assert said.exit_code == 3
    assert "1 plans wait for a yes or no" in said.output
