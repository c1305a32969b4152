"""The sweep: one reconciling pass over a channel finds what no event said, and says why.

It never believes that what a catalogue lacks is gone, and books by the same rules as every other reading.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from syncd.connectors.base import Page
from syncd.connectors.budget import Priority
from syncd.connectors.http import priority
from syncd.corridor import Channel, Core, fetch_orders, mark_duplicates, owe_linked
from syncd.corridor.bells import rung
from syncd.corridor.mass_edits import MassEdits
from syncd.corridor.plans import hold_if_large, weigh_holds
from syncd.corridor.speaking import speak
from syncd.corridor.spreading import arrange
from syncd.db import bookmark, catalog, shelf
from syncd.db.catalog import ListingNow
from syncd.db.journal import Line
from syncd.errors import ChannelError, DatabaseAway, RetryLater
from syncd.fanout import CataloguePage, Found, book_readings, enter_page
from syncd.fanout.drifting import Known, tell_in_flight
from syncd.stock.model import ListingSeen
from syncd.stock.plans import Radius
from syncd.stock.policy import keeps
from syncd.stock.rulebook import Asked, ChannelRules
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.sweep")

PAGE = 2000
RETRY_S = (5.0, 60.0)
RETRY_DOUBLINGS = 8
VANISH_READINGS = 200
"""So many listings a sweep reads one by one when the catalogue lacks more than can be believed."""


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """How channels are swept. `public_url` empty: registrations are not audited."""

    every: timedelta
    overlap: timedelta
    public_url: str = ""
    vanish_limit: float = 0.2
    radius: Radius = field(default_factory=Radius)
    """What would change more of a channel in one go is held, and waits for a person."""
    """More than this share of the known listings missing is told, and read in pieces."""


@dataclass(slots=True)
class Swept:
    """What one sweep saw."""

    listings: int = 0
    differing: int = 0
    orders: int = 0
    missing: int = 0
    subscribed: int = 0


class Sweeper:
    """Sweeps one channel: at start, on a timer, and when its bell rings."""

    def __init__(self, core: Core, channel: Channel, plan: SweepPlan) -> None:
        self._core = core
        self._channel = channel
        self._plan = plan
        self._judged: ChannelRules | None = None
        """The rules under which it was last seen how much they change at once."""

    def tune(self, plan: SweepPlan) -> None:
        """Go by this plan from now on; where sweeps come more often, the first of them comes at once."""
        if plan.every < self._plan.every:
            self._core.bells.sweeps[self._channel.id].set()
        if plan.radius != self._plan.radius:
            self._judged = None
        self._plan = plan

    async def run(self) -> None:
        """Sweep until cancelled."""
        bell = self._core.bells.sweeps[self._channel.id]
        failures = 0
        while True:
            wait_s = self._plan.every.total_seconds()
            if self._channel.rules.enabled and not self._channel.closed:
                try:
                    await self.sweep()
                    failures = 0
                except (ChannelError, DatabaseAway) as error:
                    log.warning("sweep.failed", channel=self._channel.name, reason=str(error))
                    self._core.note(Line("sweep_failed", "", self._channel.id, reason=str(error)))
                    failures += 1
                    wait_s = min(wait_s, self._core.rng.uniform(RETRY_S[0], _patience_s(failures)))
            await rung(bell, wait_s)

    async def sweep(self) -> Swept:
        """One pass: orders since the watermark, registrations, then every listing.

        Raises what the connector raises; what was booked until then stays booked.
        """
        began = self._core.clock()
        done = Swept()
        rules = self._core.rulebook.channels[self._channel.id]
        if self._judged != rules:
            await hold_if_large(self._core, self._channel, self._plan.radius)
            self._judged = rules
        with priority(Priority.BULK):
            done.orders = await speak(
                self._core,
                self._channel,
                fetch_orders(self._core, self._channel, Priority.BULK, self._plan.overlap),
            )
            done.subscribed = await self._audit()
            edits = MassEdits(self._core, self._channel, self._plan.radius)
            seen = await self._sweep_listings(done, edits)
            await edits.end(done.listings)
        done.missing = await self._find_vanished(seen, done.listings)
        await owe_linked(self._core, await mark_duplicates(self._core, self._channel.id))
        await arrange(self._core, self._channel)
        await weigh_holds(self._core, self._channel)
        async with self._core.booking("sweep_end") as (conn, booking):
            await bookmark.swept(conn, self._channel.id, booking.now)
        took_s = (self._core.clock() - began).total_seconds()
        self._core.metrics.sweep_seconds.observe(took_s)
        self._core.metrics.sweep_last_success_timestamp_seconds.labels(
            self._channel.name
        ).set_to_current_time()
        log.info(
            "sweep.done",
            channel=self._channel.name,
            seconds=round(took_s, 3),
            listings=done.listings,
            differing=done.differing,
            orders=done.orders,
        )
        return done

    async def _sweep_listings(self, done: Swept, edits: MassEdits) -> bytearray:
        """Read the whole catalogue; gives a bitmap of the listings seen, by id."""
        seen = bytearray()
        first_turn, first_at = await self._turn()
        pages = aiter(self._channel.connector.listings())
        while True:
            turn, asked_at = await self._turn()
            page = await speak(self._core, self._channel, _next(pages))
            if page is None:
                return seen
            if page.asked_before:
                turn, asked_at = first_turn, first_at
            for first in range(0, len(page.rows), PAGE):
                rows = page.rows[first : first + PAGE]
                part = replace(page, rows=rows)
                done.differing += await self._book_page(part, turn, asked_at, seen, edits)
                done.listings += len(rows)
            if page.wait_s:
                await asyncio.sleep(page.wait_s)

    async def _turn(self) -> tuple[int, datetime]:
        async with self._core.db.statement("next_turn") as conn:
            return await shelf.next_turn(conn), self._core.clock()

    async def _book_page(
        self, part: Page, turn: int, asked_at: datetime, seen: bytearray, edits: MassEdits
    ) -> int:
        """Enter a page and book what differs of it; gives how many rows did."""
        rows = part.rows
        rules = self._core.rulebook.channels[self._channel.id]
        async with self._core.booking("sweep_page") as (conn, booking):
            pairs = await enter_page(conn, booking, CataloguePage(rules, rows, asked_at))
            differing = []
            for row, now in pairs:
                _mark(seen, now.listing_id)
                if row.quantity is not None and self._differs(row, now):
                    differing.append(_found(now, row, row.quantity, part))
            tell_in_flight(booking, _in_flight(pairs), self._channel.id)
            if differing and part.asked_before and rules.follows_edits:
                # nobody knows when each of these was read: they are read again, one by one
                ids = sorted(found.listing_id for found in differing)
                await shelf.lock(conn, ids, [])
                await shelf.wish(conn, ids, "swept", booking.now)
                booking.lanes.add(self._channel.id)
            elif differing:
                again = await book_readings(conn, booking, differing, turn, asked_at)
                await edits.hold(conn, booking, _edited(pairs, again))
            for row, now in pairs:
                if now.skip == "relinked":
                    booking.skip(_told(row, now, self._channel.id))
            # turn 0: linked by this page, so a sale being booked may not know of its shelf
            new = {now.listing_id for _, now in pairs if now.turn == 0 and now.quantity is not None}
            linked = new.union(booking.linked)
        await owe_linked(self._core, linked)
        if booking.uncounted:
            uncounted = [r for r in rows if (r.location, r.remote) in booking.uncounted]
            await self._count(uncounted, asked_at)
        return len(differing)

    async def _count(self, rows: Sequence[ListingSeen], asked_at: datetime) -> None:
        """First counts where orders are the truth: what was sold until the answer must be known."""
        fetch = fetch_orders(self._core, self._channel, Priority.BULK)
        await speak(self._core, self._channel, fetch)
        rules = self._core.rulebook.channels[self._channel.id]
        async with self._core.booking("sweep_count") as (conn, booking):
            page = CataloguePage(rules, rows, asked_at, orders_known=True)
            await enter_page(conn, booking, page)
        await owe_linked(self._core, set(booking.linked))

    def _differs(self, row: ListingSeen, now: ListingNow) -> bool:
        """True where a row may have to be booked or written: the locks decide."""
        if now.attempt_open:
            return False
        if now.shown is None or now.shown != row.quantity:
            return True
        if now.quantity is None or now.warehouse_id is None or now.skip:
            return False
        rules = self._core.rulebook.channels[self._channel.id]
        if rules.follows_edits and not now.followed and now.parts is None:
            return True  # what people change here is told from a reading before it
        none = self._core.rulebook.shows_none(now.warehouse_id, orphaned=now.orphaned)
        wants = rules.target_of(
            Asked(now.listing_id, now.sku, now.warehouse_id, none, shown=now.shown), now
        )
        return wants != now.shown and not keeps(wants, rules.policy_of(now.sku))

    async def _find_vanished(self, seen: bytearray, listings: int) -> int:
        """Listings the catalogue does not have any more are read one by one before they are gone.

        More than the limit are told, and read in pieces, a new choice by each sweep: a short
        catalogue costs readings and nothing else. Raises RetryLater where it is empty.
        """
        missing, known = array("q"), 0
        after = 0
        while True:
            async with self._core.db.statement("live_listings") as conn:
                part = await catalog.live_listings(conn, self._channel.id, after, 5000)
            if not part:
                break
            known += len(part)
            after = part[-1][0]
            missing.extend(listing_id for listing_id, _ in part if not _marked(seen, listing_id))
        if not missing:
            return 0
        lacks = f"the catalogue lacks {len(missing)} of {known} listings: not believed"
        if listings == 0:
            raise RetryLater(lacks)
        async with self._core.booking("vanished") as (conn, booking):
            read = list(missing)
            if len(missing) > max(1, known * self._plan.vanish_limit):
                read = sorted(self._core.rng.sample(read, min(VANISH_READINGS, len(read))))
                log.warning("sweep.lacking", channel=self._channel.name, reason=lacks)
                booking.skip(_lacking(self._channel.id, lacks, len(read)))
            await shelf.lock(conn, read, [])
            await shelf.wish(conn, read, "vanished", booking.now)
            booking.lanes.add(self._channel.id)
        return len(missing)

    async def _audit(self) -> int:
        """Register the webhooks that are missing or unhealthy; gives how many were."""
        topics = self._channel.connector.capabilities.topics
        if not self._plan.public_url or not topics:
            return 0
        address = f"{self._plan.public_url.rstrip('/')}/webhooks/{self._channel.name}"
        gauge = self._core.metrics.subscriptions_missing.labels(self._channel.name)
        asking = self._channel.connector.subscriptions()
        there = await speak(self._core, self._channel, asking, hears=False)
        healthy = {s.topic for s in there if s.healthy and s.address == address}
        missing = sorted(topics - healthy)
        gauge.set(len(missing))
        for topic in missing:
            try:
                registering = self._channel.connector.subscribe(topic, address)
                await speak(self._core, self._channel, registering, hears=False)
            except ChannelError as error:
                log.warning(
                    "subscription.failed",
                    channel=self._channel.name,
                    topic=topic,
                    reason=str(error),
                )
                reason = f"{topic}: {error}"
                self._core.note(Line("subscribe_failed", "", self._channel.id, reason=reason))
                if not isinstance(error, RetryLater) and self._channel.closed:
                    raise
            else:
                gauge.dec()
                log.info("subscription.made", channel=self._channel.name, topic=topic)
                self._core.note(Line("subscribed", "", self._channel.id, reason=topic))
        return len(missing)


def _found(now: ListingNow, row: ListingSeen, quantity: int, part: Page) -> Found:
    return Found(now.listing_id, quantity, row.at, unannounced=True, answered_at=part.answered_at)


async def _next(pages: AsyncIterator[Page]) -> Page | None:
    try:
        return await anext(pages)
    except StopAsyncIteration:
        return None


def _patience_s(failures: int) -> float:
    low, high = RETRY_S
    return min(high, low * 2.0 ** min(failures, RETRY_DOUBLINGS))


def _told(row: ListingSeen, now: ListingNow, channel_id: int) -> Line:
    """Its sku is another item's than the one it was counted for: nothing is written to it."""
    return Line("skipped", row.sku, channel_id, now.listing_id, now.shown, reason="relinked")


def _lacking(channel_id: int, lacks: str, reading: int) -> Line:
    detail: dict[str, object] = {"why": lacks, "reading": reading}
    return Line("skipped", "", channel_id, reason="catalogue_short", detail=detail)


def _edited(
    pairs: Sequence[tuple[ListingSeen, ListingNow]], again: set[int]
) -> list[tuple[ListingNow, int]]:
    """Rows that showed another number than the known one, without those that say nothing yet."""
    return [
        (now, row.quantity)
        for row, now in pairs
        if row.quantity is not None
        and now.shown is not None
        and row.quantity != now.shown
        and not now.attempt_open
        and now.listing_id not in again
    ]


def _in_flight(pairs: Sequence[tuple[ListingSeen, ListingNow]]) -> list[Known]:
    """Rows that show another number than the known one while a write is under way."""
    return [
        Known(now.listing_id, now.sku, now.shown, row.quantity)
        for row, now in pairs
        if now.attempt_open and row.quantity is not None and row.quantity != now.shown
    ]


def _mark(seen: bytearray, listing_id: int) -> None:
    byte, bit = divmod(listing_id, 8)
    if byte >= len(seen):
        seen.extend(bytes(byte + 1024 - len(seen)))
    seen[byte] |= 1 << bit


def _marked(seen: bytearray, listing_id: int) -> bool:
    byte, bit = divmod(listing_id, 8)
    return byte < len(seen) and bool(seen[byte] & (1 << bit))
