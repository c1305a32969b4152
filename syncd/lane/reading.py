"""Reading listings: asked at a turn, booked only where nothing happened on the listing since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.connectors.base import Ref
from syncd.connectors.budget import Priority
from syncd.corridor import Channel, Core, fetch_orders, follow_links
from syncd.corridor.speaking import speak
from syncd.db import marks, outbox, pushes, shelf
from syncd.db.journal import Line
from syncd.db.pool import Connection
from syncd.db.shelf import Look
from syncd.errors import Refused, RetryLater
from syncd.fanout import Booking, Found, book_readings, lock_readings
from syncd.fanout.switching import follow_source
from syncd.stock.model import Reading as StockReading
from syncd.stock.model import Truth
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.lane")

UNANSWERED_PAUSE = timedelta(seconds=30)
"""A listing whose reading alone gets no answer is not asked for again before."""

REFUSED_PAUSE = timedelta(minutes=5)
"""A listing that the platform refuses to read is not asked for again before."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What listings were read to show, in the order of `looks`; None: the platform refused to say."""

    looks: Sequence[Look]
    answers: Sequence[StockReading | None]
    at: datetime
    """When they were asked for, by our clock."""
    notes_known: int = 0
    """What orders did was known up to this number before; told where a push asks."""

    @property
    def turn(self) -> int:
        """The turn they were asked in."""
        return self.looks[0].turn

    def pushed_away(self) -> set[int]:
        """Those of which a push rejects what orders do not explain, and that show something else."""
        return {
            look.listing_id
            for look, answer in zip(self.looks, self.answers, strict=True)
            if look.pushed and answer is not None and answer.quantity not in (None, look.shown)
        }

    def repeating(self) -> list[tuple[int, int, datetime | None]]:
        """(listing, quantity, stamp) of those that show what they were known to when they were chosen."""
        return [
            (look.listing_id, answer.quantity, answer.at)
            for look, answer in zip(self.looks, self.answers, strict=True)
            if answer is not None
            and answer.quantity is not None
            and answer.quantity == look.shown
            and not look.careful
        ]

    def silent(self) -> set[int]:
        """Those that have no number: gone, not tracked, refused."""
        return {
            look.listing_id
            for look, answer in zip(self.looks, self.answers, strict=True)
            if answer is None or answer.quantity is None
        }

    def numbered(self) -> set[int]:
        """Those that showed a number."""
        return {
            look.listing_id
            for look, answer in zip(self.looks, self.answers, strict=True)
            if answer is not None and not answer.missing and answer.quantity is not None
        }

    def without(self, listing_ids: Collection[int]) -> Asked:
        """The rest of it."""
        pairs = zip(self.looks, self.answers, strict=True)
        left = [(look, answer) for look, answer in pairs if look.listing_id not in listing_ids]
        looks, answers = [look for look, _ in left], [answer for _, answer in left]
        return Asked(looks, answers, self.at, self.notes_known)


class Reading:
    """The readings of one lane.

    `busy`: listings being read now. `behind`: the newest batch was a full one: there may be more.
    """

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self.busy: set[int] = set()
        self.behind = False
        self._at_once = channel.connector.capabilities.read_max
        self._owed_at_once = self._at_once

    @property
    def owed_max(self) -> int:
        """So many owed listings are chosen for one call."""
        caps = self._channel.connector.capabilities
        return min(caps.read_max, caps.batch_max, self._owed_at_once)

    async def read_wished(self, chosen: Callable[[], None]) -> bool:
        """Read the listings wished for longest, one call; gives whether there were any."""
        caps = self._channel.connector.capabilities
        async with self._channel.http.reserved(caps.read_cost, Priority.NORMAL):
            now = self._core.clock()
            async with self._core.db.statement("due_looks") as conn:
                if self._channel.rules.awaits_orders:
                    await shelf.fulfilled(conn, self._channel.id, now)
                looks = await shelf.due_looks(
                    conn, self._channel.id, now, self._at_once, list(self.busy)
                )
            self.busy.update(look.listing_id for look in looks)
            self.behind = len(looks) == self._at_once
            chosen()
            try:
                if looks:
                    await self.read(looks)
                self._at_once = min(caps.read_max, self._at_once * 2)
            except RetryLater as error:
                if not error.throttled:
                    await self._postpone(looks)
                raise
            finally:
                self.busy.difference_update(look.listing_id for look in looks)
        return bool(looks)

    async def _postpone(self, looks: Sequence[Look]) -> None:
        """Ask in halves and for these later: one that breaks its platform keeps no other waiting."""
        self._at_once = max(1, len(looks) // 2)
        pause = UNANSWERED_PAUSE if len(looks) == 1 else timedelta(0)
        async with self._core.db.transaction("looks_postponed") as conn:
            await shelf.postpone_looks(
                conn, [look.listing_id for look in looks], self._core.clock() + pause
            )

    async def choose_owed(self) -> list[Look]:
        """The most urgent listings whose delivery is due, to be read before it: nobody else's now.

        They stay `busy` until the caller frees them.
        """
        async with self._core.db.statement("owed_looks") as conn:
            looks = await shelf.owed_looks(
                conn, self._channel.id, self._core.clock(), self.owed_max, list(self.busy)
            )
        self.busy.update(look.listing_id for look in looks)
        return looks

    async def read_owed(self, looks: Sequence[Look]) -> set[int]:
        """The same as `read`, of owed listings where nothing is written unread.

        Without an answer they are asked for in halves; one that gets none alone waits, so that it
        holds back no other's delivery.
        """
        try:
            read = await self.read(looks)
        except RetryLater as error:
            if not error.throttled:
                await self._put_off_owed(looks, error.reason)
            raise
        self._owed_at_once = min(
            self._channel.connector.capabilities.read_max, self._owed_at_once * 2
        )
        return read

    async def _put_off_owed(self, looks: Sequence[Look], reason: str) -> None:
        self._owed_at_once = max(1, len(looks) // 2)
        if len(looks) == 1:
            later = self._core.clock() + UNANSWERED_PAUSE
            async with self._core.db.transaction("owed_put_off") as conn:
                await outbox.put_off(conn, looks[0].listing_id, later, reason)

    async def read(self, looks: Sequence[Look]) -> set[int]:
        """Ask for these listings and book what they show; gives those whose number was booked.

        Raises what the connector raises.
        """
        return await self.book_asked(await self.ask(looks))

    async def book_asked(self, asked: Asked) -> set[int]:
        """Date the shelves that show what they should, as nearly all do, and book the others.

        Gives those of the others whose number was booked.
        """
        left = await self._confirmed(asked)
        pushed: set[int] = set()
        if self._channel.rules.truth is Truth.LEVELS:
            pushed = left.pushed_away()
        booked = await self._book(left.without(pushed))
        if pushed:
            # what was sold until this answer has to be known, or it would be rejected as an edit
            fetch = fetch_orders(self._core, self._channel, Priority.NORMAL)
            await speak(self._core, self._channel, fetch)
            rest = left.without({look.listing_id for look in left.looks} - pushed)
            booked |= await self._book(rest, orders_known=True)
        return booked

    async def _book(self, asked: Asked, *, orders_known: bool = False) -> set[int]:
        if not asked.looks:
            return set()
        async with self._core.booking("look_booked") as (conn, booking):
            again = await self.book(conn, booking, asked, orders_known=orders_known)
        await follow_links(self._core, booking)
        return asked.numbered() - again

    async def _confirmed(self, asked: Asked) -> Asked:
        same = asked.repeating()
        if not same or self._channel.rules.follows_edits:
            return asked  # a reading that says nothing new is a moment of a stretch all the same
        if self._channel.rules.truth is not Truth.LEVELS:
            same = [(listing_id, quantity, at or asked.at) for listing_id, quantity, at in same]
        async with self._core.db.statement("confirm") as conn:
            return asked.without(await shelf.confirm(conn, same, asked.turn))

    async def ask(self, looks: Sequence[Look]) -> Asked:
        """What these listings show. Raises what the connector raises."""
        known = 0
        if self._channel.rules.truth is Truth.LEVELS and any(look.pushed for look in looks):
            async with self._core.db.statement("newest_note") as conn:
                known = await pushes.newest_note(conn)
        asked_at = self._core.clock()
        refs = [Ref(x.remote, x.location, x.sku, x.batch_group) for x in looks]
        return Asked(looks, await self._ask(refs), asked_at, known)

    async def book(
        self, conn: Connection, booking: Booking, asked: Asked, *, orders_known: bool = False
    ) -> set[int]:
        """Book what was answered: the shelves of all these listings are locked from here on.

        Gives those that have to be asked again.
        """
        looks, turn = asked.looks, asked.turn
        found, missing, unmanaged, refused = _sorted(asked, orders_known)
        if missing or unmanaged:
            # what is said of these needs their shelves too, and they are locked in one go
            await lock_readings(conn, booking, [look.listing_id for look in looks])
        again = await book_readings(conn, booking, found, turn, asked.at)
        if missing:
            gone = [look.listing_id for look in missing]
            new = await marks.mark_listings_gone(conn, gone, booking.now)
            missing = [look for look in missing if look.listing_id in new]
            await follow_source(conn, booking, self._channel.id, sorted(new))
        if unmanaged:
            await marks.set_unmanaged(conn, [look.listing_id for look in unmanaged])
        for group, outcome in (
            (missing, "gone"),
            (unmanaged, "unmanaged"),
            (refused, "unreadable"),
        ):
            booking.journal += [
                Line(outcome, look.sku, self._channel.id, look.listing_id) for look in group
            ]
        await shelf.looked(conn, [look.listing_id for look in looks], turn)
        if refused:
            ids, later = sorted(x.listing_id for x in refused), booking.now + REFUSED_PAUSE
            await shelf.wish(conn, ids, "refused", booking.now, not_before=later)
        return again

    async def _ask(self, refs: Sequence[Ref]) -> list[StockReading | None]:
        """What these listings show; None for one that the platform refuses to read."""
        try:
            call = self._channel.connector.read(refs)
            return list(await speak(self._core, self._channel, call))
        except Refused as error:
            if len(refs) == 1:
                log.warning("read.refused", channel=self._channel.name, reason=error.reason)
                return [None]
        half = len(refs) // 2
        return await self._ask(refs[:half]) + await self._ask(refs[half:])


def _sorted(
    asked: Asked, orders_known: bool
) -> tuple[list[Found], list[Look], list[Look], list[Look]]:
    """Answers by what they are: a number, no such listing, not tracked, refused."""
    found, missing, unmanaged, refused = [], [], [], []
    for look, answer in zip(asked.looks, asked.answers, strict=True):
        if answer is None:
            refused.append(look)
        elif answer.missing:
            missing.append(look)
        elif answer.quantity is None:
            unmanaged.append(look)
        else:
            found.append(
                Found(
                    look.listing_id,
                    answer.quantity,
                    answer.at,
                    received_at=look.received_at,
                    after_write=look.reason == "verify",
                    answered_at=answer.answered_at,
                    orders_known=orders_known,
                    notes_known=asked.notes_known,
                )
            )
    return found, missing, unmanaged, refused
