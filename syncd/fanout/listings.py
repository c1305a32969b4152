"""Catalogue pages into the catalogue: new listings are linked by sku, new items join at the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from syncd.db import bookmark, catalog, ledger, shelf
from syncd.db.catalog import ListingNow, NewListing
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.pool import Connection
from syncd.db.shelf import ShelfChange
from syncd.fanout.booking import Booking
from syncd.stock.facts import ID_LIMIT, clean, unusable
from syncd.stock.model import QUANTITY_LIMIT, Kind, ListingSeen, Truth
from syncd.stock.rulebook import ChannelRules

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

IN_DOUBT = ("duplicate", "relinked")
"""Skips that only a person can end: a sku listed twice, a listing that took another item's sku."""


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Listings of one channel as its catalogue has them.

    `asked_at` set: their quantities are a reading asked for then and may seed; those of a message
    never do. `seeds`: a person asked for first counts from this channel. `orders_known`: the orders
    placed until these counts were answered are fetched; where orders are the truth nothing is
    counted without, since a sale in between could be inside the count or not.
    """

    rules: ChannelRules
    rows: Sequence[ListingSeen]
    asked_at: datetime | None = None
    seeds: bool = False
    orders_known: bool = False


async def enter_page(
    conn: Connection, booking: Booking, page: CataloguePage
) -> list[tuple[ListingSeen, ListingNow]]:
    """Store what is new or changed of a page; gives each row beside what is stored of it.

    A sku without an item makes one where its location is the source of its warehouse and that is
    seeded already, or being seeded by this page; elsewhere it waits unlinked.
    """
    rules, rows = page.rules, _usable(booking, page)
    wanted = [_new_listing(rules, row) for row in rows]
    known = await catalog.look_up(conn, rules.id, wanted)
    first_counts = await _join_items(conn, booking, page, _uncounted(rows, known))
    if first_counts:
        known = await catalog.look_up(conn, rules.id, wanted)
    changed = [w for w, k in zip(wanted, known, strict=True) if k is None or not k.same]
    if changed:
        booking.journal += [
            Line("listed", w.sku, rules.id, reason=w.skip, detail={"remote": w.remote})
            for w, k in zip(wanted, known, strict=True)
            if k is None
        ]
        await catalog.enter_listings(conn, rules.id, changed)
        before, known = known, await catalog.look_up(conn, rules.id, wanted)
        _tell_doubts(booking, rules, rows, before, known)
        if page.asked_at is None:
            booking.relisted.setdefault(rules.id, set()).update(w.sku for w in changed if w.sku)
            booking.linked += _served_anew(before, known)
    if first_counts:
        await _show_first_counts(conn, booking, _paired(rows, known), first_counts)
        known = await catalog.look_up(conn, rules.id, wanted)
    return _paired(rows, known)


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
    before: Sequence[ListingNow | None], known: Sequence[ListingNow | None]
) -> list[int]:
    """What a message changed and is served now: nobody knows what it shows, or may have missed it."""
    return [
        now.listing_id
        for old, now in zip(before, known, strict=True)
        if now is not None
        and now.item_id is not None
        and not now.skip
        and (old is None or not old.same)
    ]


def _uncounted(
    rows: Sequence[ListingSeen], known: Sequence[ListingNow | None]
) -> list[ListingSeen]:
    """Rows whose item is not known or has no level yet."""
    return [
        row
        for row, now in zip(rows, known, strict=True)
        if now is None or now.item_id is None or now.quantity is None
    ]


async def _show_first_counts(
    conn: Connection,
    booking: Booking,
    pairs: Sequence[tuple[ListingSeen, ListingNow]],
    skus: set[str],
) -> None:
    """The shelf a first count was read from shows that count, whatever was read before it.

    So the next reading books all that happened since, and nothing twice.
    """
    changes = [
        ShelfChange(now.listing_id, row.quantity, row.at)
        for row, now in pairs
        if row.sku in skus and row.quantity is not None
    ]
    await shelf.lock(conn, [c.listing_id for c in changes], [])
    await shelf.change(conn, changes)
    await shelf.wish(conn, [c.listing_id for c in changes], "first_count", booking.now)


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
            booking.skip(
                Line(
                    "skipped",
                    row.sku[:ID_LIMIT],
                    page.rules.id,
                    None,
                    reason="unreadable",
                    detail=detail,
                )
            )
        else:
            unique[row.location, row.remote] = row
    return [unique[key] for key in sorted(unique)]


def _new_listing(rules: ChannelRules, row: ListingSeen) -> NewListing:
    warehouse_id = rules.warehouse_of(row.location)
    skip = ""
    if not row.sku:
        skip = "no_sku"
    elif warehouse_id is None:
        skip = "unmapped"
    return NewListing(
        row.location,
        row.remote,
        row.alias,
        row.group,
        row.sku,
        clean(row.title[:ID_LIMIT]),
        warehouse_id,
        row.managed and row.quantity is not None,
        skip,
    )


async def _join_items(
    conn: Connection, booking: Booking, page: CataloguePage, rows: Sequence[ListingSeen]
) -> set[str]:
    """Skus of the source become items with their count there as first movement; gives those skus.

    An item that has a level already keeps it. A sku seen twice at the source seeds nothing.
    """
    if page.asked_at is None or not rows:
        return set()
    rules = page.rules
    open_to = await catalog.seeded_warehouses(conn)
    counts: dict[str, list[ListingSeen]] = {}
    for row in rows:
        warehouse = rules.warehouse_of(row.location)
        if (
            row.sku
            and row.managed
            and row.quantity is not None
            and abs(row.quantity) <= QUANTITY_LIMIT
            and (page.seeds or warehouse in open_to)
            and booking.rules.is_source(rules.id, row.location, warehouse)
        ):
            counts.setdefault(row.sku, []).append(row)
    single = [found[0] for found in counts.values() if len(found) == 1]
    if not single:
        return set()
    await ledger.counting(conn)
    await catalog.enter_items(conn, sorted(row.sku for row in single), booking.now)
    items = await catalog.items_of(conn, [row.sku for row in single])
    keys = {row.sku: (items[row.sku], rules.warehouse_of(row.location) or 0) for row in single}
    counted = {(v.item_id, v.warehouse_id) for v in await ledger.levels(conn, list(keys.values()))}
    fresh = [row for row in single if keys[row.sku] not in counted]
    fresh.sort(key=lambda row: keys[row.sku])
    if rules.truth is Truth.ORDERS:
        fresh = await _surely_counted(conn, booking, page, fresh, keys)
    movements = [_seed(rules, row, keys[row.sku], page.asked_at) for row in fresh]
    if movements:
        await _free_later_sales(
            conn, booking, [(*keys[row.sku], row.sku) for row in fresh], page.asked_at
        )
        await ledger.book(conn, movements, booking.now, page.asked_at)
        booking.movements[rules.id, Kind.SEED] += len(movements)
    booking.linked += await catalog.link_items(conn, [row.sku for row in single])
    return {row.sku for row in fresh}


async def _surely_counted(
    conn: Connection,
    booking: Booking,
    page: CataloguePage,
    rows: Sequence[ListingSeen],
    keys: Mapping[str, tuple[int, int]],
) -> list[ListingSeen]:
    """Those of these rows of which nothing was sold, or came back, while they were read.

    Nobody can tell whether such an order is inside the count: the next sweep reads it again.
    """
    if not page.orders_known:
        booking.uncounted.update(row.sku for row in rows)
        return []
    assert page.asked_at is not None
    since = page.asked_at - timedelta(seconds=page.rules.clock_margin_s)
    version = (since - EPOCH) // timedelta(microseconds=1)
    items = [(*keys[row.sku], row.sku) for row in rows]
    sold = await ledger.sold_since(conn, page.rules.id, items, version)
    for sku in sorted(sold):
        booking.skip(Line("skipped", sku, page.rules.id, reason="sold_while_counted"))
    return [row for row in rows if row.sku not in sold]


async def _free_later_sales(
    conn: Connection,
    booking: Booking,
    items: Sequence[tuple[int, int, str]],
    counted_at: datetime,
) -> None:
    """What order lines hold is inside the first count, save of orders placed since it was read.

    Those were heard while there was no level to book them on: their orders are fetched and booked.
    """
    channels = [c for c in booking.rules.channels.values() if c.truth is Truth.ORDERS]
    margin_s = max((c.clock_margin_s for c in channels), default=0.0)
    since = counted_at - timedelta(seconds=margin_s)
    orders = await ledger.reopen_orders(conn, items, [c.id for c in channels], since)
    if orders:
        await bookmark.wish_orders(conn, orders, booking.now)
        booking.lanes.update(channel for channel, _ in orders)


def _seed(
    rules: ChannelRules, row: ListingSeen, key: tuple[int, int], asked_at: datetime
) -> Movement:
    assert row.quantity is not None
    return Movement(
        item_id=key[0],
        warehouse_id=key[1],
        delta=row.quantity,
        kind=Kind.SEED,
        cause="seed",
        channel_id=rules.id,
        event_id=None,
        actor=rules.name,
        note=f"first count, from {rules.name}",
        occurred_at=asked_at,
    )
