"""The first counts of a warehouse, from its source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor import Channel, Core, fetch_orders
from syncd.corridor.speaking import speak
from syncd.db import catalog, order_holds
from syncd.db.journal import Line
from syncd.errors import SyncdError
from syncd.fanout import CataloguePage, enter_page
from syncd.stock.model import Kind, Truth

PIECE = 500
TOLD = 1000
"""So many open orders are told of at most."""

SEED_ORDERS = timedelta(days=60)
"""Before a seed, orders changed in this time are made known: what they hold is inside the count."""


async def seed(core: Core, warehouses: Sequence[str]) -> dict[str, object]:
    """First counts of warehouses (names; none: of all) from their sources.

    Items that have a level keep it, so that a seed can be repeated. Orders known by then are
    inside the count (model.md §2, cut-over).
    """
    sources = await _sources(core, warehouses)
    await _know_orders(core)
    seeded: dict[str, object] = {}
    for warehouse_id, (channel, location) in sources.items():
        count = await _seed_from(core, channel, location, warehouse_id)
        async with core.db.transaction("mark_seeded") as conn:
            await catalog.mark_seeded(conn, [warehouse_id], core.clock())
        seeded[channel.name] = count
    for channel_id in core.channels:
        core.bells.sweeps[channel_id].set()
    undated = await _tell_undated(core, sorted(sources))
    return {"seeded": seeded, **({"undated": undated} if undated else {})}


async def _tell_undated(core: Core, warehouse_ids: Sequence[int]) -> list[dict[str, object]]:
    """Open orders that a count cannot date: a person knows whether what they took was counted.

    They are taken to be inside it, as every order known before.
    """
    channels = [
        channel.id
        for channel in core.channels.values()
        if channel.rules.truth is Truth.ORDERS and channel.connector.capabilities.undated
    ]
    if not channels:
        return []
    async with core.booking("seed_undated") as (conn, booking):
        since = booking.now - core.rulebook.picked_within
        found = await order_holds.undated(conn, channels, warehouse_ids, since, TOLD)
        told = [
            {
                "channel": one.channel,
                "order": one.number or one.order_id,
                "placed_at": str(one.placed_at),
                "units": one.units,
            }
            for one in found
        ]
        booking.journal += [
            Line("undated", "", one.channel_id, reason="open when it was counted", detail=detail)
            for one, detail in zip(found, told, strict=True)
        ]
    return told


async def _sources(core: Core, warehouses: Sequence[str]) -> dict[int, tuple[Channel, str | None]]:
    async with core.db.transaction("warehouse_names") as conn:
        wanted = [await catalog.enter_warehouse(conn, name) for name in warehouses]
    found = {
        warehouse: (core.channels[channel], location)
        for warehouse, (channel, location) in core.rulebook.sources.items()
        if channel in core.channels and (not wanted or warehouse in wanted)
    }
    if not found:
        raise SyncdError("no warehouse with a source to seed from")
    return found


async def _know_orders(core: Core) -> None:
    """Make every channel's recent orders known before anything is counted."""
    for channel in core.channels.values():
        if channel.id in core.paused:
            raise SyncdError(f"{channel.name} is being cut over: seed once that is done")
        if channel.rules.truth is Truth.ORDERS and channel.rules.enabled:
            await speak(
                core,
                channel,
                fetch_orders(core, channel, Priority.NORMAL, SEED_ORDERS),
            )


async def _seed_from(core: Core, channel: Channel, location: str | None, warehouse_id: int) -> int:
    count = 0
    began = asked_at = core.clock()
    with priority(Priority.NORMAL):
        async for page in channel.connector.listings():
            at = began if page.asked_before else asked_at
            rows = [
                row
                for row in page.rows
                if row.managed
                and row.quantity is not None
                and location in (None, row.location)
                and channel.rules.warehouse_of(row.location) == warehouse_id
            ]
            if channel.rules.truth is Truth.ORDERS:
                # what was sold until this answer has to be known, to be left out
                await speak(core, channel, fetch_orders(core, channel, Priority.NORMAL))
            for first in range(0, len(rows), PIECE):
                piece = rows[first : first + PIECE]
                part = CataloguePage(channel.rules, piece, at, seeds=True, orders_known=True)
                async with core.booking("seed") as (conn, booking):
                    await enter_page(conn, booking, part)
                    count += booking.movements[channel.id, Kind.SEED]
            if page.wait_s:
                await asyncio.sleep(page.wait_s)
            asked_at = core.clock()
    return count
