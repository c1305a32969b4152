"""What was owed at a past instant: the target of then against what a channel showed by then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from syncd.db import explain as rows_of
from syncd.db.explain import LineRow, ListingRow
from syncd.db.pool import Connection


async def own_since(
    conn: Connection,
    item_id: int,
    at: datetime,
    listings: Sequence[ListingRow],
    writes: Mapping[int | None, LineRow],
) -> dict[int, int]:
    """What channels moved on their own shelves since the newest write, where they list the item once."""
    places = Counter((row.channel_id, row.warehouse_id) for row in listings)
    asked = [
        (row.listing_id, row.channel_id, row.warehouse_id, writes[row.listing_id].at)
        for row in listings
        if row.warehouse_id is not None
        and row.listing_id in writes
        and places[row.channel_id, row.warehouse_id] == 1
    ]
    return await rows_of.own_since(conn, item_id, at, asked) if asked else {}
