"""Bundles: what each is made of, who said so, and what of its components is counted where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection
from syncd.db.standing import columns
from syncd.stock.bundles import PartStock, Stock
from syncd.stock.standing import Standing

LevelKey = tuple[int, int]
"""(item, warehouse)."""

ALONE = "select pg_advisory_xact_lock(7310, 15)"


async def alone(conn: Connection) -> None:
    """Nobody else changes what bundles are made of until this transaction ends."""
    await conn.execute(ALONE)


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A bundle; `components` and `units` of them in one stand in one order, by sku."""

    item_id: int
    sku: str
    source: str
    actor: str
    changed_at: datetime
    items: Sequence[int]
    components: Sequence[str]
    units: Sequence[int]

    @property
    def made_of(self) -> dict[str, int]:
        """Units in one bundle by sku."""
        return dict(zip(self.components, self.units, strict=True))


PAGE = """
select b.item_id, i.sku, b.source, b.actor, b.changed_at, array_agg(p.component_id order by c.sku) as items,
    array_agg(c.sku order by c.sku) as components, array_agg(p.units order by c.sku) as units
from bundle b
join item i on i.id = b.item_id
join component p on p.bundle_id = b.item_id
join item c on c.id = p.component_id
where i.sku > $1 and ($2::text[] is null or i.sku = any($2))
  and ($3::text is null or exists (
    select from component x join item y on y.id = x.component_id
    where x.bundle_id = b.item_id and y.sku = $3))
group by b.item_id, i.sku order by i.sku limit $4
"""


async def page(
    conn: Connection,
    after: str = "",
    *,
    skus: Sequence[str] | None = None,
    component: str | None = None,
    limit: int | None = None,
) -> list[BundleRow]:
    """Bundles by sku, from after one on: all, of these skus, or those that take this component."""
    return [BundleRow(*row) for row in await conn.fetch(PAGE, after, skus, component, limit)]


KINDS = """
select i.sku, i.id, (select string_agg(c.sku, ', ' order by c.sku)
    from component p join item c on c.id = p.component_id where p.bundle_id = i.id) as made_of
from item i where i.sku = any($1::text[])
"""


async def kinds(conn: Connection, skus: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Item ids by sku, of those that exist; and what those that are bundles are made of, in words."""
    rows = await conn.fetch(KINDS, skus)
    return {r[0]: r[1] for r in rows}, {r[0]: r[2] for r in rows if r[2] is not None}


AMONG = "select item_id from bundle where item_id = any($1::bigint[])"


async def among(conn: Connection, items: Sequence[int]) -> set[int]:
    """The bundles among these items."""
    return {row[0] for row in await conn.fetch(AMONG, items)}


COMPONENTS = """
select bundle_id, component_id, units from component where bundle_id = any($1::bigint[])
order by bundle_id, component_id
"""


async def components(conn: Connection, items: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """What these bundles are made of: (component, units), by bundle."""
    found: dict[int, list[tuple[int, int]]] = {}
    for bundle_id, component_id, units in await conn.fetch(COMPONENTS, items):
        found.setdefault(bundle_id, []).append((component_id, units))
    return found


SEEDED = """
select v.item_id, v.warehouse_id, v.seeded_at from level v
join unnest($1::bigint[], $2::int[]) as g(item_id, warehouse_id)
    on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
"""


async def seeded(conn: Connection, keys: Sequence[LevelKey]) -> dict[LevelKey, datetime]:
    """When items were first counted, of those (item, warehouse) pairs that are."""
    rows = await conn.fetch(SEEDED, [k[0] for k in keys], [k[1] for k in keys])
    return {(row[0], row[1]): row[2] for row in rows}


SAY = """
with said as (
    insert into bundle (item_id, source, actor, changed_at)
    select g.item_id, $2, $3, $4 from unnest($1::bigint[]) as g(item_id)
    on conflict (item_id) do update set
        source = excluded.source, actor = excluded.actor, changed_at = excluded.changed_at
    returning item_id
)
delete from component p using said s where p.bundle_id = s.item_id
"""
FILL = """
insert into component (bundle_id, component_id, units)
select * from unnest($1::bigint[], $2::bigint[], $3::int[])
"""


async def say(
    conn: Connection,
    made_of: Mapping[int, Mapping[int, int]],
    source: str,
    actor: str,
    now: datetime,
) -> None:
    """These items are bundles of these units (by component), whatever they were made of before.

    The caller is `alone`, and holds the shelves of all listings of all items named.
    """
    await conn.execute(SAY, sorted(made_of), source, actor, now)
    rows = [(b, c, units) for b, parts in made_of.items() for c, units in parts.items()]
    await conn.execute(FILL, *map(list, zip(*rows, strict=True)))


END = "delete from bundle where item_id = any($1::bigint[])"


async def end(conn: Connection, items: Sequence[int]) -> None:
    """These items are bundles no more. The caller holds what `say` says."""
    await conn.execute(END, items)


STOCK = f"""
select {columns("g", "v")}, g.item_id, w.name as warehouse
from (
    select item_id, warehouse_id from listing
    where item_id = any($1::bigint[]) and warehouse_id is not null and gone_at is null
    union
    select p.bundle_id, x.warehouse_id from component p join level x on x.item_id = p.component_id
    where p.bundle_id = any($1::bigint[])
) g
join warehouse w on w.id = g.warehouse_id
left join level v on v.item_id = g.item_id and v.warehouse_id = g.warehouse_id
order by g.item_id, w.name
"""


@dataclass(frozen=True, slots=True)
class StockRow(Standing):
    """How a bundle stands in a warehouse."""

    item_id: int
    warehouse: str


async def stock(conn: Connection, rows: Sequence[BundleRow]) -> list[tuple[BundleRow, list[Stock]]]:
    """These bundles, each as it stands wherever it is listed or a component is counted."""
    by_id = {row.item_id: row for row in rows}
    found: dict[int, list[Stock]] = {row.item_id: [] for row in rows}
    for there in [StockRow(*row) for row in await conn.fetch(STOCK, sorted(by_id))]:
        of = by_id[there.item_id]
        names = dict(zip(of.items, of.components, strict=True))
        parts = [PartStock(names[i], units, left) for i, units, left in there.parts or ()]
        found[there.item_id].append(Stock(there.warehouse, tuple(parts)))
    return [(row, found[row.item_id]) for row in rows]
