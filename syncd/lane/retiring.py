"""Taking listings out of sale and back: what is owed is asked of the platform until it answers.

Asking twice does no harm: it is said what a listing should be, not what should change of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from syncd.connectors.base import Outcome, Ref, Retires, RowResult
from syncd.connectors.breaker import State
from syncd.connectors.budget import Priority
from syncd.corridor import Channel, Core
from syncd.corridor.speaking import speak
from syncd.db import retiring, shelf
from syncd.db.journal import Line
from syncd.db.retiring import Owed
from syncd.db.shelf import Shelf
from syncd.errors import ChannelError, DatabaseAway, Refused
from syncd.fanout.owing import levels_now
from syncd.fanout.retiring import follow
from syncd.stock.facts import clean
from syncd.stock.rulebook import ChannelRules

POLL_S = 3.0
PIECE = 500
PAUSE_S = (5.0, 600.0)
"""What was not answered is asked again after such a pause, which doubles."""


class Retiring:
    """Takes one channel's listings out of sale and back."""

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self._judged: ChannelRules | None = None

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            worked = False
            try:
                if self._speaks:
                    worked = await self.step()
            except (ChannelError, DatabaseAway):
                worked = False
            if not worked:
                await asyncio.sleep(POLL_S)

    @property
    def _speaks(self) -> bool:
        channel = self._channel
        return (
            channel.rules.enabled
            and channel.rules.deliver
            and not channel.closed
            and channel.breaker.state is State.CLOSED
        )

    async def step(self) -> bool:
        """Ask for one batch of what is due; False where nothing is."""
        rules = self._core.rulebook.channels[self._channel.id]
        if self._judged != rules:
            await self._compare(rules)
            self._judged = rules
        batch = await self._claim()
        if not batch:
            return False
        refs = [Ref(x.remote, x.location, x.sku, x.batch_group) for x in batch]
        connector = self._channel.connector
        assert isinstance(connector, Retires)
        cost = connector.capabilities.write_cost
        try:
            async with self._channel.http.reserved(cost, Priority.NORMAL):
                call = connector.retire(refs, out=batch[0].wants, again=batch[0].unsure)
                results = await speak(self._core, self._channel, call, hears=False)
        except Refused as error:
            results = [RowResult(Outcome.REFUSED, error.reason)] * len(batch)
        except ChannelError as error:
            await self._postpone(batch, str(error))
            raise
        await self._settle(batch, results)
        return True

    async def _compare(self, rules: ChannelRules) -> None:
        """After other rules: what shows 0 already, and what is out of sale and should not be."""
        for page in (retiring.empty, retiring.retired):
            after = 0
            while rules.retires or page is retiring.retired:
                async with self._core.booking("retire_compare") as (conn, booking):
                    ids = await page(conn, rules.id, after, PIECE)
                    if not ids:
                        break
                    after = ids[-1]
                    rows = await shelf.lock(conn, ids, [])
                    if rules.retires:
                        await follow(conn, booking, rows, await levels_now(conn, _keys(rows)))
                    else:
                        await retiring.relist(conn, ids, booking.now)

    async def _claim(self) -> list[Owed]:
        """One batch of what is due, of one kind and group, as it still is under its locks."""
        core, most = self._core, self._channel.connector.capabilities.batch_max
        async with core.booking("retire_claim") as (conn, booking):
            ids = [
                x.listing_id
                for x in await retiring.owed(conn, self._channel.id, booking.now, PIECE)
            ]
            if not ids:
                return []
            rows = await shelf.lock(conn, ids, [])
            await follow(conn, booking, rows, await levels_now(conn, _keys(rows)))
            empty = {row.listing_id for row in rows if row.shown == 0}
            found = await retiring.owed(conn, self._channel.id, booking.now, PIECE)
            due = [x for x in found if x.listing_id in set(ids)]
            filled = [x.listing_id for x in due if x.wants and x.listing_id not in empty]
            if filled:
                await retiring.call_off(conn, filled)
            due = [x for x in due if x.listing_id not in filled]
            batch = [x for x in due if _kind(x) == _kind(due[0])][:most]
            await retiring.asking(conn, [x.listing_id for x in batch])
        return batch

    async def _settle(self, batch: Sequence[Owed], results: Sequence[RowResult]) -> None:
        out, found = batch[0].wants, dict(zip((x.listing_id for x in batch), results, strict=True))
        async with self._core.booking("retire_settle") as (conn, booking):
            await shelf.lock(conn, list(found), [])
            by = {o: [i for i, x in found.items() if x.outcome is o] for o in Outcome}
            if by[Outcome.APPLIED]:
                await retiring.answered(conn, [(i, out) for i in by[Outcome.APPLIED]])
            if by[Outcome.NOT_APPLIED]:
                await retiring.leave(conn, by[Outcome.NOT_APPLIED], "not_on_sale")
            refused = [(i, clean(found[i].reason)[:500]) for i in by[Outcome.REFUSED]]
            if refused:
                await retiring.park(conn, refused, booking.now)
            booking.journal += [
                _told(self._channel.id, one, result)
                for one, result in zip(batch, results, strict=True)
            ]

    async def _postpone(self, batch: Sequence[Owed], reason: str) -> None:
        low, high = PAUSE_S
        pause_s = min(high, low * 2.0 ** max(x.tries for x in batch))
        async with self._core.booking("retire_later") as (conn, booking):
            ids = [x.listing_id for x in batch]
            await shelf.lock(conn, ids, [])
            later = booking.now + timedelta(seconds=self._core.rng.uniform(low, max(low, pause_s)))
            await retiring.postpone(conn, ids, later, clean(reason)[:500])


def _keys(rows: Sequence[Shelf]) -> set[tuple[int, int]]:
    return {
        (row.item_id, row.warehouse_id)
        for row in rows
        if row.item_id is not None and row.warehouse_id is not None
    }


def _kind(one: Owed) -> tuple[bool, bool, str]:
    return one.wants, one.unsure, one.batch_group


def _told(channel_id: int, one: Owed, result: RowResult) -> Line:
    """What became of a listing that was to be out of sale, or back."""
    reason = clean(result.reason)[:500]
    if result.outcome is Outcome.NOT_APPLIED:
        detail: dict[str, object] = {"why": reason}
        return Line("skipped", one.sku, channel_id, one.listing_id, 0, 0, "not_on_sale", detail)
    if result.outcome is Outcome.REFUSED:
        return Line("parked", one.sku, channel_id, one.listing_id, reason=reason)
    return Line("retired" if one.wants else "relisted", one.sku, channel_id, one.listing_id)
