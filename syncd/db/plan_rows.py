"""The rows of plans: stored by the thousand, judged together, made piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.db.pool import Connection


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row before it is stored; its position is its place among all."""

    source_row: int
    sku: str
    item_id: int | None
    warehouse_id: int
    quantity: int | None = None
    seen: int | None = None
    units: int | None = None
    counted_at: datetime | None = None
    counted: str = "available"
    listing_id: int | None = None


ROW_COLUMNS = (
    "plan_id", "position", "source_row", "sku", "item_id", "warehouse_id", "quantity", "seen",
    "units", "counted_at", "counted", "listing_id",
)  # fmt: skip


async def copy_rows(conn: Connection, plan_id: int, first: int, rows: Sequence[NewRow]) -> None:
    """Store rows of a plan that is being loaded, from position `first` on."""
    await conn.copy_records_to_table(
        "plan_row",
        columns=ROW_COLUMNS,
        records=[
            (
                plan_id, first + n, r.source_row, r.sku, r.item_id, r.warehouse_id, r.quantity,
                r.seen, r.units, r.counted_at, r.counted, r.listing_id,
            )
            for n, r in enumerate(rows)
        ],
    )  # fmt: skip


TWICE = """
select sku, warehouse_id, array_agg(source_row order by source_row) as source_rows
from plan_row where plan_id = $1
group by sku, warehouse_id having count(*) > 1
order by min(source_row) limit $2
"""


async def twice(conn: Connection, plan_id: int, limit: int) -> list[tuple[str, int, list[int]]]:
    """Skus that a plan counts more than once in one warehouse, with their rows in the file."""
    return [tuple(row) for row in await conn.fetch(TWICE, plan_id, limit)]


LOST_ZEROS = """
select r.source_row, r.sku, min(i.sku) from plan_row r
join item i on ltrim(i.sku, '0') = r.sku
where r.plan_id = $1 and r.item_id is null and r.sku ~ '^[1-9][0-9]*$' and i.sku <> r.sku
group by r.source_row, r.sku order by r.source_row limit $2
"""


async def lost_zeros(conn: Connection, plan_id: int, limit: int) -> list[tuple[int, str, str]]:
    """New skus of a plan that differ from a known one by leading zeros: (row, sku, known)."""
    return [tuple(row) for row in await conn.fetch(LOST_ZEROS, plan_id, limit)]


LIKELY = """
select g.sku, min(i.sku) from unnest($1::text[]) as g(sku)
join item i on ltrim(i.sku, '0') = g.sku
where i.sku <> g.sku group by g.sku
"""


async def likely_skus(conn: Connection, skus: Sequence[str]) -> dict[str, str]:
    """Known skus that are these behind leading zeros. Reads every item."""
    return {row[0]: row[1] for row in await conn.fetch(LIKELY, skus)}


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A row of a plan beside the level as it is now; `quantity_now` None: not counted there yet.

    `later`: units booked of what happened after `counted_at`. `of_count`: the count that an undo takes
    back, or lets hold again. `listing_id`, `began_at`: the edit that a push rejected.
    """

    position: int
    source_row: int
    sku: str
    item_id: int | None
    warehouse_id: int
    warehouse: str
    quantity: int | None
    seen: int | None
    units: int | None
    counted_at: datetime | None
    delta: int | None
    first: bool
    applied_at: datetime | None
    counted: str
    of_count: str | None
    listing_id: int | None
    began_at: datetime | None
    quantity_now: int | None
    later: int


ROWS = """
select r.position, r.source_row, r.sku, r.item_id, r.warehouse_id, w.name as warehouse, r.quantity,
    r.seen, r.units, r.counted_at, r.delta, r.first, r.applied_at, r.counted, r.of_count, r.listing_id,
    r.began_at, v.quantity as quantity_now,
    coalesce(case when r.counted_at is not null and r.applied_at is null and v.changed_at > r.counted_at
        then (select sum(m.delta) from movement m
              where m.item_id = r.item_id and m.warehouse_id = r.warehouse_id
                and m.occurred_at > r.counted_at) end, 0)::bigint as later
from plan_row r
join warehouse w on w.id = r.warehouse_id
left join level v on v.item_id = r.item_id and v.warehouse_id = r.warehouse_id
where r.plan_id = $1 and r.position > $2
order by r.position limit $3
"""


async def rows(conn: Connection, plan_id: int, after: int, limit: int) -> list[PlanRow]:
    """A page of a plan's rows by position, beside the levels of now."""
    return [PlanRow(*row) for row in await conn.fetch(ROWS, plan_id, after, limit)]


BOOKED = """
update plan_row r set item_id = g.item_id, delta = g.delta, first = g.first, applied_at = $6
from unnest($2::int[], $3::bigint[], $4::bigint[], $5::boolean[]) as g(position, item_id, delta, first)
where r.plan_id = $1 and r.position = g.position
"""


async def booked(
    conn: Connection, plan_id: int, made: Sequence[tuple[int, int, int, bool]], now: datetime
) -> None:
    """Rows (position, item, units booked, as its first count) are made."""
    await conn.execute(BOOKED, plan_id, *map(list, zip(*made, strict=True)), now)


NEXT_OPEN = (
    "select coalesce(min(position), 0) from plan_row where plan_id = $1 and applied_at is null"
)


async def applied_through(conn: Connection, plan_id: int) -> int:
    """The position after which rows are to be made; the greatest there is where all are."""
    found: int = await conn.fetchval(NEXT_OPEN, plan_id)
    return found - 1
