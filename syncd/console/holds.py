"""What orders promise: units that nobody has paid for yet, and that no other channel may sell."""

from __future__ import annotations

from datetime import datetime

import msgspec

from syncd.console.paging import Paged, cut, key_of
from syncd.console.routes import Asked, get
from syncd.db import order_holds


class HoldsAsked(Paged, kw_only=True):
    """Units that orders promise, by channel and order."""

    channel: str | None = None
    sku: str | None = None


class HoldShown(msgspec.Struct):
    """Units of one line: the other listings are lowered by `units`, its own by those `taken` already.

    `until`: when nobody can pay it any more; null: as long as it is not cancelled.
    """

    channel: str
    order: str
    number: str
    line: str
    location: str
    sku: str
    warehouse: str
    units: int
    taken: int
    placed_at: datetime | None
    until: datetime | None


class Holds(msgspec.Struct):
    holds: list[HoldShown]
    next: str | None


async def list_holds(asked: Asked[HoldsAsked]) -> Holds:
    query = asked.query
    after = key_of(query, tuple[str, str, str, str, int]) or order_holds.START
    rows = await order_holds.open_holds(
        asked.conn, query.channel, query.sku, after, query.limit + 1
    )
    page, more = cut(rows, query, lambda x: (x.channel, x.order_id, x.line_id, x.location, x.part))
    return Holds(
        [
            HoldShown(
                x.channel,
                x.order_id,
                x.number,
                x.line_id,
                x.location,
                x.sku,
                x.warehouse,
                x.units,
                x.taken,
                x.placed_at,
                x.until,
            )
            for x in page
        ],
        more,
    )


ROUTES = (get("/holds", "What unpaid orders hold", list_holds, Holds, query=HoldsAsked),)
