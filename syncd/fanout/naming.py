"""The orders that posted movements name: which are known, which may still come, what left for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.db import postings
from syncd.db.pool import Connection
from syncd.fanout.booking import Booking
from syncd.fanout.recounting import LevelKey
from syncd.stock.model import Moved, OrderNamed
from syncd.stock.picks import FOR_ORDERS, GoneOut, Named

GoneKey = tuple[OrderNamed, LevelKey]


@dataclass(slots=True)
class Naming:
    """What is known of the orders that some movements name."""

    selling: list[int]
    known: set[tuple[int | None, str]]
    out: defaultdict[GoneKey, GoneOut] = field(default_factory=lambda: defaultdict(GoneOut))

    def of(self, one: Moved) -> Named:
        """What is known of the order this movement names."""
        if one.order is None:
            return Named.NOTHING
        if one.order.channel_id is not None and one.order.channel_id not in self.selling:
            return Named.FOREIGN
        if (one.order.channel_id, one.order.ref) in self.known:
            return Named.BOOKED
        return Named.UNHEARD if self.selling else Named.FOREIGN

    def gone(self, one: Moved, key: LevelKey) -> GoneOut:
        """What left before for the order it names."""
        return self.out[one.order, key] if one.order is not None else GoneOut()

    def left(self, one: Moved, key: LevelKey, delta: int) -> None:
        """It was heard."""
        if one.order is not None:
            self.out[one.order, key] = self.out[one.order, key].after(one.post, delta)

    async def learn_gone(self, conn: Connection, pieces: Sequence[tuple[Moved, LevelKey]]) -> None:
        """Ask what left before, where nobody books the order: what does not matter is not asked."""
        wanted = [
            (one.order.ref, *key)
            for one, key in pieces
            if one.order is not None and one.post in FOR_ORDERS and self.of(one) is Named.FOREIGN
        ]
        if wanted:
            for row in await postings.gone_out(conn, wanted):
                named = OrderNamed(row.order_ref, row.order_channel_id)
                key = row.item_id, row.warehouse_id
                self.out[named, key] = GoneOut(row.picked, row.shipped)


async def name_orders(conn: Connection, booking: Booking, moved: Sequence[Moved]) -> Naming:
    """Which of the orders that these name were heard of."""
    named = {one.order for one in moved if one.order is not None and one.post in FOR_ORDERS}
    selling = booking.rules.selling
    known: set[tuple[int | None, str]] = set()
    if named:
        asked = sorted(((o.channel_id, o.ref) for o in named), key=lambda x: (x[0] or 0, x[1]))
        known = await postings.known_orders(conn, asked, selling)
    return Naming(selling, known)
