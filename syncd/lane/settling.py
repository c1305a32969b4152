"""Settling: an attempt is closed by its own answer, and each row's shelf shows what that answer says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from syncd.connectors.base import RowResult, WriteKind, WriteOp
from syncd.corridor import Channel, Core, follow_links
from syncd.db import attempts, catalog, marks, outbox, shelf, suspense
from syncd.db.attempts import Locked, OpenRow, Settled
from syncd.db.journal import Line
from syncd.db.pool import Connection, LostRace
from syncd.db.suspense import Doubt
from syncd.fanout import Booking, hold_items, owe_again, owe_items, retiring
from syncd.fanout.switching import follow_source
from syncd.lane.inferring import Inferring
from syncd.lane.lines import line_of, made_of, unconfirmed, zeroed
from syncd.stock import settle
from syncd.stock.facts import clean
from syncd.stock.model import Reading
from syncd.stock.settle import Outcome, Sent

TRIES = 8
"""A row whose batch fails without naming a row is parked after standing alone this often."""

BACKOFF_S = (1.0, 300.0)
RACES = 5


class Settling:
    """Closes the attempts of one lane; every method is one booking transaction."""

    def __init__(self, core: Core, channel: Channel, inferring: Inferring) -> None:
        self._core = core
        self._channel = channel
        self._inferring = inferring

    @property
    def _blind(self) -> bool:
        return self._channel.connector.capabilities.write is WriteKind.ABSOLUTE

    async def answered(
        self, rows: Sequence[OpenRow], results: Sequence[RowResult], lease_gen: int
    ) -> None:
        """The platform answered: every row ends as its result says.

        A lost race is run again: the answer is in our hands, and without it only a reading after
        the late window could close the attempt.
        """
        for left in range(RACES - 1, -1, -1):
            try:
                await self._answered(rows, results, lease_gen)
            except LostRace:
                if not left:
                    raise
            else:
                self._measure(rows, results)
                return

    async def _answered(
        self, rows: Sequence[OpenRow], results: Sequence[RowResult], lease_gen: int
    ) -> None:
        async with self._core.booking("settle") as (conn, booking):
            follows = self._inferring.follows(booking)
            if follows:
                await self._inferring.hold(conn, rows)
            locked = await attempts.lock_attempt(conn, rows[0].attempt_id, lease_gen)
            if not locked:
                return
            settled = [
                self._settled(row, result, locked[row.listing_id], booking.now)
                for row, result in zip(rows, results, strict=True)
            ]
            await attempts.settle(conn, rows[0].attempt_id, settled)
            if follows:
                await self._inferring.answered(conn, booking, rows, results)
            await self._close_rows(conn, booking, rows, results)
            await retiring.zeroed(conn, booking, self._channel.id, zeroed(rows, results))
            disturbed = [row.listing_id for row in rows if not locked[row.listing_id].undisturbed]
            await self._look_again(conn, booking, rows, results, disturbed)
            booking.journal += [
                line_of(self._channel.id, row, result)
                for row, result in zip(rows, results, strict=True)
            ]

    def _settled(self, row: OpenRow, result: RowResult, locked: Locked, now: datetime) -> Settled:
        """What a shelf shows after its row ended so."""
        after = settle.answered(
            _sent(row),
            result.outcome,
            result.at,
            shown=locked.shown,
            undisturbed=locked.undisturbed,
            blind=self._blind,
            now=now,
            guarded=self._channel.rules.guarded,
            shown_at=locked.shown_at,
        )
        if after is None:
            return Settled(row.listing_id, stale=result.outcome is Outcome.STALE)
        applied = row.version if result.outcome is Outcome.APPLIED else None
        return Settled(row.listing_id, after.shown, after.shown_at, changed=True, applied=applied)

    async def _close_rows(
        self,
        conn: Connection,
        booking: Booking,
        rows: Sequence[OpenRow],
        results: Sequence[RowResult],
    ) -> None:
        """Park what is refused, postpone what has to go in less company."""
        pairs = list(zip(rows, results, strict=True))
        refused = [
            (r.listing_id, r.version, clean(x.reason))
            for r, x in pairs
            if x.outcome is Outcome.REFUSED
        ]
        unnamed = [(r, x) for r, x in pairs if x.outcome is Outcome.UNNAMED]
        if refused:
            await outbox.park(conn, refused, booking.now)
        if not unnamed:
            return
        cap = settle.smaller_batch(len(rows))
        tries = await outbox.postpone(
            conn,
            [
                (r.listing_id, self._later(booking.now, len(rows)), cap, clean(x.reason))
                for r, x in unnamed
            ],
        )
        if len(rows) == 1 and tries.get(rows[0].listing_id, 0) >= TRIES:
            worn = rows[0].listing_id, rows[0].version, clean(results[0].reason)
            await outbox.park(conn, [worn], booking.now)

    def _later(self, now: datetime, batch: int) -> datetime:
        """At once while a batch is being halved; alone, after a jittered pause."""
        low, high = BACKOFF_S
        pause_s = 0.0 if batch > 1 else self._core.rng.uniform(low, min(high, 16 * low))
        return now + timedelta(seconds=pause_s)

    async def _look_again(
        self,
        conn: Connection,
        booking: Booking,
        rows: Sequence[OpenRow],
        results: Sequence[RowResult],
        disturbed: Sequence[int],
    ) -> None:
        """Read what was stale; read a blind write back, or write again where reading is dear."""
        stale = [
            row.listing_id
            for row, result in zip(rows, results, strict=True)
            if result.outcome is Outcome.STALE
        ]
        if stale:
            self._core.metrics.stale_compare_total.inc(len(stale))
            await shelf.wish(conn, sorted(stale), "stale", booking.now)
        if not (self._blind or self._channel.rules.follows_edits):
            return
        if self._channel.rules.writes_unread:
            await self._owe_disturbed(conn, booking, sorted(disturbed))
            return
        applied = sorted(
            row.listing_id
            for row, result in zip(rows, results, strict=True)
            if result.outcome is Outcome.APPLIED
        )
        await shelf.wish(conn, applied, "verify", booking.now)
        booking.lanes.add(self._channel.id)

    def _measure(self, rows: Sequence[OpenRow], results: Sequence[RowResult]) -> None:
        now, name, metrics = self._core.clock(), self._channel.name, self._core.metrics
        for row, result in zip(rows, results, strict=True):
            metrics.deliveries_total.labels(name, result.outcome).inc()
            if result.outcome is Outcome.APPLIED:
                metrics.delivery_seconds.labels(name).observe(
                    (now - row.created_at).total_seconds()
                )
                if row.received_at is not None:
                    metrics.propagation_seconds.labels(name).observe(
                        (now - row.received_at).total_seconds()
                    )

    async def refused_whole(self, rows: Sequence[OpenRow], lease_gen: int, reason: str) -> None:
        """The whole write was refused: alone it is parked, in company it is halved."""
        outcome = Outcome.REFUSED if len(rows) == 1 else Outcome.UNNAMED
        await self.answered(rows, [RowResult(outcome, reason)] * len(rows), lease_gen)

    async def not_sent(self, rows: Sequence[OpenRow], lease_gen: int, reason: str = "") -> None:
        """The write certainly was not applied: its rows stay owed and its shelves as they were.

        `reason` empty: it was throttled, which is counted and not told row by row.
        """
        async with self._core.booking("settle_not_sent") as (conn, booking):
            locked = await attempts.lock_attempt(conn, rows[0].attempt_id, lease_gen)
            if locked:
                dropped = RowResult(Outcome.NOT_APPLIED)
                settled = [
                    self._settled(row, dropped, locked[row.listing_id], booking.now) for row in rows
                ]
                await attempts.settle(conn, rows[0].attempt_id, settled)
                if reason:
                    not_applied = RowResult(Outcome.NOT_APPLIED, f"not sent: {reason}")
                    booking.journal += [line_of(self._channel.id, row, not_applied) for row in rows]

    async def journal_unclear(self, rows: Sequence[OpenRow], reason: str) -> None:
        """Tell, once per attempt, that nobody knows whether it was applied."""
        self._core.metrics.ambiguous_total.inc()
        async with self._core.booking("journal_unclear") as (_, booking):
            booking.journal += [
                line_of(
                    self._channel.id,
                    row,
                    RowResult(Outcome.NOT_APPLIED, f"no clear answer: {reason}"),
                )
                for row in rows
            ]

    async def unconfirmed(
        self,
        rows: Sequence[OpenRow],
        readings: Sequence[Reading],
        asked_at: Sequence[datetime],
        lease_gen: int,
    ) -> None:
        """A blind write without an answer is over: its shelves show what they were read to show.

        `asked_at`: when each row was read, by our clock. What was booked on a row meanwhile, its
        reading may have missed: it is read again, or written again where reading is dear.
        """
        async with self._core.booking("settle_unconfirmed") as (conn, booking):
            locked = await attempts.lock_attempt(conn, rows[0].attempt_id, lease_gen)
            if not locked:
                return
            settled = [
                Settled(r.listing_id, x.quantity, x.at or asked, changed=True)
                for r, x, asked in zip(rows, readings, asked_at, strict=True)
            ]
            await attempts.settle(conn, rows[0].attempt_id, settled)
            await self._mark_gone(conn, booking, rows, readings)
            for row, reading in zip(rows, readings, strict=True):
                booking.drift[self._channel.id, "unconfirmed_write"] += (
                    reading.quantity != row.to_quantity
                )
                booking.journal.append(unconfirmed(self._channel.id, row, reading))
            failed = [
                row
                for row, reading in zip(rows, readings, strict=True)
                if not reading.missing and reading.quantity != row.to_quantity
            ]
            await self._in_less_company(conn, booking, failed, len(rows), "no clear answer")
            disturbed = sorted(
                row.listing_id for row in rows if not locked[row.listing_id].undisturbed
            )
            if self._channel.rules.writes_unread:
                await self._owe_disturbed(conn, booking, disturbed)
            else:
                await shelf.wish(conn, disturbed, "overlapped", booking.now)
            booking.lanes.add(self._channel.id)
        await follow_links(self._core, booking)

    async def _owe_disturbed(
        self, conn: Connection, booking: Booking, listing_ids: Sequence[int]
    ) -> None:
        """What was booked during a write may lie on either side of it: written again, unread."""
        if listing_ids:
            await owe_again(conn, booking, listing_ids, forced=True)

    async def _mark_gone(
        self,
        conn: Connection,
        booking: Booking,
        rows: Sequence[OpenRow],
        readings: Sequence[Reading],
    ) -> None:
        """What the readings say is missing is gone, at its location only."""
        gone = [r for r, x in zip(rows, readings, strict=True) if x.missing]
        if gone:
            new = await marks.mark_listings_gone(conn, [r.listing_id for r in gone], booking.now)
            await follow_source(conn, booking, self._channel.id, sorted(new))
            booking.journal += [
                Line("gone", r.sku, self._channel.id, r.listing_id)
                for r in gone
                if r.listing_id in new
            ]

    async def _in_less_company(
        self, conn: Connection, booking: Booking, rows: Sequence[OpenRow], batch: int, reason: str
    ) -> None:
        """Rows of a write that failed without naming one go again in half of it; alone, they
        are parked after some tries. A late window or many pauses lie behind them already.
        """
        if not rows:
            return
        cap = settle.smaller_batch(batch)
        tries = await outbox.postpone(
            conn, [(r.listing_id, booking.now, cap, reason) for r in rows]
        )
        worn = [
            (row.listing_id, row.version, reason)
            for row in rows
            if batch == 1 and tries.get(row.listing_id, 0) >= TRIES
        ]
        if worn:
            await outbox.park(conn, worn, booking.now)

    async def spent(
        self, rows: Sequence[OpenRow], readings: Sequence[Reading], lease_gen: int
    ) -> None:
        """The key's life is over: value and stamp decide, and a person sees every case.

        What is in suspense counts for all listings of the item from now on.
        """
        async with self._core.booking("settle_spent") as (conn, booking):
            items = await catalog.levels_of_listings(conn, [r.listing_id for r in rows])
            await hold_items(conn, items)
            locked = await attempts.lock_attempt(conn, rows[0].attempt_id, lease_gen)
            if not locked:
                return
            settled, doubts = [], []
            for row, reading in zip(rows, readings, strict=True):
                shown = locked[row.listing_id].shown
                state, doubt = self._spent_row(row, reading, shown)
                settled.append(state)
                if doubt is not None:
                    doubts.append(doubt)
                    booking.suspense[self._channel.id, doubt.reason] += 1
                    booking.journal.append(
                        Line(
                            "suspense",
                            row.sku,
                            self._channel.id,
                            row.listing_id,
                            row.from_quantity,
                            reading.quantity,
                            doubt.reason,
                            {**made_of(row), **doubt.evidence},
                        )
                    )
            await attempts.settle(conn, rows[0].attempt_id, settled)
            if self._inferring.follows(booking):
                await self._inferring.over(conn, booking, rows, readings)
            await suspense.keep(conn, doubts, booking.now)
            await owe_items(conn, booking, items if doubts else ())
            await self._mark_gone(conn, booking, rows, readings)
            there = [r for r, x in zip(rows, readings, strict=True) if not x.missing]
            await self._in_less_company(conn, booking, there, len(rows), "no clear answer")
            booking.lanes.add(self._channel.id)
        await follow_links(self._core, booking)

    def _spent_row(
        self, row: OpenRow, reading: Reading, shown: int | None
    ) -> tuple[Settled, Doubt | None]:
        if reading.quantity is None or shown is None:
            return Settled(row.listing_id, None, None, changed=True), None
        if self._channel.rules.guarded:
            # nothing is booked from what is read here, so nothing of the ledger is in doubt
            return Settled(row.listing_id, reading.quantity, reading.at, changed=True), None
        caps = self._channel.connector.capabilities
        found = settle.spent(
            _sent(row),
            shown,
            reading.quantity,
            reading.at,
            row.created_at,
            settle.lands_until(row.last_sent_at, caps.late_apply_s) or row.created_at,
            self._channel.rules.clock_margin_s,
        )
        doubt = Doubt(
            row.listing_id,
            "spent_key",
            found.candidates,
            found.proposal,
            {
                "verdict": found.verdict,
                "shown": shown,
                "wanted": found.wanted,
                "observed": reading.quantity,
                "observed_at": str(reading.at),
                "created_at": str(row.created_at),
                "last_sent_at": str(row.last_sent_at),
                "times_sent": row.times_sent,
                "attempt": str(row.attempt_id),
            },
        )
        return Settled(row.listing_id, reading.quantity, reading.at, changed=True), doubt


def _sent(row: OpenRow) -> Sent:
    return Sent(row.from_quantity, row.to_quantity, delta=row.op == WriteOp.DELTA)
