"""Plans that hold listings: first syncs, channels switched on again, and what changes too much at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from syncd.bulk.applying import apply
from syncd.db import holds, plans
from syncd.fanout import switching
from syncd.stock.plans import Radius
from syncd.stock.policy import Policy
from tests.flow.test_imports import made, plan_of, say_yes
from tests.flow.town import LEVELS, ONE_BY_ONE, ORDERS, Town

SKUS = [f"ITEM-{n:02d}" for n in range(20)]


async def shops(town: Town, *, first_syncs: bool = True) -> None:
    """A source and two shops that show something else."""
    for name, character in (("uk", LEVELS), ("sw", ONE_BY_ONE), ("woo", ORDERS)):
        store = town.store(name, character)
        for n, sku in enumerate(SKUS):
            store.add(sku, 50 + n if name == "uk" else 7)
    await town.open()
    if first_syncs:
        async with town.db.transaction("first_syncs") as conn:
            await holds.await_first_syncs(conn, town.clock())


async def swept(town: Town) -> None:
    for sweeper in town.sweepers.values():
        await sweeper.sweep()
    await town.settle()


async def waiting(town: Town) -> list[tuple[str, str | None, int]]:
    async with town.db.transaction("waiting") as conn:
        found = await plans.newest(conn, waiting=True)
    return sorted((one.kind, one.channel, one.rows) for one in found)


async def number_of(town: Town, channel: str) -> int:
    found = await town.rows(
        "select p.id from plan p join channel c on c.id = p.channel_id"
        " where c.name = $1 and p.state = 'open' order by p.id desc limit 1",
        channel,
    )
    return int(found[0][0])


async def yes(town: Town, number: int) -> dict[str, Any]:
    await say_yes(town, number)
    result = await apply(town.core, number)
    await town.settle()
    return result


async def test_a_first_sync_is_a_plan_first(plan):
    await shops(plan)
    await swept(plan)
    assert await waiting(plan) == []
    await plan.bulk.seed([])
    await swept(plan)
    assert plan.shelves("ITEM-03") == {"uk": 53, "sw": 7, "woo": 7}
    assert await waiting(plan) == [("first_sync", "sw", 20), ("first_sync", "woo", 20)]
    said = await plan.rows("select summary->'channels'->'woo'->>'raised' from plan where rows > 0")
    assert ("20",) in said

    assert await yes(plan, await number_of(plan, "woo")) == {
        "plan": await number_of(plan, "sw") + 1, "state": "applied", "listings": 20,
    }  # fmt: skip
    assert plan.shelves("ITEM-03") == {"uk": 53, "sw": 7, "woo": 53}
    assert await waiting(plan) == [("first_sync", "sw", 20)]


async def test_the_source_shows_its_own_counts_and_waits_for_nobody(plan):
    await shops(plan)
    await plan.bulk.seed([])
    await swept(plan)
    uk = plan.channel("uk").id
    assert await plan.rows("select state from plan where channel_id = $1", uk) == [("applied",)]


async def test_an_order_lowers_what_is_held_and_nothing_raises_it(plan):
    await shops(plan)
    await plan.bulk.seed([])
    await swept(plan)
    await plan.stores["uk"].sell({"ITEM-00": 2})
    await plan.settle()
    assert await plan.level("ITEM-00") == 48
    assert plan.shelves("ITEM-00") == {"uk": 48, "sw": 5, "woo": 5}
    await plan.stores["woo"].sell({"ITEM-00": 1})
    await plan.settle()
    assert plan.shelves("ITEM-00") == {"uk": 47, "sw": 4, "woo": 4}
    await plan.stores["uk"].sell({"ITEM-00": 10})
    await plan.settle()
    assert plan.shelves("ITEM-00") == {"uk": 37, "sw": 0, "woo": 0}
    await made(plan, "sku,quantity\nITEM-00,90\n")
    assert plan.shelves("ITEM-00") == {"uk": 90, "sw": 0, "woo": 0}
    await yes(plan, await number_of(plan, "woo"))
    assert plan.shelves("ITEM-00") == {"uk": 90, "sw": 0, "woo": 90}


async def test_a_seed_can_say_yes_to_what_follows(plan):
    await shops(plan)
    await plan.ask("seed")
    assert len((await plan.rows("select result->'first_syncs' from wish"))[0][0]) > 2
    await swept(plan)
    assert plan.shelves("ITEM-03") == {"uk": 53, "sw": 7, "woo": 7}
    await plan.ask("seed_apply")
    await swept(plan)
    assert plan.shelves("ITEM-03") == {"uk": 53, "sw": 53, "woo": 53}
    assert await waiting(plan) == []


async def ruled(town: Town, name: str, **policy: Any) -> None:
    """A reload changed a channel's policy."""
    rules = replace(town.channel(name).rules, policy=Policy(**policy))
    town.channel(name).rules = rules
    channels = {**town.core.rulebook.channels, rules.id: rules}
    town.core.rulebook = replace(town.core.rulebook, channels=channels)


async def test_a_policy_that_changes_too_much_at_once_waits(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await ruled(plan, "woo", percent=0)
    await swept(plan)
    assert plan.shelves("ITEM-03") == {"uk": 53, "sw": 53, "woo": 53}
    assert await waiting(plan) == [("blast_radius", "woo", 20)]
    await plan.stores["uk"].sell({"ITEM-03": 3})
    await plan.settle()
    assert plan.shelves("ITEM-03") == {"uk": 50, "sw": 50, "woo": 50}
    await ruled(plan, "woo")
    await swept(plan)
    assert await waiting(plan) == [], "the policy was mended: nothing is left to say yes to"
    await ruled(plan, "woo", percent=0)
    await swept(plan)
    await yes(plan, await number_of(plan, "woo"))
    assert plan.shelves("ITEM-03") == {"uk": 50, "sw": 50, "woo": 0}


async def test_a_policy_that_changes_little_goes_at_once(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await ruled(plan, "woo", cap=51)
    plan.sweepers["woo"]._plan = replace(plan.sweepers["woo"]._plan, radius=Radius(count=0))
    await swept(plan)
    assert plan.shelves("ITEM-03")["woo"] == 51, "what is lowered is no blast"
    assert await waiting(plan) == []


async def test_a_rejected_plan_keeps_what_is_shown_and_can_be_applied_after_all(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await ruled(plan, "woo", percent=0)
    await swept(plan)
    number = await number_of(plan, "woo")
    async with plan.db.transaction("no") as conn:
        assert await plans.decide(conn, number, "rejected", plan.clock(), "anna")
    await swept(plan)
    assert plan.shelves("ITEM-03")["woo"] == 53
    assert await waiting(plan) == []
    async with plan.db.transaction("yes") as conn:
        assert await plans.decide(
            conn, number, "applying", plan.clock(), "anna", before=("rejected",)
        )
    await apply(plan.core, number)
    await plan.settle()
    assert plan.shelves("ITEM-03")["woo"] == 0


async def test_what_was_entered_while_somebody_said_yes_is_let_go_by_the_next_sweep(plan):
    await shops(plan)
    await plan.bulk.seed([])
    await swept(plan)
    number = await number_of(plan, "woo")
    await yes(plan, number)
    async with plan.db.transaction("late") as conn:
        await conn.execute(
            "update shelf s set held_by = $1, keeps = 1 from listing l"
            " where l.id = s.listing_id and l.channel_id = $2 and l.sku = 'ITEM-05'",
            number,
            plan.channel("woo").id,
        )
    await made(plan, "sku,quantity\nITEM-05,60\n")
    assert plan.stores["woo"].shelf("ITEM-05") == 1
    await swept(plan)
    assert plan.stores["woo"].shelf("ITEM-05") == 60


# ---- many counts changed at once where edits are overwritten


async def typed(town: Town, count: int, quantity: int) -> None:
    """Somebody changes this many counts in the shop, and no message of it arrives."""
    for sku in SKUS[:count]:
        await town.stores["woo"].edit(sku, quantity)
    town.lose_webhooks()
    town.clock.forward(60)


async def test_many_counts_that_were_lowered_wait_for_a_person(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await typed(plan, 20, 0)
    await swept(plan)
    assert [kind for kind, _, _ in await waiting(plan)] == ["mass_edit"]
    shown = [plan.stores["woo"].shelf(sku) for sku in SKUS]
    assert shown.count(0) == 10, "so few are never too many; the rest keeps what somebody typed"
    await yes(plan, await number_of(plan, "woo"))
    assert [plan.stores["woo"].shelf(sku) for sku in SKUS] == [50 + n for n in range(20)]
    assert await waiting(plan) == []


async def test_an_order_lowers_what_a_mass_edit_holds(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await typed(plan, 20, 30)
    await swept(plan)
    held = [sku for sku in SKUS if plan.stores["woo"].shelf(sku) == 30]
    assert len(held) == 10
    await plan.stores["uk"].sell({held[0]: 4})
    await plan.settle()
    assert plan.stores["woo"].shelf(held[0]) == 26


async def test_many_counts_that_show_too_much_are_brought_back_at_once(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await typed(plan, 20, 99)
    await swept(plan)
    assert await waiting(plan) == []
    assert [plan.stores["woo"].shelf(sku) for sku in SKUS] == [50 + n for n in range(20)]


async def test_a_few_changed_counts_wait_for_nobody(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    await typed(plan, 10, 0)
    await swept(plan)
    assert await waiting(plan) == []
    assert [plan.stores["woo"].shelf(sku) for sku in SKUS] == [50 + n for n in range(20)]


async def test_more_than_a_few_are_let_go_where_the_radius_allows_them(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    plan.sweepers["woo"].tune(replace(plan.sweepers["woo"]._plan, radius=Radius(share=0.9)))
    await typed(plan, 15, 0)
    await swept(plan)
    assert await waiting(plan) == []
    assert [plan.stores["woo"].shelf(sku) for sku in SKUS] == [50 + n for n in range(20)]


async def test_what_is_excluded_by_hand_is_not_in_what_a_plan_would_do(plan):
    await shops(plan, first_syncs=False)
    await plan.seed()
    async with plan.core.booking("exclude") as (conn, booking):
        await switching.exclude(conn, booking, SKUS[:19], "woo", "anna")
    text = "sku,quantity\n" + "".join(f"{sku},0\n" for sku in SKUS)
    found = await plan_of(plan, text)
    assert found.reaches["woo"].zeroed == 1
    assert found.reaches["sw"].zeroed == 20
