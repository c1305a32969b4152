"""One channel's walkers as tasks: started together, stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from syncd.corridor import Channel, Core
from syncd.lane import Lane
from syncd.lane.cutover import CuttingOver
from syncd.lane.retiring import Retiring
from syncd.reconcile import Sweeper, SweepPlan
from syncd.stock.cutover import CutOver

Supervise = Callable[[str, Callable[[], Awaitable[None]]], asyncio.Task[None]]


class Running:
    """A channel's lane and sweeper while they run."""

    def __init__(self, core: Core, channel: Channel, plan: SweepPlan) -> None:
        self.channel = channel
        self._lane = Lane(core, channel)
        self._sweeper = Sweeper(core, channel, plan)
        self._retiring = Retiring(core, channel)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, supervise: Supervise) -> None:
        """Start the walkers under supervision."""
        name = self.channel.name
        self._tasks = [
            supervise(f"{name}.lane", self._lane.run),
            supervise(f"{name}.sweep", self._sweeper.run),
        ]
        if self.channel.connector.capabilities.retires:
            self._tasks.append(supervise(f"{name}.retire", self._retiring.run))

    def tune(self, plan: SweepPlan) -> None:
        """Sweep by this plan from now on."""
        self._sweeper.tune(plan)

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


class Cutting:
    """A channel's cut-over while it is made; its lane and sweeper run after it."""

    def __init__(
        self, core: Core, channel: Channel, change: CutOver, done: Callable[[], Awaitable[None]]
    ) -> None:
        self.change = change
        self._walker = CuttingOver(core, channel, change)
        self._name = channel.name
        self._done = done
        self._task: asyncio.Task[None] | None = None

    def start(self, supervise: Supervise) -> None:
        """Start it under supervision; `done` is awaited once the new rule is in force."""
        self._task = supervise(f"{self._name}.cut_over", self._run)

    async def _run(self) -> None:
        if not self._walker.switched:
            await self._walker.run()
        await self._done()

    async def stop(self) -> None:
        """Leave it unfinished: the old rule stays in force."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
