"""How fast items sell: counted now and then from the ledger, for those items that a rule asks it of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from syncd.corridor import Core
from syncd.db import sales
from syncd.db.sales import Sold
from syncd.errors import DatabaseAway
from syncd.fanout import hold_items, owe_items
from syncd.stock.rulebook import ChannelRules, Rulebook

EVERY_S = 300.0
STANDBY_S = 10.0
"""Who does not lead looks so often whether it does."""
HOUR = timedelta(hours=1)
PIECE = 500


async def refresh(core: Core) -> int:
    """Write down the sales of late where a rule asks for them; gives how many (item, warehouse) changed.

    The sales of a silent channel stay what they were when it fell silent: nobody hears of them.
    """
    book, hours = core.rulebook, max(core.rulebook.speed_window // HOUR, 1)
    async with core.db.transaction("sales_changed") as conn:
        asked = _Asked(book)
        if not asked.warehouses and not await sales.kept(conn):
            return 0
        silent = sorted(rules.id for rules in book.channels.values() if rules.silent)
        since = core.clock() - hours * HOUR
        found = await sales.changed(conn, since, hours, asked.warehouses, silent)
    rows = [one for one in found if one.known or asked.keeps(one)]
    for first in range(0, len(rows), PIECE):
        await _keep(core, asked, rows[first : first + PIECE], hours)
    return len({(one.item_id, one.warehouse_id) for one in rows})


async def _keep(core: Core, asked: _Asked, rows: Sequence[Sold], hours: int) -> None:
    """One piece of it; whoever shows less while an item sells faster is owed what it needs."""
    keys = sorted({(one.item_id, one.warehouse_id) for one in rows})
    moved = sorted(
        {(one.item_id, one.warehouse_id) for one in rows if one.unseen or asked.by_speed(one)}
    )
    kept = [
        (one.item_id, one.warehouse_id, one.channel_id, one.sold if asked.keeps(one) else 0)
        for one in rows
    ]
    async with core.booking("sales_kept") as (conn, booking):
        await hold_items(conn, keys)
        await sales.keep(conn, kept, hours)
        await owe_items(conn, booking, moved)


class _Asked:
    """Of which items, where, and on which channels the rules ask for sales."""

    def __init__(self, book: Rulebook) -> None:
        self._speeds: dict[int, list[ChannelRules]] = {}
        self._safe: set[int] = set()
        warehouses: set[int] = set()
        for rules in book.channels.values():
            fed = set(rules.locations.values())
            if rules.asks_speed:
                for warehouse_id in fed:
                    self._speeds.setdefault(warehouse_id, []).append(rules)
                warehouses |= fed
            if rules.safe_after is not None:
                self._safe.add(rules.id)
                warehouses |= fed
        self.warehouses = sorted(warehouses)

    def by_speed(self, one: Sold) -> bool:
        """True where a listing of this item there shows less while it sells faster."""
        there = self._speeds.get(one.warehouse_id, ())
        return any(rules.policy_of(one.sku).speed_hours for rules in there)

    def keeps(self, one: Sold) -> bool:
        """True for sales that a rule asks for."""
        return one.channel_id in self._safe or self.by_speed(one)


async def refresh_for_ever(core: Core, leading: Callable[[], bool]) -> None:
    """Count sales every few minutes, while this daemon leads."""
    while True:
        pause_s = EVERY_S
        try:
            if leading():
                await refresh(core)
            else:
                pause_s = STANDBY_S
        except DatabaseAway:
            pause_s = 1.0
        await asyncio.sleep(pause_s)
