"""An event loop in virtual time: what waits for nothing runs now, else the clock jumps to the next timer.

The walkers of the daemon run on it as they are; a run of twenty minutes takes a blink.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

STEPS = 60_000
"""A run that takes more steps than this goes round in circles."""


class Circling(Exception):
    """The walkers never rest."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Just what asyncio's tasks, futures and events need of a loop. `errors`: what nobody caught."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = 0
        self.errors: list[str] = []
        self.left = STEPS

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, handle))
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left in the heap and passed over."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, Exception):
            self.errors.append(f"{context.get('message')}: {error!r}")

    def run_until(self, end: float) -> None:
        """Run everything that happens up to this time."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        ready, timers = self._ready, self._timers
        try:
            while True:
                while ready:
                    self.left -= 1
                    if not self.left:
                        raise Circling(f"the walkers never rest at {self._now:.1f} s")
                    handle = ready.popleft()
                    if not handle._cancelled:
                        handle._run()
                if not timers or timers[0][0] > end:
                    self._now = end
                    return
                when, _, timer = heapq.heappop(timers)
                if not timer._cancelled:
                    self._now = when
                    ready.append(timer)
        finally:
            asyncio._set_running_loop(before)

    def repeat(self, pause_s: Callable[[], float], act: Callable[[], None], until: float) -> None:
        """Do this again and again until then, with such pauses between."""

        def again() -> None:
            if self._now < until:
                act()
                self.call_later(pause_s(), again)

        self.call_later(pause_s(), again)
