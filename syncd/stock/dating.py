"""When an edit was made, as far as readings tell: a count takes in what was made before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from syncd.stock.stretches import OrderStep, Start, Stretch


def shown_since(stretch: Stretch, steps: Sequence[OrderStep]) -> datetime:
    """The first reading of a stretch from which on its shelf showed all that is booked of it.

    `steps` are its listing's orders. Where no reading inside tells, the edit is as old as the
    stretch's end: what cannot be dated comes after a count.
    """
    end = stretch.end
    if end is None:
        return stretch.t0
    if stretch.start_kind is Start.UNKNOWN:
        return end.at
    begins, base = stretch.t0, stretch.v0
    if stretch.a is not None and stretch.va is not None:
        begins, base = stretch.a, stretch.va
    since = end.at
    for seen in reversed((*stretch.watch, end)):
        explained = sum(step.units for step in steps if begins < step.at <= seen.at)
        if seen.value - base + explained != stretch.booked:
            break
        since = seen.at
    return since
