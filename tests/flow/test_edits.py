"""Edits on channels with blind writes: told from orders, booked when they settle, asked where unclear."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.errors import RetryLater
from tests.flow.following import (
    asked,
    booked,
    everywhere,
    opened,
    pass_by,
    reload,
    stretches,
)
from tests.flow.town import Town


@pytest.fixture
async def shops(plan: Town) -> Town:
    return await opened(plan)


async def test_a_listing_is_followed_from_its_first_sweep_on(shops: Town) -> None:
    assert await stretches(shops) == [
        ("reading", "open", 50, None, False, 0, [0], False),
    ]


async def test_a_rise_is_booked_when_it_settles_and_raises_nobody_before(shops: Town) -> None:
    await shops.stores["shop"].edit("MUG", 57)
    await shops.settle()
    assert shops.shelves("MUG") == {"uk": 50, "shop": 57, "woo": 50}
    assert await shops.level("MUG") == 50
    await pass_by(shops)
    assert await booked(shops) == [7]
    await everywhere(shops, 57)


async def test_a_fall_lowers_everybody_at_once_and_is_booked_when_it_settles(shops: Town) -> None:
    await shops.stores["shop"].edit("MUG", 40)
    await shops.settle()
    assert shops.shelves("MUG") == {"uk": 40, "shop": 40, "woo": 40}
    assert await shops.level("MUG") == 50
    await pass_by(shops)
    assert await booked(shops) == [-10]
    await everywhere(shops, 40)


async def test_a_sale_nobody_told_of_is_no_edit(shops: Town) -> None:
    shop = shops.stores["shop"]
    await shop.sell({"MUG": 3})
    shops.lose_webhooks()
    await shops.look("shop", "MUG")
    await shops.settle()
    assert shops.shelves("MUG") == {"uk": 47, "shop": 47, "woo": 47}
    await pass_by(shops)  # settling fetches orders
    assert await booked(shops) == []
    await everywhere(shops, 47)


async def test_a_write_keeps_what_is_not_settled(shops: Town) -> None:
    """A sale elsewhere lowers the shelf by what was sold, not to the level."""
    await shops.stores["shop"].edit("MUG", 57)
    await shops.settle()
    await shops.stores["uk"].sell({"MUG": 2})
    await shops.settle()
    assert shops.shelves("MUG") == {"uk": 48, "shop": 55, "woo": 48}
    await pass_by(shops)
    assert await booked(shops) == [7]
    await everywhere(shops, 55)


async def test_every_write_stands_between_readings(shops: Town) -> None:
    shop = shops.stores["shop"]
    calls: list[bool] = []
    serve = shop.serve

    async def serving(token: str, work: Any, *, writes: bool) -> Any:
        calls.append(writes)
        return await serve(token, work, writes=writes)

    shop.serve = serving  # type: ignore[method-assign]
    shops.lanes["shop"].writing.behind = True
    await shops.stores["uk"].sell({"MUG": 2})
    await shops.settle()
    assert calls == [False, True, False]
    assert [row[:4] for row in await stretches(shops)] == [
        ("reading", "write", 50, 50),
        ("write", "open", 50, None),
    ]


async def test_a_sale_between_reading_and_write_is_erased_there_and_counts(shops: Town) -> None:
    shop = shops.stores["shop"]

    async def meanwhile() -> None:
        await shop.sell({"MUG": 2})

    with shops.before_write("shop", meanwhile):
        await shops.stores["uk"].sell({"MUG": 5})
        await shops.settle()
    await pass_by(shops)
    assert await booked(shops) == []
    await everywhere(shops, 43)


async def test_a_write_nobody_answers_is_watched_and_then_made_again(plan: Town) -> None:
    shops = await opened(plan, late_apply_s=30.0)
    shop, lane = shops.stores["shop"], shops.lanes["shop"]
    shop.faults.late, shop.faults.late_s = 1.0, 3600.0
    await shops.stores["uk"].sell({"MUG": 5})
    await shops.book()
    with pytest.raises(RetryLater):
        await lane.writing.write_owed(lambda: None)
    shop.faults.late = 0.0
    assert [row[:4] for row in await stretches(shops)] == [
        ("reading", "write", 50, 50),
        ("unknown", "open", 50, None),
    ]
    await shop.edit("MUG", 60)  # a person, while the write may still land
    writes = shop.counters.writes
    await shops.settle()
    assert shop.counters.writes == writes, "nothing is written while the first may still land"
    shops.clock.forward(10)
    shop.land()
    await pass_by(shops, 3)
    assert shop.counters.writes == writes
    [(watched,)] = await shops.rows("select watch_value from stretch where end_kind = 'open'")
    assert watched == [60, 45]
    await pass_by(shops, 30)
    assert shop.counters.writes > writes
    await pass_by(shops)
    # 50, then 60 by the person, then 45 by the late write: it was typed, and then erased
    assert await booked(shops) == [10]
    await everywhere(shops, 55)


async def test_a_daemon_that_dies_between_claim_and_answer_was_silent(plan: Town) -> None:
    shops = await opened(plan)
    shop, lane = shops.stores["shop"], shops.lanes["shop"]

    class Died(BaseException):
        pass

    async def dying(*_: Any, **__: Any) -> None:
        raise Died

    await shops.stores["uk"].sell({"MUG": 5})
    await shops.book()
    lane.writing._settling.answered = dying  # type: ignore[method-assign]
    with pytest.raises(Died):
        await lane.writing.write_owed(lambda: None)
    assert shop.shelf("MUG") == 45
    await shop.edit("MUG", 48)
    await shops.start_lane("shop")
    await shops.settle()
    assert [row[0] for row in await stretches(shops)] == ["reading", "unknown"]
    await pass_by(shops, 10)
    await pass_by(shops)
    # the write landed, then a person made 48 of 45; or a person made 48 of 50 and it never did
    assert [row[:3] for row in await asked(shops)] == [("unclear_edit", [-2, 3], -2)]
    assert await booked(shops) == []


async def test_an_open_stretch_is_split_so_that_it_can_settle(shops: Town) -> None:
    shop = shops.stores["shop"]
    await shop.edit("MUG", 57)
    await shops.settle()
    await pass_by(shops)
    await shop.edit("MUG", 52)
    await shops.settle()
    await pass_by(shops)
    assert await booked(shops) == [7, -5]
    await everywhere(shops, 52)
    await pass_by(shops)
    assert await booked(shops) == [7, -5]


async def test_an_order_that_turns_up_late_takes_back_what_it_explains(shops: Town) -> None:
    shop = shops.stores["shop"]
    hidden = shop.changed_since
    shop.changed_since = lambda since: []  # type: ignore[method-assign]
    await shop.sell({"MUG": 3})
    shops.lose_webhooks()
    shops.clock.forward(10)
    await shops.look("shop", "MUG")
    await shops.settle()
    await pass_by(shops)
    assert await booked(shops) == [-3]
    await everywhere(shops, 47)
    shop.changed_since = hidden  # type: ignore[method-assign]
    await shops.sweepers["shop"].sweep()
    await shops.settle()
    assert sorted(await booked(shops)) == [-3, 3]
    await everywhere(shops, 47)


async def test_a_late_order_beside_a_split_merges_what_it_split(shops: Town) -> None:
    shop = shops.stores["shop"]
    hidden = shop.changed_since
    shop.changed_since = lambda since: []  # type: ignore[method-assign]
    await shops.look("shop", "MUG")
    await shops.settle()
    shops.clock.forward(1)
    await shop.sell({"MUG": 3})
    shops.lose_webhooks()
    shops.clock.forward(1)
    await shops.look("shop", "MUG")
    await shops.settle()
    await pass_by(shops)
    halves = len(await stretches(shops))
    assert halves > 1
    shop.changed_since = hidden  # type: ignore[method-assign]
    await shops.sweepers["shop"].sweep()
    await shops.settle()
    assert len(await stretches(shops)) < halves
    await pass_by(shops)
    assert sum(await booked(shops)) == 0
    await everywhere(shops, 47)


async def test_overwritten_edits_cost_no_stretch(plan: Town) -> None:
    town = await opened(plan, edits="overwrite")
    await town.stores["shop"].edit("MUG", 57)
    await town.settle()
    await everywhere(town, 50)
    assert await stretches(town) == []
    assert await town.rows("select count(*) from order_step") == [(0,)]


async def test_two_adopting_channels_of_both_truths_share_a_warehouse(shops: Town) -> None:
    uk, shop = shops.stores["uk"], shops.stores["shop"]
    await uk.edit("MUG", 60)
    await shop.edit("MUG", 45)
    await shops.settle()
    await pass_by(shops)
    await everywhere(shops, 55)
    assert sorted(await booked(shops)) == [-5, 10]


async def test_a_setting_that_changes_keeps_what_was_adopted_and_begins_anew(plan: Town) -> None:
    """Adopted, then overwritten, then adopted again: nothing of the time between is an edit."""
    town = await opened(plan)
    shop = town.stores["shop"]
    await shop.edit("MUG", 57)
    await town.settle()
    await pass_by(town)
    await reload(town, "overwrite")
    await shop.edit("MUG", 90)
    await town.settle()
    await everywhere(town, 57)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    await pass_by(town)
    await everywhere(town, 56)
    await reload(town, "adopt")
    await town.settle()
    await shop.edit("MUG", 60)
    await town.settle()
    await pass_by(town)
    assert await booked(town) == [7, 4]
    await everywhere(town, 60)


async def test_a_late_order_is_taken_off_what_was_adopted_though_edits_are_overwritten_now(
    plan: Town,
) -> None:
    town = await opened(plan)
    shop = town.stores["shop"]
    hidden = shop.changed_since
    shop.changed_since = lambda since: []  # type: ignore[method-assign]
    await shop.sell({"MUG": 3})
    town.lose_webhooks()
    await town.look("shop", "MUG")
    await town.settle()
    await pass_by(town)
    assert await booked(town) == [-3]
    await reload(town, "overwrite")
    shop.changed_since = hidden  # type: ignore[method-assign]
    await town.sweepers["shop"].sweep()
    await town.settle()
    assert sorted(await booked(town)) == [-3, 3]
    await everywhere(town, 47)


async def test_what_is_typed_while_a_channel_is_off_is_no_edit(plan: Town) -> None:
    town = await opened(plan)
    shop = town.stores["shop"]
    await shop.edit("MUG", 57)
    await town.settle()
    await pass_by(town)
    assert await booked(town) == [7]
    town.settings["shop"]["enabled"] = False
    await town.adopt()
    await shop.edit("MUG", 70)
    await town.settle()
    town.clock.forward(60)
    await town.change("shop", enabled=True)
    await town.settle()
    await pass_by(town)
    assert await booked(town) == [7]
    await everywhere(town, 57)
    await shop.edit("MUG", 60)
    await town.settle()
    await pass_by(town)
    assert await booked(town) == [7, 3]
