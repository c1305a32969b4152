"""Shelves and looks: what each listing shows as far as it is accounted for, and what is to be read.

A shelf row is its listing's lock: see the lock order at the head of the first migration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Shelf:
    """A locked shelf with what is needed to decide about its listing."""

    listing_id: int
    channel_id: int
    location: str
    sku: str
    item_id: int | None
    warehouse_id: int | None
    managed: bool
    skip: str
    withheld: str
    orphaned: bool
    gone: bool
    shown: int | None
    shown_at: datetime | None
    turn: int
    attempt_open: bool
    lag_asks: int
    quarantined: bool = False
    """Another writer alternates with us: nothing is written."""
    held_by: int | None = None
    """The plan that holds what it is owed; None: none."""
    keeps: int | None = None
    """What it shows while it is held; None: not known yet."""
    followed: bool = False
    """Stretches of it are kept."""
    held: bool = False
    """A person is asked about an edit: nothing is written until the answer."""
    made_of: Sequence[Sequence[int]] | None = None
    """Of a bundle: its components, as (item, units of it in one)."""
    pushed: int | None = None
    """The plan of a push whose reading has not come yet; None: none."""
    rejected: bool = False
    """A push rejected something here not long ago."""


LOCK = """
select s.listing_id, l.channel_id, l.location, coalesce(l.known_as, l.sku) as sku, l.item_id,
    l.warehouse_id, l.managed, l.skip, l.withheld, l.orphaned, l.gone_at is not null as gone, s.shown, s.shown_at, s.turn, s.attempt_id is not null as attempt_open,
    s.lag_asks, s.quarantined_at is not null as quarantined, s.held_by, s.keeps,
    s.followed, s.held,
    (select array_agg(array[p.component_id, p.units]) from component p where p.bundle_id = l.item_id) as made_of, s.pushed, s.rejected
from shelf s join listing l on l.id = s.listing_id
where s.listing_id in (
    with named as (
        select g.item_id, g.warehouse_id
        from unnest($2::bigint[], $3::int[]) as g(item_id, warehouse_id)
        union
        select a.item_id, a.warehouse_id from listing a
        where a.id = any($1::bigint[]) and a.channel_id = any($4::int[])
    )
    select b.id from named n
    join listing b on b.item_id = n.item_id and b.warehouse_id = n.warehouse_id
    union
    select b.id from named n join component p on p.component_id = n.item_id
    join listing b on b.item_id = p.bundle_id and b.warehouse_id = n.warehouse_id
    union
    select unnest($1::bigint[])
    union
    select l.id
    from unnest($5::int[], $6::text[], $7::text[]) as g(channel_id, location, remote)
    join listing l on l.channel_id = g.channel_id and l.remote = g.remote
        and (g.location = '' or l.location = g.location)
)
order by s.listing_id
for no key update of s
"""


async def lock(
    conn: Connection,
    listing_ids: Sequence[int],
    levels: Sequence[tuple[int, int]],
    *,
    moving: Sequence[int] = (),
    hinted: Sequence[tuple[int, str, str]] = (),
) -> list[Shelf]:
    """Lock these listings, all of the (item, warehouse) pairs given, and those named by hints.

    `moving`: channels whose readings move levels; with a listing of theirs go all of its item. With
    an item go the bundles that are made of it.
    Once in a transaction, before its first look: two of these in a row would lock out of order.
    """
    rows = await conn.fetch(
        LOCK,
        listing_ids,
        [x[0] for x in levels],
        [x[1] for x in levels],
        moving,
        [x[0] for x in hinted],
        [x[1] for x in hinted],
        [x[2] for x in hinted],
    )
    return [Shelf(*row) for row in rows]


LOCK_ITEMS = """
select s.listing_id from shelf s
where s.listing_id in (select id from listing where item_id = any($1::bigint[]))
order by s.listing_id
for no key update of s
"""


async def lock_items(conn: Connection, items: Sequence[int]) -> list[int]:
    """Lock the shelves of all listings of these items, in every warehouse; gives the listings."""
    return [row[0] for row in await conn.fetch(LOCK_ITEMS, items)]


@dataclass(frozen=True, slots=True)
class ShelfChange:
    """What a shelf shows from now on; `shown` None: not known."""

    listing_id: int
    shown: int | None
    shown_at: datetime | None
    lag_asks: int = 0
    surprised_at: datetime | None = None
    """Our clock: a reading just found what no order explains; None: leaves what is known of that."""
    observed: tuple[int, datetime] | None = None
    """What a reading just said, and when; None: it was no reading."""


CHANGE = """
update shelf s set shown = g.shown, shown_at = g.shown_at, lag_asks = g.lag_asks,
    surprised_at = coalesce(g.surprised_at, s.surprised_at), turn = nextval('turn'),
    observed = coalesce(g.observed, s.observed), observed_at = coalesce(g.observed_at, s.observed_at)
from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::smallint[], $5::timestamptz[],
            $6::bigint[], $7::timestamptz[])
    as g(listing_id, shown, shown_at, lag_asks, surprised_at, observed, observed_at)
where s.listing_id = g.listing_id
"""


async def change(conn: Connection, changes: Sequence[ShelfChange]) -> None:
    """Book what locked shelves show; their turn moves."""
    await conn.execute(
        CHANGE,
        [c.listing_id for c in changes],
        [c.shown for c in changes],
        [c.shown_at for c in changes],
        [c.lag_asks for c in changes],
        [c.surprised_at for c in changes],
        [c.observed[0] if c.observed else None for c in changes],
        [c.observed[1] if c.observed else None for c in changes],
    )


COUNT_LAG = "update shelf set lag_asks = lag_asks + 1 where listing_id = any($1::bigint[])"


async def count_lag(conn: Connection, listing_ids: Sequence[int]) -> None:
    """A reading of these lagged behind our own write once more."""
    await conn.execute(COUNT_LAG, listing_ids)


NEXT_TURN = "select nextval('turn')"


async def next_turn(conn: Connection) -> int:
    """The turn counter now: a reading asked from here on counts for shelves not moved since."""
    found: int = await conn.fetchval(NEXT_TURN)
    return found


WISH = """
insert into look (listing_id, channel_id, reason, received_at, wished_at, not_before)
select g.listing_id, l.channel_id, $2, g.received_at, $3, $4
from unnest($1::bigint[], $5::timestamptz[]) as g(listing_id, received_at)
join listing l on l.id = g.listing_id and l.gone_at is null
order by g.listing_id
on conflict (listing_id) do update set
    wish = nextval('turn'),
    not_before = case when look.wish <= $6 then excluded.not_before
                      else least(look.not_before, excluded.not_before) end,
    received_at = least(look.received_at, excluded.received_at), expected = null
"""


async def wish(
    conn: Connection,
    listing_ids: Sequence[int],
    reason: str,
    now: datetime,
    *,
    not_before: datetime | None = None,
    received_at: Sequence[datetime | None] | None = None,
    asked_turn: int = 0,
) -> None:
    """These listings are to be read (not before then); `received_at`: when the hint came.

    A wish that was made before `asked_turn` has had its reading: it does not hasten this one.
    """
    await conn.execute(
        WISH,
        listing_ids,
        reason,
        now,
        not_before or now,
        received_at or [None] * len(listing_ids),
        asked_turn,
    )


HINT = """
with given as (
    select * from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[],
                         $7::float8[])
        with ordinality as g(channel_id, location, remote, quantity, received_at, patience_s, n)
), found as (
    select g.n, l.id, l.channel_id, g.received_at, g.patience_s,
        case when g.patience_s > 0 then g.quantity end as expected,
        s.attempt_id is null and s.shown is not null and g.quantity is not distinct from s.shown as echo
    from given g
    join listing l on l.channel_id = g.channel_id and l.remote = g.remote
        and (g.location = '' or l.location = g.location)
    join shelf s on s.listing_id = l.id
    where l.gone_at is null
), wished as (
    insert into look (listing_id, channel_id, reason, received_at, wished_at, not_before, expected)
    select id, min(channel_id), 'hint', min(received_at), $6::timestamptz,
        $6::timestamptz + make_interval(secs => max(patience_s)), min(expected)
    from found where not echo
    group by id order by id
    on conflict (listing_id) do update set
        wish = nextval('turn'), not_before = least(look.not_before, excluded.not_before),
        expected = case when look.expected is not null then excluded.expected end,
        received_at = least(look.received_at, excluded.received_at)
    returning channel_id
)
select (select count(*) from given g where not exists (select from found f where f.n = g.n))
        as unknown,
    (select count(*) from found where echo) as echoes,
    array(select distinct channel_id from wished) as channels
"""


@dataclass(frozen=True, slots=True)
class Hinted:
    """What became of level hints: of no known listing, repeating what is shown, and who looks."""

    unknown: int
    echoes: int
    channels: list[int]


async def hint(
    conn: Connection,
    hints: Sequence[tuple[int, str, str, int | None, datetime | None]],
    now: datetime,
    patience_s: Sequence[float],
) -> Hinted:
    """Level hints (channel, location, remote, quantity, received) become looks, unless they repeat.

    A hint with patience is due that much later, and off if its quantity is accounted for by then.
    """
    columns = [[h[n] for h in hints] for n in range(5)]
    row = await conn.fetchrow(HINT, *columns, now, patience_s)
    return Hinted(*row)


@dataclass(frozen=True, slots=True)
class Look:
    """A listing to read now."""

    listing_id: int
    wish: int
    remote: str
    location: str
    sku: str
    batch_group: str
    received_at: datetime | None
    turn: int
    """The turn it is asked in: one for all that were chosen together."""
    shown: int | None
    reason: str
    pushed: bool = False
    careful: bool = False
    """It is booked, even where it says nothing new; `pushed`: a push waits for this reading."""


CONFIRM = """
with given as (
    select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as g(listing_id, quantity, at)
), same as (
    select s.listing_id from given g join shelf s on s.listing_id = g.listing_id
    where s.shown = g.quantity and s.turn <= $4 and s.attempt_id is null
      and not exists (select from outbox o where o.listing_id = s.listing_id)
    order by s.listing_id
    for no key update of s
), dated as (
    update shelf s set shown_at = g.at, turn = nextval('turn'), observed = s.shown, observed_at = g.at
    from same join given g using (listing_id)
    where s.listing_id = same.listing_id and g.at > coalesce(s.shown_at, '-infinity')
), seen as (
    delete from look k using same where k.listing_id = same.listing_id and k.wish <= $4
)
select listing_id from same
"""


async def confirm(
    conn: Connection, readings: Sequence[tuple[int, int, datetime | None]], asked_turn: int
) -> set[int]:
    """Date the shelves that were read (listing, quantity, stamp) to show what they are known to.

    Only those that are owed nothing, as of the turn they were asked in; gives them. Their wishes
    made before it are fulfilled.
    """
    rows = await conn.fetch(
        CONFIRM,
        [r[0] for r in readings],
        [r[1] for r in readings],
        [r[2] for r in readings],
        asked_turn,
    )
    return {row[0] for row in rows}


FULFILLED = """
delete from look k using shelf s
where k.channel_id = $1 and k.not_before <= $2 and s.listing_id = k.listing_id
  and k.expected = s.shown and s.attempt_id is null
"""


async def fulfilled(conn: Connection, channel_id: int, now: datetime) -> None:
    """Due looks whose hint is accounted for meanwhile are wished no more."""
    await conn.execute(FULFILLED, channel_id, now)


DUE_LOOKS = """
select k.listing_id, k.wish, l.remote, l.location, coalesce(l.known_as, l.sku) as sku, l.batch_group, k.received_at,
    (select nextval('turn')) as turn, s.shown, k.reason, s.pushed is not null as pushed, s.pushed is not null or s.rejected as careful
from look k join listing l on l.id = k.listing_id join shelf s on s.listing_id = k.listing_id
where k.channel_id = $1 and k.not_before <= $2 and s.attempt_id is null
  and not (k.listing_id = any($4::bigint[]))
order by k.not_before limit $3
"""


async def due_looks(
    conn: Connection, channel_id: int, now: datetime, limit: int, busy: Sequence[int]
) -> list[Look]:
    """Listings wished for whose attempt is closed, longest waiting first, without the `busy` ones."""
    return [Look(*row) for row in await conn.fetch(DUE_LOOKS, channel_id, now, limit, busy)]


OWED_LOOKS = """
select l.id as listing_id, 0::bigint as wish, l.remote, l.location, coalesce(l.known_as, l.sku) as sku,
    l.batch_group, null::timestamptz as received_at, (select nextval('turn')) as turn, o.shown,
    'owed' as reason, o.pushed, o.pushed as careful
from (
    select o.listing_id, s.shown, s.pushed is not null as pushed from outbox o join shelf s on s.listing_id = o.listing_id
    where o.channel_id = $1 and o.parked_at is null and o.not_before <= $2
      and s.attempt_id is null and not (o.listing_id = any($4::bigint[]))
    order by o.rank, o.owed_at limit $3
) o join listing l on l.id = o.listing_id
"""


async def owed_looks(
    conn: Connection, channel_id: int, now: datetime, limit: int, busy: Sequence[int]
) -> list[Look]:
    """Listings whose delivery is due, most urgent first, to be read before it without a wish."""
    return [Look(*row) for row in await conn.fetch(OWED_LOOKS, channel_id, now, limit, busy)]


POSTPONE_LOOKS = "update look set not_before = $2 where listing_id = any($1::bigint[])"


async def postpone_looks(
    conn: Connection, listing_ids: Sequence[int], not_before: datetime
) -> None:
    """Read these not before then, and after all that is due now."""
    await conn.execute(POSTPONE_LOOKS, listing_ids, not_before)


LOOKED = "delete from look where listing_id = any($1::bigint[]) and wish <= $2"


async def looked(conn: Connection, listing_ids: Sequence[int], asked_turn: int) -> None:
    """These were read by a question asked at that turn: wishes made before it are fulfilled."""
    await conn.execute(LOOKED, listing_ids, asked_turn)
