"""One broken channel slows no other; it is tried again one call at a time, and says what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from syncd.connectors.breaker import Breaker, State
from syncd.errors import ChannelClosed, Refused, RetryLater
from syncd.lane import Lane
from tests.flow.town import LEVELS, ONE_BY_ONE, Town

SICK: dict[str, dict[str, Any]] = {
    "down": {"down": True},
    "500": {"status": 500},
    "throttled": {"status": 429, "retry_after_s": 0.0},
    "prose": {"html": True},
    "expired": {"expired": True},
    "hanging": {"hang": True},
    "dripping": {"drip": True},
}

BOUND_S = 10.0


def fall_sick(town: Town, name: str, how: str) -> None:
    for fault, value in SICK[how].items():
        setattr(town.stores[name].faults, fault, value)
    town.channel(name).http._total_timeout_s = 0.02


def recover(town: Town, name: str) -> None:
    faults = town.stores[name].faults
    faults.down = faults.html = faults.expired = faults.hang = faults.drip = False
    faults.status = None


async def rounds_until(town: Town, name: str, sku: str, quantity: int) -> int:
    """Let every walker take turns; gives how many rounds a shelf took to show a quantity."""
    for done in range(1, 30):
        await town.book_orders()
        for lane in town.lanes.values():
            with suppress(RetryLater, ChannelClosed, Refused):
                await town.step(lane)
        if town.stores[name].shelf(sku) == quantity:
            return done
    raise AssertionError(f"{name} never showed {quantity}")


@pytest.mark.parametrize("how", SICK)
@pytest.mark.parametrize("sick", ["uk", "sw", "woo"])
async def test_a_sick_channel_costs_the_others_no_round(town: Town, how: str, sick: str) -> None:
    seller, other = [name for name in town.stores if name != sick]
    town.clock.forward(60)
    await town.stores[seller].sell({"MUG": 1})
    healthy = await rounds_until(town, other, "MUG", 49)
    await town.settle()
    town.clock.forward(60)
    fall_sick(town, sick, how)
    await town.stores[seller].sell({"MUG": 1})
    assert await rounds_until(town, other, "MUG", 48) == healthy
    recover(town, sick)
    town.clock.forward(3600)
    town.core.reopen(town.channel(sick))
    await town.settle()
    assert town.shelves("MUG") == {"uk": 48, "sw": 48, "woo": 48}


@asynccontextmanager
async def running(town: Town) -> AsyncIterator[None]:
    """Intake and lanes run by themselves."""
    walkers = [town.intake.run(), *(lane.run() for lane in town.lanes.values())]
    tasks = [asyncio.create_task(walker) for walker in walkers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def shows(town: Town, name: str, sku: str, quantity: int) -> None:
    """Wait until a store was written this quantity."""
    store, written = town.stores[name], asyncio.Event()
    send = store.sender.send

    def sent(hook: Any) -> None:
        send(hook)
        written.set()

    store.sender.send = sent  # type: ignore[method-assign]
    async with asyncio.timeout(BOUND_S):
        while store.shelf(sku) != quantity:
            await written.wait()
            written.clear()


@pytest.mark.parametrize("how", ["hanging", "500", "expired"])
async def test_running_lanes_do_not_wait_for_a_sick_one(town: Town, how: str) -> None:
    town.clock.forward(60)
    fall_sick(town, "sw", how)
    town.channel("sw").http._total_timeout_s = 60.0
    async with running(town):
        for sold in range(1, 6):
            await town.stores["uk"].sell({"MUG": 1})
            await town.knock()
            town.core.bells.intake.set()
            await shows(town, "woo", "MUG", 50 - sold)
    assert town.stores["sw"].shelf("MUG") == 50


class Ticks:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def turn(lane: Lane) -> None:
    """One round of a lane and what it started, without its pause."""
    lane._hold_until = 0.0
    await lane.round()
    await lane._end_jobs()


async def test_the_breaker_opens_and_probes_with_one_call(town: Town) -> None:
    ticks, channel, store = Ticks(), town.channel("woo"), town.stores["woo"]
    channel.breaker = Breaker(clock=ticks)
    lane = town.lanes["woo"]
    town.clock.forward(60)
    store.faults.down = True
    await town.stores["uk"].sell({"MUG": 1})
    await town.book()
    for _ in range(5):
        await turn(lane)
    assert channel.breaker.state is State.OPEN
    calls = store.counters.calls
    for _ in range(10):
        await turn(lane)
    assert store.counters.calls == calls, "an open breaker makes no call"
    ticks.now += 1.0
    await turn(lane)
    for _ in range(10):
        await turn(lane)
    assert store.counters.calls == calls + 1, "one probe, and the next only after a longer pause"
    store.faults.down = False
    ticks.now += 60.0
    await turn(lane)
    assert channel.breaker.state is State.CLOSED
    await turn(lane)
    assert store.shelf("MUG") == 49


async def test_wrong_credentials_close_the_channel_until_they_work(town: Town) -> None:
    channel, store, lane = town.channel("woo"), town.stores["woo"], town.lanes["woo"]
    state = town.core.metrics.breaker_state.labels("woo")._value
    town.clock.forward(60)
    store.faults.expired = True
    await town.stores["uk"].sell({"MUG": 1})
    await town.book()
    await turn(lane)
    assert channel.closed == "credentials refused (401)"
    assert state.get() == 2
    calls = store.counters.calls
    for _ in range(10):
        await turn(lane)
    assert store.counters.calls == calls
    town.clock.forward(31)
    for _ in range(10):
        await turn(lane)
    assert store.counters.calls == calls + 1, "asked once whether it answers again"
    store.faults.expired = False
    town.core.bells.sweeps[channel.id].clear()
    town.clock.forward(31)
    await turn(lane)
    assert channel.closed == ""
    assert state.get() == 0
    assert town.core.bells.sweeps[channel.id].is_set(), "what was missed is swept up"
    await turn(lane)
    assert store.shelf("MUG") == 49


async def test_a_closed_channel_that_is_down_as_well_is_not_asked_in_a_spin(town: Town) -> None:
    channel, store, lane = town.channel("woo"), town.stores["woo"], town.lanes["woo"]
    town.core.close(channel, "credentials refused (401)")
    store.faults.down = True
    town.clock.forward(31)
    calls = store.counters.calls
    for _ in range(10):
        await turn(lane)
    assert store.counters.calls == calls + 1
    assert channel.closed == "credentials refused (401)", "the reason stays"


async def test_a_fetch_that_is_refused_is_not_repeated_in_a_spin(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.clock.forward(60)
    lane = town.lanes["woo"]
    connector: Any = town.channel("woo").connector
    asked = 0

    async def refused(_: object) -> AsyncIterator[list[object]]:
        nonlocal asked
        asked += 1
        raise Refused("no such parameter")
        yield []  # pragma: no cover

    await town.stores["uk"].edit("MUG", 60)
    await town.stores["uk"].edit("TEE", 4)
    await town.book()
    with monkeypatch.context() as patch:
        patch.setattr(connector, "orders_since", refused)
        for _ in range(10):
            await turn(lane)
    assert asked == 1
    assert town.stores["woo"].shelves() == {"MUG": 50, "TEE": 4, "CAP": 3}, "a fall does not wait"
    town.clock.forward(31)
    await town.settle()
    assert town.stores["woo"].shelf("MUG") == 60


async def test_unanswered_writes_that_are_read_one_by_one_keep_no_other_waiting(plan: Town) -> None:
    """Each takes a call a row from a small budget: what is owed meanwhile queues beside them."""
    uk, sw = plan.store("uk", LEVELS), plan.store("sw", ONE_BY_ONE)
    for store in (uk, sw):
        for sku in ("MUG", "TEE", "CAP", "HAT"):
            store.add(sku, 50)
    await plan.open()
    await plan.seed()
    plan.clock.forward(60)
    lane, channel = plan.lanes["sw"], plan.channel("sw")
    sw.faults.lose_answer = 1.0
    for sku in ("MUG", "TEE", "CAP"):
        await uk.sell({sku: 1})
        await plan.book()
        with pytest.raises(RetryLater):
            await lane.writing.write_owed(lambda: None)
    sw.faults.lose_answer = 0.0
    plan.clock.forward(60)
    channel.http.budget.throttled(3600)  # every job waits for it
    channel.breaker.ok()
    try:
        await rounds(lane)
        await uk.sell({"HAT": 1})
        await plan.book()
        await rounds(lane)
        waiting = [job.get_name() for job in lane._jobs]
    finally:
        for job in lane._jobs:
            job.cancel()
        await asyncio.gather(*lane._jobs, return_exceptions=True)
    assert "sw.writes" in waiting


async def rounds(lane: Lane) -> None:
    """As many rounds as its jobs need to choose their work."""
    for _ in range(300):
        await lane.round()
