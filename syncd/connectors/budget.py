"""A channel's share of its platform's rate limit: who may call now, in which order, at what cost.

A token bucket with a cap on concurrent calls. It never lets through more than the platform's own
bucket holds, keeps FIFO inside a priority, and lets nobody starve, nor one dear call hold up many.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf, isfinite

from aiolimiter import AsyncLimiter

from syncd.errors import RetryLater

_EPSILON = 1e-9
_SHORTEST_TIMER_S = 0.001
_PAUSE_S = 1.0
"""Pause after a throttled answer that does not say how long to wait."""
_HALVING_GAP_S = 1.0
"""Calls under way fail together: they are one incident and halve the concurrency once."""
_GOOD_RUN = 10
"""Good answers in a row after which one more call may be under way."""


class Priority(IntEnum):
    """Who goes first; each step down is worth `ageing_s` seconds of waiting."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


@dataclass(slots=True, order=True)
class _Waiter:
    """Someone in the queue; `saves_since`: when it was first in turn and a more urgent one passed."""

    rank: float
    arrival: int
    cost: float
    priority: Priority
    turn: asyncio.Future[Ticket]
    saves_since: float = inf


class Ticket:
    """The right to make one call, with its cost reserved and a worker's place held."""

    __slots__ = ("_budget", "_state", "reserved")

    def __init__(self, budget: Budget, reserved: float) -> None:
        self.reserved = reserved
        self._budget = budget
        self._state = "held"

    def take(self) -> bool:
        """Mark the ticket as spent by a request: True once, False ever after."""
        if self._state != "held":
            return False
        self._state = "taken"
        return True

    def settle(self, actual: float | None = None) -> None:
        """The call is over and cost `actual` units (None: what was reserved). Works once."""
        if self._state == "done":
            return
        self._state = "done"
        self._budget._settle(self.reserved, self.reserved if actual is None else max(actual, 0.0))  # noqa: SLF001 - a ticket is the budget's other half

    def give_back(self) -> None:
        """Return a ticket that no request took, as if never asked for; otherwise do nothing."""
        if self._state == "held":
            self._state = "done"
            self._budget._give_back(self.reserved)  # noqa: SLF001 - a ticket is the budget's other half

    def now(self) -> float:
        """The budget's clock, for timing the call."""
        return self._budget.clock()


class Budget:
    """One channel's budget. `capacity` and `rate` (per second) are the platform's own, in its units.

    `share` is how much of them we may use, the rest is for rival apps: of the rate while the
    platform says nothing, of the bucket once its answers tell what is left (`observe`).
    `workers` caps the calls under way; failures halve the cap, runs of good answers restore it.
    `pace` spaces calls where a host asks for calls per second. `wait_seconds` hears of every wait.
    A priority's waiter is passed by a more urgent one only if that one came less than `ageing_s`
    per step later, or while the waiter saves for a dear call: half of the refill is put by for it.
    """

    def __init__(
        self,
        capacity: float,
        rate: float,
        *,
        workers: int,
        share: float = 0.9,
        pace: AsyncLimiter | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait_seconds: Callable[[float], None] | None = None,
        ageing_s: float = 10.0,
    ) -> None:
        if not (capacity > 0 and rate > 0 and workers >= 1 and 0 < share <= 1):
            raise ValueError("capacity and rate are above 0, workers from 1, share in (0, 1]")
        self.capacity = capacity
        self.rate = rate
        self.workers = workers
        self.clock = clock
        self.wait_seconds = wait_seconds
        self.spent = 0.0
        """Units settled so far."""
        self._share = share
        self._pace = pace
        self._ageing_s = ageing_s
        self._told = False
        self._level = self._usable
        self._stamp = clock()
        self._paused_until = self._stamp
        self._in_flight = 0.0
        self._running = 0
        self._limit = workers
        self._good = 0
        self._halved_at = -_HALVING_GAP_S + self._stamp
        self._queue: list[_Waiter] = []
        self._arrivals = count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def available(self) -> float:
        """Units that could be spent now."""
        self._refill()
        return max(self._level, 0.0)

    @property
    def concurrency(self) -> int:
        """Calls that may be under way at once just now."""
        return self._limit

    def gather_window_s(self, cost: float) -> float:
        """How long it pays to gather more work before a call of `cost`.

        0 while the bucket is more than half full, growing to `cost / rate` as it empties.
        """
        half = self._usable / 2
        return max(0.0, 1.0 - self.available / half) * cost / self.rate

    async def acquire(
        self, cost: float, priority: Priority, deadline_s: float | None = None
    ) -> Ticket:
        """Wait for `cost` units and a worker's place.

        Raises RetryLater (throttled) when `deadline_s` seconds pass first, and when the budget
        is closed. A cost beyond the platform's bucket counts as a whole bucket.
        """
        if self._closed:
            raise RetryLater("the channel is closing")
        started = self.clock()
        turn: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        rank = started + priority * self._ageing_s
        heappush(self._queue, _Waiter(rank, next(self._arrivals), max(cost, 0.0), priority, turn))
        self._pump()
        try:
            async with asyncio.timeout(deadline_s):
                ticket = await turn
                if self._pace is not None:
                    await self._pace.acquire()
        except BaseException as error:
            self._abandon(turn)
            if isinstance(error, TimeoutError):
                raise RetryLater(f"no budget within {deadline_s} s", throttled=True) from error
            raise
        if self.wait_seconds is not None:
            self.wait_seconds(self.clock() - started)
        return ticket

    def observe(
        self, available: float | None, rate: float | None = None, maximum: float | None = None
    ) -> None:
        """Learn the platform's bucket as an answer tells it; None or nonsense: not said.

        What is left counts less the calls under way, which the platform may not have charged yet,
        and less the share of rivals; it can only lower what we believe to have.
        """
        self._refill()
        if maximum is not None and isfinite(maximum) and maximum > 0:
            self.capacity = maximum
        if rate is not None and isfinite(rate) and rate > 0:
            self.rate = rate
        if available is not None and isfinite(available):
            self._told = True
            rivals = self.capacity - self._usable
            self._level = min(self._level, available - rivals - self._in_flight)
        self._level = min(self._level, self._usable - self._in_flight)
        self._pump()

    def throttled(self, after_s: float | None) -> None:
        """The platform said too much: empty the bucket, pause, halve the concurrency."""
        self._refill()
        self._level = min(self._level, 0.0)
        pause_s = _PAUSE_S if after_s is None else max(after_s, 0.0)
        self._paused_until = max(self._paused_until, self._stamp + pause_s)
        self.failed()

    def failed(self) -> None:
        """The platform is in trouble (5xx, time-out): halve the concurrency."""
        now = self.clock()
        self._good = -1  # the failed call's own settlement is still to come
        if now - self._halved_at >= _HALVING_GAP_S:
            self._halved_at = now
            self._limit = max(1, self._limit // 2)

    def close(self) -> None:
        """Wake every waiter with RetryLater and refuse new ones; tickets out may still settle."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for waiter in self._queue:
            if not waiter.turn.done():
                waiter.turn.set_exception(RetryLater("the channel is closing"))
        self._queue.clear()

    @property
    def _usable(self) -> float:
        return self.capacity * self._share

    @property
    def _refill_rate(self) -> float:
        return self.rate if self._told else self.rate * self._share

    def _refill(self) -> None:
        now = self.clock()
        grown = max(now - self._stamp, 0.0) * self._refill_rate
        self._stamp = max(now, self._stamp)
        # A call under way may reach the platform late, after its bucket stopped growing at the
        # top: until it is settled, its cost counts against our top as well.
        self._level = min(self._level + grown, self._usable - self._in_flight)

    def _pump(self) -> None:
        """Let through whoever may go, in turn, then set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._refill()
        while self._queue and not self._closed:
            first = self._queue[0]
            if first.turn.done():
                heappop(self._queue)
                continue
            cost = min(first.cost, self.capacity)
            if self._running >= self._limit or self._needs_quiet(cost):
                return  # a settlement calls again
            wait_s = self._wait_s(cost)
            if wait_s <= 0:
                heappop(self._queue)
                self._let_through(first)
                continue
            passing, passing_s = self._passing(first)
            if passing is not None and passing_s <= 0:
                self._queue.remove(passing)
                heapify(self._queue)
                self._let_through(passing)
                continue
            delay_s = max(min(wait_s, passing_s), _SHORTEST_TIMER_S)
            self._timer = first.turn.get_loop().call_later(delay_s, self._pump)
            return

    def _let_through(self, waiter: _Waiter) -> None:
        cost = min(waiter.cost, self.capacity)
        self._level -= cost
        self._in_flight += cost
        self._running += 1
        waiter.turn.set_result(Ticket(self, cost))

    def _passing(self, first: _Waiter) -> tuple[_Waiter | None, float]:
        """Who is next of those more urgent than the first in turn, and seconds until it may pass.

        It may spend what is above the savings of the first: its cost at most, put by from half of
        the refill.
        """
        urgent = [w for w in self._queue if w.priority < first.priority and not w.turn.done()]
        if not urgent:
            return None, inf
        first.saves_since = min(first.saves_since, self._stamp)
        saved = (self._stamp - first.saves_since) * self._refill_rate / 2
        passing = min(urgent)
        cost = min(passing.cost, self.capacity)
        if self._needs_quiet(cost):
            return passing, inf
        short = min(cost, self._usable) + min(saved, first.cost) - self._level
        pause_s = self._paused_until - self._stamp
        return passing, max(pause_s, 2 * short / self._refill_rate if short > _EPSILON else 0.0)

    def _needs_quiet(self, cost: float) -> bool:
        """Calls under way hold so much of the bucket that no waiting would make room."""
        return min(cost, self._usable) > self._usable - self._in_flight + _EPSILON

    def _wait_s(self, cost: float) -> float:
        pause_s = self._paused_until - self._stamp
        short = min(cost, self._usable) - self._level
        return max(pause_s, short / self._refill_rate if short > _EPSILON else 0.0)

    def _abandon(self, turn: asyncio.Future[Ticket]) -> None:
        """A waiter left: nothing it was given may be lost, and the next one may go."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            turn.result().give_back()
        else:
            turn.cancel()
            self._pump()

    def _settle(self, reserved: float, actual: float) -> None:
        self.spent += actual
        self._good += 1
        if self._good >= _GOOD_RUN and self._limit < self.workers:
            self._limit += 1
            self._good = 0
        self._release(reserved, reserved - actual)

    def _give_back(self, reserved: float) -> None:
        self._release(reserved, reserved)

    def _release(self, reserved: float, refund: float) -> None:
        self._refill()
        self._running -= 1
        self._in_flight = max(self._in_flight - reserved, 0.0)
        self._level = min(self._level + refund, self._usable - self._in_flight)
        self._pump()
