"""Escrow beside the road: accounts made, dropped and rebalanced by and by, or when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

from syncd.corridor import Core
from syncd.db import accounts
from syncd.db.accounts import Key
from syncd.errors import DatabaseAway
from syncd.fanout.accounts import Balanced, balance, land
from syncd.stock.rulebook import Rulebook
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.escrow")

PIECE = 500
LAND_S = 2.0
STANDBY_S = 10.0
START: Key = (0, 0)


async def rebalance(core: Core, skus: Sequence[str] | None = None) -> dict[str, object]:
    """Bring the accounts of these items (None: of all) to their shares, as somebody asked."""
    if skus is not None:
        async with core.db.transaction("accounts_named") as conn:
            keys = await accounts.named(conn, skus)
        done = await _balance(core, keys, anyway=True)
    else:
        done = await _every(core, anyway=True)
    await _land(core)
    return {"items_in_escrow": done.made, "dropped": done.dropped, "units": done.moved}


class Rebalancing:
    """Sees to the accounts: at once after a change of the rules, else every few minutes."""

    def __init__(self, core: Core, every: Callable[[], timedelta]) -> None:
        self._core = core
        self._every = every
        self._judged: object = None
        self._next_at = core.clock()

    async def run(self, leading: Callable[[], bool]) -> None:
        """See to them until cancelled, while this daemon leads."""
        while True:
            pause_s = LAND_S
            try:
                if leading():
                    await self.step()
                else:
                    pause_s = STANDBY_S
            except DatabaseAway:
                self._judged = None
            await asyncio.sleep(pause_s)

    async def step(self) -> None:
        """End what can be ended; make, drop and rebalance what is due."""
        core, book = self._core, self._core.rulebook
        judged = _judged(book)
        if judged != self._judged:
            done = await _every(core, anyway=False, whole=True)
            if done.made or done.dropped:
                log.info("escrow.taken_up", made=done.made, dropped=done.dropped)
            self._judged = judged
            self._next_at = core.clock() + self._every()
        elif book.escrow and core.clock() >= self._next_at:
            await _every(core, anyway=False)
            self._next_at = core.clock() + self._every()
        if book.escrow:
            await _land(core)


def _judged(book: Rulebook) -> object:
    """All that decides which items are in escrow, and whose shares they are."""
    return {
        rules.id: (
            rules.enabled,
            rules.deliver,
            rules.policy,
            rules.patterns,
            rules.items,
            rules.exclude,
            rules.item_excludes,
            rules.locations,
        )
        for rules in book.channels.values()
        if rules.escrow
    }


async def _every(core: Core, *, anyway: bool, whole: bool = False) -> Balanced:
    """See to every item that has accounts, or ought to."""
    book, total = core.rulebook, Balanced()
    shared = any(
        policy.share is not None
        for rules in book.channels.values()
        for policy in (rules.policy, *rules.patterns.values(), *rules.items.values())
    )
    async for keys in _pages(core, whole=whole or anyway or shared):
        _add(total, await _balance(core, keys, anyway=anyway))
    return total


async def _pages(core: Core, *, whole: bool) -> AsyncIterator[list[Key]]:
    after = START
    while True:
        async with core.db.transaction("accounts_page") as conn:
            keys = await accounts.page(conn, after, PIECE, whole=whole)
        if not keys:
            break
        yield keys
        after = keys[-1]
    channels = sorted(rules.id for rules in core.rulebook.channels.values() if rules.escrows)
    after = START
    while channels:
        async with core.db.transaction("accounts_missing") as conn:
            keys = await accounts.without(conn, channels, after, PIECE)
        if not keys:
            break
        yield keys
        after = keys[-1]


async def _balance(core: Core, keys: Sequence[Key], *, anyway: bool) -> Balanced:
    total = Balanced()
    for first in range(0, len(keys), PIECE):
        async with core.booking("balance") as (conn, booking):
            _add(total, await balance(conn, booking, keys[first : first + PIECE], anyway=anyway))
    return total


async def _land(core: Core) -> None:
    """End the transfers that can be ended."""
    async with core.db.transaction("under_way") as conn:
        keys = await accounts.under_way(conn)
    for first in range(0, len(keys), PIECE):
        async with core.booking("land") as (conn, booking):
            done = await land(conn, booking, keys[first : first + PIECE])
        # what waited for these transfers may begin now
        await _balance(core, sorted(done.changed), anyway=False)


def _add(total: Balanced, one: Balanced) -> None:
    total.made += one.made
    total.dropped += one.dropped
    total.moved += one.moved
