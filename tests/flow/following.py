"""What the tests of inferred edits share: three stores, of which one's edits are followed."""

from __future__ import annotations

import asyncio
from typing import Any

from click.testing import Result

from syncd.app.build import rulebook_of
from tests.flow.commands import Operator
from tests.flow.town import FOLLOWED, LEVELS, ORDERS, Town

SETTLE_S = 301


async def opened(plan: Town, edits: str = "adopt", **more: Any) -> Town:
    """Three stores with 50 mugs: levels, a blind one whose edits are followed, and a blind one whose are not."""
    uk = plan.store("uk", LEVELS)
    shop = plan.store("shop", {**FOLLOWED, **more}, edits=edits)
    woo = plan.store("woo", ORDERS)
    for store in (uk, shop, woo):
        store.add("MUG", 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    return plan


async def pass_by(town: Town, seconds: float = SETTLE_S) -> None:
    town.clock.forward(seconds)
    await town.settle()


async def stretches(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select start_kind, end_kind, v0, vb, settled, booked, candidates, in_suspense from stretch"
        " order by t0"
    )


async def booked(town: Town) -> list[tuple[int, str]]:
    """The edits in the ledger, in order."""
    return [
        row[0]
        for row in await town.rows("select delta from movement where kind = 'edit' order by id")
    ]


async def asked(town: Town) -> list[tuple[Any, ...]]:
    return await town.rows(
        "select reason, candidates, proposal, resolution from suspense order by id"
    )


async def everywhere(town: Town, level: int) -> None:
    assert await town.level("MUG") == level
    assert set(town.shelves("MUG").values()) == {level}


async def unclear(town: Town) -> None:
    """A person types a count beside a sale, just when a write is made: nobody can tell the two apart."""
    shop = town.stores["shop"]

    async def meanwhile() -> None:
        await shop.sell({"MUG": 3})

    with town.before_write("shop", meanwhile):
        await town.stores["uk"].sell({"MUG": 5})
        await town.settle()
    town.clock.forward(30)
    await shop.edit("MUG", shop.shelf("MUG") + 10)
    await town.look("shop", "MUG")
    await town.settle()
    await pass_by(town)


async def reload(town: Town, edits: str) -> None:
    """The shop's setting is another from now on, as after a SIGHUP; its lane begins anew."""
    town.settings["shop"]["edits"] = edits
    settings = town.parsed({})
    ids = {rules.name: rules.id for rules in town.core.rulebook.channels.values()}
    book = rulebook_of(settings, ids, {"main": 1})
    town.core.rulebook = book
    for channel in town.core.channels.values():
        channel.rules = book.channels[channel.id]
    await town.start_lane("shop")
    await town.sweepers["shop"].sweep()


async def served(town: Town, operator: Operator, *words: str) -> Result:
    """A command that asks the daemon, with the daemon there."""
    asking = asyncio.create_task(operator.ask(*words))
    async with asyncio.timeout(20):
        while not asking.done():
            await town.bulk.step()
            await asyncio.sleep(0)
    return await asking
