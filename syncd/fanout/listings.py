"""Catalogue pages into the catalogue: new listings are linked by sku, new items join at the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db import catalog, ledger
from syncd.db.catalog import ListingNow, NewListing
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking
from syncd.stock.model import QUANTITY_LIMIT, Kind, ListingSeen
from syncd.stock.rulebook import ChannelRules


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Listings of one channel as its catalogue has them.

    `asked_at` set: their quantities are a reading asked for then and may seed; those of a message
    never do.
    """

    rules: ChannelRules
    rows: Sequence[ListingSeen]
    asked_at: datetime | None = None


async def enter_page(
    conn: Connection, booking: Booking, page: CataloguePage
) -> list[ListingNow | None]:
    """Store what is new or changed of a page; gives each row as stored, None where it is not served.

    A listing whose sku has no item yet makes one where its location is the seeded source of its
    warehouse; elsewhere it waits unlinked.
    """
    rows = _distinct(page.rows)
    wanted = [_new_listing(page.rules, row) for row in rows]
    known = await catalog.look_up(conn, page.rules.id, wanted)
    changed = [w for w, k in zip(wanted, known, strict=True) if k is None or not k.same]
    if not changed:
        return known
    fresh = [w for w, k in zip(wanted, known, strict=True) if k is None]
    await _join_items(conn, booking, page, rows)
    await catalog.enter_listings(conn, page.rules.id, changed)
    for new in fresh:
        booking.journal.append(
            Line("listed", new.sku, page.rules.id, reason=new.skip, detail={"remote": new.remote})
        )
    return await catalog.look_up(conn, page.rules.id, wanted)


def _distinct(rows: Sequence[ListingSeen]) -> list[ListingSeen]:
    """Sorted by the listing's key, the last of equal ones."""
    unique = {(row.location, row.remote): row for row in rows}
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
        row.sku[:255],
        row.title[:255],
        warehouse_id,
        row.managed and row.quantity is not None,
        skip,
    )


async def _join_items(
    conn: Connection, booking: Booking, page: CataloguePage, rows: Sequence[ListingSeen]
) -> None:
    """New skus at a seeded source become items with their count there as first movement."""
    if page.asked_at is None:
        return
    seeded = await catalog.seeded_warehouses(conn)
    joining = [
        row
        for row in rows
        if row.sku
        and row.managed
        and row.quantity is not None
        and (warehouse := page.rules.warehouse_of(row.location)) in seeded
        and booking.rules.is_source(page.rules.id, row.location, warehouse)
    ]
    if joining:
        await seed_rows(conn, booking, CataloguePage(page.rules, joining, page.asked_at))


async def seed_rows(conn: Connection, booking: Booking, page: CataloguePage) -> int:
    """Make items of these source listings and book their first counts; gives how many were new.

    An item that has a level already keeps it. A sku seen twice at the source seeds nothing.
    """
    rules, asked_at = page.rules, page.asked_at or booking.now
    counts: dict[str, list[ListingSeen]] = {}
    for row in page.rows:
        counts.setdefault(row.sku, []).append(row)
    single = [found[0] for found in counts.values() if len(found) == 1]
    if not single:
        return 0
    await catalog.enter_items(conn, [row.sku for row in single], booking.now)
    items = await catalog.items_of(conn, [row.sku for row in single])
    keys = {row.sku: (items[row.sku], rules.warehouse_of(row.location) or 0) for row in single}
    counted = {(v.item_id, v.warehouse_id) for v in await ledger.levels(conn, list(keys.values()))}
    movements = [
        _seed(rules, row, keys[row.sku], asked_at)
        for row in sorted(single, key=lambda row: keys[row.sku])
        if keys[row.sku] not in counted and abs(row.quantity or 0) <= QUANTITY_LIMIT
    ]
    if movements:
        # cut-over: what order lines hold now is inside the first count
        await ledger.baseline_lines(conn, sorted({m.item_id for m in movements}))
        await ledger.book(conn, movements, booking.now, asked_at)
        booking.movements[rules.id, Kind.SEED] += len(movements)
    return len(movements)


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
