"""Whatever happened has its journal line, with the platform's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncd.app.housekeeping import sample
from syncd.db import inbox
from syncd.db.inbox import NewEvent
from syncd.db.journal import Line
from syncd.errors import ChannelClosed, DatabaseAway, RetryLater
from tests.flow.town import Town


async def lines(town: Town, outcome: str) -> list[tuple[Any, ...]]:
    """(channel, sku, before, after, reason, detail) of an outcome, oldest first."""
    await town.core.write_notes()
    return await town.rows(
        "select c.name, j.sku, j.before, j.after, j.reason, j.detail from journal j"
        " left join channel c on c.id = j.channel_id where j.outcome = $1 order by j.at",
        outcome,
    )


async def test_an_event_nobody_understands(town: Town) -> None:
    event = NewEvent(
        town.channel("woo").id, b"0" * 16, "orders/update", b"<html>", None, town.clock()
    )
    async with town.db.transaction("store") as conn:
        await inbox.store(conn, [event], town.clock())
    await town.settle()
    [(channel, _, _, _, reason, detail)] = await lines(town, "event_parked")
    [(parked_reason,)] = await town.rows("select reason from inbox_parked")
    assert (channel, reason) == ("woo", parked_reason)
    assert json.loads(detail)["topic"] == "orders/update"


async def test_a_channel_that_does_not_answer_and_answers_again(town: Town) -> None:
    town.stores["woo"].faults.down = True
    channel = town.channel("woo")
    for _ in range(20):
        if channel.breaker.state.value == "open":
            break
        with pytest.raises(RetryLater):
            await town.sweepers["woo"].sweep()
    [(name, _, _, _, reason, _)] = await lines(town, "channel_stopped")
    assert name == "woo"
    assert reason.startswith("no answers: ")
    assert len(reason) > len("no answers: ")
    assert await lines(town, "channel_resumed") == []
    town.stores["woo"].faults.down = False
    await town.sweepers["woo"].sweep()
    assert [row[0] for row in await lines(town, "channel_resumed")] == ["woo"]
    assert len(await lines(town, "channel_stopped")) == 1


async def test_a_channel_that_shut_us_out(town: Town) -> None:
    town.stores["woo"].faults.expired = True
    with pytest.raises(ChannelClosed):
        await town.sweepers["woo"].sweep()
    with pytest.raises(ChannelClosed):
        await town.sweepers["woo"].sweep()
    [(name, _, _, _, reason, _)] = await lines(town, "channel_stopped")
    assert name == "woo"
    assert reason.startswith("shut out: ")
    town.stores["woo"].faults.expired = False
    town.core.reopen(town.channel("woo"))
    assert [row[0] for row in await lines(town, "channel_resumed")] == ["woo"]


async def test_a_registration_that_was_made(town: Town) -> None:
    made = await lines(town, "subscribed")
    assert {row[0] for row in made} == {"uk", "sw", "woo"}
    town.stores["woo"].disable("orders/update")
    await town.sweepers["woo"].sweep()
    again = await lines(town, "subscribed")
    assert [(row[0], row[4]) for row in again[len(made) :]] == [("woo", "orders/update")]


async def test_a_write_that_was_never_sent(town: Town) -> None:
    town.stores["woo"].faults.down = True
    await town.stores["uk"].sell({"MUG": 1})
    await town.book()
    with pytest.raises(RetryLater):
        await town.step(town.lanes["woo"])
    again = [row for row in await lines(town, "again") if row[0] == "woo"]
    if not again:  # the reading before the write failed already
        with pytest.raises(RetryLater):
            await town.lanes["woo"].writing.write_owed(lambda: None)
        again = [row for row in await lines(town, "again") if row[0] == "woo"]
    assert [(row[1], row[2], row[3]) for row in again] == [("MUG", 50, 49)]
    assert again[0][4].startswith("not sent: ")


async def test_what_a_person_asked_for(town: Town) -> None:
    await town.ask("push", "woo", ["MUG"])
    await town.ask("retry")
    (push, retry) = await lines(town, "asked")
    assert (push[0], push[1], push[4]) == ("woo", "MUG", "push")
    assert json.loads(push[5])["result"] == {"listings": 1}
    assert (retry[0], retry[4]) == (None, "retry")


async def test_notes_wait_for_a_database_that_is_away(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.core.note(Line("started", reason="first"))
    at = town.clock.now
    transaction = town.db.transaction

    def away(name: str, **words: Any) -> Any:
        if name == "notes":
            raise DatabaseAway("gone")
        return transaction(name, **words)

    monkeypatch.setattr(town.db, "transaction", away)
    with pytest.raises(DatabaseAway):
        await town.core.write_notes()
    monkeypatch.undo()
    town.clock.forward(600)
    await sample(town.core)
    await sample(town.core)
    [(told, when)] = await town.rows("select reason, at from journal where outcome = 'started'")
    assert (told, when) == ("first", at)
