"""Escrow: every channel sells from its own account; accounts and what is under way always make the level."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from syncd.bulk.rebalancing import Rebalancing, rebalance
from syncd.config.models import SyncSettings
from syncd.db import accounts
from syncd.errors import ChannelError
from syncd.explain.telling import explain
from syncd.fanout.accounts import land
from syncd.stock.policy import retold
from tests.flow.test_suspicion import told
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

ESCROW: dict[str, Any] = {"allocation": "escrow"}


class Shared:
    """A town whose channels sell from accounts."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.walker = Rebalancing(town.core, lambda: SyncSettings().rebalance_every)

    async def whole(self) -> None:
        """Accounts and what is under way make the level, of every item."""
        async with self.town.db.transaction("sums") as conn:
            for sku, _, level, held, moving in await accounts.sums(conn):
                assert held + moving == level, sku

    async def settle(self) -> None:
        await self.town.settle()
        await self.whole()

    async def step(self, *, after_s: float = 0) -> None:
        """Time passes, the accounts are seen to, and everything settles."""
        self.town.clock.forward(after_s)
        await self.walker.step()
        await self.settle()

    async def accounts(self, sku: str = "MUG") -> dict[str, int]:
        rows = await self.town.rows(
            "select c.name, a.units from account a join channel c on c.id = a.channel_id"
            " join item i on i.id = a.item_id where i.sku = $1 order by c.name",
            sku,
        )
        return dict(rows)

    async def transfers(self) -> list[tuple[Any, ...]]:
        return await self.town.rows(
            "select g.name, t.name, x.units from transfer x join channel g on g.id = x.giver_id"
            " join channel t on t.id = x.taker_id order by 1, 2"
        )

    @property
    def shelves(self) -> dict[str, int]:
        return self.town.shelves("MUG")


async def shared(town: Town, units: int = 30, **policy: Any) -> Shared:
    """Three stores of every character that share an item."""
    for name, character in (("uk", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        store = town.store(name, character, policy={**ESCROW, **policy})
        store.add("MUG", units)
    await town.open()
    await town.seed()
    made = Shared(town)
    await made.whole()
    for _ in range(3):
        await made.step(after_s=60)
    return made


async def test_a_new_item_is_shared_without_waiting_for_the_clock(plan: Town) -> None:
    town = await shared(plan, 31)
    assert await town.accounts() == {"sw": 10, "uk": 11, "woo": 10}
    assert town.shelves == {"uk": 11, "sw": 10, "woo": 10}


@pytest.mark.parametrize("seller", ["uk", "sw", "woo"])
async def test_a_sale_and_its_return_move_the_own_account_alone(plan: Town, seller: str) -> None:
    town = await shared(plan)
    writes = {name: store.counters.writes for name, store in plan.stores.items()}
    order = await plan.stores[seller].sell({"MUG": 4})
    await town.settle()
    assert town.shelves == {"uk": 10, "sw": 10, "woo": 10} | {seller: 6}
    assert await town.accounts() == {"sw": 10, "uk": 10, "woo": 10} | {seller: 6}
    others = [name for name in plan.stores if name != seller]
    assert all(plan.stores[name].counters.writes == writes[name] for name in others)
    plan.clock.forward(60)
    await plan.stores[seller].cancel(order)
    await town.settle()
    assert town.shelves == {"uk": 10, "sw": 10, "woo": 10}
    assert await plan.level("MUG") == 30


async def test_all_selling_out_at_once_sell_no_more_than_there_is(plan: Town) -> None:
    town = await shared(plan)
    for store in plan.stores.values():
        await store.sell({"MUG": 10})
    await town.settle()
    assert await plan.level("MUG") == 0
    assert set(town.shelves.values()) == {0}


async def test_a_count_is_nobodys_and_shared(plan: Town) -> None:
    town = await shared(plan)
    await plan.stores["woo"].sell({"MUG": 10})
    await town.settle()
    plan.clock.forward(60)
    await plan.stores["uk"].edit("MUG", 4)
    await town.settle()
    assert await plan.level("MUG") == 14
    assert await town.accounts() == {"sw": 10, "uk": 4, "woo": 0}
    plan.clock.forward(60)
    await plan.stores["uk"].edit("MUG", 20)
    await town.settle()
    assert await town.accounts() == {"sw": 10, "uk": 20, "woo": 0}, "what is shown there is there"


async def test_units_move_only_after_the_giver_shows_less(plan: Town) -> None:
    town = await shared(plan)
    await town.step()
    await plan.stores["woo"].sell({"MUG": 10})
    await town.settle()
    await town.step(after_s=60)
    assert town.shelves == {"uk": 10, "sw": 10, "woo": 0}, "not yet"
    plan.clock.forward(301)
    plan.stores["sw"].faults.down = True
    await town.walker.step()
    assert await town.transfers() == [("sw", "woo", 3), ("uk", "woo", 3)]
    await town.whole()
    await plan.lanes["uk"].writing.write_owed(lambda: None)
    await town.walker.step()
    await town.whole()
    assert await town.transfers() == [("sw", "woo", 3)]
    assert await town.accounts() == {"sw": 7, "uk": 7, "woo": 3}
    await plan.lanes["woo"].fetching.fetch_changed(lambda: None)
    await plan.lanes["woo"].writing.write_owed(lambda: None)
    assert town.shelves == {"uk": 7, "sw": 10, "woo": 3}
    plan.stores["sw"].faults.down = False
    await town.settle()
    await town.step()
    await town.step()
    assert await town.transfers() == []
    assert town.shelves == {"uk": 7, "sw": 7, "woo": 6}


async def test_what_the_giver_sold_meanwhile_is_no_ones_to_take(plan: Town) -> None:
    town = await shared(plan)
    await town.step()
    await plan.stores["woo"].sell({"MUG": 10})
    await town.settle()
    plan.stores["sw"].faults.down = True
    plan.clock.forward(301)
    await town.walker.step()
    await plan.stores["sw"].sell({"MUG": 9})
    await plan.book_orders()
    await town.whole()
    assert (await town.accounts())["sw"] == -2
    plan.stores["sw"].faults.down = False
    await town.settle()
    async with plan.core.booking("land") as (conn, booking):
        assert (await land(conn, booking, await accounts.under_way(conn))).moved == 6
    held = await town.accounts()
    assert sum(max(units, 0) for units in held.values()) == 11, "no more is shown than there is"
    for _ in range(3):
        await town.settle()
        await town.step()
    assert await plan.level("MUG") == 11
    assert sum(town.shelves.values()) == 11


async def test_shares_decide_who_has_how_much(plan: Town) -> None:
    shares = {"uk": 50, "sw": 30, "woo": 20}
    for name, character in (("uk", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        plan.store(name, character, policy={**ESCROW, "share": shares[name]}).add("MUG", 20)
    await plan.open()
    await plan.seed()
    for _ in range(3):
        await Shared(plan).step(after_s=60)
    assert plan.shelves("MUG") == {"uk": 10, "sw": 6, "woo": 4}


async def test_entering_and_leaving_escrow_by_a_reload(plan: Town) -> None:
    for name, character in (("uk", LEVELS), ("woo", ORDERS)):
        plan.store(name, character).add("MUG", 20)
    await plan.open()
    await plan.seed()
    town = Shared(plan)
    await town.step()
    assert plan.shelves("MUG") == {"uk": 20, "woo": 20}
    plan.clock.forward(60)
    for name in plan.stores:
        plan.settings[name]["policy"] = ESCROW
    await plan.adopt()
    await town.step()
    assert plan.shelves("MUG") == {"uk": 10, "woo": 10}
    plan.clock.forward(60)
    for name in plan.stores:
        plan.settings[name]["policy"] = {}
    await plan.adopt()
    await town.step()
    assert await town.accounts() == {}
    assert plan.shelves("MUG") == {"uk": 20, "woo": 20}


async def test_somebody_who_asks_has_units_shared_at_once(plan: Town) -> None:
    town = await shared(plan)
    await plan.stores["woo"].sell({"MUG": 3})
    await town.settle()
    plan.clock.forward(60)
    await plan.ask("rebalance", None, ["MUG"])
    await town.settle()
    await town.step()
    assert town.shelves == {"uk": 9, "sw": 9, "woo": 9}
    assert await rebalance(plan.core) == {"items_in_escrow": 0, "dropped": 0, "units": 0}


async def test_an_excluded_listing_keeps_its_units(plan: Town) -> None:
    """Nothing is written to it, so it goes on selling what it shows."""
    town = await shared(plan)
    plan.settings["woo"]["policy"] = {**ESCROW, "exclude": ["MUG"]}
    await plan.adopt()
    await town.step()
    await rebalance(plan.core)
    await town.settle()
    assert await town.accounts() == {"sw": 10, "uk": 10, "woo": 10}


async def test_what_a_plan_holds_gives_nothing_before_it_is_let_go(plan: Town) -> None:
    town = await shared(plan)
    await plan.stores["woo"].sell({"MUG": 10})
    await town.settle()
    plan.clock.forward(301)
    await plan.rows(
        "update shelf s set held_by = 1, keeps = s.shown from listing l"
        " where l.id = s.listing_id and l.channel_id = $1 returning 1",
        plan.channel("sw").id,
    )
    await town.step()
    await town.step()
    assert await town.transfers() == [("sw", "woo", 3)]
    assert town.shelves == {"uk": 7, "sw": 10, "woo": 3}
    await plan.rows("update shelf set held_by = null, keeps = null returning 1")
    await plan.sweepers["sw"].sweep()
    for _ in range(2):
        await town.step()
    assert town.shelves == {"uk": 7, "sw": 7, "woo": 6}


async def test_who_is_configured_no_more_leaves_its_units_to_the_others(plan: Town) -> None:
    town = await shared(plan)
    del plan.stores["woo"], plan.settings["woo"], plan.lanes["woo"], plan.sweepers["woo"]
    plan.core.channels.pop(plan.channel("woo").id)
    await plan.adopt()
    for _ in range(2):
        await town.step(after_s=301)
    assert town.shelves == {"uk": 15, "sw": 15}


async def test_it_is_told_where_the_units_are(plan: Town) -> None:
    town = await shared(plan)
    await plan.stores["woo"].sell({"MUG": 10})
    await town.settle()
    plan.clock.forward(301)
    plan.stores["sw"].faults.down = True
    await rebalance(plan.core)
    async with plan.db.transaction("explain") as conn:
        found = await explain(conn, plan.core.rulebook, "MUG", plan.clock())
    assert found is not None
    [main] = found.warehouses
    assert [(x.channel, x.units, x.going, x.coming) for x in main.accounts] == [
        ("sw", 7, 3, 0),
        ("uk", 7, 3, 0),
        ("woo", 0, 0, 6),
    ]
    [woo] = [x for x in found.listings if x.channel == "woo"]
    assert [(s.name, s.after) for s in woo.steps] == [("level", 20), ("account", 0)]
    number, detail = (await told(plan, "uk"))[-1]
    assert retold(detail["level"], detail["inputs"]).target == number
    lines = await plan.rows("select reason from journal where outcome = 'transfer' order by at")
    assert lines[-2:] == [("begun",), ("begun",)]


class Storm:
    """Sales, returns, edits and transfers on shaky stores, in any order."""

    def __init__(self, town: Shared, rng: Random) -> None:
        self.town, self.rng = town, rng
        self.orders: list[tuple[str, str]] = []

    async def happen(self) -> None:
        """One thing."""
        stores, rng = self.town.town.stores, self.rng
        name = rng.choice(sorted(stores))
        store, uk = stores[name], stores["uk"]
        match rng.randrange(7):
            case 0 | 1 if store.shelf("MUG") > 0:
                units = rng.randint(1, store.shelf("MUG"))
                self.orders.append((name, await store.sell({"MUG": units})))
            case 2 if self.orders:
                where, order = self.orders.pop(rng.randrange(len(self.orders)))
                await stores[where].cancel(order)
            case 3:
                await uk.edit("MUG", max(uk.shelf("MUG") + rng.randint(-8, 8), 0))
            case 4:
                store.faults.down = not store.faults.down
            case 5:
                await self.town.walker.step()
            case _:
                await rebalance(self.town.town.core)

    async def work(self) -> None:
        """Whoever answers is served once."""
        town = self.town.town
        await town.book_orders()
        await self.town.whole()
        for name, lane in town.lanes.items():
            if not town.stores[name].faults.down:
                with suppress(ChannelError):
                    await town.step(lane)
        await self.town.whole()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_accounts_make_the_level(plan: Town, seed: int) -> None:
    town = await shared(plan, 40)
    storm = Storm(town, Random(seed))
    for _ in range(30):
        plan.clock.forward(storm.rng.choice((1, 60, 301)))
        await storm.happen()
        await storm.work()
    for store in plan.stores.values():
        store.faults.down = False
    for _ in range(4):
        for sweeper in plan.sweepers.values():
            await sweeper.sweep()
        await town.step(after_s=301)
    assert await town.transfers() == []
    held = await town.accounts()
    assert sum(held.values()) == await plan.level("MUG")
    assert town.shelves == {name: max(min(u, sum(held.values())), 0) for name, u in held.items()}
