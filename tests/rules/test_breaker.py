"""The breaker's states, step by step on a clock of our own."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from syncd.connectors.breaker import Breaker, State


class Now:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def opened(now: Now, **options: float) -> Breaker:
    breaker = Breaker(clock=now, rng=Random(1), **options)  # type: ignore[arg-type]
    for _ in range(5):
        breaker.fail()
    return breaker


def test_opens_after_five_failures_in_a_row_only() -> None:
    breaker = Breaker(clock=Now())
    for _ in range(4):
        breaker.fail()
    breaker.ok()
    for _ in range(4):
        breaker.fail()
    assert (breaker.state, breaker.allow(), breaker.retry_at) == (State.CLOSED, True, None)
    breaker.fail()
    assert (breaker.state, breaker.allow()) == (State.OPEN, False)


def test_one_probe_at_a_time() -> None:
    now = Now()
    breaker = opened(now)
    assert breaker.retry_at is not None
    now.s = breaker.retry_at
    assert breaker.state is State.HALF_OPEN
    assert [breaker.allow() for _ in range(10)] == [True] + [False] * 9
    breaker.ok()
    assert (breaker.state, breaker.allow(), breaker.allow()) == (State.CLOSED, True, True)


def test_failed_probe_opens_again_for_longer_up_to_a_cap() -> None:
    now = Now()
    breaker = opened(now, longest_pause_s=8)
    pauses = []
    for _ in range(8):
        assert breaker.retry_at is not None
        pauses.append(breaker.retry_at - now.s)
        now.s = breaker.retry_at
        assert breaker.allow()
        breaker.fail()
        assert breaker.state is State.OPEN
    for pause, top in zip(pauses, (1, 2, 4, 8, 8, 8, 8, 8), strict=True):
        assert top / 2 <= pause <= top


def test_late_failures_of_calls_sent_before_do_not_lengthen_the_pause() -> None:
    now = Now()
    breaker = opened(now)
    before = breaker.retry_at
    for _ in range(20):
        breaker.fail()
    assert breaker.retry_at == before


def test_a_lost_probe_does_not_close_the_road_for_ever() -> None:
    now = Now()
    breaker = opened(now, probe_s=30)
    now.s += 2
    assert breaker.allow()
    now.s += 29
    assert not breaker.allow()
    now.s += 1
    assert breaker.allow()


@given(st.lists(st.sampled_from(["ok", "fail", "allow", "wait"]), max_size=80))
def test_never_two_probes_and_never_closed_for_ever(steps: list[str]) -> None:
    now = Now()
    breaker = Breaker(clock=now, rng=Random(2), probe_s=1e9)
    probing = False
    for step in steps:
        if step == "wait":
            now.s += 3
        elif step == "allow":
            closed = breaker.state is State.CLOSED
            if breaker.allow() and not closed:
                assert not probing
                probing = True
        else:
            getattr(breaker, step)()
            probing = False
    now.s += 1e9 + 61
    assert breaker.allow()
