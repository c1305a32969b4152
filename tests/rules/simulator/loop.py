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


class Call:
    """What is called soon or at a time. Nobody here reads context variables, so none are carried."""

    __slots__ = ("args", "callback", "cancelled")

    def __init__(self, callback: Any, args: tuple[Any, ...]) -> None:
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        """It is left where it waits, and passed over."""
        self.cancelled = True


class VirtualLoop(asyncio.AbstractEventLoop):
    """Just what asyncio's tasks, futures and events need of a loop. `errors`: what nobody caught."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._number = 0
        self.errors: list[str] = []
        self.left = STEPS

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Call:
        call = Call(callback, args)
        self._ready.append(call)
        return call

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Call:
        call = Call(callback, args)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, call))
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Call:
        return self.call_at(self._now + max(delay, 0.0), callback, *args)

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
                    call = ready.popleft()
                    if not call.cancelled:
                        self._do(call)
                if not timers or timers[0][0] > end:
                    self._now = end
                    return
                when, _, timer = heapq.heappop(timers)
                if not timer.cancelled:
                    self._now = when
                    ready.append(timer)
        finally:
            asyncio._set_running_loop(before)

    def _do(self, call: Call) -> None:
        try:
            call.callback(*call.args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a loop survives what it calls
            self.call_exception_handler({"message": f"in {call.callback}", "exception": error})

    def repeat(self, pause_s: Callable[[], float], act: Callable[[], None], until: float) -> None:
        """Do this again and again until then, with such pauses between."""

        def again() -> None:
            if self._now < until:
                act()
                self.call_later(pause_s(), again)

        self.call_later(pause_s(), again)
