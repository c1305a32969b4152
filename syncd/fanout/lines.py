"""Lines of orders: which item each is, what is stored of it, and the components a bundle's line takes.

A bundle's line moves the shelf it was sold from; what the ledger owes for it, its parts hold: a line of
its own for each component, by the units that a bundle had when the line was first booked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from syncd.db import bundles, catalog, ledger
from syncd.db.catalog import LineFound, LineWanted
from syncd.db.ledger import LineRow
from syncd.db.pool import Connection
from syncd.fanout.places import told_by_location
from syncd.fanout.states import Order
from syncd.stock.match import Rule
from syncd.stock.model import LineSeen, OrderSeen

NOTHING_HELD: dict[str, Any] = {"held": 0, "held_until": None, "based": None, "came_back": None}

LineKey = tuple[int, str, str, str]
"""(channel, order, line, location)."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A line of an order and what it is. `fresh`: its order was not known before.

    `part`: the component of a bundle that it is, `units` in one; 0: the line itself.
    """

    order: Order
    line: LineSeen
    found: LineFound
    before: LineRow | None
    fresh: bool
    part: int = 0
    units: int = 1

    @property
    def key(self) -> LineKey:
        return self.order.rules.id, self.order.seen.order, self.line.line, self.line.location

    @property
    def uncounted(self) -> bool:
        """True where its item is not known or has no level."""
        return skip_reason(self.found) in ("unlinked", "not_seeded")


def skip_reason(found: LineFound) -> str:
    """Why nothing can be booked for a line; empty: it can, or its parts are asked instead."""
    if found.item_id is None:
        return "unlinked"
    if found.warehouse_id is None:
        return "unmapped"
    return "" if found.seeded_at is not None or found.bundle else "not_seeded"


async def resolved(conn: Connection, orders: Sequence[tuple[Order, bool]]) -> list[Resolved]:
    """Every line of these orders, with those that vanished and hold nothing now; bundles and parts."""
    stored: dict[tuple[int, str], dict[tuple[str, str], LineRow]] = defaultdict(dict)
    held: dict[LineKey, list[LineRow]] = defaultdict(list)
    known = {(o.rules.id, o.seen.order) for o, fresh in orders if not fresh}
    if known:
        for row in await ledger.lines(conn, sorted(known)):
            if row.part:
                held[row.channel_id, row.order_id, row.line_id, row.location].append(row)
            else:
                stored[row.channel_id, row.order_id][row.line_id, row.location] = row
    pairs = []
    for order, _ in orders:
        key = order.rules.id, order.seen.order
        rows = stored.get(key, {})
        emptied = told_by_location(order.seen, rows) if rows else []
        if emptied and held:
            _carry_parts(key, rows, held, emptied)
        pairs += [(order, line) for line in (*_all_lines(order.seen, rows), *emptied)]
    found = await catalog.resolve(conn, [_wanted(order, line) for order, line in pairs])
    lines = []
    for (order, line), what in zip(pairs, found, strict=True):
        key = order.rules.id, order.seen.order
        before = stored.get(key, {}).get((line.line, line.location))
        parts = held.get((*key, line.line, line.location))
        found_now = _as_booked(what, before, parts)
        told = line if what.managed else replace(line, sold=None, waits=0)
        lines.append(Resolved(order, told, found_now, before, fresh=key not in known))
    if any(x.found.bundle for x in lines):
        lines += await _parts(conn, [x for x in lines if x.found.bundle], held)
    return lines


def _as_booked(
    found: LineFound, before: LineRow | None, parts: Sequence[LineRow] | None
) -> LineFound:
    """A line stays with the item it was booked on, whatever its listing is called now.

    One that was booked by parts stays so, and one that was not too, whatever its item is now.
    """
    if before is None or before.item_id is None:
        bundle = (found.bundle or bool(parts)) and found.warehouse_id is not None
        return replace(found, bundle=bundle) if bundle != found.bundle else found
    return replace(
        found,
        listing_id=before.listing_id,
        item_id=before.item_id,
        warehouse_id=before.warehouse_id,
        seeded_at=before.seeded_at,
        bundle=bool(parts),
    )


def _all_lines(seen: OrderSeen, stored: dict[tuple[str, str], LineRow]) -> Iterable[LineSeen]:
    # an order that names a line twice means the last
    present = {(line.line, line.location): line for line in seen.lines}
    yield from present.values()
    for (line_id, location), row in stored.items():
        if (line_id, location) not in present and (row.taken or row.held):
            yield LineSeen(line_id, taken=0, kept=0, location=location, sold=0)


def _wanted(order: Order, line: LineSeen) -> LineWanted:
    return LineWanted(
        order.rules.id,
        line.location,
        line.remote,
        line.alias,
        line.sku,
        order.rules.warehouse_of(line.location),
        Rule.SKU in order.rules.match,
    )


# --- bundles ---


async def _parts(
    conn: Connection, lines: Sequence[Resolved], held: Mapping[LineKey, Sequence[LineRow]]
) -> list[Resolved]:
    """The components of these lines of bundles, each as a line of its own."""
    new = sorted({x.found.item_id for x in lines if x.key not in held and x.found.item_id})
    made_of = await bundles.components(conn, new) if new else {}
    rows = [
        (x, row)
        for x in lines
        for row in held.get(x.key) or _begun(x, made_of.get(x.found.item_id or 0, ()))
    ]
    fresh = sorted({key for x, row in rows if row.seeded_at is None and (key := _level(x, row))})
    seeded = await bundles.seeded(conn, fresh) if fresh else {}
    return [_part(x, row, seeded) for x, row in rows]


def _begun(x: Resolved, made_of: Iterable[tuple[int, int]]) -> list[LineRow]:
    """What is known of the parts of a line that has none yet: they hold what it held without them."""
    held = x.before
    return [
        LineRow(
            *x.key,
            None,
            component,
            x.found.warehouse_id,
            held.taken * units if held else 0,
            held.booked * units if held else 0,
            0,
            component,
            units,
        )
        for component, units in made_of
    ]


def _level(x: Resolved, row: LineRow) -> tuple[int, int] | None:
    warehouse_id = row.warehouse_id or x.found.warehouse_id
    return (row.part, warehouse_id) if warehouse_id is not None else None


def _part(x: Resolved, row: LineRow, seeded: Mapping[tuple[int, int], datetime]) -> Resolved:
    key = _level(x, row)
    assert key is not None
    seen, units = x.line, row.units
    line = replace(
        seen,
        taken=seen.taken * units,
        kept=seen.kept * units,
        sold=None if seen.sold is None else seen.sold * units,
        waits=seen.waits * units,
    )
    found = LineFound(None, *key, row.seeded_at or seeded.get(key), bundle=False)
    return Resolved(x.order, line, found, row, x.fresh, row.part, row.units)


def _carry_parts(
    key: tuple[int, str],
    rows: Mapping[tuple[str, str], LineRow],
    held: dict[LineKey, list[LineRow]],
    emptied: Sequence[LineSeen],
) -> None:
    """Parts of lines that are told by location now, and were not before, go on with them."""
    for line in emptied:
        whole = held.get((*key, line.line, ""))
        if not whole:
            continue
        for (line_id, location), row in rows.items():
            if line_id == line.line and location and (*key, line_id, location) not in held:
                held[*key, line_id, location] = [
                    replace(
                        part,
                        location=location,
                        warehouse_id=None,
                        taken=row.taken * part.units,
                        booked=row.booked * part.units,
                        revision=0,
                        seeded_at=None,
                        **NOTHING_HELD,
                    )
                    for part in whole
                ]
        held[*key, line.line, ""] = [replace(part, taken=0, booked=0) for part in whole]
