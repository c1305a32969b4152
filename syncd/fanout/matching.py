"""Listings find their items: the rows of a page are judged, and who waited is linked when its item comes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from syncd.db import links
from syncd.db.catalog import ListingNow, NewListing
from syncd.db.journal import Line
from syncd.db.links import NewItem, Waiting
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking
from syncd.stock.match import Bearers, Link, Rule, judge
from syncd.stock.model import ListingSeen
from syncd.stock.rulebook import ChannelRules


async def judge_rows(
    conn: Connection,
    rules: ChannelRules,
    rows: Sequence[ListingSeen],
    known: Sequence[ListingNow | None],
) -> list[Link]:
    """What each row of a page is, by the channel's rules; two that would be one item are in doubt."""
    bearers = await _bearers(conn, {rules.id: rules}, [(rules.id, row) for row in rows])
    judged = [
        judge(rules.match, _names(rules, row), bearers, _before(now))
        for row, now in zip(rows, known, strict=True)
    ]
    fresh = {
        link.item_id
        for link, now in zip(judged, known, strict=True)
        if link.item_id is not None and (now is None or now.item_id is None)
    }
    if not fresh:
        return judged
    taken = await links.occupied(conn, rules.id, sorted(fresh))
    claims: defaultdict[tuple[str, int | None], set[str]] = defaultdict(set)
    for row, link in zip(rows, judged, strict=True):
        claims[row.location, link.item_id].add(row.remote)
    return [
        _single(link, row, now, taken, claims)
        for row, now, link in zip(rows, known, judged, strict=True)
    ]


def _single(
    link: Link,
    row: ListingSeen,
    now: ListingNow | None,
    taken: Mapping[tuple[str, int], Sequence[str]],
    claims: Mapping[tuple[str, int | None], set[str]],
) -> Link:
    """A link that is not made yet is made only where it is the item's only one at its location.

    Two of one sku are told as duplicates where they are entered.
    """
    if link.item_id is None or (now is not None and now.item_id is not None):
        return link
    others = set(taken.get((row.location, link.item_id), ()))
    if link.by != Rule.SKU:
        others |= claims[row.location, link.item_id]
    return Link(skip="ambiguous") if others - {row.remote} else link


def _before(now: ListingNow | None) -> Link | None:
    return None if now is None else Link(now.item_id, now.linked_by, now.skip)


def _names(rules: ChannelRules, row: ListingSeen | Waiting) -> dict[Rule, str]:
    return rules.names_of(row.barcode, row.handle, row.sku)


async def bearers_of(
    conn: Connection, rules: ChannelRules, rows: Sequence[ListingSeen | Waiting]
) -> Bearers:
    """The items that bear names of these rows of one channel."""
    return await _bearers(conn, {rules.id: rules}, [(rules.id, row) for row in rows])


async def _bearers(
    conn: Connection,
    channels: Mapping[int, ChannelRules],
    rows: Sequence[tuple[int, ListingSeen | Waiting]],
) -> Bearers:
    """The items that bear a name by which any of these rows may be known."""
    wanted: defaultdict[Rule, set[str]] = defaultdict(set)
    for channel_id, row in rows:
        for rule, name in _names(channels[channel_id], row).items():
            if name:
                wanted[rule].add(name)
    if not wanted:
        return Bearers()
    return await links.bearers(
        conn, sorted(wanted[Rule.SKU]), sorted(wanted[Rule.BARCODE]), sorted(wanted[Rule.HANDLE])
    )


def as_judged(wanted: NewListing, link: Link, now: ListingNow | None) -> NewListing:
    """The listing as it is to be entered: where it is not mapped, that is why it is not served."""
    if wanted.skip:
        linked = now.item_id if now is not None else None
        return replace(wanted, item_id=linked, linked_by=now.linked_by if now is not None else "")
    skip = link.skip
    # what is listed twice is found, and found single again, beside the page
    if now is not None and now.skip == "duplicate":
        skip = now.skip
    return replace(wanted, skip=skip, item_id=link.item_id, linked_by=link.by)


def stands(entered: NewListing, now: ListingNow | None) -> bool:
    """True where all that would be entered is stored already."""
    if now is None or not now.same or now.skip != entered.skip:
        return False
    return entered.skip == "duplicate" or entered.item_id == now.item_id


async def link_waiting(conn: Connection, booking: Booking, items: Sequence[NewItem]) -> None:
    """Link the listings of all channels that waited for an item of these names."""
    channels = booking.rules.channels
    if all(rules.match == (Rule.SKU,) for rules in channels.values()):
        made = await links.link_by_sku(conn, [x.sku for x in items])
        if made:
            await links.follow(conn, listing_ids=made)
        booking.linked += made
        return
    waits = [x for x in await links.waiting(conn, items) if x.channel_id in channels]
    bearers = await _bearers(conn, channels, [(x.channel_id, x) for x in waits])
    found = [
        (x, judge(rules.match, _names(rules, x), bearers, None))
        for x in waits
        for rules in [channels[x.channel_id]]
    ]
    alone: list[Waiting] = []
    for channel_id in sorted({x.channel_id for x, _ in found}):
        alone += await _link_alone(
            conn, channel_id, [f for f in found if f[0].channel_id == channel_id]
        )
    booking.linked += [x.id for x in alone]
    booking.journal += [Line("linked", x.sku, x.channel_id, x.id) for x in alone]


async def _link_alone(
    conn: Connection, channel_id: int, found: Sequence[tuple[Waiting, Link]]
) -> list[Waiting]:
    """Link those that are alone in being their item at their location; gives them."""
    items = sorted({link.item_id for _, link in found if link.item_id is not None})
    taken = await links.occupied(conn, channel_id, items)
    claims: defaultdict[tuple[str, int | None], int] = defaultdict(int)
    for x, link in found:
        claims[x.location, link.item_id] += 1
    alone = [
        (x, link)
        for x, link in found
        if link.item_id is not None
        and (x.location, link.item_id) not in taken
        and claims[x.location, link.item_id] == 1
    ]
    if alone:
        await links.link(conn, [(x.id, link.item_id, link.by, "") for x, link in alone])
        await links.follow(conn, listing_ids=[x.id for x, _ in alone])
    return [x for x, _ in alone]


async def follow_names(
    conn: Connection,
    booking: Booking,
    rules: ChannelRules,
    pairs: Sequence[tuple[ListingSeen, ListingNow]],
) -> None:
    """Linked listings that are called otherwise now: told, and at the source their item follows."""
    named_there = [
        NewItem(now.sku, row.barcode, row.handle, now.item_id)
        for row, now in pairs
        if now.item_id and booking.rules.is_source(rules.id, row.location, now.warehouse_id)
    ]
    if named_there and await links.name_items(conn, named_there):
        await link_waiting(conn, booking, named_there)
    sources = {item.item_id for item in named_there}
    for row, before in pairs:
        if before.item_id is None or row.sku == before.own_sku:
            continue
        named = before.item_id in sources and row.sku not in ("", before.sku)
        if named and await links.rename_item(conn, before.item_id, row.sku):
            await links.follow(conn, items=[before.item_id])
            await link_waiting(conn, booking, [NewItem(row.sku, row.barcode, row.handle)])
            tell_rename(booking, before.sku, row.sku, rules.id, before.listing_id, rules.name)
        else:
            said = f"listed as {row.sku or 'nothing'} now, was {before.own_sku or 'nothing'}"
            line = Line("renamed", before.sku, rules.id, before.listing_id, reason=said)
            booking.journal.append(line)


def tell_rename(
    booking: Booking,
    old: str,
    new: str,
    channel_id: int | None,
    listing_id: int | None,
    actor: str,
) -> None:
    """Both names lead to the line: whoever looks for the old one finds the new."""
    detail: dict[str, object] = {"old": old, "new": new, "actor": actor}
    booking.journal += [
        Line("renamed", new, channel_id, listing_id, reason=f"was {old}", detail=detail),
        Line("renamed", old, channel_id, listing_id, reason=f"is {new} now", detail=detail),
    ]
