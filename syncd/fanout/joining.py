"""The source's items: those it brings join with their count as first movement, and bear its names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from syncd.db import bookmark, bundles, catalog, ledger, links, shelf
from syncd.db.catalog import ListingNow
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.links import NewItem
from syncd.db.pool import Connection
from syncd.db.shelf import ShelfChange
from syncd.fanout import edits, moving
from syncd.fanout.booking import Booking
from syncd.fanout.matching import link_waiting
from syncd.stock.match import Link, Rule, made_up
from syncd.stock.model import QUANTITY_LIMIT, Kind, ListingSeen, Truth
from syncd.stock.rulebook import ChannelRules

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[str, str]
"""(location, remote): a listing's name on its channel."""


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


@dataclass(frozen=True, slots=True)
class Counted:
    """A row of the source with the item it is, or will be, and where it counts."""

    row: ListingSeen
    new: NewItem
    warehouse_id: int
    item_id: int = 0

    @property
    def place(self) -> Place:
        return self.row.location, self.row.remote

    @property
    def key(self) -> tuple[int, int]:
        return self.item_id, self.warehouse_id


async def join_items(
    conn: Connection,
    booking: Booking,
    page: CataloguePage,
    judged: Sequence[tuple[ListingSeen, ListingNow | None, Link]],
) -> set[Place]:
    """Rows of the source become items with their count there as first movement; gives those rows.

    An item that has a level already keeps it. What is seen twice at the source seeds nothing.
    """
    if page.asked_at is None or not judged:
        return set()
    open_to = await catalog.seeded_warehouses(conn)
    counts: dict[tuple[int | str, int], list[Counted]] = {}
    for row, now, link in judged:
        found = _countable(booking, page, row, now, link, open_to)
        if found is not None:
            key = found.item_id or found.new.sku, found.warehouse_id
            counts.setdefault(key, []).append(found)
    single = [found[0] for found in counts.values() if len(found) == 1]
    single = await _stocked(conn, booking, page, single)
    if not single:
        return set()
    await ledger.counting(conn)
    single = await _as_items(conn, booking, page.rules, single)
    await links.name_items(conn, [replace(x.new, item_id=x.item_id) for x in single])
    counted = {(v.item_id, v.warehouse_id) for v in await ledger.levels(conn, _keys(single))}
    fresh = sorted((x for x in single if x.key not in counted), key=lambda x: x.key)
    if page.rules.truth is Truth.ORDERS:
        fresh = await _surely_counted(conn, booking, page, fresh)
    if fresh:
        items = [(*x.key, x.row.sku) for x in fresh]
        await free_later_sales(conn, booking, items, page.asked_at)
        seeds = [_seed(page.rules, x, page.asked_at) for x in fresh]
        await moving.book(conn, booking, seeds, page.asked_at)
        booking.movements[page.rules.id, Kind.SEED] += len(seeds)
    await link_waiting(conn, booking, [x.new for x in single])
    return {x.place for x in fresh}


async def _stocked(
    conn: Connection, booking: Booking, page: CataloguePage, single: Sequence[Counted]
) -> list[Counted]:
    """Those of these rows that are no bundles, whose components are counted instead."""
    known = [x.item_id for x in single if x.item_id]
    made = await bundles.among(conn, known) if known else set()
    if page.seeds:
        for x in single:
            if x.item_id in made:
                booking.skip(Line("skipped", x.new.sku, page.rules.id, reason="bundle"))
    return [x for x in single if x.item_id not in made]


async def _as_items(
    conn: Connection, booking: Booking, rules: ChannelRules, single: Sequence[Counted]
) -> list[Counted]:
    """Make the items that are not there yet; where skus name none, a sku that is taken is made up."""
    news = [x for x in single if not x.item_id]
    if Rule.SKU not in rules.match:
        taken = await links.items_of(conn, [x.new.sku for x in news])
        news = [
            replace(x, new=replace(x.new, sku=made_up(x.row.handle, rules.name, x.row.remote)))
            if x.new.sku in taken
            else x
            for x in news
        ]
        taken = await links.items_of(conn, [x.new.sku for x in news])
        news = [x for x in news if x.new.sku not in taken]
    await links.enter_items(conn, [x.new for x in news], booking.now)
    items = await links.items_of(conn, [x.new.sku for x in news])
    return [x for x in single if x.item_id] + [replace(x, item_id=items[x.new.sku]) for x in news]


def _keys(single: Sequence[Counted]) -> list[tuple[int, int]]:
    return [x.key for x in single]


def _countable(
    booking: Booking,
    page: CataloguePage,
    row: ListingSeen,
    now: ListingNow | None,
    link: Link,
    open_to: set[int],
) -> Counted | None:
    """The row as a first count, if it can be one."""
    rules = page.rules
    warehouse = rules.warehouse_of(row.location)
    if (
        warehouse is None
        or not (page.seeds or warehouse in open_to)
        or not row.managed
        or row.quantity is None
        or abs(row.quantity) > QUANTITY_LIMIT
        or not booking.rules.is_source(rules.id, row.location, warehouse)
        or link.skip not in ("", "unlinked")
        or link.by == "cut"
    ):
        return None
    known = now is not None and now.item_id == link.item_id
    sku = now.sku if now is not None and known and link.item_id else row.sku
    sku = sku or made_up(row.handle, rules.name, row.remote)
    return Counted(row, NewItem(sku, row.barcode, row.handle), warehouse, link.item_id or 0)


async def _surely_counted(
    conn: Connection, booking: Booking, page: CataloguePage, rows: Sequence[Counted]
) -> list[Counted]:
    """Those of these rows of which nothing was sold, or came back, while they were read.

    Nobody can tell whether such an order is inside the count: the next sweep reads it again.
    """
    if not page.orders_known:
        booking.uncounted.update(x.place for x in rows)
        return []
    assert page.asked_at is not None
    since = page.asked_at - timedelta(seconds=page.rules.clock_margin_s)
    version = (since - EPOCH) // timedelta(microseconds=1)
    items = [(*x.key, x.row.sku) for x in rows]
    sold = await ledger.sold_since(conn, page.rules.id, items, version)
    for sku in sorted(x.new.sku for x in rows if x.item_id in sold):
        booking.skip(Line("skipped", sku, page.rules.id, reason="sold_while_counted"))
    return [x for x in rows if x.item_id not in sold]


async def free_later_sales(
    conn: Connection,
    booking: Booking,
    items: Sequence[tuple[int, int, str]],
    counted_at: datetime,
) -> None:
    """What order lines hold is inside the first count, save of orders placed since it was read.

    Those were heard while there was no level to book them on: their orders are fetched and booked.
    """
    rules = booking.rules.channels.values()
    channels = [c for c in rules if c.truth is Truth.ORDERS]
    by_level = [c for c in rules if c.truth is Truth.LEVELS]
    margin_s = max((c.clock_margin_s for c in channels), default=0.0)
    since = counted_at - timedelta(seconds=margin_s)
    ids = [c.id for c in channels], [c.id for c in by_level]
    orders = await ledger.reopen_orders(conn, items, *ids, since)
    if orders:
        await bookmark.wish_orders(conn, orders, booking.now)
        booking.lanes.update(channel for channel, _ in orders)


def _seed(rules: ChannelRules, counted: Counted, asked_at: datetime) -> Movement:
    assert counted.row.quantity is not None
    return Movement(
        item_id=counted.item_id,
        warehouse_id=counted.warehouse_id,
        delta=counted.row.quantity,
        kind=Kind.SEED,
        cause="seed",
        channel_id=rules.id,
        event_id=None,
        actor=rules.name,
        note=f"first count, from {rules.name}",
        occurred_at=asked_at,
    )


async def show_first_counts(
    conn: Connection,
    booking: Booking,
    page: CataloguePage,
    pairs: Sequence[tuple[ListingSeen, ListingNow]],
    counted: set[Place],
) -> None:
    """The shelf a first count was read from shows that count, whatever was read before it.

    So the next reading books all that happened since, and nothing twice.
    """
    changes = [
        ShelfChange(now.listing_id, row.quantity, row.at)
        for row, now in pairs
        if (row.location, row.remote) in counted and row.quantity is not None
    ]
    rows = await shelf.lock(conn, [c.listing_id for c in changes], [])
    await shelf.change(conn, changes)
    if page.rules.follows_edits and page.asked_at is not None:
        counts = {c.listing_id: c.shown for c in changes if c.shown is not None}
        await edits.begin(conn, booking, rows, counts, page.asked_at)
    await shelf.wish(conn, [c.listing_id for c in changes], "first_count", booking.now)
