"""The ledger: order states, movements and levels. A level changes only where a movement is inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.db.standing import columns, counts
from syncd.stock.standing import Standing

ENTER_ORDERS = """
with given as (
    select * from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::boolean[],
                         $7::timestamptz[])
        as g(channel_id, order_id, number, version, digest, terminal, placed_at)
    order by channel_id, order_id
)
insert into sales_order as o (channel_id, order_id, number, version, digest, terminal, placed_at)
select * from given
on conflict (channel_id, order_id) do update set number = o.number
returning channel_id, order_id, version, digest, terminal, xmax = 0 as fresh
"""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order state; `fresh`: it was not known before."""

    channel_id: int
    order_id: str
    version: int
    digest: bytes
    terminal: bool
    fresh: bool


@dataclass(frozen=True, slots=True)
class OrderNew:
    """The state of an order to store."""

    channel_id: int
    order_id: str
    number: str
    version: int
    digest: bytes
    terminal: bool
    placed_at: datetime | None = None
    """When it was placed, by the platform's clock; kept as first heard."""


async def enter_orders(conn: Connection, orders: Sequence[OrderNew]) -> list[OrderRow]:
    """Lock orders, storing those not known; gives what is known of each (its own state if fresh)."""
    columns = *_order_columns(orders), [o.placed_at for o in orders]
    return [OrderRow(*row) for row in await conn.fetch(ENTER_ORDERS, *columns)]


UPDATE_ORDERS = """
update sales_order o set version = g.version, digest = g.digest, terminal = g.terminal,
    number = case when g.number = '' then o.number else g.number end
from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::boolean[])
    as g(channel_id, order_id, number, version, digest, terminal)
where o.channel_id = g.channel_id and o.order_id = g.order_id
"""


async def update_orders(conn: Connection, orders: Sequence[OrderNew]) -> None:
    """Store the newer state of locked orders."""
    await conn.execute(UPDATE_ORDERS, *_order_columns(orders))


FORGET_ORDERS = """
delete from sales_order o using unnest($1::int[], $2::text[]) as g(channel_id, order_id)
where o.channel_id = g.channel_id and o.order_id = g.order_id
"""


async def forget_orders(conn: Connection, orders: Sequence[tuple[int, str]]) -> None:
    """These orders, entered and locked by this transaction, stay unknown after all."""
    await conn.execute(FORGET_ORDERS, [o[0] for o in orders], [o[1] for o in orders])


def _order_columns(orders: Sequence[OrderNew]) -> tuple[list[object], ...]:
    return (
        [o.channel_id for o in orders],
        [o.order_id for o in orders],
        [o.number for o in orders],
        [o.version for o in orders],
        [o.digest for o in orders],
        [o.terminal for o in orders],
    )


@dataclass(frozen=True, slots=True)
class LineRow:
    """What is booked of an order line."""

    channel_id: int
    order_id: str
    line_id: str
    location: str
    listing_id: int | None
    item_id: int | None
    warehouse_id: int | None
    taken: int
    booked: int
    revision: int
    part: int = 0
    """The component of a bundle that it is; 0: the line itself."""
    units: int = 1
    """Of that component in one bundle."""
    seeded_at: datetime | None = None
    """When its item was first counted there, as read; not stored with the line."""
    held: int = 0
    held_until: datetime | None = None
    based: int | None = None
    came_back: int | None = None
    """These four are kept by `db/order_holds.py` alone, where they are in use."""


LINES = """
select l.channel_id, l.order_id, l.line_id, l.location, l.listing_id, l.item_id, l.warehouse_id,
    l.taken, l.booked, l.revision, l.part, l.units, v.seeded_at, l.held, l.held_until, l.based, l.came_back
from unnest($1::int[], $2::text[]) as g(channel_id, order_id)
join order_line l on l.channel_id = g.channel_id and l.order_id = g.order_id
left join level v on v.item_id = l.item_id and v.warehouse_id = l.warehouse_id
"""


async def lines(conn: Connection, orders: Sequence[tuple[int, str]]) -> list[LineRow]:
    """The stored lines of locked orders."""
    rows = await conn.fetch(LINES, [o[0] for o in orders], [o[1] for o in orders])
    return [LineRow(*row) for row in rows]


KEEP_LINES = """
insert into order_line (channel_id, order_id, line_id, location, listing_id, item_id, warehouse_id,
                        taken, booked, revision, part, units)
select * from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
                     $7::int[], $8::bigint[], $9::bigint[], $10::int[], $11::bigint[], $12::int[])
on conflict (channel_id, order_id, line_id, location, part) do update set
    listing_id = excluded.listing_id, item_id = excluded.item_id,
    warehouse_id = excluded.warehouse_id, taken = excluded.taken, booked = excluded.booked,
    revision = excluded.revision
"""


async def keep_lines(conn: Connection, rows: Sequence[LineRow]) -> None:
    """Store what is booked of these lines now."""
    await conn.execute(
        KEEP_LINES,
        [r.channel_id for r in rows],
        [r.order_id for r in rows],
        [r.line_id for r in rows],
        [r.location for r in rows],
        [r.listing_id for r in rows],
        [r.item_id for r in rows],
        [r.warehouse_id for r in rows],
        [r.taken for r in rows],
        [r.booked for r in rows],
        [r.revision for r in rows],
        [r.part for r in rows],
        [r.units for r in rows],
    )


@dataclass(frozen=True, slots=True)
class Movement:
    """One signed, immutable ledger row, before it is stored."""

    item_id: int
    warehouse_id: int
    delta: int
    kind: str
    cause: str
    channel_id: int | None
    event_id: int | None
    actor: str
    note: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class LevelNow(Standing):
    """A level after movements were booked; `delta` is what they added."""

    quantity: int
    item_id: int
    warehouse_id: int
    delta: int
    inside: bool
    """True where some of it occurred before a count: that count takes it back."""
    counted_at: datetime | None


BOOK = f"""
with fresh as (
    insert into movement (item_id, warehouse_id, delta, kind, cause, channel_id, event_id, actor, note,
                          occurred_at, recorded_at)
    select g.*, $11 from unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::int[],
                                $7::bigint[], $8::text[], $9::text[], $10::timestamptz[]) as g
    on conflict (item_id, warehouse_id, cause) do nothing
    returning item_id, warehouse_id, delta, occurred_at
), sums as (
    select item_id, warehouse_id, sum(delta)::bigint as delta, min(occurred_at) as oldest
    from fresh group by item_id, warehouse_id order by item_id, warehouse_id
), moved as (
    insert into level as v (item_id, warehouse_id, quantity, changed_at, seeded_at)
    select item_id, warehouse_id, delta, $11, coalesce($12, least(oldest, $11)) from sums
    on conflict (item_id, warehouse_id) do update set
        quantity = v.quantity + excluded.quantity, changed_at = excluded.changed_at
    returning item_id, warehouse_id, quantity, counted_at
)
select {columns("m", "m", moved=True)}, m.item_id, m.warehouse_id, s.delta,
    coalesce(s.oldest <= m.counted_at, false) as inside, m.counted_at
from moved m join sums s using (item_id, warehouse_id)
"""


async def book(
    conn: Connection,
    movements: Sequence[Movement],
    now: datetime,
    counted_at: datetime | None = None,
) -> list[LevelNow]:
    """Insert movements, each cause at most once, and move the levels by what was really inserted.

    Only `fanout/moving.py` calls this: it sees to what is `inside` a count. `counted_at`: when the
    first count of a new level was asked for, with older orders inside it; None: it was no count.
    """
    rows = await conn.fetch(
        BOOK,
        [m.item_id for m in movements],
        [m.warehouse_id for m in movements],
        [m.delta for m in movements],
        [m.kind for m in movements],
        [m.cause for m in movements],
        [m.channel_id for m in movements],
        [m.event_id for m in movements],
        [m.actor for m in movements],
        [m.note for m in movements],
        [m.occurred_at for m in movements],
        now,
        counted_at,
    )
    return [LevelNow(*row) for row in rows]


LEVELS = f"""
select {columns("g", "v")}, g.item_id, g.warehouse_id, 0::bigint as delta, false as inside, v.counted_at
from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
left join level v on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
where {counts("g", "v")}
"""


async def levels(conn: Connection, keys: Sequence[tuple[int, int]]) -> list[LevelNow]:
    """The levels of (item, warehouse) pairs that have one, or are bundles that can be made."""
    rows = await conn.fetch(LEVELS, [k[0] for k in keys], [k[1] for k in keys])
    return [LevelNow(*row) for row in rows if row[0] is not None]


COUNTING = "select pg_advisory_xact_lock(7310, 2)"
UNCOUNTED = "select pg_advisory_xact_lock_shared(7310, 2)"


async def counting(conn: Connection) -> None:
    """Take first counts alone: every open booking that found no level ends before it."""
    await conn.execute(COUNTING)


async def uncounted(conn: Connection) -> None:
    """No first count is taken until this transaction ends: who found no level has to look again."""
    await conn.execute(UNCOUNTED)


REOPEN_ORDERS = """
with counted as (
    select * from unnest($1::bigint[], $2::int[], $3::text[]) as g(item_id, warehouse_id, sku)
), held as (
    select l.channel_id, l.order_id, l.line_id, l.location, l.part
    from sales_order o
    join order_line l on l.channel_id = o.channel_id and l.order_id = o.order_id
    left join listing s on s.id = l.listing_id
    where o.placed_at > $5 and l.booked <> 0 and (o.channel_id = any($4::int[])
        or l.part <> 0 and o.channel_id = any($6::int[])) and exists (
        select from counted c join item i on i.id = c.item_id
        where c.warehouse_id = l.warehouse_id and (c.item_id = l.item_id
            or l.item_id is null and (l.listing_id is null or s.sku = c.sku and c.sku <> ''
                or s.barcode <> '' and s.barcode = i.barcode
                or s.handle <> '' and s.handle = i.handle))
    )
), locked as (
    select o.channel_id, o.order_id from sales_order o
    where (o.channel_id, o.order_id) in (select channel_id, order_id from held)
    order by o.channel_id, o.order_id
    for update
), freed as (
    update order_line l set booked = 0, based = 0 from held h
    where l.channel_id = h.channel_id and l.order_id = h.order_id and l.line_id = h.line_id
      and l.location = h.location and l.part = h.part
)
update sales_order o set version = o.version - 1, terminal = false from locked k
where o.channel_id = k.channel_id and o.order_id = k.order_id
returning o.channel_id, o.order_id
"""


async def reopen_orders(
    conn: Connection,
    items: Sequence[tuple[int, int, str]],
    channel_ids: Sequence[int],
    by_level: Sequence[int],
    counted_at: datetime,
) -> list[tuple[int, str]]:
    """Cut-over: lines of (item, warehouse, sku) heard before their first count, in orders placed after it.

    Nothing is booked of them any more, and their orders are to be fetched; gives those orders. A
    line that was not linked yet is known by its listing's names; one of no listing may be any item's.
    `by_level`: channels of whose orders bundles alone are booked.
    """
    rows = await conn.fetch(
        REOPEN_ORDERS,
        [i[0] for i in items],
        [i[1] for i in items],
        [i[2] for i in items],
        channel_ids,
        counted_at,
        by_level,
    )
    return [(row[0], row[1]) for row in rows]


SOLD_SINCE = """
select c.item_id
from unnest($1::bigint[], $2::int[], $3::text[]) as c(item_id, warehouse_id, sku)
join item i on i.id = c.item_id
where exists (
    select from sales_order o
    join order_line l on l.channel_id = o.channel_id and l.order_id = o.order_id
    left join listing s on s.id = l.listing_id
    where o.channel_id = $4 and o.version >= $5 and l.warehouse_id = c.warehouse_id
      and (c.item_id = l.item_id
        or l.item_id is null and (l.listing_id is null or s.sku = c.sku and c.sku <> ''
            or s.barcode <> '' and s.barcode = i.barcode
            or s.handle <> '' and s.handle = i.handle))
)
"""


async def sold_since(
    conn: Connection, channel_id: int, items: Sequence[tuple[int, int, str]], version: int
) -> set[int]:
    """Items among these (item, warehouse, sku) with an order on this channel of that version or newer.

    A line of no listing may be any item's.
    """
    columns = [i[0] for i in items], [i[1] for i in items], [i[2] for i in items]
    return {row[0] for row in await conn.fetch(SOLD_SINCE, *columns, channel_id, version)}


ANNOTATE = """
insert into annotation (listing_id, order_id, number, kind, units, at)
select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
"""


async def annotate(
    conn: Connection, notes: Sequence[tuple[int, str, str, str, int, datetime]]
) -> None:
    """Orders that explain levels: (listing, order, number, kind, signed units, at)."""
    await conn.execute(ANNOTATE, *map(list, zip(*notes, strict=True)))


TAKE_ANNOTATIONS = """
delete from annotation a using unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) as g(listing_id, at, delta)
where a.listing_id = g.listing_id and (g.at is null or a.at <= g.at
    or g.delta = (select sum(x.units) from annotation x where x.listing_id = g.listing_id))
returning a.listing_id, a.kind, coalesce(nullif(a.number, ''), a.order_id) as number, a.units, a.at
"""


@dataclass(frozen=True, slots=True)
class Note:
    """Signed units by which an order says that it moved a listing, and when."""

    listing_id: int
    kind: str
    number: str
    units: int
    at: datetime


async def take_annotations(
    conn: Connection, readings: Sequence[tuple[int, datetime | None, int]]
) -> list[Note]:
    """Take what orders said of listings that differ (listing, stamp, units); not what is later, but to fit."""
    columns = map(list, zip(*readings, strict=True))
    return [Note(*row) for row in await conn.fetch(TAKE_ANNOTATIONS, *columns)]
