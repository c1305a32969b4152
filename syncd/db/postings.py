"""Postings: movements as a WMS, an ERP or a till posted them, and which of them wait for an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection

ALONE = "select pg_advisory_xact_lock(7312, $1)"


async def alone(conn: Connection, channel_id: int) -> None:
    """One at a time posts for a channel: whoever asks what is known of a cause is then sure."""
    await conn.execute(ALONE, channel_id)


@dataclass(frozen=True, slots=True)
class Posting:
    """A posted movement with what is booked of it."""

    channel_id: int
    cause: str
    item_id: int
    warehouse_id: int
    post: str
    delta: int | None
    order_channel_id: int | None
    order_ref: str
    standing: str
    booked: int
    revision: int
    digest: bytes
    actor: str
    note: str
    occurred_at: datetime
    suspense_id: int | None = None
    """The question it became, if it did."""


COLUMNS = """
    p.channel_id, p.cause, p.item_id, p.warehouse_id, p.post, p.delta, p.order_channel_id,
    p.order_ref, p.standing, p.booked, p.revision, p.digest, p.actor, p.note, p.occurred_at, p.suspense_id
"""

FIND = f"""
select {COLUMNS}
from unnest($2::text[], $3::bigint[], $4::int[]) as g(cause, item_id, warehouse_id)
join posting p on p.channel_id = $1 and p.cause = g.cause and p.item_id = g.item_id
    and p.warehouse_id = g.warehouse_id
"""


async def find(
    conn: Connection, channel_id: int, keys: Sequence[tuple[str, int, int]]
) -> dict[tuple[str, int, int], Posting]:
    """What was posted before under these (cause, item, warehouse)."""
    columns = [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys]
    found = [Posting(*row) for row in await conn.fetch(FIND, channel_id, *columns)]
    return {(p.cause, p.item_id, p.warehouse_id): p for p in found}


KEEP = """
insert into posting (channel_id, cause, item_id, warehouse_id, post, delta, order_channel_id, order_ref,
                     standing, booked, revision, digest, actor, note, occurred_at, recorded_at)
select g.*, $16 from unnest($1::int[], $2::text[], $3::bigint[], $4::int[], $5::text[], $6::bigint[],
    $7::int[], $8::text[], $9::text[], $10::bigint[], $11::int[], $12::bytea[], $13::text[],
    $14::text[], $15::timestamptz[]) as g
"""


async def keep(conn: Connection, made: Sequence[Posting], now: datetime) -> None:
    """Store postings that were not known."""
    await conn.execute(
        KEEP,
        [p.channel_id for p in made],
        [p.cause for p in made],
        [p.item_id for p in made],
        [p.warehouse_id for p in made],
        [p.post for p in made],
        [p.delta for p in made],
        [p.order_channel_id for p in made],
        [p.order_ref for p in made],
        [p.standing for p in made],
        [p.booked for p in made],
        [p.revision for p in made],
        [p.digest for p in made],
        [p.actor for p in made],
        [p.note for p in made],
        [p.occurred_at for p in made],
        now,
    )


REVISE = """
update posting p set standing = g.standing, booked = g.booked, revision = g.revision,
    suspense_id = g.suspense_id
from unnest($1::int[], $2::text[], $3::bigint[], $4::int[], $5::text[], $6::bigint[], $7::int[],
            $8::bigint[])
    as g(channel_id, cause, item_id, warehouse_id, standing, booked, revision, suspense_id)
where p.channel_id = g.channel_id and p.cause = g.cause and p.item_id = g.item_id
  and p.warehouse_id = g.warehouse_id
"""


async def revise(conn: Connection, changed: Sequence[Posting]) -> None:
    """What is booked of postings now, and how they stand."""
    await conn.execute(
        REVISE,
        [p.channel_id for p in changed],
        [p.cause for p in changed],
        [p.item_id for p in changed],
        [p.warehouse_id for p in changed],
        [p.standing for p in changed],
        [p.booked for p in changed],
        [p.revision for p in changed],
        [p.suspense_id for p in changed],
    )


KNOWN_ORDERS = """
select g.channel_id, g.ref
from unnest($1::int[], $2::text[]) as g(channel_id, ref)
where exists (
    select from sales_order o
    where o.order_id = g.ref and o.channel_id = any($3::int[])
      and (g.channel_id is null or o.channel_id = g.channel_id))
or exists (
    select from sales_order o
    where o.number in (g.ref, '#' || g.ref) and o.number <> '' and o.channel_id = any($3::int[])
      and (g.channel_id is null or o.channel_id = g.channel_id))
"""


async def known_orders(
    conn: Connection, named: Sequence[tuple[int | None, str]], booked_channels: Sequence[int]
) -> set[tuple[int | None, str]]:
    """Those of these orders (channel or None for any, id or number) that were heard of."""
    rows = await conn.fetch(
        KNOWN_ORDERS, [n[0] for n in named], [n[1] for n in named], booked_channels
    )
    return {(row[0], row[1]) for row in rows}


@dataclass(frozen=True, slots=True)
class Gone:
    """Units that left for one order, as posted before."""

    order_channel_id: int | None
    order_ref: str
    item_id: int
    warehouse_id: int
    picked: int
    shipped: int


GONE_OUT = """
select p.order_channel_id, p.order_ref, p.item_id, p.warehouse_id,
    coalesce((-sum(p.delta) filter (where p.post = 'pick')), 0)::bigint as picked,
    coalesce((-sum(p.delta) filter (where p.post = 'shipment')), 0)::bigint as shipped
from (select distinct g.ref, g.item_id, g.warehouse_id
      from unnest($1::text[], $2::bigint[], $3::int[]) as g(ref, item_id, warehouse_id)) g
join posting p on p.order_ref = g.ref and p.order_ref <> '' and p.item_id = g.item_id
    and p.warehouse_id = g.warehouse_id
group by p.order_channel_id, p.order_ref, p.item_id, p.warehouse_id
"""


async def gone_out(conn: Connection, wanted: Sequence[tuple[str, int, int]]) -> list[Gone]:
    """What left for these (order, item, warehouse) before."""
    columns = [w[0] for w in wanted], [w[1] for w in wanted], [w[2] for w in wanted]
    return [Gone(*row) for row in await conn.fetch(GONE_OUT, *columns)]


HEARD_NOW = f"""
select {COLUMNS}
from posting p
where p.standing in ('provisional', 'suspense', 'answered') and (
    exists (select from sales_order o where o.order_id = p.order_ref
            and o.channel_id = any($1::int[])
            and (p.order_channel_id is null or o.channel_id = p.order_channel_id))
    or exists (select from sales_order o
               where o.number in (p.order_ref, '#' || p.order_ref) and o.number <> ''
               and o.channel_id = any($1::int[])
               and (p.order_channel_id is null or o.channel_id = p.order_channel_id)))
order by p.recorded_at limit $2
"""


async def heard_now(conn: Connection, booked_channels: Sequence[int], limit: int) -> list[Posting]:
    """Postings that waited for an order which was heard of meanwhile."""
    return [Posting(*row) for row in await conn.fetch(HEARD_NOW, booked_channels, limit)]


OVERDUE = f"""
select {COLUMNS}
from posting p where p.standing = 'provisional' and p.recorded_at < $1
order by p.recorded_at limit $2
"""


async def overdue(conn: Connection, before: datetime, limit: int) -> list[Posting]:
    """Postings whose order was not heard of for too long."""
    return [Posting(*row) for row in await conn.fetch(OVERDUE, before, limit)]


ASKED = f"""
select {COLUMNS}
from posting p where p.suspense_id = $1 and p.standing in ('suspense', 'answered')
"""


async def asked(conn: Connection, suspense_id: int) -> list[Posting]:
    """The posting behind a question."""
    return [Posting(*row) for row in await conn.fetch(ASKED, suspense_id)]


ANSWERED = """
update posting set standing = 'answered'
where suspense_id = any($1::bigint[]) and standing = 'suspense'
"""


async def answered(conn: Connection, suspense_ids: Sequence[int]) -> None:
    """These questions are settled, and what is booked of their postings stays."""
    await conn.execute(ANSWERED, suspense_ids)


COUNTED_SINCE = """
update posting p set standing = 'kept' from level v
where p.standing = 'provisional' and p.recorded_at < $1 and v.item_id = p.item_id
  and v.warehouse_id = p.warehouse_id and v.counted_at >= p.occurred_at
"""


async def counted_since(conn: Connection, before: datetime) -> None:
    """Postings that waited too long but were counted since ask nobody: the count holds them."""
    await conn.execute(COUNTED_SINCE, before)
