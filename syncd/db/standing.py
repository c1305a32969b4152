"""The columns of a `Standing`, for every statement that reads levels: all inputs of a target at once.

They stand first in a statement's columns, and its row is a `Standing` with fields of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.db.pool import Connection


def columns(pair: str, level: str, *, moved: bool = False) -> str:
    """The columns of a `Standing`; `pair` and `level` are aliases of rows in the statement.

    `pair` has item_id and warehouse_id, `level` the quantity. Every column is one look into an
    index, and null where there is nothing. Read them after the shelves are locked: nobody changes
    what they tell until the transaction ends. The quantity of a bundle is null while one of its
    components is not counted there, but for a level that was just `moved`.
    """
    made = f"""case when {is_bundle(pair)} then (
        select case when bool_and(x.item_id is not null) then coalesce({level}.quantity, 0) end
        {_components(pair)}) else {level}.quantity end"""
    return f"""
    {f"{level}.quantity" if moved else made} as quantity,
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
     where a.item_id = {pair}.item_id and a.warehouse_id = {pair}.warehouse_id) as accounts,
    case when exists (select from place d where d.warehouse_id = {pair}.warehouse_id and d.divided) then (
        select array_agg(array[b.channel_id::bigint, b.id, d.position::bigint, h.shown])
        from listing b
        join place d on d.channel_id = b.channel_id and d.location = b.location and d.divided
        join shelf h on h.listing_id = b.id
        where b.item_id = {pair}.item_id and b.warehouse_id = {pair}.warehouse_id
          and b.gone_at is null and b.skip = '' and b.managed) end as places,
    (select array_agg(array[p.component_id, p.units, {_left("x")}] order by p.component_id)
        {_components(pair)}) as parts,
    (select array_agg(array[p.component_id, a.channel_id::bigint, a.units])
     from component p join account a on a.item_id = p.component_id
     where p.bundle_id = {pair}.item_id and a.warehouse_id = {pair}.warehouse_id) as part_accounts,
    (select array_agg(array[x.listing_id, x.own, x.units]) from (
        select coalesce(listing_id, 0) as listing_id,
            sum(least(held, greatest(taken - booked, 0)))::bigint as own, sum(held)::bigint as units
        from order_line
        where item_id = {pair}.item_id and warehouse_id = {pair}.warehouse_id and held <> 0
        group by 1) x) as holds"""


def is_bundle(pair: str) -> str:
    """Whether an item of a row in the statement is a bundle."""
    return f"exists (select from component y where y.bundle_id = {pair}.item_id)"


def counts(pair: str, level: str) -> str:
    """Whether an item may have a standing there: it has a level, or is a bundle."""
    return f"({level}.item_id is not null or {is_bundle(pair)})"


def changed_at(pair: str, level: str) -> str:
    """When what a target is made from was booked last: a bundle's is its newest component's."""
    return f"""greatest({level}.changed_at, (
        select max(greatest(x.changed_at, (
            select b.changed_at from bundle b where b.item_id = p.bundle_id)))
        {_components(pair)}))"""


def _components(pair: str) -> str:
    """The components `p` of a bundle, and their levels `x` where it is made."""
    return f"""from component p
        left join level x on x.item_id = p.component_id and x.warehouse_id = {pair}.warehouse_id
        where p.bundle_id = {pair}.item_id"""


def _left(level: str) -> str:
    """What is left to sell of a component: its level less what is promised or may be sold unseen."""
    return f"""{level}.quantity + coalesce((select sum(s.others) from (
            select others from suspicion
            where item_id = {level}.item_id and warehouse_id = {level}.warehouse_id
            union all
            select least(0, (select min(c) from unnest(candidates) c)) from suspense
            where item_id = {level}.item_id and warehouse_id = {level}.warehouse_id
              and resolved_at is null and counted) s), 0)::bigint - coalesce((
            select sum(r.unseen) from sales r
            where r.item_id = {level}.item_id and r.warehouse_id = {level}.warehouse_id), 0)::bigint
            - coalesce((select sum(o.held) from order_line o
            where o.item_id = {level}.item_id and o.warehouse_id = {level}.warehouse_id
              and o.held <> 0), 0)::bigint"""


DATE = """
update level v set changed_at = $3 from unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
where v.item_id = g.item_id and v.warehouse_id = g.warehouse_id and v.changed_at <> $3
"""


async def date(conn: Connection, keys: Sequence[tuple[int, int]], now: datetime) -> None:
    """What the targets of these locked (item, warehouse) pairs are made from changed at `now`.

    A blind raise waits for an order fetch that began after it, and what was refused is tried again.
    """
    await conn.execute(DATE, [k[0] for k in keys], [k[1] for k in keys], now)
