"""One channel's walkers as tasks: started together, stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from syncd.corridor import Channel, Core
from syncd.lane import Lane
from syncd.reconcile import Sweeper, SweepPlan

Supervise = Callable[[str, Callable[[], Awaitable[None]]], asyncio.Task[None]]


class Running:
    """A channel's lane and sweeper while they run."""

    def __init__(self, core: Core, channel: Channel, plan: SweepPlan) -> None:
        self.channel = channel
        self._lane = Lane(core, channel)
        self._sweeper = Sweeper(core, channel, plan)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, supervise: Supervise) -> None:
        """Start both walkers under supervision."""
        name = self.channel.name
        self._tasks = [
            supervise(f"{name}.lane", self._lane.run),
            supervise(f"{name}.sweep", self._sweeper.run),
        ]

    async def stop(self, bound_s: float) -> None:
        """End the sweep, let calls under way have their answers within `bound_s`, then cut."""
        for task in self._tasks[1:]:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(bound_s):
                await self._lane.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
