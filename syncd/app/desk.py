"""A person's desk beside the daemon: the rules as they are configured, over the database as it is.

What is changed here is booked as by the daemon itself, whose walkers find it in the tables.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from syncd.app.build import make_channel, radius_of, rulebook_of
from syncd.config import Settings
from syncd.corridor import Channel, Core, owe_linked
from syncd.corridor.core import utc_now
from syncd.db import bookmark, bundles, catalog, levels, switches
from syncd.db.bundles import BundleRow
from syncd.db.pool import Database
from syncd.errors import Declined
from syncd.fanout import bundling, switching
from syncd.fanout.bundling import Author, Undescribed
from syncd.fanout.linking import HandLink, link_by_hand, link_by_rules, rename_item
from syncd.stock.bundle_sheet import Described
from syncd.stock.bundles import Bundle, Stock
from syncd.stock.rulebook import Rulebook, switched
from syncd.stock.sheet import Complaint
from syncd.telemetry.metrics import Metrics


async def desk(db: Database, settings: Settings) -> Core:
    """The core of a command. A channel or warehouse the database never heard of has an id of none."""
    core = Core(db, Metrics(), await book_of(db, settings), clock=utc_now)
    core.radius, core.plan_expiry = radius_of(settings), settings.sync.plan_expiry
    return core


async def book_of(db: Database, settings: Settings) -> Rulebook:
    """The rules of a configuration, and what people switched, for who enters no name."""
    async with db.transaction("desk_names") as conn:
        channels = await catalog.channel_ids(conn)
        warehouses = await catalog.warehouse_ids(conn)
        switches_now = await switches.switched(conn)
    for place, name in enumerate(sorted(settings.channels), 1):
        channels.setdefault(name, -place)
    for place, name in enumerate(sorted(settings.warehouses), 1):
        warehouses.setdefault(name, -place)
    return switched(rulebook_of(settings, channels, warehouses), switches_now)


def channel_at(core: Core, settings: Settings, name: str) -> Channel:
    """A channel that can be spoken to from here; close it afterwards. Raises Declined."""
    rules = core.rulebook.named(name)
    if rules is None:
        raise Declined([f"no channel is named {name}"])
    return make_channel(rules, settings.channels[name], core.metrics, core.clock)


async def link(core: Core, said: Sequence[HandLink], actor: str) -> int:
    """Link and unlink by hand, and owe what needs it; gives how many are linked anew."""
    async with core.booking("link_by_hand") as (conn, booking):
        linked = await link_by_hand(conn, booking, said, actor)
    return await _owe(core, linked)


async def link_again(core: Core, channel: str, remote: str, actor: str) -> int:
    """Let the names of a listing decide again; gives how many listings are linked by them."""
    async with core.booking("link_by_rules") as (conn, booking):
        linked = await link_by_rules(conn, booking, channel, remote, actor)
    return await _owe(core, linked)


async def rename(core: Core, old: str, new: str, actor: str) -> int:
    """Call an item otherwise; gives how many listings waited for that name."""
    async with core.booking("rename_item") as (conn, booking):
        await rename_item(conn, booking, old, new, actor)
    return await _owe(core, booking.linked)


async def exclude(core: Core, skus: Sequence[str], channel: str | None, actor: str) -> None:
    """Deliver these items no more on a channel (None: on none)."""
    async with core.booking("exclude") as (conn, booking):
        await switching.exclude(conn, booking, skus, channel, actor)
    await _owe(core, [])


async def include(core: Core, skus: Sequence[str], channel: str | None, actor: str) -> int:
    """Deliver these items again; gives how many listings were looked at for what they missed."""
    async with core.booking("include") as (conn, booking):
        listings = await switching.include(conn, booking, skus, channel, actor)
    return await _owe(core, listings)


async def offer(core: Core, skus: Sequence[str], channels: Sequence[str] | None, actor: str) -> int:
    """Offer these items on these channels alone (None: on every one)."""
    async with core.booking("offer") as (conn, booking):
        listings = await switching.offer(conn, booking, skus, channels, actor)
    return await _owe(core, listings)


def known_channel(core: Core, name: str) -> None:
    """Raises Declined unless the channel is configured and the daemon has seen it."""
    rules = core.rulebook.named(name)
    if rules not in core.rulebook.configured or rules.id < 0:
        known = ", ".join(sorted(x.name for x in core.rulebook.configured if x.id > 0))
        raise Declined([f"no channel is named {name}; there are {known or 'none yet'}"])


async def switch_channel(core: Core, name: str, on: bool | None, actor: str) -> None:
    """Switch a channel on or off, or back to what is configured (None). Raises Declined."""
    async with core.booking("switch_channel") as (conn, booking):
        await switching.switch_channel(conn, booking, name, on, actor)
    await _owe(core, [])


async def _owe(core: Core, listing_ids: Collection[int]) -> int:
    await owe_linked(core, listing_ids)
    async with core.db.transaction("knock") as conn:
        await bookmark.knock(conn)
    return len(listing_ids)


# --- bundles ---


async def bundles_now(
    core: Core, skus: Sequence[str] | None = None, component: str | None = None
) -> list[tuple[BundleRow, list[Stock]]]:
    """Bundles with what their components make in each warehouse."""
    async with core.db.transaction("bundles_now") as conn:
        rows = await bundles.page(conn, skus=skus, component=component)
        return await bundles.stock(conn, rows)


async def describe(core: Core, said: Sequence[Bundle], source: str, actor: str) -> list[str]:
    """Say what bundles are made of; gives those that are made otherwise now. Raises Declined."""
    try:
        async with core.booking("describe_bundles") as (conn, booking):
            changed = await bundling.say(conn, booking, said, Author(source, actor))
    except Undescribed as error:
        raise Declined([str(problem) for problem in error.problems]) from None
    await _owe(core, booking.linked)
    return changed


async def describe_file(core: Core, said: Described, actor: str) -> list[str]:
    """Say what a file says; what cannot be stands in its complaints afterwards, and nothing was changed."""
    try:
        async with core.booking("describe_bundles") as (conn, booking):
            changed = await bundling.say(conn, booking, said.all(), Author("csv", actor))
    except Undescribed as error:
        said.complaints += [
            Complaint(said.row_of(x.bundle, x.component), f"{x.bundle}: {x.words}")
            for x in error.problems
        ]
        return []
    await _owe(core, booking.linked)
    return changed


async def end_bundles(core: Core, skus: Sequence[str], actor: str) -> None:
    """These are bundles no more. Raises Declined."""
    try:
        async with core.booking("end_bundles") as (conn, booking):
            await bundling.end(conn, booking, skus, Author("hand", actor))
    except Undescribed as error:
        raise Declined([str(problem) for problem in error.problems]) from None
    await _owe(core, booking.linked)


async def old_levels(core: Core, skus: Sequence[str]) -> list[tuple[str, str, int]]:
    """(sku, warehouse, level) of those that are counted themselves."""
    async with core.db.transaction("old_levels") as conn:
        return [row[:3] for row in await levels.level_sums(conn, skus)] if skus else []
