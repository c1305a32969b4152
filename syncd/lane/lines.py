"""Journal lines about writes: what became of each row, and what its number was made from."""

from __future__ import annotations

import json
from collections.abc import Sequence

from syncd.connectors.base import RowResult
from syncd.db.attempts import OpenRow
from syncd.db.journal import Line
from syncd.stock.model import Reading
from syncd.stock.settle import Outcome

_TOLD = {
    Outcome.APPLIED: "delivered",
    Outcome.REFUSED: "parked",
    Outcome.STALE: "stale",
}


def line_of(channel_id: int, row: OpenRow, result: RowResult) -> Line:
    """What became of one row of a write."""
    return Line(
        _TOLD.get(result.outcome, "again"),
        row.sku,
        channel_id,
        row.listing_id,
        row.from_quantity,
        row.to_quantity,
        result.reason,
        made_of(row),
    )


def made_of(row: OpenRow) -> dict[str, object]:
    """Which write it was and what its number was made from: told, since the attempt goes.

    `policy.retold(level, inputs)` makes the number again; without `inputs` the level alone made it.
    """
    made: dict[str, object] = {"attempt": str(row.attempt_id), "op": row.op, "level": row.level}
    if row.inputs is not None:
        made["inputs"] = json.loads(row.inputs)
    return made


def unconfirmed(channel_id: int, row: OpenRow, reading: Reading) -> Line:
    """A write that nobody answered, and what its listing shows now that it can land no more."""
    return Line(
        "unconfirmed",
        row.sku,
        channel_id,
        row.listing_id,
        row.to_quantity,
        reading.quantity,
        "a write without an answer was settled by a reading after its late window",
        made_of(row),
    )


def zeroed(rows: Sequence[OpenRow], results: Sequence[RowResult]) -> list[tuple[int, str]]:
    """Listings (with sku) that were just confirmed to show 0."""
    return [
        (row.listing_id, row.sku)
        for row, result in zip(rows, results, strict=True)
        if result.outcome is Outcome.APPLIED and row.to_quantity == 0
    ]
