"""Measures how late the event loop wakes a task: the first sign of anything that blocks it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import Gauge

from syncd.telemetry.health import Verdict

SAMPLES = 20


class LoopLag:
    """Samples the lag every `interval_s`; shows the worst of the last 20 samples, in seconds."""

    def __init__(
        self,
        gauge: Gauge,
        *,
        interval_s: float = 0.5,
        limit_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gauge = gauge
        self._interval_s = interval_s
        self._limit_s = limit_s
        self._clock = clock
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self._beat_s = clock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sample in a task of its own until `stop`; starting twice is starting once."""
        if self._task is not None and not self._task.done():
            return
        self._beat_s = self._clock()
        self._task = asyncio.create_task(self.run(), name="loop-lag")

    async def stop(self) -> None:
        """End the task of `start`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            slept_at_s = self._clock()
            await asyncio.sleep(self._interval_s)
            self.sample(self._clock() - slept_at_s - self._interval_s)

    def sample(self, lag_s: float) -> None:
        """Take one measurement."""
        self._beat_s = self._clock()
        self._samples.append(max(lag_s, 0.0))
        self._gauge.set(max(self._samples))

    def healthy(self) -> bool:
        """Whether the sampler itself still gets its turn: what the watchdog may be told."""
        return self._silent_s() <= self._limit_s

    def check(self) -> Verdict:
        """For `Health.add(…, live=True)`."""
        if not self.healthy():
            return Verdict(ok=False, note=f"no turn for {self._silent_s():.1f} s")
        return Verdict(ok=True, data={"lag_seconds": round(max(self._samples, default=0.0), 3)})

    def _silent_s(self) -> float:
        return self._clock() - self._beat_s - self._interval_s
