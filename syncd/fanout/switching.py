"""What people switch: items in and out of channels. It beats the configuration, and is told with who did it."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.config.complaints import nearest
from syncd.db import links, shelf, switches
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.errors import Declined
from syncd.fanout.booking import Booking
from syncd.stock.rulebook import ChannelRules


async def exclude(
    conn: Connection, booking: Booking, skus: Sequence[str], channel: str | None, actor: str
) -> None:
    """Deliver these items no more on a channel (None: on none); links stay, sales count on.

    Raises Declined.
    """
    items, rules = await _named(conn, booking, skus, channel)
    await shelf.lock_items(conn, sorted(items.values()))
    if rules is None:
        await switches.forget_exclusions(conn, list(items.values()), None)
    pairs = [(item, rules.id if rules else None) for item in items.values()]
    await switches.exclude(conn, pairs, True, actor, booking.now)
    await links.follow(conn, items=list(items.values()))
    _tell(booking, "excluded", items, rules, actor)


async def include(
    conn: Connection, booking: Booking, skus: Sequence[str], channel: str | None, actor: str
) -> list[int]:
    """Deliver these items on a channel (None: on all), also where the configuration leaves them out.

    Gives their listings, which are to be owed what they missed. Raises Declined.
    """
    items, rules = await _named(conn, booking, skus, channel)
    ids = sorted(items.values())
    listing_ids = await shelf.lock_items(conn, ids)
    await switches.forget_exclusions(conn, ids, rules.id if rules else None)
    scope = [rules] if rules else booking.rules.configured
    elsewhere = await switches.excluded_everywhere(conn, ids) if rules else set()
    pairs = [
        (item, one.id)
        for sku, item in items.items()
        for one in scope
        if one.excludes(sku) or one.exclude_tags or item in elsewhere
    ]
    if pairs:
        await switches.exclude(conn, pairs, False, actor, booking.now)
    await links.follow(conn, items=ids)
    _tell(booking, "included", items, rules, actor)
    return listing_ids


async def offer(
    conn: Connection,
    booking: Booking,
    skus: Sequence[str],
    channels: Sequence[str] | None,
    actor: str,
) -> list[int]:
    """Offer these items on these channels alone (None: on every one), also on none yet to come.

    Gives their listings, which are to be owed what they missed. Raises Declined.
    """
    items, _ = await _named(conn, booking, skus, None)
    unknown = [name for name in channels or () if booking.rules.named(name) is None]
    if unknown:
        raise Declined([_no_channel(booking, name) for name in unknown])
    if channels is not None and not channels:
        raise Declined(["an item is offered on one channel at least; exclude it instead"])
    ids = sorted(items.values())
    listing_ids = await shelf.lock_items(conn, ids)
    wanted = [rules.id for name in channels or () if (rules := booking.rules.named(name))]
    await switches.offer(conn, ids, sorted(wanted) if channels is not None else None)
    await links.follow(conn, items=ids)
    said = ", ".join(sorted(channels)) if channels is not None else "every channel"
    detail: dict[str, object] = {"actor": actor}
    booking.journal += [Line("offered", sku, reason=f"on {said}", detail=detail) for sku in items]
    return listing_ids


async def switch_channel(
    conn: Connection, booking: Booking, name: str, on: bool | None, actor: str
) -> None:
    """Switch a channel on or off, or back to what is configured (None). Raises Declined."""
    rules = booking.rules.named(name)
    if rules not in booking.rules.configured or rules.id < 0:
        known = ", ".join(sorted(x.name for x in booking.rules.configured if x.id > 0))
        raise Declined([f"no channel is named {name}; there are {known or 'none yet'}"])
    found = await switches.switch_channel(conn, name, on, actor, booking.now)
    word = {True: "on", False: "off", None: "as configured"}[on]
    detail: dict[str, object] = {"actor": actor}
    booking.journal.append(Line("switched", "", found, reason=word, detail=detail))


async def _named(
    conn: Connection, booking: Booking, skus: Sequence[str], channel: str | None
) -> tuple[dict[str, int], ChannelRules | None]:
    """The items and the channel that are meant. Raises Declined with every one that is not there."""
    problems: list[str] = []
    rules = booking.rules.named(channel) if channel is not None else None
    if channel is not None and rules is None:
        problems.append(_no_channel(booking, channel))
    items = await links.items_of(conn, list(dict.fromkeys(skus)))
    problems += [f"no item is called {sku}" for sku in dict.fromkeys(skus) if sku not in items]
    if problems:
        raise Declined(problems)
    return items, rules


def _no_channel(booking: Booking, name: str) -> str:
    names = [rules.name for rules in booking.rules.configured]
    return f"no channel is named {name}{nearest(name, names)}"


def _tell(
    booking: Booking,
    outcome: str,
    items: dict[str, int],
    rules: ChannelRules | None,
    actor: str,
) -> None:
    detail: dict[str, object] = {"actor": actor}
    reason = "by hand" if rules else "by hand, on every channel"
    booking.journal += [
        Line(outcome, sku, rules.id if rules else None, reason=reason, detail=detail)
        for sku in items
    ]


async def follow_source(
    conn: Connection, booking: Booking, channel_id: int, listing_ids: Sequence[int]
) -> None:
    """Listings of a channel came or went: note what its warehouses' sources list no more, or again.

    Targets stay, raises stop; what is back, or is zeroed when gone, is owed after the commit.
    """
    sources = [
        (warehouse, channel, location)
        for warehouse, (channel, location) in booking.rules.sources.items()
        if channel == channel_id
    ]
    if not sources or not listing_ids:
        return
    news = await switches.at_source(conn, listing_ids, sources, booking.now)
    if not news:
        return
    items = sorted({x.item_id for x in news})
    await links.follow(conn, items=items)
    for x in news:
        zeroed = x.warehouse_id in booking.rules.zeroed_when_gone
        reason = "" if x.present else "zeroed everywhere" if zeroed else "kept, not raised"
        outcome = "back_at_source" if x.present else "gone_at_source"
        booking.journal.append(Line(outcome, x.sku, channel_id, reason=reason))
    booking.linked += await links.listings_of(conn, items)
