"""Lines of orders that are told by location, and were not before: they go on from what they hold."""

from __future__ import annotations

from dataclasses import replace

from syncd.db.ledger import LineRow
from syncd.stock.model import LineSeen, OrderSeen
from syncd.stock.orders import LineKnown, carried


def told_by_location(seen: OrderSeen, rows: dict[tuple[str, str], LineRow]) -> list[LineSeen]:
    """Lines known without a location and told by location now go on there; gives those left empty."""
    emptied = []
    for line_id in [line for (line, location), _ in rows.items() if not location]:
        lines = sorted((x for x in seen.lines if x.line == line_id), key=lambda line: line.location)
        whole = rows[line_id, ""]
        if not lines or not lines[0].location or (line_id, lines[0].location) in rows:
            continue
        known = carried(LineKnown(whole.taken, whole.booked, whole.revision), lines)
        for line, state in zip(lines, known, strict=True):
            rows[line_id, line.location] = replace(
                whole,
                location=line.location,
                item_id=None,
                taken=state.taken,
                booked=state.booked,
                revision=state.revision,
                held=0,
                held_until=None,
                based=None,
                came_back=None,
            )
        rows[line_id, ""] = replace(whole, taken=0, booked=0)
        emptied.append(LineSeen(line_id, taken=0, kept=0))
    return emptied
