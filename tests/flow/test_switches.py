"""Channels and items are switched while everything runs; links stay, and on again catches up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncd.corridor import take_switches
from syncd.db import plans
from tests.flow.commands import Operator
from tests.flow.test_catalogue import sweep, tell
from tests.flow.test_matching import told
from tests.flow.town import ORDERS, Town


@pytest.fixture
def operator(town: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(town, dsn, tmp_path)


async def test_an_excluded_item_moves_no_more_on_that_channel_and_its_sales_count(
    town: Town, operator: Operator
) -> None:
    assert await operator.done("exclude", "MUG", "TEE", "--channel", "woo") == "2 excluded on woo\n"
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.stores["woo"].sell({"MUG": 1})
    await town.settle()
    town.clock.forward(900)
    await sweep(town)
    assert await town.level("MUG") == 44
    assert town.shelves("MUG") == {"uk": 44, "sw": 44, "woo": 49}
    assert ("MUG", "excluded") in await told(town, "skipped")
    await operator.done("include", "MUG", "--channel", "woo", "--actor", "ann")
    await town.settle()
    assert town.shelves("MUG") == {"uk": 44, "sw": 44, "woo": 44}
    rows = await town.rows(
        "select outcome, detail->>'actor' from journal where outcome in ('excluded', 'included')"
        " and sku = 'MUG' order by at"
    )
    assert [outcome for outcome, _ in rows] == ["excluded", "included"]
    assert rows[1][1] == "ann"


async def test_what_is_excluded_everywhere_can_be_let_in_on_one_channel(
    town: Town, operator: Operator
) -> None:
    await operator.done("exclude", "MUG")
    await operator.done("include", "MUG", "--channel", "sw")
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 50}
    await operator.done("include", "MUG")
    await town.settle()
    assert town.shelves("MUG")["woo"] == 45


async def test_included_by_hand_beats_the_configuration(
    plan: Town, dsn: str, tmp_path: Path
) -> None:
    uk = plan.store("uk", {**ORDERS})
    woo = plan.store("woo", ORDERS, policy={"exclude": ["MUG"], "exclude_tags": ["Fragile"]})
    for store in (uk, woo):
        for sku in ("MUG", "TEE", "CAP"):
            store.add(sku, 50 if store is uk else 7)
    woo.items["TEE"].tags = ("new", "fragile")
    await plan.open()
    await plan.seed()
    assert woo.shelves() == {"MUG": 7, "TEE": 7, "CAP": 50}
    operator = Operator(plan, dsn, tmp_path)
    await operator.done("include", "MUG", "TEE", "--channel", "woo")
    await plan.settle()
    assert woo.shelves() == {"MUG": 50, "TEE": 50, "CAP": 50}
    woo.items["CAP"].tags = ("FRAGILE",)
    tell(woo, "CAP")
    plan.clock.forward(60)
    await uk.sell({"CAP": 5})
    await plan.settle()
    assert woo.shelf("CAP") == 50
    woo.items["CAP"].tags = ()
    tell(woo, "CAP")
    await plan.settle()
    assert woo.shelf("CAP") == 45


async def test_an_item_is_offered_on_its_channels_alone(town: Town, operator: Operator) -> None:
    await operator.done("offer", "MUG", "--on", "uk", "--on", "sw")
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 50}
    assert ("MUG", "elsewhere") in await told(town, "skipped")
    await operator.done("offer", "MUG", "--everywhere")
    await town.settle()
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 45}


async def switch(town: Town, operator: Operator, word: str, *more: str) -> str:
    said = await operator.done("channel", word, "woo", *more)
    await take_switches(town.core)
    return said


async def test_a_channel_that_is_off_neither_delivers_nor_books_and_catches_up(
    town: Town, operator: Operator
) -> None:
    woo = town.stores["woo"]
    assert await switch(town, operator, "disable", "--actor", "ann") == "woo is off\n"
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await woo.sell({"MUG": 3})
    await town.settle()
    assert await town.level("MUG") == 45
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 47}
    looked = json.loads(await operator.done("channel", "enable", "woo", "--look", "--json"))
    assert looked["state"] == "off"
    (gap,) = looked["gaps"]
    assert (gap["sku"], gap["shown"], gap["observed"]) == ("MUG", 50, 47)
    assert (gap["booked"], gap["discarded"]) == (42, 45)
    result = await operator.ask("channel", "enable", "woo")
    assert result.exit_code == 3
    assert "1 listings moved meanwhile, by −3 units together" in result.output
    assert "syncd plan apply 1" in result.output
    await take_switches(town.core)
    assert not town.channel("woo").rules.enabled, "it waits for a yes"
    await yes(town, 1)
    town.clock.forward(60)
    await sweep(town)
    assert await town.level("MUG") == 42
    assert town.shelves("MUG") == {"uk": 42, "sw": 42, "woo": 42}
    rows = await told(town, "switched")
    assert rows == [("", "off"), ("", "on")]


async def yes(town: Town, number: int, *, discard: bool = False) -> None:
    async with town.db.transaction("yes") as conn:
        assert await plans.decide(conn, number, "applying", town.clock(), "anna")
    await town.ask("apply", plan_id=number, args={"discard": discard})
    await town.settle()


async def test_both_answers_are_shown_for_every_listing_and_channel(
    town: Town, operator: Operator
) -> None:
    await switch(town, operator, "disable")
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.stores["woo"].sell({"MUG": 3, "TEE": 1})
    await town.settle()
    result = await operator.ask("channel", "enable", "woo", "--json")
    assert result.exit_code == 3
    said = await operator.json("plan", "show", "1")
    assert (said["kind"], said["rows"], said["state"]) == ("re_enabled", 2, "open")
    assert said["summary"]["gap_units"] == -4
    assert said["summary"]["channels"]["woo"]["lowered"] == 1, "booked: 47 would be 42"
    assert said["summary"]["discarded"]["woo"]["raised"] == 1, "discarded: 9 tees would be 10"
    assert {x["sku"]: (x["showed"], x["shows"], x["level_if_booked"], x["level_if_discarded"])
            for x in said["changes"]} == {"MUG": (50, 47, 42, 45), "TEE": (10, 9, 9, 10)}  # fmt: skip
    assert (
        "MUG  main  50 -> 47: level 42 if booked, 45 if discarded"
        in (await operator.ask("plan", "show", "1")).output
    )
    (row,) = [x for x in await operator.json_any("status") if x["name"] == "woo"]
    assert row["plans"] == 1
    assert (await operator.ask("status")).exit_code == 3


@pytest.mark.parametrize("name", ["uk", "sw", "woo"])
async def test_what_moved_while_a_channel_was_off_can_be_discarded(
    town: Town, operator: Operator, name: str
) -> None:
    store, other = town.stores[name], town.stores["sw" if name == "uk" else "uk"]
    kept = await store.sell({"MUG": 1})
    await town.settle()
    await operator.done("channel", "disable", name)
    await take_switches(town.core)
    town.clock.forward(60)
    await other.sell({"MUG": 5})
    await store.sell({"MUG": 3})
    await store.edit("TEE", 99)
    await town.settle()
    assert await town.level("MUG") == 44
    town.clock.forward(60)
    assert (await operator.ask("channel", "enable", name)).exit_code == 3
    await yes(town, 1, discard=True)
    town.clock.forward(60)
    await sweep(town)
    assert (await town.level("MUG"), await town.level("TEE")) == (44, 10)
    assert town.shelves("MUG") == dict.fromkeys(town.stores, 44)
    assert town.shelves("TEE") == dict.fromkeys(town.stores, 10)
    town.clock.forward(60)
    await store.sell({"MUG": 2})
    await town.settle()
    assert town.shelves("MUG") == dict.fromkeys(town.stores, 42), "what comes after it counts"
    await store.cancel(kept)
    await town.settle()
    await sweep(town)
    assert await town.level("MUG") == 43, "so does what an older order gives back"


async def test_a_channel_where_nothing_moved_is_on_at_once(town: Town, operator: Operator) -> None:
    await switch(town, operator, "disable")
    assert await switch(town, operator, "enable") == "woo is on\n"
    assert town.channel("woo").rules.enabled
    assert await operator.done("plan", "list") == "no plan waits\n"
    assert await switch(town, operator, "enable") == "woo is on\n"


async def test_looking_again_replaces_the_plan_that_waited(town: Town, operator: Operator) -> None:
    await switch(town, operator, "disable")
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 3})
    for _ in range(2):
        assert (await operator.ask("channel", "enable", "woo")).exit_code == 3
    found = await town.rows("select id, state from plan order by id")
    assert found == [(1, "rejected"), (2, "open")]


async def test_a_switch_outlives_a_restart_and_beats_the_configuration(
    town: Town, operator: Operator
) -> None:
    await switch(town, operator, "disable")
    await town.open()  # all over again
    await take_switches(town.core)
    assert not town.channel("woo").rules.enabled
    (woo,) = [x for x in await operator.json_any("status") if x["name"] == "woo"]
    assert (woo["switched"], woo["switched_by"] != "") == (False, True)
    await switch(town, operator, "enable", "--as-configured", "--no-look")
    assert town.channel("woo").rules.enabled


async def test_a_channel_that_gives_no_answer_is_switched_on_unread_where_that_is_asked_for(
    town: Town, operator: Operator
) -> None:
    await switch(town, operator, "disable")
    town.stores["woo"].faults.down = True
    for how in ((), ("--look",)):
        assert (await operator.ask("channel", "enable", "woo", *how)).exit_code == 1
    assert await town.rows("select 1 from plan") == []
    await switch(town, operator, "enable", "--no-look")
    assert town.channel("woo").rules.enabled


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("exclude", "NOPE", "MUG"), "no item is called NOPE"),
        (("include", "MUG", "--channel", "wo"), 'no channel is named wo; did you mean "woo"?'),
        (("offer", "MUG", "--on", "us"), "no channel is named us"),
        (("channel", "disable", "us"), "no channel is named us; there are sw, uk, woo"),
        (("channel", "enable", "us"), "no channel is named us; there are sw, uk, woo"),
    ],
)
async def test_what_is_not_there_cannot_be_switched(
    town: Town, operator: Operator, words: tuple[str, ...], complaint: str
) -> None:
    result = await operator.ask(*words)
    assert (result.exit_code, complaint in result.output) == (1, True), result.output
    assert await town.rows("select 1 from exclusion") == []


async def test_an_offer_says_where(town: Town, operator: Operator) -> None:
    assert (await operator.ask("offer", "MUG")).exit_code == 2
