"""Cutting a channel over: its last facts are booked by the old rule, then one transaction switches.

Until that transaction the old rule is in force, and a daemon that ends before it begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from syncd.connectors.budget import Priority
from syncd.corridor import Channel, Core, fetch_orders
from syncd.corridor.speaking import speak
from syncd.db import attempts, cutovers, shelf, suspense
from syncd.db.cutovers import Promised, RuleRow
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.db.shelf import ShelfChange
from syncd.db.suspense import Doubt
from syncd.errors import ChannelError, DatabaseAway
from syncd.fanout import Booking, owe_items, take_promised
from syncd.lane.fetching import Fetching
from syncd.lane.reading import Reading
from syncd.lane.writing import Writing
from syncd.stock.cutover import CutOver, InForceRule, unread
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.cutover")

PAUSE_S = 0.2
PATIENCE = timedelta(minutes=10)
"""What a platform does not answer in this time is put in suspense, and the rule is switched."""

ROUNDS = 40
"""An item that sells in each of so many rounds is not waited for: its last units are in suspense."""


class CuttingOver:
    """Cuts one channel over; its lane and its sweeps rest meanwhile."""

    def __init__(self, core: Core, channel: Channel, change: CutOver) -> None:
        self._core = core
        self._channel = channel
        self._change = change
        self._reading = Reading(core, channel)
        fetching = Fetching(core, channel)
        self._writing = Writing(core, channel, self._reading, fetching)
        self.switched = False
        """True once the new rule is in force."""
        self._until: datetime | None = None
        self._asked_at = core.clock()
        self._rounds = 0
        self._began_anew = False
        self._read: dict[int, int] = {}
        self._silent: set[int] = set()
        self._left: list[int] | None = None
        self._taken: dict[int, int] = {}

    async def run(self) -> None:
        """Return once the new rule is in force; its channel's events wait until it is booked by."""
        try:
            while True:
                if await self._try():
                    return
                await asyncio.sleep(PAUSE_S)
        except BaseException:
            self._core.paused.discard(self._channel.id)
            raise

    async def _try(self) -> bool:
        try:
            return await self.step()
        except DatabaseAway:
            return False
        except ChannelError as error:
            log.info("cutover.waits", channel=self._channel.name, reason=str(error))
            return await self._out_of_patience()

    async def step(self) -> bool:
        """Come nearer to the switch; True once it is made. Raises what the connector raises."""
        if self._until is None:
            await self._begin()
        if not await self._writes_are_settled():
            return await self._out_of_patience()
        self._core.paused.add(self._channel.id)
        await self._core.ended()
        self._asked_at = self._core.clock()
        if self._change.fetches:
            fetch = fetch_orders(self._core, self._channel, Priority.NORMAL)
            await speak(self._core, self._channel, fetch)
        if self._change.gaps:
            await self._tell_gaps()
        if self._change.enables and not self._began_anew:
            # what people changed while nobody looked belongs to no stretch
            await self._writing.inferring.abandon()
            self._began_anew = True
        await self._compare()
        if not self._left or self._rounds >= ROUNDS:
            await self._switch()
            return True
        await self._read_last()
        self._rounds += 1
        return await self._out_of_patience()

    async def _begin(self) -> None:
        now = self._core.clock()
        async with self._core.db.transaction("take_lane") as conn:
            self._writing.lease_gen = await attempts.take_lane(conn, self._channel.id, now)
        self._until = now + PATIENCE
        log.info("cutover.began", channel=self._channel.name, **told(self._change))

    async def _writes_are_settled(self) -> bool:
        """Open attempts are settled under the ids they were stored with, by their own answers."""
        while await self._writing.resume(lambda: None):
            pass
        async with self._core.db.statement("open_attempts") as conn:
            return not await cutovers.open_attempts(conn, self._channel.id)

    async def _compare(self) -> None:
        """Find the listings of which there is no last reading for certain, and what orders took."""
        async with self._core.db.statement("cutover_listings") as conn:
            ids = await cutovers.counted(conn, self._channel.id, self._change.reads)
        if self._change.fetches:
            async with self._core.db.statement("cutover_taken") as conn:
                self._taken = await cutovers.taken(conn, self._channel.id, ids)
        self._left = unread(ids, self._read, self._taken, self._silent)

    async def _read_last(self) -> None:
        caps, left = self._channel.connector.capabilities, self._left or []
        for first in range(0, len(left), caps.read_max):
            part = left[first : first + caps.read_max]
            async with self._channel.http.reserved(caps.read_cost, Priority.NORMAL):
                async with self._core.db.statement("cutover_asked") as conn:
                    looks = await cutovers.asked(conn, part)
                if not looks:
                    continue
                asked = await self._reading.ask(looks)
                async with self._core.booking("cutover_read") as (conn, booking):
                    again = await self._reading.book(conn, booking, asked, orders_known=True)
            self._silent |= asked.silent()
            told_now = {look.listing_id for look in looks} - asked.silent() - again
            self._read.update({x: self._taken.get(x, 0) for x in told_now})

    async def _tell_gaps(self) -> None:
        """Tell what each shelf moved by while the channel was off: its lane books that, once it runs.

        Booked, the level moves by the gap; discarded by a push, the shelf goes back to the level.
        """
        async with self._core.db.statement("cutover_listings") as conn:
            ids = await cutovers.counted(conn, self._channel.id, self._change.gaps)
        caps = self._channel.connector.capabilities
        for first in range(0, len(ids), caps.read_max):
            async with self._channel.http.reserved(caps.read_cost, Priority.NORMAL):
                async with self._core.db.statement("cutover_asked") as conn:
                    looks = await cutovers.asked(conn, ids[first : first + caps.read_max])
                if not looks:
                    continue
                asked = await self._reading.ask(looks)
            async with self._core.booking("cutover_gaps") as (_, booking):
                for look, answer in zip(asked.looks, asked.answers, strict=True):
                    now = answer.quantity if answer is not None else None
                    if now is None or look.shown is None or now == look.shown:
                        continue
                    gap: dict[str, object] = {"booked": now - look.shown, "discarded": 0}
                    line = Line("gap", look.sku, self._channel.id, look.listing_id, look.shown, now)
                    booking.journal.append(replace(line, detail=gap))

    async def _out_of_patience(self) -> bool:
        """Switch all the same when a platform does not answer: what it leaves unread is in doubt."""
        if self._until is None or self._core.clock() < self._until:
            return False
        self._core.paused.add(self._channel.id)
        await self._core.ended()
        if self._left is None:
            await self._compare()
        await self._switch()
        return True

    async def _switch(self) -> None:
        """The new rule is in force, in one transaction with all that changes hands by it."""
        change, channel = self._change, self._channel
        moves = [(place, now) for place, (_, now) in sorted(change.moves.items())]
        async with self._core.booking("cut_over") as (conn, booking):
            promised = await self._promised(conn, booking.now)
            goes = {now for _, now in moves if now is not None} if promised else set()
            keys = sorted({(x.item_id, y) for x in promised for y in {x.warehouse_id, *goes}})
            doubts = self._doubts()
            forgotten = await self._lock(conn, moves, doubts, keys)
            await take_promised(conn, booking, channel.rules, promised)
            lines = await self._change_lines(conn, moves)
            await suspense.keep(conn, doubts, booking.now)
            await shelf.change(conn, [ShelfChange(x, None, None) for x in forgotten])
            await cutovers.move_places(conn, channel.id, moves)
            cut_at = self._asked_at if change.truth_changes else change.old.cut_at
            await cutovers.keep_rule(
                conn, row_of(channel.id, replace(change.new, cut_at=cut_at)), booking.now
            )
            await owe_items(conn, booking, keys)
            self._tell(booking, doubts, lines)
        self.switched = True
        log.info("cutover.done", channel=channel.name, lines=lines, suspense=len(doubts))

    async def _promised(self, conn: Connection, now: datetime) -> list[Promised]:
        """What lines hold that change hands: nobody promises it by the new rule."""
        if self._change.truth_changes:
            return await cutovers.promised(conn, self._channel.id, None, now)
        places = sorted(self._change.moves)
        return await cutovers.promised(conn, self._channel.id, places, now) if places else []

    async def _change_lines(self, conn: Connection, moves: Sequence[tuple[str, int | None]]) -> int:
        """What lines hold is booked from now on without a movement, where they go on."""
        lines = 0
        if self._change.truth_changes:
            lines += await cutovers.baseline(conn, self._channel.id)
        if moves:
            lines += await cutovers.move_lines(conn, self._channel.id, moves)
        return lines

    async def _lock(
        self,
        conn: Connection,
        moves: Sequence[tuple[str, int | None]],
        doubts: Sequence[Doubt],
        keys: Sequence[tuple[int, int]],
    ) -> list[int]:
        """Lock every shelf that changes; gives those of which it is not known what they show."""
        change, channel_id = self._change, self._channel.id
        unknown = {doubt.listing_id for doubt in doubts if doubt.listing_id not in self._read}
        moved = await cutovers.listings_at(conn, channel_id, [place for place, _ in moves])
        if change.forgets:
            unknown.update(await cutovers.listings_at(conn, channel_id, change.places))
        touched = unknown.union(moved, (d.listing_id for d in doubts))
        await shelf.lock(conn, sorted(touched), keys)
        return sorted(unknown)

    def _doubts(self) -> list[Doubt]:
        """What could not be read is suspense of the old warehouse."""
        found = []
        for listing_id in sorted({*(self._left or ()), *self._silent}):
            read = self._read.get(listing_id)
            more = 0 if read is None else self._taken.get(listing_id, 0) - read
            found.append(
                Doubt(
                    listing_id,
                    "cut_over",
                    tuple(sorted({0, -more})),
                    0,
                    {
                        "why": "not read" if read is None else "sold while it was read",
                        "orders_took_meanwhile": more,
                        **told(self._change),
                    },
                )
            )
        return found

    def _tell(self, booking: Booking, doubts: Sequence[Doubt], lines: int) -> None:
        detail: dict[str, object] = {**told(self._change), "lines": lines, "suspense": len(doubts)}
        booking.journal.append(Line("cut_over", "", self._channel.id, detail=detail))
        for doubt in doubts:
            booking.suspense[self._channel.id, doubt.reason] += 1
            booking.journal.append(
                Line(
                    "suspense",
                    "",
                    self._channel.id,
                    doubt.listing_id,
                    reason=doubt.reason,
                    detail=doubt.evidence,
                )
            )


def told(change: CutOver) -> dict[str, object]:
    """What changes, for the log and the journal."""
    said: dict[str, object] = {}
    if change.truth_changes:
        said["truth"] = f"{change.old.truth} -> {change.new.truth}"
    if change.enables:
        said["enabled"] = True
    if change.moves:
        said["warehouses"] = {
            place or "-": f"{was} -> {now}" for place, (was, now) in sorted(change.moves.items())
        }
    return said


def row_of(channel_id: int, rule: InForceRule) -> RuleRow:
    """A rule as it is stored."""
    return RuleRow(
        channel_id, rule.truth, rule.edits, rule.enabled, dict(rule.locations), rule.cut_at
    )
