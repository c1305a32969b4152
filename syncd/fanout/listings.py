"""Catalogue pages into the catalogue: new listings find their items, new items join at the source."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.db import catalog, holds, links, places, plans
from syncd.db.catalog import ListingNow, NewListing
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking
from syncd.fanout.drifting import tell_moved
from syncd.fanout.joining import CataloguePage, join_items, show_first_counts
from syncd.fanout.matching import as_judged, follow_names, judge_rows, stands
from syncd.fanout.switching import follow_source
from syncd.stock.facts import ID_LIMIT, clean, unusable
from syncd.stock.match import Link, Rule
from syncd.stock.model import ListingSeen
from syncd.stock.rulebook import ChannelRules
from syncd.stock.spread import Spread

IN_DOUBT = ("duplicate", "relinked", "ambiguous")
"""Skips that only a person can end: a sku listed twice, a listing that took another item's sku, a name
that does not say which item is meant."""


async def enter_page(
    conn: Connection, booking: Booking, page: CataloguePage
) -> list[tuple[ListingSeen, ListingNow]]:
    """Store what is new or changed of a page; gives each row beside what is stored of it.

    A row that is no item yet makes one where its location is the source of its warehouse and that
    is seeded already, or being seeded by this page; elsewhere it waits unlinked.
    """
    rules, rows = page.rules, _usable(booking, page)
    plain = [_new_listing(rules, row) for row in rows]
    known: Sequence[ListingNow | None] = await catalog.look_up(conn, rules.id, plain)
    judged = await judge_rows(conn, rules, rows, known)
    first_counts = await join_items(conn, booking, page, _uncounted(rows, known, judged))
    if first_counts:
        known = await catalog.look_up(conn, rules.id, plain)
        judged = await judge_rows(conn, rules, rows, known)
    wanted = [as_judged(w, j, k) for w, j, k in zip(plain, judged, known, strict=True)]
    if any(not stands(w, k) for w, k in zip(wanted, known, strict=True)):
        known = await _enter(conn, booking, page, rows, wanted, known)
    if first_counts:
        await show_first_counts(conn, booking, page, _paired(rows, known), first_counts)
        known = await catalog.look_up(conn, rules.id, plain)
    return _paired(rows, known)


async def _enter(
    conn: Connection,
    booking: Booking,
    page: CataloguePage,
    rows: Sequence[ListingSeen],
    wanted: Sequence[NewListing],
    known: Sequence[ListingNow | None],
) -> Sequence[ListingNow | None]:
    """Store the rows that are not stored so; gives what is stored of all of them."""
    rules = page.rules
    changed = [w for w, k in zip(wanted, known, strict=True) if not stands(w, k)]
    booking.journal += [
        Line("listed", w.sku, rules.id, reason=w.skip, detail={"remote": w.remote})
        for w, k in zip(wanted, known, strict=True)
        if k is None
    ]
    fed = {w.location: w.warehouse_id for w in changed if w.warehouse_id is not None}
    if fed:
        if rules.spread is Spread.DIVIDE and await places.crowds(conn, rules.id, fed):
            await _await_division(conn, booking, rules)
        await places.enter_places(conn, rules.id, fed)
    await catalog.enter_listings(conn, rules.id, changed, by_sku=Rule.SKU in rules.match)
    before, now = known, await catalog.look_up(conn, rules.id, wanted)
    moved = [
        (row, k)
        for row, k, w in zip(rows, before, wanted, strict=True)
        if k is not None and not stands(w, k)
    ]
    await follow_names(conn, booking, rules, moved)
    ids = [
        n.listing_id for n, w, k in zip(now, wanted, before, strict=True) if n and not stands(w, k)
    ]
    if await links.follow(conn, listing_ids=ids):
        now = await catalog.look_up(conn, rules.id, wanted)
    await follow_source(conn, booking, rules.id, ids)
    _tell_doubts(booking, rules, rows, before, now)
    if page.asked_at is not None:
        tell_moved(booking, rules.id, list(zip(before, now, strict=True)))
    else:
        booking.relisted.setdefault(rules.id, set()).update(w.sku for w in changed if w.sku)
        booking.linked += _served_anew(wanted, before, now)
    return now


async def _await_division(conn: Connection, booking: Booking, rules: ChannelRules) -> None:
    """What is listed at a new location keeps what it shows until the next sweep has divided."""
    if await holds.awaiting(conn, rules.id, ["first_sync", "division"]) is None:
        title = f"a first division of {rules.name}"
        plan_id = await plans.enter(
            conn, "division", title, "syncd", booking.now, channel_id=rules.id
        )
        await plans.open_plan(conn, plan_id, 0, {})
        booking.sweeps.add(rules.id)


def _tell_doubts(
    booking: Booking,
    rules: ChannelRules,
    rows: Sequence[ListingSeen],
    before: Sequence[ListingNow | None],
    known: Sequence[ListingNow | None],
) -> None:
    """Tell which of these listings nobody can tell the item of any more: a person has to."""
    for row, old, now in zip(rows, before, known, strict=True):
        if now is None or now.skip not in IN_DOUBT or (old is not None and old.skip == now.skip):
            continue
        booking.journal.append(
            Line("relinked", row.sku, rules.id, now.listing_id, now.shown, reason=now.skip)
        )


def _served_anew(
    wanted: Sequence[NewListing],
    before: Sequence[ListingNow | None],
    known: Sequence[ListingNow | None],
) -> list[int]:
    """What a message changed and is served now: nobody knows what it shows, or may have missed it."""
    return [
        now.listing_id
        for new, old, now in zip(wanted, before, known, strict=True)
        if now is not None and now.item_id is not None and not now.skip and not stands(new, old)
    ]


def _uncounted(
    rows: Sequence[ListingSeen],
    known: Sequence[ListingNow | None],
    judged: Sequence[Link],
) -> list[tuple[ListingSeen, ListingNow | None, Link]]:
    """Rows whose item is not known or has no level yet."""
    return [
        (row, now, link)
        for row, now, link in zip(rows, known, judged, strict=True)
        if now is None or now.item_id is None or now.quantity is None
    ]


def _paired(
    rows: Sequence[ListingSeen], known: Sequence[ListingNow | None]
) -> list[tuple[ListingSeen, ListingNow]]:
    return [(row, now) for row, now in zip(rows, known, strict=True) if now is not None]


def _usable(booking: Booking, page: CataloguePage) -> list[ListingSeen]:
    """Sorted by the listing's key, the last of equal ones, without those that cannot be stored."""
    unique: dict[tuple[str, str], ListingSeen] = {}
    for row in page.rows:
        reason = unusable(row)
        if reason:
            detail: dict[str, object] = {"remote": row.remote[:ID_LIMIT], "why": reason}
            sku, channel = row.sku[:ID_LIMIT], page.rules.id
            booking.skip(Line("skipped", sku, channel, reason="unreadable", detail=detail))
        else:
            unique[row.location, row.remote] = row
    return [unique[key] for key in sorted(unique)]


def _new_listing(rules: ChannelRules, row: ListingSeen) -> NewListing:
    warehouse_id = rules.warehouse_of(row.location)
    return NewListing(
        row.location,
        row.remote,
        row.alias,
        row.group,
        row.sku,
        clean(row.title[:ID_LIMIT]),
        warehouse_id,
        row.managed and row.quantity is not None,
        "" if warehouse_id is not None else "unmapped",
        clean(row.barcode[:ID_LIMIT]),
        clean(row.handle[:ID_LIMIT]),
        rules.tagged_out(row.tags),
    )
