"""From a level to what a listing should show: rules in fixed order, each step kept for explain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How one listing shows the level of its warehouse.

    `percent` of the level is offered, rounded down; then `buffer` units are held back; `cap` limits
    what is shown (None: no limit); nothing below `floor` is ever shown.
    """

    percent: int = 100
    buffer: int = 0
    cap: int | None = None
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One rule as it was applied: its name and the number after it."""

    rule: str
    value: int


def steps(level: int, policy: Policy) -> list[Step]:
    """Every step from `level` to the target, in order; the last value is the target."""
    found = [Step("level", level)]
    value = level
    if policy.percent != 100:
        value = value * policy.percent // 100
        found.append(Step("percent", value))
    if policy.buffer:
        value -= policy.buffer
        found.append(Step("buffer", value))
    if policy.cap is not None and value > policy.cap:
        value = policy.cap
        found.append(Step("cap", value))
    if value < policy.floor:
        value = policy.floor
        found.append(Step("floor", value))
    return found


def target(level: int, policy: Policy) -> int:
    """What a listing should show for this level."""
    return steps(level, policy)[-1].value
