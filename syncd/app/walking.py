"""The channels' walkers: which run, which are cut over first, and what rules they all go by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from syncd.app.build import asks_locations, make_channel
from syncd.app.inforce import InForce
from syncd.app.running import Cutting, Running, Supervise
from syncd.config import Settings
from syncd.corridor import Channel, Core
from syncd.corridor.core import utc_now
from syncd.reconcile import SweepPlan
from syncd.stock.cutover import CutOver
from syncd.telemetry.metrics import Metrics


class Walking:
    """Starts and stops the walkers of every channel; `switched` is awaited after a cut-over."""

    def __init__(
        self, metrics: Metrics, supervise: Supervise, switched: Callable[[], Awaitable[None]]
    ) -> None:
        self.pending: Mapping[str, CutOver] = {}
        self._metrics = metrics
        self._supervise = supervise
        self._switched = switched
        self._running: dict[str, Running] = {}
        self._cutting: dict[str, Cutting] = {}

    def join(self, core: Core) -> None:
        """Walk in this core from now on."""
        self._core = core

    def adopt(self, found: InForce) -> None:
        """One step, no await: everybody goes by these rules; what is to be cut over waits for it."""
        core = self._core
        core.rulebook = found.rulebook
        self.pending = found.pending
        for rules in found.rulebook.channels.values():
            running = core.channels.get(rules.id)
            if running is None:
                continue
            changed, running.rules = running.rules != rules, rules
            if changed:
                # other last units in its warehouse move the targets of a channel that goes on
                core.bells.sweeps[rules.id].set()
        core.paused.clear()
        core.paused.update(
            rules.id for rules in found.rulebook.channels.values() if rules.name in found.pending
        )
        core.bells.intake.set()

    def admit(self, channel: Channel) -> None:
        """A channel that is new, or whose connector is."""
        self._core.channels[channel.id] = channel
        self._metrics.channel_added(channel.name, channel.rules.platform)

    async def remake(self, settings: Settings) -> None:
        """Give channels whose orders are asked otherwise by the new rules another connector."""
        for channel in list(self._core.channels.values()):
            caps = channel.connector.capabilities
            if asks_locations(channel.rules, caps) is not channel.by_location:
                made = settings.channels[channel.name]
                self.admit(make_channel(channel.rules, made, self._metrics, utc_now))
                await close(channel)

    async def start(self, plan: SweepPlan, bound_s: float) -> None:
        """Start the walkers of every channel that has none; one to be cut over has none until then.

        Calls under way of those that have to stop for it end within `bound_s`.
        """
        await self.stop(bound_s, self.pending)
        for channel in self._core.channels.values():
            name = channel.name
            if name in self._running or name in self._cutting:
                continue
            if name in self.pending:
                cut = Cutting(self._core, channel, self.pending[name], self._switched)
                self._cutting[name] = cut
                cut.start(self._supervise)
            else:
                self._running[name] = Running(self._core, channel, plan)
                self._running[name].start(self._supervise)

    def tune(self, plan: SweepPlan) -> None:
        """Sweeps go by this plan from now on, those that run too."""
        for running in self._running.values():
            running.tune(plan)

    async def stop(self, bound_s: float, names: Iterable[str] | None = None) -> None:
        """End the walkers of these channels (None: of all), calls under way within `bound_s`."""
        chosen = list(self._running) if names is None else [n for n in names if n in self._running]
        stopped = [self._running.pop(name) for name in chosen]
        await asyncio.gather(*(running.stop(bound_s) for running in stopped))

    async def end_cut_overs(self) -> None:
        """Cut-overs that are made, or that other rules have overtaken, are no more."""
        over = [n for n, cut in self._cutting.items() if self.pending.get(n) != cut.change]
        for cutting in [self._cutting.pop(name) for name in over]:
            # one after the other, in this very task: it may be the one that has just ended
            await cutting.stop()

    async def rest(self) -> None:
        """Leave cut-overs unfinished: the old rule stays in force until they are taken up again."""
        resting, self._cutting = list(self._cutting.values()), {}
        await asyncio.gather(*(cutting.stop() for cutting in resting))


async def close(channel: Channel) -> None:
    """Let go of a channel's connections; what goes wrong then hurts nobody."""
    with suppress(Exception):
        await channel.connector.close()
    channel.http.budget.close()
    await channel.http.close()
