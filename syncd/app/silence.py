"""Safe mode: finds channels of which nothing is heard, and keeps a reserve for what they sell unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from syncd.corridor import Core
from syncd.db import hearing, sales
from syncd.db.journal import Line
from syncd.db.sales import Pace
from syncd.errors import DatabaseAway
from syncd.fanout import hold_items, owe_items
from syncd.stock.hearing import Hearing, Judged, judge, unheard_for, unseen
from syncd.stock.rulebook import ChannelRules
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.silence")

EVERY_S = 15.0
RESERVE_EVERY = timedelta(minutes=1)
PIECE = 500

Reserve = tuple[int, int, int, int]
"""(item, warehouse, channel, units it may have sold unseen)."""


class Silence:
    """Watches when each channel was last heard of; `step` is one look at all of them."""

    def __init__(self, core: Core, leading: Callable[[], bool] = lambda: True) -> None:
        self._core = core
        self._leading = leading
        self._began = self._reserved = core.clock()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            pause_s = EVERY_S
            try:
                if self._leading():
                    await self.step()
            except DatabaseAway:
                pause_s = 1.0
            await asyncio.sleep(pause_s)

    async def step(self) -> None:
        """Write down who was heard, find who is silent or heard again, and keep the reserves."""
        core, now = self._core, self._core.clock()
        heard = {c.id: c.heard_at for c in core.channels.values() if c.heard_at is not None}
        if not any(rules.safe_after is not None or rules.silent for rules in self._rules()):
            return
        async with core.db.transaction("heard") as conn:
            await hearing.heard(conn, heard)
            found = {one.channel_id: one for one in await hearing.hearings(conn)}
        judged = {
            rules.id: judge(
                found[rules.id], rules.safe_after if rules.enabled else None, now, self._began
            )
            for rules in self._rules()
            if rules.id in found
        }
        changed = await self._change(found, judged)
        if changed or now - self._reserved >= RESERVE_EVERY:
            self._reserved = now
            await self._reserve(found, judged)
        for channel_id, one in judged.items():
            if one in (Judged.SPEAKS, Judged.HEARD_AGAIN):
                # what it did meanwhile has to be known; and once it is, what was kept from it is owed
                core.bells.sweeps[channel_id].set()

    def _rules(self) -> Sequence[ChannelRules]:
        return self._core.rulebook.configured

    async def _change(self, found: dict[int, Hearing], judged: Mapping[int, Judged]) -> bool:
        """Who fell silent is silent from now on, who is heard again is not; True where anybody is."""
        core = self._core
        falls = [i for i, one in judged.items() if one is Judged.FALLS_SILENT]
        again = [i for i, one in judged.items() if one is Judged.HEARD_AGAIN]
        if falls or again:
            async with core.booking("silence") as (conn, booking):
                await hearing.fall_silent(conn, falls, booking.now)
                await hearing.hear_again(conn, again)
                for channel_id in falls:
                    since = found[channel_id].heard_at
                    reason = f"nothing heard since {since:%Y-%m-%d %H:%M:%S} UTC"
                    booking.journal.append(Line("silent", "", channel_id, reason=reason))
                for channel_id in again:
                    reason = "fetched and read since"
                    booking.journal.append(Line("heard_again", "", channel_id, reason=reason))
                found.update({one.channel_id: one for one in await hearing.hearings(conn)})
                silent = set(await hearing.silent(conn))
        else:
            silent = {i for i, one in judged.items() if found[i].silent_at is not None}
        for names, event in ((falls, "channel.silent"), (again, "channel.heard_again")):
            for channel_id in names:
                log.warning(event, channel=core.name_of(channel_id))
        core.quiet(silent)
        for rules in self._rules():
            core.metrics.channel_silent.labels(rules.name).set(rules.silent)
        return bool(falls or again)

    async def _reserve(self, found: Mapping[int, Hearing], judged: Mapping[int, Judged]) -> None:
        """Reserve what silent channels may have sold by now, and nothing for the others."""
        core, now = self._core, self._core.clock()
        gaps = {
            i: unheard_for(found[i], one, now)
            for i, one in judged.items()
            if found[i].silent_at is not None
        }
        async with core.db.transaction("paces") as conn:
            paces = await sales.paces(conn, sorted(gaps))
        rows = [row for one in paces if (row := _reserve(one, gaps)) is not None]
        for first in range(0, len(rows), PIECE):
            piece = rows[first : first + PIECE]
            keys = sorted({row[:2] for row in piece})
            async with core.booking("reserve") as (conn, booking):
                await hold_items(conn, keys)
                await sales.reserve(conn, piece)
                await owe_items(conn, booking, keys)
        async with core.db.transaction("unseen") as conn:
            units = await sales.unseen(conn)
        for rules in self._rules():
            core.metrics.unseen_units.labels(rules.name).set(units.get(rules.id, 0))


def _reserve(one: Pace, gaps: Mapping[int, timedelta]) -> Reserve | None:
    """What is to be reserved for a channel's sales of an item; None where it is already."""
    gap = gaps.get(one.channel_id)
    units = unseen(one.sold, one.hours, gap) if gap is not None else 0
    if units == one.unseen:
        return None
    return one.item_id, one.warehouse_id, one.channel_id, units


def check(core: Core) -> tuple[bool, dict[str, str]]:
    """Silent channels are told, and do not make the daemon unready: the others go on."""
    silent = [rules.name for rules in core.rulebook.configured if rules.silent]
    return not silent, dict.fromkeys(silent, "silent")
