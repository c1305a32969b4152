"""Stops calling a platform that keeps failing, and tries it again with one call at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from random import Random


class State(StrEnum):
    CLOSED = "closed"
    """Calls go through."""
    OPEN = "open"
    """No call before `retry_at`."""
    HALF_OPEN = "half_open"
    """One probe is under way, or may start now."""


class Breaker:
    """One channel's breaker, on the injected monotonic clock.

    Opens after `threshold` failures in a row. Each further failed probe doubles the pause from
    `first_pause_s` up to `longest_pause_s`; a pause is between half and all of that, at random, so
    that channels of one platform do not come back together. A probe nobody reported on within
    `probe_s` counts as lost, and another may start.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 60.0,
        probe_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        self._threshold = threshold
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._probe_s = probe_s
        self._clock = clock
        self._rng = rng or Random()
        self._failures = 0
        self._opened = 0
        self._retry_at: float | None = None
        self._probe_until: float | None = None

    @property
    def state(self) -> State:
        if self._retry_at is None:
            return State.CLOSED
        if self._probe_until is None and self._clock() < self._retry_at:
            return State.OPEN
        return State.HALF_OPEN

    @property
    def retry_at(self) -> float | None:
        """When the next probe may start, on the breaker's clock; None while closed."""
        return self._probe_until if self._probe_until is not None else self._retry_at

    def allow(self) -> bool:
        """Whether a call may be made now. True while half-open makes the caller the only probe."""
        if self._retry_at is None:
            return True
        now = self._clock()
        if now < self._retry_at or (self._probe_until is not None and now < self._probe_until):
            return False
        self._probe_until = now + self._probe_s
        return True

    def ok(self) -> None:
        """The platform answered (a refusal too is an answer): closed, and nothing held against it."""
        self._failures = self._opened = 0
        self._retry_at = self._probe_until = None

    def fail(self) -> None:
        """A call got no answer, or a 5xx. Late failures of older calls do not lengthen a pause."""
        self._failures += 1
        late = self._retry_at is not None and self._probe_until is None
        if self._failures < self._threshold or late:
            return
        pause_s = min(self._first_pause_s * 2.0 ** min(self._opened, 32), self._longest_pause_s)
        self._opened += 1
        self._probe_until = None
        self._retry_at = self._clock() + pause_s * self._rng.uniform(0.5, 1.0)
