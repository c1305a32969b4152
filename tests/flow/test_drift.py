"""What a sweep finds is told with its cause; a listing that another program writes too is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncd.db import status
from syncd.stock.drift import ALTERNATIONS, ENDLESS, WINDOW
from tests.flow.town import LEVELS, Town


def drift(town: Town, channel: str, cause: str) -> float:
    return float(town.core.metrics.drift_total.labels(channel, cause)._value.get())


async def lines(town: Town, outcome: str, channel: str = "woo") -> list[tuple[Any, ...]]:
    """(sku, before, after, reason) of an outcome on a channel, oldest first."""
    return await town.rows(
        "select j.sku, j.before, j.after, j.reason from journal j join channel c on c.id = j.channel_id"
        " where j.outcome = $1 and c.name = $2 order by j.at",
        outcome,
        channel,
    )


async def sweep(town: Town, channel: str) -> None:
    await town.sweepers[channel].sweep()
    await town.settle()


async def contest(town: Town, channel: str, sku: str, number: int, times: int) -> None:
    """Another program puts its number back, silently, and the sweep finds it."""
    for _ in range(times):
        town.clock.forward(900)
        await town.stores[channel].edit(sku, number)
        town.lose_webhooks()
        await sweep(town, channel)


@pytest.mark.parametrize(
    ("channel", "cause"), [("uk", "missed_webhook"), ("woo", "edited"), ("sw", "edited")]
)
async def test_what_only_the_sweep_found_has_its_line(town: Town, channel: str, cause: str) -> None:
    await town.stores[channel].edit("MUG", 41)
    town.lose_webhooks()
    await sweep(town, channel)
    assert drift(town, channel, cause) == 1
    assert await lines(town, "drift", channel) == [("MUG", 50, 41, cause)]


@pytest.mark.parametrize("channel", ["woo", "sw"])
async def test_a_listing_that_two_programs_write_is_left_alone(town: Town, channel: str) -> None:
    await contest(town, channel, "MUG", 7, ALTERNATIONS - 1)
    assert town.stores[channel].shelf("MUG") == 50
    assert drift(town, channel, "edited") == 1
    assert drift(town, channel, "foreign_writer") == ALTERNATIONS - 2
    assert await lines(town, "quarantined", channel) == []
    await contest(town, channel, "MUG", 7, 3)
    assert town.stores[channel].shelf("MUG") == 7, "nothing is written any more"
    [(sku, ours, theirs, reason)] = await lines(town, "quarantined", channel)
    assert (sku, ours, theirs) == ("MUG", 50, 7)
    assert "another program" in reason
    assert "syncd retry" in reason


async def test_a_quarantine_outlives_sales_and_is_told_until_it_is_released(town: Town) -> None:
    await contest(town, "woo", "MUG", 7, ALTERNATIONS)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    assert town.shelves("MUG") == {"uk": 45, "sw": 45, "woo": 7}
    assert ("MUG", 7, None, "quarantined") in await lines(town, "skipped")
    async with town.db.transaction("status") as conn:
        assert {row.name: row.in_doubt for row in await status.channels(conn)}["woo"] == 1
        assert await status.skipped_listings(conn) == {"quarantined": 1}
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    assert await town.level("MUG") == 43, "what is sold there still counts"
    await town.ask("retry", "sw")
    await town.settle()
    assert town.stores["woo"].shelf("MUG") == 5, "another channel's retry releases nothing"
    await town.ask("retry", "woo")
    await town.settle()
    assert town.shelves("MUG") == {"uk": 43, "sw": 43, "woo": 43}
    assert [row[0] for row in await lines(town, "released")] == ["MUG"]
    [(detail,)] = await town.rows(
        "select detail from journal where outcome = 'asked' order by at desc limit 1"
    )
    assert json.loads(detail)["result"]["released"] == 1
    async with town.db.transaction("status") as conn:
        assert await status.skipped_listings(conn) == {}
    await contest(town, "woo", "MUG", 7, ALTERNATIONS - 1)
    assert town.stores["woo"].shelf("MUG") == 43, "it is counted anew"


async def test_a_platform_that_keeps_another_number(town: Town) -> None:
    """It takes 50 and keeps 20: without an end each write would be followed by the next."""
    woo = town.stores["woo"]
    woo.faults.clamp = 20
    await town.stores["uk"].edit("MUG", 60)
    town.clock.forward(60)
    await town.settle()
    assert woo.shelf("MUG") == 20
    assert drift(town, "woo", "platform_clamp") >= 1
    [(_, _, theirs, reason)] = await lines(town, "quarantined")
    assert theirs == 20
    assert "keeps another one" in reason
    assert woo.counters.writes < ENDLESS + 10


async def test_a_person_who_types_now_and_then_is_overwritten_each_time(town: Town) -> None:
    for _ in range(ALTERNATIONS + 2):
        town.clock.forward(WINDOW.total_seconds() + 1)
        await town.stores["woo"].edit("MUG", 99)
        await town.settle()
        assert town.stores["woo"].shelf("MUG") == 50
    assert await lines(town, "quarantined") == []


async def test_edits_that_are_adopted_alternate_with_nobody(town: Town) -> None:
    for _ in range(ALTERNATIONS + 2):
        for number in (7, 50):
            await town.stores["uk"].edit("MUG", number)
            await town.settle()
    assert await lines(town, "quarantined", "uk") == []
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}


async def capped(town: Town) -> None:
    """Two shops whose edits are adopted; the second shows at most ten."""
    for name, policy in (("uk", {}), ("de", {"cap": 10})):
        town.store(name, LEVELS, policy=policy).add("MUG", 100)
    await town.open()
    await town.seed()
    town.clock.forward(60)


async def test_an_adopted_edit_has_its_line(plan: Town) -> None:
    await capped(plan)
    await plan.stores["uk"].edit("MUG", 107)
    await plan.settle()
    assert await lines(plan, "edited", "uk") == [("MUG", 100, 107, "adopted")]


async def test_an_edit_that_a_cap_hides_counts_and_is_told(plan: Town) -> None:
    await capped(plan)
    await plan.stores["de"].edit("MUG", 20)
    await plan.settle()
    assert plan.shelves("MUG") == {"uk": 110, "de": 10}
    assert await lines(plan, "edited", "de") == [("MUG", 10, 20, "adopted_not_shown")]


async def test_a_program_that_fills_a_capped_shelf_without_end_is_stopped(plan: Town) -> None:
    """Each time it would be booked as ten more that nobody has."""
    await capped(plan)
    for _ in range(ALTERNATIONS + 3):
        plan.clock.forward(60)
        await plan.stores["de"].edit("MUG", 20)
        await plan.settle()
    assert plan.stores["de"].shelf("MUG") == 20
    assert await plan.level("MUG") == 100 + 10 * ALTERNATIONS
    [(_, ours, theirs, _)] = await lines(plan, "quarantined", "de")
    assert (ours, theirs) == (10, 20)


async def test_a_listing_that_is_tracked_no_more_is_drift(town: Town) -> None:
    town.stores["woo"].unmanage("MUG")
    town.lose_webhooks()
    await sweep(town, "woo")
    assert drift(town, "woo", "unmanaged") == 1
    assert ("MUG", 50, None, "unmanaged") in await lines(town, "drift")


async def test_what_shows_something_else_during_a_write_is_in_flight(town: Town) -> None:
    woo = town.stores["woo"]
    town.clock.forward(60)
    woo.faults.lose_answer = 1.0
    await town.stores["uk"].sell({"MUG": 3})
    await town.book()
    with pytest.raises(Exception, match="no answer"):
        await town.lanes["woo"].writing.write_owed(lambda: None)
    woo.faults.lose_answer = 0.0
    await town.sweepers["woo"].sweep()
    assert drift(town, "woo", "in_flight") == 1
    assert await lines(town, "drift") == [("MUG", 50, 47, "in_flight")]


async def test_the_newest_reading_that_said_something_new_is_kept(town: Town) -> None:
    await town.stores["woo"].edit("MUG", 41)
    await town.settle()
    [(observed, at)] = await town.rows(
        "select s.observed, s.observed_at from shelf s join listing l on l.id = s.listing_id"
        " join channel c on c.id = l.channel_id where c.name = 'woo' and l.sku = 'MUG'"
    )
    assert observed == 41
    assert at is not None
