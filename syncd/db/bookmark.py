"""Bookmarks: how far each channel was fetched and swept, what others asked for, and retention."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a channel is known.

    `orders_through`: orders are booked through, by the platform's clock. `orders_asked_at`: when the
    newest complete fetch of them began; `swept_at`: when the last sweep ended; both by our clock.
    """

    orders_through: datetime | None
    orders_asked_at: datetime | None
    swept_at: datetime | None


def asked_by(asked_at: datetime | None, now: datetime) -> datetime | None:
    """When orders were last asked for; None where that lies ahead: a clock since set back said it."""
    return asked_at if asked_at is None or asked_at <= now else None


BOOKMARK = "select orders_through, orders_asked_at, swept_at from channel where id = $1"


async def bookmark(conn: Connection, channel_id: int) -> Bookmark:
    """The bookmark of a channel."""
    return Bookmark(*await conn.fetchrow(BOOKMARK, channel_id))


FACTS_AHEAD = """
with surprised as (
    select s.listing_id from shelf s
    where s.surprised_at > $2 and exists (
        select from outbox o
        where o.listing_id = s.listing_id and o.channel_id = $1 and o.parked_at is null)
    for no key update of s skip locked
), calmed as (
    update shelf s set surprised_at = $3 from surprised x where s.listing_id = x.listing_id
), ahead as (
    select v.item_id, v.warehouse_id from level v
    where v.changed_at > $2 and exists (
        select from outbox o join listing l on l.id = o.listing_id
        where o.channel_id = $1 and o.parked_at is null
          and l.item_id = v.item_id and l.warehouse_id = v.warehouse_id)
    for no key update of v skip locked
)
update level v set changed_at = $3 from ahead a
where v.item_id = a.item_id and v.warehouse_id = a.warehouse_id
"""

AHEAD = timedelta(minutes=1)
"""A fact stamped later than this after now was stamped by a clock since set back."""


async def facts_ahead(conn: Connection, channel_id: int, now: datetime) -> None:
    """Stamp facts behind a channel's deliveries from ahead of our clock as just before `now`.

    An order fetch that begins at `now` comes after them, and the raises that wait for it may go;
    else they would wait until the clock has caught up. Nobody is waited for.
    """
    await conn.execute(FACTS_AHEAD, channel_id, now + AHEAD, now - timedelta(microseconds=1))


ORDERS_FETCHED = """
update channel set orders_through = $2, orders_asked_at = $3 where id = $1
"""


async def orders_fetched(
    conn: Connection, channel_id: int, through: datetime, began_at: datetime
) -> None:
    """A complete order fetch that began then, by our clock, is booked: through a platform's time.

    Both are taken as they are: a value that an errant clock left ahead must not outlive it.
    """
    await conn.execute(ORDERS_FETCHED, channel_id, through, began_at)


SWEPT = "update channel set swept_at = $2 where id = $1"


async def swept(conn: Connection, channel_id: int, now: datetime) -> None:
    """A sweep of the whole channel ended well."""
    await conn.execute(SWEPT, channel_id, now)


WISH_ORDERS = """
insert into order_look (channel_id, order_id, not_before)
select distinct g.channel_id, g.order_id, $3::timestamptz
from unnest($1::int[], $2::text[]) as g(channel_id, order_id)
order by g.channel_id, g.order_id
on conflict (channel_id, order_id) do update set wish = nextval('turn'), tries = 0,
    not_before = excluded.not_before
"""


async def wish_orders(
    conn: Connection, orders: Sequence[tuple[int, str]], not_before: datetime
) -> None:
    """These orders (channel, order) are to be fetched."""
    await conn.execute(WISH_ORDERS, [o[0] for o in orders], [o[1] for o in orders], not_before)


DUE_ORDERS = """
select order_id, wish from order_look where channel_id = $1 and not_before <= $2
order by not_before limit $3
"""


async def due_orders(
    conn: Connection, channel_id: int, now: datetime, limit: int
) -> list[tuple[str, int]]:
    """Orders to fetch now, with the wish they fulfil."""
    return [tuple(row) for row in await conn.fetch(DUE_ORDERS, channel_id, now, limit)]


POSTPONE_ORDERS = """
update order_look set tries = least(tries + 1, 30),
    not_before = $3::timestamptz + make_interval(secs => least($4 * 2.0 ^ tries, $5))
where channel_id = $1 and order_id = any($2::text[])
"""


async def postpone_orders(
    conn: Connection,
    channel_id: int,
    orders: Sequence[str],
    now: datetime,
    low_s: float,
    high_s: float,
) -> None:
    """Fetch these later, each time later, after a pause between these."""
    await conn.execute(POSTPONE_ORDERS, channel_id, orders, now, low_s, high_s)


ORDERS_LOOKED = """
delete from order_look k using unnest($2::text[], $3::bigint[]) as g(order_id, wish)
where k.channel_id = $1 and k.order_id = g.order_id and k.wish = g.wish
"""


async def orders_looked(
    conn: Connection, channel_id: int, fetched: Sequence[tuple[str, int]]
) -> None:
    """These were fetched and booked; a wish made meanwhile stays."""
    await conn.execute(ORDERS_LOOKED, channel_id, [f[0] for f in fetched], [f[1] for f in fetched])


@dataclass(frozen=True, slots=True)
class Wish:
    """Something another process asks the daemon to do."""

    id: int
    kind: str
    channel: str | None
    skus: list[str] | None
    plan_id: int | None
    actor: str
    args: str
    """What else was asked, as JSON."""

    @property
    def said(self) -> dict[str, Any]:
        """What else was asked."""
        found: dict[str, Any] = json.loads(self.args)
        return found


ASK = """
insert into wish (kind, channel, skus, asked_at, plan_id, actor, args)
values ($1, $2, $3, $4, $5, $6, $7::jsonb) returning id
"""
RING = "notify syncd"


async def ask(
    conn: Connection,
    kind: str,
    channel: str | None,
    skus: Sequence[str] | None,
    now: datetime,
    *,
    plan_id: int | None = None,
    actor: str = "",
    args: Mapping[str, object] = MappingProxyType({}),
) -> int:
    """Ask the daemon for a sweep, push, seed, retry or the making of a plan; gives the wish's id."""
    said = json.dumps(dict(args))
    found: int = await conn.fetchval(ASK, kind, channel, skus, now, plan_id, actor, said)
    await conn.execute(RING)
    return found


async def knock(conn: Connection) -> None:
    """Tell every daemon on this database that there is news."""
    await conn.execute(RING)


TAKE_WISH = """
update wish set started_at = $1 where id = (
    select id from wish where done_at is null and started_at is null
    order by id limit 1 for update skip locked)
returning id, kind, channel, skus, plan_id, actor, args::text as args
"""


async def take_wish(conn: Connection, now: datetime) -> Wish | None:
    """The oldest wish nobody has started; None: there is none."""
    row = await conn.fetchrow(TAKE_WISH, now)
    return Wish(*row) if row else None


RESTART_WISHES = "update wish set started_at = null where done_at is null"


async def restart_wishes(conn: Connection) -> None:
    """Wishes that a daemon had started when it ended are begun again."""
    await conn.execute(RESTART_WISHES)


WISH_DONE = "update wish set done_at = $2, result = $3::jsonb where id = $1"


async def wish_done(
    conn: Connection, wish_id: int, result: dict[str, object], now: datetime
) -> None:
    """A wish ended, with what became of it."""
    await conn.execute(WISH_DONE, wish_id, now, json.dumps(result))


MADE = "update wish set args = args || jsonb_build_object('made', $2::bigint) where id = $1"


async def made(conn: Connection, wish_id: int, plan_id: int) -> None:
    """A wish goes on with this plan, whoever begins it again."""
    await conn.execute(MADE, wish_id, plan_id)


WISH_RESULT = "select result from wish where id = $1 and done_at is not null"


async def wish_result(conn: Connection, wish_id: int) -> dict[str, object] | None:
    """What became of a wish; None while it is not done."""
    found = await conn.fetchval(WISH_RESULT, wish_id)
    return json.loads(found) if found else None


PARTITIONS = """
select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = $1::regclass
"""

LOOK_AHEAD = timedelta(days=10)
"""Partitions are made this long before they are needed: a daemon asleep over a holiday finds them."""


def _week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(day: date) -> date:
    return day.replace(day=1)


def _spans(table: str, today: date) -> list[tuple[date, date]]:
    last = today + LOOK_AHEAD
    spans: list[tuple[date, date]] = []
    if table == "inbox":
        begin, step = today - timedelta(days=1), timedelta(days=1)
        while begin <= last:
            spans.append((begin, begin + step))
            begin += step
        return spans
    if table == "delivery_seen":
        begin = _week(today - timedelta(days=1))
        while begin <= last:
            spans.append((begin, begin + timedelta(days=7)))
            begin += timedelta(days=7)
        return spans
    begin = _month(today - timedelta(days=1))
    while begin <= last + timedelta(days=31):
        end = _month(begin + timedelta(days=32))
        spans.append((begin, end))
        begin = end
    return spans


PARTITIONED = ("delivery_seen", "inbox", "journal")


async def ensure_partitions(conn: Connection, today: date) -> int:
    """Make the partitions of the next days that are missing; gives how many were made."""
    made = 0
    for table in PARTITIONED:
        there = {row[0] for row in await conn.fetch(PARTITIONS, table)}
        for begin, end in _spans(table, today):
            name = f"{table}_{begin:%Y%m%d}"
            if name not in there:
                await conn.execute(
                    f"create table if not exists {name} partition of {table} "
                    f"for values from ('{begin}') to ('{end}')"
                )
                made += 1
    return made


async def drop_partitions(conn: Connection, table: str, before: date) -> list[str]:
    """Drop partitions of `table` that hold nothing from `before` on; gives their names.

    An inbox day with an event still waiting or parked is kept.
    """
    if table not in PARTITIONED:
        raise ValueError(table)
    dropped = []
    for row in await conn.fetch(PARTITIONS, table):
        name = str(row[0])
        begin = datetime.strptime(name.rsplit("_", 1)[1], "%Y%m%d").date()  # noqa: DTZ007 - a date
        ends = {"inbox": 1, "delivery_seen": 7, "journal": 31}[table]
        if begin + timedelta(days=ends) > before:
            continue
        if table == "inbox" and await conn.fetchval(INBOX_DAY_BUSY, begin, begin + timedelta(1)):
            continue
        await conn.execute(f"drop table if exists {name}")
        dropped.append(name)
    return dropped


INBOX_DAY_BUSY = """
select exists (select from inbox_queue where received_at >= $1::date and received_at < $2::date)
    or exists (select from inbox_parked where received_at >= $1::date and received_at < $2::date)
"""
