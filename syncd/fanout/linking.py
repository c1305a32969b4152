"""What people say of links: this listing is that item, is none, or an item is called otherwise.

All of it or none: what cannot be done raises Declined with every reason before anything is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.db import links, shelf
from syncd.db.journal import Line
from syncd.db.links import Linked, NewItem, Waiting
from syncd.db.pool import Connection
from syncd.errors import Declined
from syncd.fanout.booking import Booking
from syncd.fanout.matching import bearers_of, link_waiting, tell_rename
from syncd.stock.facts import ID_LIMIT, storable
from syncd.stock.match import BY_HAND, CUT, judge
from syncd.stock.rulebook import ChannelRules


@dataclass(frozen=True, slots=True)
class HandLink:
    """A listing, by its channel and the platform's id of it, and the item a person says it is.

    `sku` None: none. `location` None: wherever it is listed. `where`: how to name it in a complaint.
    """

    channel: str
    remote: str
    sku: str | None
    location: str | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class _Change:
    """One listing with the item it is to be; `item_id` None: none."""

    said: HandLink
    rules: ChannelRules
    listing: Linked
    item_id: int | None


async def link_by_hand(
    conn: Connection, booking: Booking, said: Sequence[HandLink], actor: str
) -> list[int]:
    """Link these listings, or unlink them; gives those that are linked anew and are to be owed.

    No rule says otherwise from now on. What was sold on a listing before stays booked as it was.
    Raises Declined.
    """
    problems: list[str] = []
    changes = await _changes(conn, booking, said, problems)
    await _check(conn, changes, problems)
    if problems:
        raise Declined(problems)
    changes = [c for c in changes if not _stands(c)]
    rows = await shelf.lock(conn, sorted(c.listing.id for c in changes), [])
    writing = {row.listing_id for row in rows if row.attempt_open}
    if writing:
        raise Declined(
            [
                f"{_named(c.said)}: is being written just now: try again in a moment"
                for c in changes
                if c.listing.id in writing
            ]
        )
    if not changes:
        return []
    by = [BY_HAND if c.item_id is not None else CUT for c in changes]
    skips = [_skip(c) for c in changes]
    await links.link(
        conn,
        [(c.listing.id, c.item_id, b, s) for c, b, s in zip(changes, by, skips, strict=True)],
    )
    ids = [c.listing.id for c in changes]
    await links.forget_shown(conn, ids)
    await links.follow(conn, listing_ids=ids)
    for change in changes:
        _tell(booking, change, actor)
    return [c.listing.id for c in changes if c.item_id is not None]


async def _changes(
    conn: Connection, booking: Booking, said: Sequence[HandLink], problems: list[str]
) -> list[_Change]:
    items = await links.items_of(conn, [one.sku for one in said if one.sku is not None])
    found: dict[int, _Change] = {}
    for one in said:
        rules = booking.rules.named(one.channel)
        if rules is None:
            problems.append(f"{_named(one)}: no channel is named {one.channel}")
            continue
        if one.sku is not None and one.sku not in items:
            problems.append(f"{_named(one)}: no item is called {one.sku}")
            continue
        rows = await links.listed(conn, rules.id, one.remote, one.location)
        if not rows:
            at = f" at location {one.location}" if one.location is not None else ""
            problems.append(f"{_named(one)}: {one.channel} lists no {one.remote}{at}")
        item_id = items[one.sku] if one.sku is not None else None
        for row in rows:
            if row.id in found and found[row.id].item_id != item_id:
                problems.append(f"{_named(one)}: is said to be two things")
            found[row.id] = _Change(one, rules, row, item_id)
    return [found[listing] for listing in sorted(found)]


async def _check(conn: Connection, changes: Sequence[_Change], problems: list[str]) -> None:
    """An item has one listing at a location: what holds its place has to be unlinked first."""
    freed = {(c.rules.id, c.listing.location, c.listing.remote) for c in changes}
    claimed: dict[tuple[int, str, int], str] = {}
    for c in changes:
        if c.item_id is None:
            continue
        key = c.rules.id, c.listing.location, c.item_id
        first = claimed.setdefault(key, c.listing.remote)
        taken = await links.occupied(conn, c.rules.id, [c.item_id])
        others = [
            remote
            for remote in taken.get((c.listing.location, c.item_id), [])
            if (c.rules.id, c.listing.location, remote) not in freed
        ]
        others += [first] if first != c.listing.remote else []
        if others:
            words = f"{c.said.channel} lists {c.said.sku} as {others[0]} already: unlink that first"
            problems.append(f"{_named(c.said)}: {words}")


def _stands(change: _Change) -> bool:
    """True where a person said so before."""
    by = BY_HAND if change.item_id is not None else CUT
    return (
        change.listing.linked_by == by
        and change.listing.item_id == change.item_id
        and change.listing.skip == _skip(change)
    )


def _skip(change: _Change) -> str:
    if change.listing.warehouse_id is None:
        return "unmapped"
    return "" if change.item_id is not None else "unlinked"


def _tell(booking: Booking, change: _Change, actor: str) -> None:
    was, listing = change.listing.item_sku, change.listing
    sku = change.said.sku if change.said.sku is not None else was or listing.sku
    reason = f"by hand, was {was or 'no item'}" if change.said.sku else f"by hand, was {was}"
    detail: dict[str, object] = {"remote": listing.remote, "actor": actor}
    outcome = "linked" if change.item_id is not None else "unlinked"
    booking.journal.append(
        Line(outcome, sku, change.rules.id, listing.id, reason=reason, detail=detail)
    )


def _named(said: HandLink) -> str:
    return said.where or f"{said.channel} {said.remote}"


async def link_by_rules(
    conn: Connection, booking: Booking, channel: str, remote: str, actor: str
) -> list[int]:
    """Forget what a person said of a listing: its names decide again. Raises Declined."""
    rules = booking.rules.named(channel)
    if rules is None:
        raise Declined([f"no channel is named {channel}"])
    rows = await links.listed(conn, rules.id, remote, None)
    if not rows:
        raise Declined([f"{channel} lists no {remote}"])
    made: list[tuple[int, int | None, str, str]] = []
    waits = [Waiting(r.id, rules.id, r.location, r.sku, r.barcode, r.handle) for r in rows]
    bearers = await bearers_of(conn, rules, waits)
    for row, wait in zip(rows, waits, strict=True):
        link = judge(
            rules.match, rules.names_of(wait.barcode, wait.handle, wait.sku), bearers, None
        )
        if link.item_id is not None:
            taken = await links.occupied(conn, rules.id, [link.item_id])
            others = set(taken.get((row.location, link.item_id), ())) - {remote}
            if others:
                raise Declined([f"{channel} lists that item as {min(others)} already"])
        made.append((row.id, link.item_id, link.by, link.skip))
    locked = await shelf.lock(conn, [row.id for row in rows], [])
    if any(row.attempt_open for row in locked):
        raise Declined([f"{channel} {remote}: is being written just now: try again in a moment"])
    await links.link(conn, made)
    await links.forget_shown(conn, [x[0] for x in made])
    await links.follow(conn, listing_ids=[x[0] for x in made])
    detail: dict[str, object] = {"remote": remote, "actor": actor}
    booking.journal += [
        Line("linked", r.sku, rules.id, r.id, reason="by its names again", detail=detail)
        for r in rows
    ]
    return [x[0] for x in made if x[1] is not None]


async def rename_item(conn: Connection, booking: Booking, old: str, new: str, actor: str) -> None:
    """Call an item by another sku; its links, movements and levels stay. Raises Declined."""
    if not new.strip() or len(new) > ID_LIMIT or not storable(new):
        raise Declined([f"a sku has 1 to {ID_LIMIT} characters"])
    items = await links.items_of(conn, [old, new])
    if old not in items:
        raise Declined([f"no item is called {old}"])
    if new in items:
        taken = f"{new} is another item already: two items cannot become one"
        raise Declined([taken if new != old else f"it is called {old} already"])
    await shelf.lock_items(conn, [items[old]])
    if not await links.rename_item(conn, items[old], new):
        raise Declined([f"{new} is another item already: two items cannot become one"])
    await links.follow(conn, items=[items[old]])
    tell_rename(booking, old, new, None, None, actor)
    await link_waiting(conn, booking, [NewItem(new)])
