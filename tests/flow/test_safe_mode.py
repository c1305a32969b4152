"""Safe mode: while nothing is heard of a channel, the others keep a reserve for what it sells unseen."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.app import silence, speeds
from syncd.app.silence import Silence
from syncd.app.stocklist import Wanted, stock_rows
from syncd.errors import ChannelError
from syncd.explain.telling import explain
from syncd.stock.policy import retold
from syncd.stock.states import State
from tests.flow.test_suspicion import told
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

HOUR = 3600.0
EVERY = pytest.mark.parametrize(
    "character", [LEVELS, ORDERS, ONE_BY_ONE], ids=["levels", "read", "unread"]
)


class Watched:
    """A town whose channel `shop` may fall silent; it sold 168 mugs and 7 tees in a week."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.uk = town.stores["uk"]
        self.shop = town.stores["shop"]
        self.watch = Silence(town.core)

    async def hours(self, count: float, *, but_for: str = "") -> None:
        """Time passes, with a sweep of every channel that answers."""
        self.town.clock.forward(count * HOUR)
        for name, sweeper in self.town.sweepers.items():
            if name != but_for:
                await sweeper.sweep()
        await self.step()

    async def step(self) -> None:
        await self.watch.step()
        await self.town.settle(knocking=not self.shop.faults.down)

    async def restart(self) -> None:
        """The daemon starts again: what it knew in memory is gone."""
        for channel in self.town.core.channels.values():
            channel.heard_at = None
        await self.town.adopt()
        self.watch = Silence(self.town.core)

    @property
    def shelves(self) -> dict[str, int]:
        return self.town.shelves("MUG")


async def watched(town: Town, character: Any, **channel: Any) -> Watched:
    names = (("uk", LEVELS, {}), ("eu", ORDERS, {}), ("shop", character, channel))
    for name, kind, more in names:
        store = town.store(name, kind, **({"safe_mode": "1h", **more} if name == "shop" else {}))
        store.add("MUG", 500)
        store.add("TEE", 500)
    await town.open()
    await town.seed()
    town.clock.forward(60)
    await town.stores["shop"].sell({"MUG": 168, "TEE": 7})
    await town.settle()
    await speeds.refresh(town.core)
    await town.settle()
    made = Watched(town)
    await made.hours(0.5)
    return made


@EVERY
async def test_the_others_keep_a_reserve_that_grows_and_is_undone(
    plan: Town, character: Any
) -> None:
    """168 in a week are one an hour."""
    town = await watched(plan, character)
    assert town.shelves == {"uk": 332, "eu": 332, "shop": 332}
    town.shop.faults.down = True
    await town.hours(0.9, but_for="shop")
    assert town.shelves == {"uk": 332, "eu": 332, "shop": 332}
    await town.hours(0.2, but_for="shop")
    assert town.shelves == {"uk": 330, "eu": 330, "shop": 332}, "more than an hour is unseen"
    await town.hours(2, but_for="shop")
    assert town.shelves == {"uk": 328, "eu": 328, "shop": 332}
    assert town.town.shelves("TEE") == {"uk": 492, "eu": 492, "shop": 493}
    town.shop.faults.down = False
    await town.shop.sell({"MUG": 4})
    town.town.lose_webhooks()
    await town.hours(0.1)
    await town.step()
    assert town.shelves == {"uk": 328, "eu": 328, "shop": 328}
    assert town.town.shelves("TEE") == {"uk": 493, "eu": 493, "shop": 493}
    outcomes = [
        row[0]
        for row in await plan.rows(
            "select outcome from journal where outcome in ('silent', 'heard_again') order by at"
        )
    ]
    assert outcomes == ["silent", "heard_again"]
    assert await plan.rows("select * from sales where unseen > 0") == []


@EVERY
async def test_a_silent_channel_is_lowered_and_not_raised(plan: Town, character: Any) -> None:
    town = await watched(plan, character)
    quiet = town.shop.sender
    await town.hours(1.2, but_for="shop")
    assert plan.core.rulebook.named("shop").silent  # type: ignore[union-attr]
    await town.uk.edit("MUG", 400)
    await plan.book()
    await plan.lanes["shop"].writing.write_owed(lambda: None)
    assert town.shop.shelf("MUG") == 332
    states = {
        one.channel: one.state
        async for item in stock_rows(plan.core, Wanted(skus=("MUG",)))
        for one in item.listings
    }
    assert states["shop"] is State.SILENT
    reasons = await plan.rows(
        "select reason from journal where outcome = 'skipped' and sku = 'MUG' and channel_id = $1",
        plan.channel("shop").id,
    )
    assert ("silent",) in reasons
    assert quiet is town.shop.sender


async def test_its_riskiest_items_are_zeroed_by_choice(plan: Town) -> None:
    town = await watched(plan, ORDERS, zero_when_silent=True)
    await town.uk.edit("MUG", 3)
    await plan.settle()
    assert town.shelves == {"uk": 3, "eu": 3, "shop": 3}
    await town.hours(1.2, but_for="shop")
    assert town.shelves == {"uk": 1, "eu": 1, "shop": 3}, "fewer may be gone than there are"
    await town.hours(1.5, but_for="shop")
    assert town.shelves == {"uk": 0, "eu": 0, "shop": 0}
    assert town.shop.shelf("TEE") == 493, "a slow one stays"
    await town.hours(0.1)
    await town.step()
    await plan.sweepers["shop"].sweep()
    await plan.settle()
    assert town.shelves == {"uk": 3, "eu": 3, "shop": 3}


async def test_a_restart_neither_forgets_nor_flaps(plan: Town) -> None:
    town = await watched(plan, ORDERS)
    town.shop.faults.down = True
    await town.hours(1.2, but_for="shop")
    assert town.shelves["uk"] == 330
    await town.restart()
    assert plan.core.rulebook.named("shop").silent  # type: ignore[union-attr]
    await town.step()
    assert town.shelves["uk"] == 330
    await town.hours(1, but_for="shop")
    assert town.shelves["uk"] == 329
    found = await plan.rows(
        "select outcome from journal where outcome in ('silent', 'heard_again')"
    )
    assert found == [("silent",)]


async def test_a_daemon_that_just_started_calls_nobody_silent(plan: Town) -> None:
    town = await watched(plan, ORDERS)
    plan.clock.forward(5 * HOUR)
    await town.restart()
    await town.step()
    assert not any(rules.silent for rules in plan.core.rulebook.configured)
    for sweeper in plan.sweepers.values():
        await sweeper.sweep()
    await town.hours(0.1)
    assert not any(rules.silent for rules in plan.core.rulebook.configured)


async def test_a_webhook_is_heard_though_nothing_is_read(plan: Town) -> None:
    town = await watched(plan, ORDERS)
    plan.clock.forward(0.9 * HOUR)
    await town.shop.sell({"TEE": 1})
    await plan.book_orders()
    await town.hours(0.5, but_for="shop")
    assert not any(rules.silent for rules in plan.core.rulebook.configured)


async def test_writes_tell_nothing_of_what_is_sold(plan: Town) -> None:
    town = await watched(plan, {**ONE_BY_ONE, "echoes": False})
    for _ in range(3):
        plan.clock.forward(0.5 * HOUR)
        await town.uk.sell({"MUG": 1})
        await plan.settle(knocking=True)
    await town.step()
    assert plan.core.rulebook.named("shop").silent  # type: ignore[union-attr]


async def test_one_that_is_told_not_to_mind_is_silent_no_more(plan: Town) -> None:
    town = await watched(plan, ORDERS)
    town.shop.faults.down = True
    await town.hours(1.2, but_for="shop")
    assert town.shelves["uk"] == 330
    plan.settings["shop"]["safe_mode"] = "off"
    await plan.adopt()
    await town.step()
    assert town.shelves["uk"] == 332
    assert not any(rules.silent for rules in plan.core.rulebook.configured)


async def test_its_speed_stays_what_it_was_while_nobody_hears_of_it(plan: Town) -> None:
    town = await watched(plan, ORDERS)
    town.shop.faults.down = True
    await town.hours(1.2, but_for="shop")
    plan.clock.forward(8 * 24 * HOUR)
    await speeds.refresh(plan.core)
    await town.step()
    assert town.shelves["uk"] == 332 - 24 * 8 - 2


async def test_it_is_told_everywhere(plan: Town) -> None:
    town = await watched(plan, ORDERS)
    town.shop.faults.down = True
    with pytest.raises(ChannelError):
        await plan.sweepers["shop"].sweep()
    assert silence.check(plan.core) == (True, {})
    await town.hours(1.2, but_for="shop")
    metrics = plan.core.metrics
    assert metrics.channel_silent.labels("shop")._value.get() == 1
    assert metrics.channel_silent.labels("uk")._value.get() == 0
    assert metrics.unseen_units.labels("shop")._value.get() == 3
    assert silence.check(plan.core) == (False, {"shop": "silent"})
    number, detail = (await told(plan, "eu"))[-1]
    assert (number, detail["inputs"]["unseen"]) == (330, 2)
    assert retold(detail["level"], detail["inputs"]).target == 330
    async with plan.db.transaction("explain") as conn:
        found = await explain(conn, plan.core.rulebook, "MUG", plan.clock(), channel="eu")
    assert found is not None
    assert [step.name for step in found.listings[0].steps] == ["level", "unseen"]
