"""The columns of a `Standing`, for every statement that reads levels: all inputs of a target at once.

They stand first in a statement's columns, and its row is a `Standing` with fields of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db.pool import Connection


def columns(pair: str, level: str) -> str:
    """The columns of a `Standing`; `pair` and `level` are aliases of rows in the statement.

    `pair` has item_id and warehouse_id, `level` the quantity. Every column is one look into an
    index, and null where there is nothing. Read them after the shelves are locked: nobody changes
    what they tell until the transaction ends.
    """
    return f"""
    {level}.quantity,
    (select array_agg(array[x.listing_id, x.own, x.others]) from (
        select listing_id, own, others from suspicion
        where item_id = {pair}.item_id and warehouse_id = {pair}.warehouse_id
        union all
        select listing_id, proposal, least(0, (select min(c) from unnest(candidates) c))
        from suspense
        where item_id = {pair}.item_id and warehouse_id = {pair}.warehouse_id
          and resolved_at is null and counted) x) as suspects,
    (select array_agg(array[r.channel_id::bigint, r.sold, r.hours::bigint, r.unseen]) from sales r
     where r.item_id = {pair}.item_id and r.warehouse_id = {pair}.warehouse_id) as sales,
    (select array_agg(array[a.channel_id::bigint, a.units]) from account a
     where a.item_id = {pair}.item_id and a.warehouse_id = {pair}.warehouse_id) as accounts"""


DATE = """
update level v set changed_at = $3 from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
where v.item_id = g.item_id and v.warehouse_id = g.warehouse_id and v.changed_at <> $3
"""


async def date(conn: Connection, keys: Sequence[tuple[int, int]], now: datetime) -> None:
    """What the targets of these locked (item, warehouse) pairs are made from changed at `now`.

    A blind raise waits for an order fetch that began after it, and what was refused is tried again.
    """
    await conn.execute(DATE, [k[0] for k in keys], [k[1] for k in keys], now)
