"""Writing: the newest target is claimed as an attempt, stored, sent, and settled by its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from syncd.connectors.base import Ref, Write, WriteKind, WriteOp, WriteRow
from syncd.connectors.budget import Priority
from syncd.corridor import Channel, Core, follow_links
from syncd.corridor.speaking import speak
from syncd.db import attempts
from syncd.db.attempts import OpenRow
from syncd.db.shelf import Look
from syncd.errors import ChannelClosed, DatabaseAway, Refused, RetryLater
from syncd.lane.claiming import Claim, claim
from syncd.lane.fetching import Fetching
from syncd.lane.inferring import Inferring
from syncd.lane.reading import UNANSWERED_PAUSE, Asked, Reading
from syncd.lane.settling import Settling
from syncd.stock.model import Reading as StockReading
from syncd.stock.settle import Next, lands_until, next_of
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.lane")

LONGEST_WINDOW_S = 2.0
AWAY_S = 0.3
RESEND_S = (0.5, 30.0)
"""An attempt without an answer is sent again after a growing, jittered pause between these."""


class Writing:
    """The deliveries of one lane.

    `busy`: attempts being sent now. `lease_gen` fences other daemons. `behind`: the newest batch was
    a full one, so that there may be more.
    """

    def __init__(self, core: Core, channel: Channel, reading: Reading, fetching: Fetching) -> None:
        self._core = core
        self._channel = channel
        self._reading = reading
        self._fetching = fetching
        self.inferring = Inferring(core, channel, fetching)
        self._settling = Settling(core, channel, self.inferring)
        self.behind = False
        self.busy: set[UUID] = set()
        self.lease_gen = 0
        self._began_at = core.clock()

    @property
    def _keyed(self) -> bool:
        return self._channel.connector.capabilities.key_lifetime_s > 0

    @property
    def reads_first(self) -> bool:
        """True where nothing is written before it was read.

        Behind, the reading is left out where edits are overwritten: one follows the write.
        """
        if self._channel.rules.follows_edits:
            return True
        caps = self._channel.connector.capabilities
        return caps.write is WriteKind.ABSOLUTE and caps.read_max > 1 and not self.behind

    async def write_owed(self, chosen: Callable[[], None]) -> bool:
        """Claim one batch of what is owed and send it; gives whether anything was claimed."""
        caps = self._channel.connector.capabilities
        # wait only when it pays: a fuller batch for the same budget
        window_s = self._channel.http.budget.gather_window_s(caps.write_cost)
        if window_s > 0:
            await asyncio.sleep(min(window_s, LONGEST_WINDOW_S))
        if self._channel.rules.follows_edits:
            return await self._write_between(chosen)
        if self.reads_first:
            return await self._write_read(chosen)
        async with self._channel.http.reserved(caps.write_cost, Priority.URGENT):
            made = await self._claim()
            self.behind = len(made.rows) == caps.batch_max > 1
            chosen()
            if made.rows:
                await self._send(made.rows)
        return bool(made.rows or made.dropped)

    async def _write_between(self, chosen: Callable[[], None]) -> bool:
        """Where edits are inferred a write stands between readings, however much is owed.

        What is read is booked before it is claimed, so that orders can be asked about what nothing
        explains; without a reading nothing is written.
        """
        caps, busy = self._channel.connector.capabilities, self._reading.busy
        looks: list[Look] = []
        made = Claim()
        try:
            async with self._channel.http.reserved(caps.read_cost, Priority.URGENT):
                looks = await self._reading.choose_owed()
                self.behind = len(looks) == self._reading.owed_max
                chosen()
                read = await self._reading.read_owed(looks) if looks else set()
            if read:
                await self.inferring.look_into(read)
                pushed = [look.listing_id for look in looks if look.pushed]
                if read.intersection(pushed):
                    await self.inferring.reject(sorted(read.intersection(pushed)))
                async with self._channel.http.reserved(caps.write_cost, Priority.URGENT):
                    made = await self._claim(sorted(read))
                    busy.difference_update(look.listing_id for look in looks)
                    if made.rows:
                        await self._send(made.rows)
        finally:
            busy.difference_update(look.listing_id for look in looks)
        return bool(made.rows or made.dropped)

    async def _write_read(self, chosen: Callable[[], None]) -> bool:
        """Read what is owed, and write what it still needs: nothing comes between the two but this.

        Others may choose among the rest meanwhile.
        """
        caps, busy = self._channel.connector.capabilities, self._reading.busy
        looks: list[Look] = []
        try:
            async with self._channel.http.reserved(caps.read_cost, Priority.URGENT):
                looks = await self._reading.choose_owed()
                self.behind = len(looks) == caps.batch_max > 1
                chosen()
                asked = await self._ask(looks)
            async with self._channel.http.reserved(caps.write_cost, Priority.URGENT):
                made = await self._claim_read(looks, asked) if looks else Claim()
                # claimed or dropped, they are no more to be chosen
                busy.difference_update(look.listing_id for look in looks)
                if made.rows:
                    await self._send(made.rows)
        finally:
            busy.difference_update(look.listing_id for look in looks)
        return bool(made.rows or made.dropped)

    async def _ask(self, looks: Sequence[Look]) -> Asked | None:
        """What these show; None where nobody said."""
        try:
            return await self._reading.ask(looks) if looks else None
        except RetryLater as error:
            if error.throttled:
                raise
            # a page that cannot be read holds no decrease back; raises have their own rule
            log.info("write.unread", channel=self._channel.name, reason=error.reason)
            return None

    async def _claim_read(self, looks: Sequence[Look], asked: Asked | None) -> Claim:
        """Claim among these listings, after what they were read to show is booked, in one transaction.

        Where all show what they are known to, as nearly always, only those that are not written are
        dated by it: a write dates the others.
        """
        ids = [look.listing_id for look in looks]
        if asked is None or len(asked.repeating()) < len(ids):
            return await self._claim(ids, asked)
        made = await self._claim(ids)
        unwritten = asked.without({row.listing_id for row in made.rows})
        if unwritten.looks:
            await self._reading.book_asked(unwritten)
        return made

    async def _claim(self, among: Sequence[int] | None = None, asked: Asked | None = None) -> Claim:
        async with self._core.booking("claim") as (conn, booking):
            if asked is not None:
                await self._reading.book(conn, booking, asked)
            made = await claim(
                conn,
                booking,
                self._channel.rules,
                self._channel.connector.capabilities,
                self._core.new_key(),
                self.lease_gen,
                among,
            )
        if made.rows:
            self.busy.add(made.rows[0].attempt_id)
        await follow_links(self._core, booking)
        if made.waits_for_orders:
            self._fetching.wanted = True
        return made

    async def resume(self, chosen: Callable[[], None]) -> bool:
        """Take up the open attempt that is longest due: send it again, or settle it by a reading."""
        now = self._core.clock()
        async with self._core.db.statement("open_due") as conn:
            rows = await attempts.open_due(conn, self._channel.id, now, list(self.busy))
        if not rows:
            return False
        self.busy.add(rows[0].attempt_id)
        caps, first = self._channel.connector.capabilities, rows[0]
        # a daemon before us may have sent it until we took over, and told nobody
        until = lands_until(
            max(first.last_sent_at or self._began_at, self._began_at), caps.late_apply_s
        )
        try:
            match next_of(first.times_sent, first.created_at, now, caps.key_lifetime_s, until):
                case Next.SEND:
                    chosen()
                    await self._send(rows, resumed=True)
                case Next.WAIT:
                    # sent as soon as it was stored; the platform may have worked on it for a call's length
                    ends = first.created_at + timedelta(seconds=self._channel.http.timeout_s)
                    reason = "the daemon ended during this write"
                    await self._unclear(rows, reason, ends=max(ends, now))
                case Next.READ:
                    # read one after the other: several at once would fill the lane for many calls
                    await self._settle_by_reading(rows, spent=False)
                case Next.LANDS:
                    async with self._core.db.statement("attempt_lands") as conn:
                        await attempts.put_off(conn, first.attempt_id, until or now, self.lease_gen)
                case Next.SPENT:
                    await self._settle_by_reading(rows, spent=True)
        except Refused as error:
            # its listings cannot be read: it stays open, and is not asked for in a spin
            await self._unclear(rows, error.reason)
        finally:
            self.busy.discard(rows[0].attempt_id)
        return True

    async def _send(self, rows: Sequence[OpenRow], *, resumed: bool = False) -> None:
        """Send an attempt as it is stored and settle it by the answer.

        One that may have been sent before (`resumed`) is closed by its own answer only: that this
        sending was refused or never left us says nothing of the earlier one.
        """
        attempt_id = rows[0].attempt_id
        before = resumed or rows[0].times_sent > 0
        try:
            writing = self._channel.connector.write(as_write(rows))
            results = await speak(self._core, self._channel, writing, hears=False)
        except Refused as error:
            reason = error.reason
            if before:
                await kept(lambda: self._unclear(rows, reason))
            else:
                await kept(lambda: self._settling.refused_whole(rows, self.lease_gen, reason))
        except (RetryLater, ChannelClosed) as error:
            reason = error.reason
            if before or getattr(error, "maybe_applied", False):
                await kept(lambda: self._unclear(rows, reason))
            else:
                told = "" if getattr(error, "throttled", False) else reason
                await kept(lambda: self._settling.not_sent(rows, self.lease_gen, told))
            raise
        except asyncio.CancelledError:
            # stopped while the answer was under way: it is taken up again at the next start
            raise
        else:
            await kept(lambda: self._settling.answered(rows, results, self.lease_gen))
        finally:
            self.busy.discard(attempt_id)

    async def _unclear(
        self, rows: Sequence[OpenRow], reason: str, *, ends: datetime | None = None
    ) -> None:
        """Nobody knows whether it was applied: the attempt stays open, the same key goes again.

        `ends`: when its call is over at the latest; None: it is.
        """
        first = rows[0].times_sent == 0
        if first and not self._keyed and await self.inferring.silent(rows, self.lease_gen):
            await self._settling.journal_unclear(rows, reason)
            return
        now = self._core.clock()
        if self._keyed:
            low, high = RESEND_S
            grown_s = 2 * low * 2 ** min(rows[0].times_sent, 16)
            pause_s = self._core.rng.uniform(low, min(high, grown_s))
        else:
            pause_s = self._channel.connector.capabilities.late_apply_s
        async with self._core.db.statement("attempt_unclear") as conn:
            due_at = (ends or now) + timedelta(seconds=pause_s)
            await attempts.sent(conn, rows[0].attempt_id, now, due_at, self.lease_gen)
        if first:
            await self._settling.journal_unclear(rows, reason)

    async def _settle_by_reading(self, rows: Sequence[OpenRow], *, spent: bool) -> None:
        """Close an attempt by what its listings show: its late window or its key's life is over."""
        refs = [Ref(r.remote, r.location, r.sku, r.batch_group) for r in rows]
        # what is not known afterwards is read before it is written; where the ledger is made of
        # readings that would lose what happened in between
        alone = not spent and not self._channel.rules.follows_edits
        try:
            readings, asked_at = await self._read_open(refs, alone=alone)
        except RetryLater as error:
            if not error.throttled:
                await self._look_after_others(rows)
            raise
        if spent:
            await self._settling.spent(rows, readings, self.lease_gen)
        elif await self.inferring.watched(rows, readings, asked_at, self.lease_gen):
            await self._settling.unconfirmed(rows, readings, asked_at, self.lease_gen)

    async def _read_open(
        self, refs: Sequence[Ref], *, alone: bool
    ) -> tuple[list[StockReading], list[datetime]]:
        """What these show, and when each was asked for.

        `alone`: one that gets no answer by itself, where others do, has no number. Raises what the
        connector raises.
        """
        caps = self._channel.connector.capabilities
        found: list[tuple[StockReading, datetime]] = []
        answered, failed = False, None
        parts = [refs[n : n + caps.read_max] for n in range(0, len(refs), caps.read_max)]
        while parts:
            part = parts.pop(0)
            try:
                async with self._channel.http.reserved(caps.read_cost, Priority.URGENT):
                    at = self._core.clock()
                    call = self._channel.connector.read(part)
                    readings = await speak(self._core, self._channel, call)
            except RetryLater as error:
                if error.throttled or not alone:
                    raise
                failed = error
                if len(part) > 1:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                    continue
                readings = [StockReading(part[0].remote, part[0].location, None)]
            else:
                answered = True
            found += [(reading, at) for reading in readings]
        if failed is not None and not answered:
            raise failed  # it says nothing about any single one
        return [reading for reading, _ in found], [at for _, at in found]

    async def _look_after_others(self, rows: Sequence[OpenRow]) -> None:
        """Take this attempt up again after a pause: others that are due come before it."""
        later = self._core.clock() + UNANSWERED_PAUSE
        async with self._core.db.statement("attempt_put_off") as conn:
            await attempts.put_off(conn, rows[0].attempt_id, later, self.lease_gen)


async def kept(settle: Callable[[], Awaitable[None]]) -> None:
    """Settle an attempt however long the database is away: what was heard is not asked again."""
    while True:
        try:
            return await settle()
        except DatabaseAway:
            await asyncio.sleep(AWAY_S)


def as_write(rows: Sequence[OpenRow]) -> Write:
    """The attempt as the connector gets it: the same for every sending."""
    return Write(
        key=str(rows[0].attempt_id),
        op=WriteOp(rows[0].op),
        rows=tuple(
            WriteRow(
                Ref(r.remote, r.location, r.sku, r.batch_group), r.from_quantity, r.to_quantity
            )
            for r in rows
        ),
    )
