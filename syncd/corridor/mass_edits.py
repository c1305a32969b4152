"""Many counts that people changed on a channel at once, where edits are overwritten: they wait for a person.

A few are brought back as they are found. Lowering what shows too much never waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.corridor.core import Channel, Core
from syncd.corridor.plans import end_hold, open_hold
from syncd.db import holds
from syncd.db.catalog import ListingNow
from syncd.db.pool import Connection
from syncd.fanout import Booking
from syncd.stock.model import Edits, Truth
from syncd.stock.plans import Effect, Radius, Reach, effect
from syncd.stock.rulebook import Asked

KIND = "mass_edit"


@dataclass(slots=True)
class MassEdits:
    """What one sweep has found so far; more than the radius never waits for is held as it comes."""

    core: Core
    channel: Channel
    radius: Radius
    found: int = 0
    plan_id: int | None = None
    held: int = field(default=0)

    async def hold(
        self, conn: Connection, booking: Booking, edited: Sequence[tuple[ListingNow, int]]
    ) -> None:
        """These listings showed another number than the known one, which was just booked as shown.

        Their shelves are locked.
        """
        rules = self.core.rulebook.channels[self.channel.id]
        if rules.truth is not Truth.ORDERS or rules.edits is not Edits.OVERWRITE:
            return
        ours = [now.listing_id for now, observed in edited if self._undoes(now, observed)]
        few = self.radius.least if self.radius.count is None else self.radius.count
        before, self.found = self.found, self.found + len(ours)
        if self.found <= few:
            return
        more = ours if before > few else ours[max(0, few - before) :]
        if self.plan_id is None:
            title = f"many counts were changed on {self.channel.name} at once"
            self.plan_id = await open_hold(conn, booking, self.channel, KIND, title)
        await holds.hold(conn, self.plan_id, sorted(more))
        self.held += len(more)

    def _undoes(self, now: ListingNow, observed: int) -> bool:
        """True where bringing a count back raises it, or ends what has never been at that number."""
        if now.shown is None or now.quantity is None or now.warehouse_id is None or now.skip:
            return False
        rules = self.core.rulebook.channels[self.channel.id]
        if rules.leaves_out(now.sku, now.withheld):
            return False
        none = self.core.rulebook.shows_none(now.warehouse_id, orphaned=now.orphaned)
        wants = rules.target_of(Asked(now.listing_id, now.sku, now.warehouse_id, none), now)
        match effect(observed, wants):
            case Effect.RAISED:
                return True
            case Effect.ZEROED:
                return wants != now.shown
        return False

    async def end(self, listings: int) -> None:
        """The sweep is over: what is not too much after all goes at once."""
        if self.plan_id is None:
            return
        if not self.radius.exceeded(Reach(listings, raised=self.found)):
            await end_hold(self.core, self.plan_id, KIND, "syncd", "few enough")
