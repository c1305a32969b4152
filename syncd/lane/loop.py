"""The loop of one channel: what is due is started as a job, as many at once as the platform bears.

Lanes share nothing but the database: one broken channel never slows another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from syncd.connectors.breaker import State
from syncd.corridor import Channel, Core
from syncd.corridor.speaking import speak
from syncd.db import attempts, outbox
from syncd.db.outbox import Due
from syncd.errors import ChannelClosed, DatabaseAway, Refused, RetryLater
from syncd.lane.fetching import Fetching
from syncd.lane.reading import Reading
from syncd.lane.writing import Writing
from syncd.stock.model import Truth
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.lane")

Job = Callable[[Callable[[], None]], Awaitable[bool]]
"""One piece of work: calls what it is given once it has chosen it; gives whether there was any."""

LOOKS, WRITES = "looks", "writes"
"""The two kinds of jobs that there are most of."""

LOOKS_APART_S = 0.2
"""Where orders are the truth no sale waits for a reading: those that follow each other are gathered."""

POLL_S = 2.0
AWAY_S = 0.3
REPROBE = timedelta(seconds=30)
"""A closed channel is asked this often whether it answers again."""

RETRY_S = (0.2, 1.0)
"""After a call that was not answered the lane waits about so long before the next one."""


class Lane:
    """Walks one channel's looks, order fetches, attempts and deliveries."""

    def __init__(self, core: Core, channel: Channel) -> None:
        self._core = core
        self._channel = channel
        self._bell = core.bells.lanes[channel.id]
        self._jobs: set[asyncio.Task[None]] = set()
        self._choosing: set[str] = set()
        self._hold_until = 0.0
        self._quiet = False
        self._held = False
        self._looks_from = 0.0
        self._job_ended = asyncio.Event()
        self._news = 0
        self._stopping = False
        self.reading = Reading(core, channel)
        self.fetching = Fetching(core, channel)
        self.writing = Writing(core, channel, self.reading, self.fetching)

    async def run(self) -> None:
        """Deliver until cancelled; open attempts of an earlier daemon are taken over first."""
        try:
            await self._take_over()
            while not self._stopping:
                try:
                    wait_s = await self.round()
                except DatabaseAway:
                    wait_s = AWAY_S
                self._quiet = await self._woken_by_job(wait_s) and self._quiet
                await self._gather()
            await self._end_jobs()
        finally:
            for job in self._jobs:
                job.cancel()
            await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _woken_by_job(self, at_most_s: float) -> bool:
        """Wait for the bell, a job's end or the time; True where only a job's end woke us.

        That is no news: what could not be claimed before it cannot be claimed now.
        """
        if not (self._bell.is_set() or self._job_ended.is_set()):
            waits = {
                asyncio.ensure_future(self._bell.wait()),
                asyncio.ensure_future(self._job_ended.wait()),
            }
            try:
                await asyncio.wait(
                    waits, timeout=max(at_most_s, 0.0), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for wait in waits:
                    wait.cancel()
        woken = self._job_ended.is_set() and not self._bell.is_set()
        self._news += self._bell.is_set()
        self._bell.clear()
        self._job_ended.clear()
        return woken

    async def _gather(self) -> None:
        """While events come by the thousand, rounds are made apart: fuller calls say more.

        The bell is left to ring: what comes meanwhile is seen by the next round.
        """
        if self._core.gather_s > 0 and not self._stopping:
            await asyncio.sleep(self._core.gather_s)

    async def drain(self) -> None:
        """Claim nothing more and let what is under way end."""
        self._stopping = True
        self._bell.set()
        await self._end_jobs()

    async def _end_jobs(self) -> None:
        while self._jobs:
            await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _take_over(self) -> None:
        while True:
            try:
                async with self._core.db.transaction("take_lane") as conn:
                    self.writing.lease_gen = await attempts.take_lane(
                        conn, self._channel.id, self._core.clock()
                    )
                await self.writing.inferring.begin()
            except DatabaseAway:
                await asyncio.sleep(AWAY_S)
            else:
                return

    async def round(self) -> float:
        """Start what is due; gives the seconds until something is due again."""
        if self._stopping or not self._channel.rules.enabled:
            return POLL_S
        if self._channel.closed or self._channel.breaker.state is not State.CLOSED:
            return await self._probe()
        held_s = self._hold_until - asyncio.get_running_loop().time()
        if held_s > 0:
            return held_s
        now = self._core.clock()
        async with self._core.db.statement("lane_due") as conn:
            reading = list(self.reading.busy)
            due = await outbox.due(
                conn,
                self._channel.id,
                now,
                list(self.writing.busy),
                reading,
                reading if self.writing.reads_first else [],
            )
        self._held = due.blocked
        self._start_tidying(due)
        looks_wait_s = self._looks_from - asyncio.get_running_loop().time() if due.looks else 0.0
        if due.looks and looks_wait_s <= 0:
            self._start(LOOKS, self.reading.read_wished)
        if due.writes and not self._quiet:
            self._start(WRITES, self.writing.write_owed)
        wait_s = POLL_S if looks_wait_s <= 0 else looks_wait_s
        if due.next_at is None:
            return wait_s
        return min(wait_s, max((due.next_at - now).total_seconds(), 0.005))

    def _start_tidying(self, due: Due) -> None:
        """Start what has to be known before deliveries can be right."""
        if due.attempts:
            self._start("attempts", self.writing.resume)
        if due.orders:
            self._start("orders", self.fetching.fetch_wished)
        if self.fetching.wanted:
            self._start("changes", self.fetching.fetch_changed)
        if due.edits:
            self._start("edits", self.writing.inferring.settle_due)

    def _start(self, kind: str, job: Job) -> None:
        """Start a job of this kind unless one is still choosing its work or the lane is full.

        A job that waits for its budget is in nobody's way: among those the budget itself decides,
        so that a backlog of readings never keeps a write from queueing before them.
        """
        workers = self._channel.connector.capabilities.workers
        if kind in self._choosing or len(self._jobs) - len(self._choosing) > workers:
            self._held = True
            return
        self._choosing.add(kind)
        task = asyncio.create_task(self._run_job(kind, job), name=f"{self._channel.name}.{kind}")
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _run_job(self, kind: str, job: Job) -> None:
        again = True
        try:
            again = await self._done(kind, job)
        finally:
            self._choosing.discard(kind)
            # what this job kept waiting may go now
            if again or self._held:
                self._job_ended.set()

    async def _done(self, kind: str, job: Job) -> bool:
        """Do a job; gives whether the tables are to be looked at again after it."""
        news = self._news
        try:
            worked = await job(lambda: self._chosen(kind))
        except RetryLater as error:
            self._hold(error)
        except (ChannelClosed, Refused) as error:
            log.warning("lane.stopped", channel=self._channel.name, kind=kind, reason=error.reason)
        except DatabaseAway as error:
            log.warning("lane.database_away", channel=self._channel.name, reason=str(error))
            self._hold_until = asyncio.get_running_loop().time() + AWAY_S
        except Exception:
            log.exception("lane.failed", channel=self._channel.name, kind=kind)
            self._hold_until = asyncio.get_running_loop().time() + 1.0
        else:
            if kind == WRITES:
                # what is owed but cannot be claimed yet waits for news, not in a spin; news that
                # came while this job was choosing may be just what it did not see
                self._quiet = not worked and news == self._news and not self._bell.is_set()
            elif worked:
                self._quiet = False
            # what a reading makes due rings the bell
            return worked and kind != LOOKS
        return True

    def _chosen(self, kind: str) -> None:
        """The work is claimed: another job of this kind may choose the rest, if there is any."""
        self._choosing.discard(kind)
        if kind == LOOKS and self._channel.rules.truth is Truth.ORDERS:
            self._looks_from = asyncio.get_running_loop().time() + LOOKS_APART_S
        if self._held or self._leaves_more(kind):
            self._job_ended.set()

    def _leaves_more(self, kind: str) -> bool:
        """False where a job of this kind chose all there was: each look at the tables costs a trip."""
        if kind == WRITES:
            return self.writing.behind
        return kind != LOOKS or self.reading.behind

    def _hold(self, error: RetryLater) -> None:
        pause_s = error.after_s
        if pause_s is None:
            pause_s = 0.0 if error.throttled else self._core.rng.uniform(*RETRY_S)
        log.info(
            "lane.retry_later", channel=self._channel.name, reason=error.reason, pause_s=pause_s
        )
        self._hold_until = asyncio.get_running_loop().time() + min(pause_s, 60.0)

    async def _probe(self) -> float:
        """One call that changes nothing tells whether the channel answers again."""
        channel, breaker = self._channel, self._channel.breaker
        if channel.closed:
            closed_at = channel.closed_at or self._core.clock()
            left = closed_at + REPROBE - self._core.clock()
            if left > timedelta(0):
                return min(left.total_seconds(), POLL_S)
        elif not breaker.allow():
            retry_at = breaker.retry_at
            return POLL_S if retry_at is None else max(0.01, min(POLL_S, self._until(retry_at)))
        try:
            await speak(self._core, channel, channel.connector.open(), hears=False)
        except (RetryLater, ChannelClosed, Refused):
            if channel.closed:
                channel.closed_at = self._core.clock()
            return 0.05
        self._core.reopen(channel)
        return 0.0

    def _until(self, monotonic: float) -> float:
        return monotonic - asyncio.get_running_loop().time()
