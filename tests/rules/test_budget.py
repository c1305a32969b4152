"""The budget against a provider's own bucket, on a clock that jumps instead of waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiolimiter import AsyncLimiter
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.connectors.budget import Budget, Priority, Ticket
from syncd.errors import RetryLater


class _Jump(selectors.SelectSelector):
    """Moves the loop's time forward instead of sleeping."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that never comes")
        self.loop.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        jump = _Jump()
        jump.loop = self
        super().__init__(jump)

    def time(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def clock() -> float:
    return asyncio.get_running_loop().time()


async def acquired(budget: Budget, cost: float, level: Priority = Priority.NORMAL) -> Ticket:
    ticket = await budget.acquire(cost, level)
    assert ticket.take()
    return ticket


@dataclass
class Provider:
    """The platform's leaky bucket: it charges on arrival and refunds with the answer."""

    capacity: float
    rate: float
    level: float = field(init=False)
    stamp: float = 0.0
    lowest: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.lowest = self.capacity

    def charge(self, cost: float) -> None:
        now = clock()
        self.level = min(self.capacity, self.level + (now - self.stamp) * self.rate) - cost
        self.stamp = now
        self.lowest = min(self.lowest, self.level)


@dataclass(frozen=True)
class Call:
    start_s: float
    cost: int
    level: Priority
    there_s: float
    back_s: float
    refund: int
    fate: str


calls = st.lists(
    st.builds(
        Call,
        start_s=st.floats(0, 20),
        cost=st.integers(0, 60),
        level=st.sampled_from(Priority),
        there_s=st.floats(0, 3),
        back_s=st.floats(0, 3),
        refund=st.integers(0, 60),
        fate=st.sampled_from(["ok", "ok", "ok", "cancelled", "unused", "throttled", "failed"]),
    ),
    min_size=1,
    max_size=40,
)


def report(budget: Budget, fate: str) -> None:
    if fate == "throttled":
        budget.throttled(None)
    if fate == "failed":
        budget.failed()


async def play(calls: list[Call], *, workers: int, tells: bool) -> tuple[Budget, Provider, float]:
    provider, charged = Provider(50, 7), 0.0
    budget = Budget(50, 7, workers=workers, clock=clock)
    under_way = 0

    async def one(call: Call) -> None:
        nonlocal charged, under_way
        await asyncio.sleep(call.start_s)
        ticket = await budget.acquire(call.cost, call.level)
        if call.fate == "unused":
            ticket.give_back()
            return
        assert ticket.take()
        under_way += 1
        assert under_way <= workers
        try:
            await asyncio.sleep(call.there_s)
        except asyncio.CancelledError:
            under_way -= 1
            ticket.settle(0)  # it never reached the provider
            raise
        cost = min(call.cost, 50)
        refund = min(call.refund, cost) if call.fate == "ok" else 0
        provider.charge(cost)
        if call.fate != "cancelled":
            await asyncio.sleep(call.back_s)
        provider.charge(-refund)
        under_way -= 1
        charged += cost - refund
        report(budget, call.fate)
        ticket.settle(cost - refund)
        if tells:
            budget.observe(provider.level, 7, 50)

    tasks = [asyncio.ensure_future(one(call)) for call in calls]
    for task, call in zip(tasks, calls, strict=True):
        if call.fate == "cancelled":
            at_s = call.start_s + call.there_s / 2
            asyncio.get_running_loop().call_later(at_s, task.cancel)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert outcome is None or isinstance(outcome, asyncio.CancelledError), repr(outcome)
    return budget, provider, charged


@settings(max_examples=150, deadline=None)
@given(calls, st.integers(1, 5), st.booleans())
def test_provider_bucket_is_never_overdrawn(calls: list[Call], workers: int, tells: bool) -> None:
    budget, provider, charged = run(play(calls, workers=workers, tells=tells))
    assert provider.lowest >= -1e-6
    assert budget.spent == pytest.approx(charged)


@settings(max_examples=50, deadline=None)
@given(calls, st.integers(1, 5))
def test_nothing_is_lost_whoever_leaves(calls: list[Call], workers: int) -> None:
    async def work() -> None:
        budget, _, _ = await play(calls, workers=workers, tells=False)
        await asyncio.sleep(100)
        assert budget.available == pytest.approx(45)
        held = [await budget.acquire(1, Priority.NORMAL) for _ in range(budget.concurrency)]
        for ticket in held:
            ticket.give_back()

    run(work())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(Priority), min_size=2, max_size=30), st.integers(1, 3))
def test_first_come_first_served_inside_a_priority(levels: list[Priority], workers: int) -> None:
    served: dict[Priority, list[int]] = {level: [] for level in Priority}

    async def work() -> None:
        budget = Budget(10, 5, workers=workers, clock=clock)

        async def one(index: int, level: Priority) -> None:
            await asyncio.sleep(index * 0.01)
            ticket = await acquired(budget, 1 + index * 3 % 7, level)
            served[level].append(index)
            await asyncio.sleep(0.1)
            ticket.settle()

        await asyncio.gather(*(one(i, level) for i, level in enumerate(levels)))

    run(work())
    assert all(order == sorted(order) for order in served.values())


def test_urgent_passes_waiting_bulk() -> None:
    async def work() -> list[str]:
        budget = Budget(10, 1, share=1, workers=4, clock=clock)
        (await acquired(budget, 10)).settle()
        order: list[str] = []

        async def one(name: str, cost: float, level: Priority) -> None:
            (await acquired(budget, cost, level)).settle()
            order.append(name)

        bulk = asyncio.ensure_future(one("bulk", 8, Priority.BULK))
        await asyncio.sleep(5)
        await asyncio.gather(bulk, one("urgent", 1, Priority.URGENT))
        return order

    assert run(work()) == ["urgent", "bulk"]


def test_bulk_is_served_although_urgent_calls_never_end() -> None:
    async def work() -> float:
        budget = Budget(10, 10, share=1, workers=4, clock=clock)

        async def urgent() -> None:
            while clock() < 60:
                (await acquired(budget, 2, Priority.URGENT)).settle()

        rivals = [asyncio.ensure_future(urgent()) for _ in range(8)]
        await asyncio.sleep(5)
        started = clock()
        (await acquired(budget, 9, Priority.BULK)).settle()
        waited = clock() - started
        for rival in rivals:
            rival.cancel()
        await asyncio.gather(*rivals, return_exceptions=True)
        return waited

    assert 20 <= run(work()) <= 25


@pytest.mark.parametrize("level", [Priority.NORMAL, Priority.BULK])
def test_an_expensive_call_that_grew_old_does_not_hold_up_urgent_ones(level: Priority) -> None:
    async def work() -> tuple[float, float]:
        budget = Budget(2000, 100, share=1, workers=4, clock=clock)
        (await acquired(budget, 2000)).settle()
        waits: list[float] = []

        async def urgent() -> None:
            started = clock()
            (await acquired(budget, 4.5, Priority.URGENT)).settle()
            waits.append(clock() - started)

        async def shop() -> None:
            while True:
                calls.append(asyncio.ensure_future(urgent()))
                await asyncio.sleep(0.1)

        calls: list[asyncio.Future[None]] = []
        shopping = asyncio.ensure_future(shop())
        started = clock()
        (await acquired(budget, 1500, level)).settle()
        waited = clock() - started
        shopping.cancel()
        await asyncio.gather(shopping, *calls, return_exceptions=True)
        return max(waits), waited

    longest, waited = run(work())
    assert longest < 0.2
    assert waited <= level * 10 + 30


def test_an_expensive_call_that_grew_old_saves_half_of_the_refill() -> None:
    async def work() -> float:
        budget = Budget(100, 10, share=1, workers=4, clock=clock)

        async def urgent() -> None:
            while True:
                (await acquired(budget, 1, Priority.URGENT)).settle()

        rivals = [asyncio.ensure_future(urgent()) for _ in range(8)]
        await asyncio.sleep(30)
        started = clock()
        (await acquired(budget, 80, Priority.BULK)).settle()
        waited = clock() - started
        for rival in rivals:
            rival.cancel()
        await asyncio.gather(*rivals, return_exceptions=True)
        return waited

    assert 35 <= run(work()) <= 37


def test_heaviest_call_waits_no_longer_than_a_full_bucket_takes() -> None:
    async def work() -> float:
        budget = Budget(100, 10, workers=2, clock=clock)
        (await acquired(budget, 90)).settle()
        started = clock()
        ticket = await acquired(budget, 5000)
        assert ticket.reserved == 100
        ticket.settle()
        return clock() - started

    assert run(work()) <= 11


def test_refill_is_used_to_the_full_under_backlog() -> None:
    async def work() -> float:
        provider = Provider(100, 20)
        budget = Budget(100, 20, workers=4, clock=clock)

        async def worker() -> None:
            while clock() < 100:
                ticket = await acquired(budget, 3)
                provider.charge(3)
                await asyncio.sleep(0.05)
                ticket.settle()
                budget.observe(provider.level, 20, 100)

        await asyncio.gather(*(worker() for _ in range(4)))
        assert provider.lowest >= 0
        return budget.spent / (20 * clock())

    assert run(work()) >= 0.98


def test_a_ticket_is_spent_once() -> None:
    async def work() -> None:
        budget = Budget(10, 1, share=1, workers=1, clock=clock)
        ticket = await budget.acquire(4, Priority.NORMAL)
        assert budget.available == 6
        assert ticket.take()
        assert not ticket.take()
        ticket.give_back()
        assert budget.available == 6
        ticket.settle(1)
        ticket.settle(1)
        ticket.give_back()
        assert budget.available == 9
        assert budget.spent == 1
        unused = await budget.acquire(4, Priority.NORMAL)
        unused.give_back()
        unused.give_back()
        assert not unused.take()
        assert budget.available == 9
        assert budget.spent == 1

    run(work())


def test_deadline_and_close_wake_waiters() -> None:
    async def work() -> None:
        budget = Budget(10, 0.001, workers=1, clock=clock)
        ticket = await acquired(budget, 1)
        with pytest.raises(RetryLater) as late:
            await budget.acquire(1, Priority.URGENT, deadline_s=2)
        assert late.value.throttled
        assert clock() == pytest.approx(2)
        waiting = asyncio.ensure_future(budget.acquire(1, Priority.URGENT))
        await asyncio.sleep(1)
        budget.close()
        with pytest.raises(RetryLater):
            await waiting
        with pytest.raises(RetryLater):
            await budget.acquire(1, Priority.URGENT)
        ticket.settle()

    run(work())


def test_throttling_pauses_empties_and_slows() -> None:
    async def work() -> None:
        budget = Budget(100, 10, share=1, workers=8, clock=clock)
        ticket = await acquired(budget, 1)
        budget.throttled(7)
        ticket.settle()
        assert budget.available == 0
        assert budget.concurrency == 4
        budget.throttled(None)
        assert budget.concurrency == 4, "one incident halves once"
        (await acquired(budget, 1)).settle()
        assert clock() == pytest.approx(7)
        for _ in range(100):
            (await acquired(budget, 1)).settle()
        assert budget.concurrency == 8

    run(work())


def test_failures_never_stop_the_last_worker() -> None:
    async def work() -> None:
        budget = Budget(100, 10, workers=5, clock=clock)
        seen = []
        for _ in range(4):
            budget.failed()
            seen.append(budget.concurrency)
            await asyncio.sleep(2)
        assert seen == [2, 1, 1, 1]

    run(work())


def test_observation_lowers_and_learns() -> None:
    async def work() -> None:
        budget = Budget(100, 10, workers=4, clock=clock)
        ticket = await acquired(budget, 10)
        budget.observe(50, 100, 200)
        assert (budget.capacity, budget.rate) == (200, 100)
        assert budget.available == pytest.approx(50 - 20 - 10)
        budget.observe(500, 100, 200)
        assert budget.available == pytest.approx(20), "it never raises"
        budget.observe(float("nan"), -1, None)
        assert (budget.capacity, budget.rate) == (200, 100)
        ticket.settle()

    run(work())


def test_gathering_pays_only_when_the_bucket_runs_low() -> None:
    async def work() -> list[float]:
        budget = Budget(100, 10, share=1, workers=4, clock=clock)
        windows = [budget.gather_window_s(20)]
        for cost in (50, 25, 25):
            (await acquired(budget, cost)).settle()
            windows.append(budget.gather_window_s(20))
        return windows

    assert run(work()) == pytest.approx([0, 0, 1, 2])


def test_pace_spaces_calls() -> None:
    async def work() -> tuple[float, list[float]]:
        waits: list[float] = []
        budget = Budget(
            100, 100, workers=4, clock=clock, pace=AsyncLimiter(1, 0.5), wait_seconds=waits.append
        )
        for _ in range(5):
            (await acquired(budget, 1)).settle()
        return clock(), waits

    ended, waits = run(work())
    assert ended == pytest.approx(2)
    assert waits == pytest.approx([0, 0.5, 0.5, 0.5, 0.5])


def test_a_waiter_cancelled_while_paced_gives_everything_back() -> None:
    async def work() -> None:
        budget = Budget(10, 1, share=1, workers=1, clock=clock, pace=AsyncLimiter(1, 60))
        (await acquired(budget, 0)).settle()
        waiting = asyncio.ensure_future(budget.acquire(3, Priority.NORMAL))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert budget.available == 10

    run(work())


@pytest.mark.parametrize("wrong", [(0, 1, 1, 0.9), (1, 0, 1, 0.9), (1, 1, 0, 0.9), (1, 1, 1, 1.1)])
def test_senseless_budgets_are_refused(wrong: tuple[float, float, int, float]) -> None:
    capacity, rate, workers, share = wrong
    with pytest.raises(ValueError, match="above 0"):
        Budget(capacity, rate, workers=workers, share=share)
