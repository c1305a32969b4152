"""The daemon's life: start, run, reload, drain. One process, one task per walker, each watched."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from syncd import __version__
from syncd.app import bundles, housekeeping, silence, speeds
from syncd.app.build import (
    cautions_in,
    channel_problems,
    make_channel,
    problems_in,
    radius_of,
    tokens_of,
)
from syncd.app.inforce import InForce, in_force, keep, off_in_force
from syncd.app.reload import prepare
from syncd.app.silence import Silence
from syncd.app.storage import Storage
from syncd.app.walking import Walking, close
from syncd.bulk import Bulk
from syncd.bulk.rebalancing import Rebalancing
from syncd.config import Settings, load
from syncd.console import Access, Api, Upkeep
from syncd.corridor import Core, take_switches
from syncd.corridor.core import utc_now
from syncd.db import holds
from syncd.db.journal import Line
from syncd.errors import ConfigError, DatabaseAway
from syncd.intake import Intake
from syncd.reconcile import SweepPlan
from syncd.server import Address, Door, DoorChannel, GroupedStore, Ops
from syncd.stock.rulebook import INTERNAL, Rulebook
from syncd.telemetry import logs, notify
from syncd.telemetry.health import Health
from syncd.telemetry.looplag import LoopLag
from syncd.telemetry.metrics import Metrics

log = logs.get_logger("syncd.daemon")

RESTART_S = 1.0
STATUS_S = 10.0
"""A walker that fell over is started again after this; what it was doing is in the tables."""


class Daemon:
    """`await run()` returns after SIGTERM or SIGINT has drained everything."""

    def __init__(self, config: Path | None, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self.metrics = Metrics()
        self._access = Access()
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloads: set[asyncio.Task[bool]] = set()
        self._walking = Walking(self.metrics, self._supervise, self._switched)
        self._lag = LoopLag(self.metrics.event_loop_lag_seconds)
        self.door_addresses: list[Address] = []
        self.ops_addresses: list[Address] = []

    async def run(self) -> None:
        """Start everything, serve until told to stop, drain. Raises ConfigError before it starts."""
        self._settings = self.load()
        logs.configure(
            self._settings.log.level, self._settings.log.format, self._settings.secrets()
        )
        for warning in (*self._settings.warnings, *cautions_in(self._settings)):
            log.warning("config.warning", problem=warning)
        self._catch_signals()
        self._storage = Storage(self._settings, self.metrics)
        try:
            if not await self._until_stop(self._storage.open()):
                return
            await self._start()
            notify.ready(f"syncd {__version__}: {len(self._settings.channels)} channels")
            await self._stop.wait()
        finally:
            notify.stopping()
            await self._drain()
            await self._storage.close()
            log.info("daemon.stopped")

    def load(self) -> Settings:
        """The configuration as it stands now, wholly checked. Raises ConfigError."""
        settings = load(self._config, self._environ, channel_problems)
        problems = problems_in(settings)
        if problems:
            raise ConfigError(problems)
        return settings

    async def _until_stop(self, starting: Awaitable[None]) -> bool:
        """Await the start; False when a stop was asked for first."""
        task = asyncio.ensure_future(starting)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            return False
        task.result()
        return True

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hup)

    def _hup(self) -> None:
        task = asyncio.ensure_future(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _start(self) -> None:
        db = self._storage.db
        self.core = Core(db, self.metrics, Rulebook({}))
        self.core.leads = lambda: self._storage.leading
        await housekeeping.retain(self.core, self._settings.sync)
        self._tune()
        self._walking.join(self.core)
        await self._take_rules(await self._in_force(self._settings))
        for rules in self.core.rulebook.channels.values():
            if rules.name == INTERNAL:
                continue  # nobody is called there
            settings = self._settings.channels[rules.name]
            self._walking.admit(make_channel(rules, settings, self.metrics, utc_now))
        self._store = GroupedStore(db, utc_now, self.core.bells.intake.set)
        http = self._settings.http
        self._door = Door(
            self._store,
            self._door_channels(),
            self.metrics,
            utc_now,
            max_body_bytes=http.max_body,
            body_timeout_s=http.body_timeout.total_seconds(),
        )
        await self._listen()
        self._supervise("intake", Intake(self.core).run)
        self._supervise("bulk", Bulk(self.core).run)
        self._supervise("upkeep", Upkeep(self.core).run)
        self._supervise("samples", lambda: housekeeping.sample_for_ever(self.core))
        self._supervise(
            "retention",
            lambda: housekeeping.retain_for_ever(self.core, lambda: self._settings.sync),
        )
        self._supervise("listen", lambda: housekeeping.listen_for_ever(self.core, db))
        self._supervise(
            "switches", lambda: housekeeping.follow_switches(self.core, self._follow_switches)
        )
        self._supervise("speeds", lambda: speeds.refresh_for_ever(self.core, self._leading))
        self._supervise("silence", Silence(self.core, self._leading).run)
        escrow = Rebalancing(self.core, lambda: self._settings.sync.rebalance_every)
        self._supervise("escrow", lambda: escrow.run(self._leading))
        self._supervise("heartbeat", self._heartbeat)
        self._supervise("lanes", lambda: self._storage.lead(self._start_lanes, self._stop_lanes))
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_success_timestamp_seconds.set_to_current_time()
        log.info("daemon.started", version=__version__, channels=sorted(self._settings.channels))
        self.core.note(Line("started", reason=f"syncd {__version__}"))

    async def _listen(self) -> None:
        health = Health()
        health.add("database", self._storage.check)
        health.add("door", lambda: (bool(self.door_addresses), "listening"))
        health.add("channels", self._check_channels)
        health.add("hearing", lambda: silence.check(self.core), informational=True)
        health.add("event_loop", self._lag.check, live=True)
        self._ops = Ops(self.metrics.render, health.live, health.ready)
        Api(self.core, self._access).hang(self._ops.app)
        self._ask_for_tokens(self._settings)
        sockets = notify.inherited_sockets()
        where = self._settings.http.listen
        self.door_addresses = await self._door.start(Address(where.host, where.port), sockets)
        where = self._settings.ops.listen
        self.ops_addresses = await self._ops.start(Address(where.host, where.port))
        log.info(
            "daemon.listening",
            door=[f"{a.host}:{a.port}" for a in self.door_addresses],
            ops=[f"{a.host}:{a.port}" for a in self.ops_addresses],
        )

    def _ask_for_tokens(self, settings: Settings) -> None:
        self._access.tokens = tokens_of(settings)
        token = settings.ops.token
        others = [one.token.get_secret_value() for one in settings.ops.tokens.values()]
        self._ops.ask_for(token.get_secret_value() if token else None, others)

    def _check_channels(self) -> tuple[bool, dict[str, str]]:
        """Closed channels are told, and do not make the daemon unready: the others go on."""
        pending = self._walking.pending
        return True, {
            c.name: c.closed or ("being cut over" if c.name in pending else "open")
            for c in self.core.channels.values()
        }

    async def _in_force(self, settings: Settings) -> InForce:
        async with self._storage.db.transaction("enter_names") as conn:
            found = await in_force(conn, settings)
            await holds.await_first_syncs(conn, utc_now())
            return found

    async def _take_rules(self, found: InForce) -> None:
        """Go by these rules; what is in force for everybody is said by the daemon that leads alone."""
        if self._storage.leading:
            async with self._storage.db.transaction("keep_rules") as conn:
                await keep(conn, found, utc_now())
        self._walking.adopt(found)
        if self._storage.leading:
            await bundles.take_up(self.core, self._settings)

    async def _switched(self) -> None:
        """A cut-over was made, here or by the daemon that leads: go by what is in force now."""
        async with self._reloading:
            await self._align()

    async def _follow_switches(self) -> list[str]:
        """Follow what people switched; one that is on again, while its rule in force is off, is cut over."""
        async with self._reloading:
            changed = await take_switches(self.core)
            if await off_in_force(self.core) - self._walking.pending.keys():
                await self._align()
        return changed

    async def _align(self) -> None:
        await self._take_rules(await self._in_force(self._settings))
        await self._walking.end_cut_overs()
        await self._walking.remake(self._settings)
        self._door.channels = self._door_channels()
        if self._storage.leading:
            await self._walking.start(self._plan(), self._bound_s)

    def _leading(self) -> bool:
        return self._storage.leading

    def _door_channels(self) -> dict[str, DoorChannel]:
        return {
            c.name: DoorChannel(c.id, c.connector, c.rules.enabled)
            for c in self.core.channels.values()
        }

    def _plan(self) -> SweepPlan:
        sync, url = self._settings.sync, self._settings.http.public_url
        radius = radius_of(self._settings)
        return SweepPlan(sync.sweep_every, sync.sweep_overlap, url or "", sync.blast_radius, radius)

    def _tune(self) -> None:
        """What whoever makes plans goes by."""
        self.core.radius = radius_of(self._settings)
        self.core.plan_expiry = self._settings.sync.plan_expiry

    @property
    def _bound_s(self) -> float:
        return self._settings.sync.drain_timeout.total_seconds()

    async def _start_lanes(self) -> None:
        """We lead now: every channel gets its lane and its sweeps, instead of any from before."""
        async with self._reloading:
            await self._walking.rest()
            await self._walking.stop(self._bound_s)
            await self._align()

    async def _stop_lanes(self) -> None:
        """Another daemon leads: ours would only be in its way."""
        async with self._reloading:
            await self._walking.rest()
            await self._walking.stop(self._bound_s)

    def _supervise(self, name: str, walk: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a walker for ever: one that falls over is told of and started again."""

        async def watched() -> None:
            while True:
                try:
                    await walk()
                except asyncio.CancelledError:
                    raise
                except Exception:
                    log.exception("walker.failed", walker=name)
                    await asyncio.sleep(RESTART_S)
                else:
                    return

        task = asyncio.create_task(watched(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _heartbeat(self) -> None:
        """Tell systemd that the loop turns, and what it turns for."""
        interval_s = notify.watchdog_interval_s()
        self._lag.start()
        while True:
            if self._lag.healthy():
                notify.watchdog()
            await asyncio.sleep(min(interval_s or STATUS_S, STATUS_S))
            if not self._storage.leading:
                # another daemon may have cut a channel over, whatever our configuration says
                with suppress(DatabaseAway, ConfigError):
                    await self._switched()
            closed = sum(1 for c in self.core.channels.values() if c.closed)
            notify.status(f"{len(self.core.channels)} channels, {closed} closed")

    async def reload(self) -> bool:
        """Take up the configuration as it is now, or keep the old one and say every reason."""
        async with self._reloading:
            notify.reloading()
            await self._walking.rest()
            try:
                await self._take_up(self.load())
            except (ConfigError, DatabaseAway) as error:
                problems = error.problems if isinstance(error, ConfigError) else [str(error)]
                log.warning("config.reload_refused", problems=problems)
                self.core.note(Line("reload_refused", reason="; ".join(problems)))
                self.metrics.config_last_reload_successful.set(0)
                with suppress(DatabaseAway):
                    await self._align()
                return False
            finally:
                notify.ready("reloaded")
            self.metrics.config_last_reload_successful.set(1)
            self.metrics.config_last_reload_success_timestamp_seconds.set_to_current_time()
            return True

    async def _take_up(self, new: Settings) -> None:
        plan = await prepare(self._settings, new, self.core.rulebook, self._in_force, self.metrics)
        replaced = [c for c in self.core.channels.values() if c.name in plan.stops]
        if self._storage.leading:
            await bundles.take_up(self.core, plan.settings)
            async with self._storage.db.transaction("keep_rules") as conn:
                await keep(conn, plan.found, utc_now())
        # one step, no await: from here on everybody sees the new rules
        self._settings = plan.settings
        self._tune()
        self._walking.tune(self._plan())
        for channel_id in plan.gone:
            gone = self.core.channels.pop(channel_id)
            self.metrics.channel_removed(gone.name)
        self._walking.adopt(plan.found)
        for channel in plan.made:
            self._walking.admit(channel)
        self._door.channels = self._door_channels()
        self._ask_for_tokens(plan.settings)
        logs.configure(plan.settings.log.level, plan.settings.log.format, plan.settings.secrets())
        await self._walking.stop(self._bound_s, plan.stops)
        for channel in replaced:
            await close(channel)
        if self._storage.leading:
            await self._walking.start(self._plan(), self._bound_s)
        self.core.bells.intake.set()
        said = {
            "added": plan.added,
            "removed": plan.removed,
            "changed": plan.changed,
            "needs_restart": plan.needs_restart,
            "cut_over": sorted(plan.found.pending),
        }
        log.info("config.reloaded", **said)
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in said.items() if names)
        self.core.note(Line("reloaded", reason=told))

    async def _drain(self) -> None:
        """Answer who is inside, end what is under way, leave the rest in its tables."""
        if not hasattr(self, "_door"):
            return
        bound_s = max(self._settings.sync.drain_timeout - timedelta(seconds=2), timedelta(0))
        with suppress(TimeoutError):
            async with asyncio.timeout(bound_s.total_seconds()):
                await self._door.stop()
                await self._walking.rest()
                await self._walking.stop(bound_s.total_seconds())
        ending = [*self._tasks, *self._reloads]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        with suppress(DatabaseAway):
            await self.core.write_notes()
        await self._lag.stop()
        await self._ops.stop()
        for channel in self.core.channels.values():
            await close(channel)
