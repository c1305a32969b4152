"""Measures how late the event loop wakes a task: the first sign of anything that blocks it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from syncd.telemetry.health import Verdict

SAMPLES = 20


class LoopLag:
    """Samples the lag every `interval_s`; reports the worst of the last 20 samples, in seconds."""

    def __init__(
        self,
        report: Callable[[float], None],
        *,
        interval_s: float = 0.5,
        limit_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._interval_s = interval_s
        self._limit_s = limit_s
        self._clock = clock
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self._beat_s = clock()

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
        self._report(max(self._samples))

    def check(self) -> Verdict:
        """For `Health.add_live`: whether the sampler itself still gets its turn."""
        silent_s = self._clock() - self._beat_s - self._interval_s
        worst_s = round(max(self._samples, default=0.0), 3)
        if silent_s > self._limit_s:
            return Verdict(ok=False, note=f"no turn for {silent_s:.1f} s")
        return Verdict(ok=True, data={"lag_seconds": worst_s})
