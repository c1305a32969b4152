"""Several locations of one channel in one warehouse divide its target: the platform sells their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def divide(target: int, shown: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    """What each location shows of `target`, so that all together show just that.

    Each keeps what it shows; what must change goes to the first in `order` and spills to the next.
    `shown` holds what every location shows now: one that is missing shows nothing, one that `order`
    does not name comes last. Nobody shows less than nothing. Without a location the answer is {}.
    """
    names = [*order, *sorted(shown.keys() - set(order))]
    parts = {name: max(shown.get(name, 0), 0) for name in names}
    if not parts:
        return {}
    missing = max(target, 0) - sum(parts.values())
    if missing >= 0:
        parts[names[0]] += missing
        return parts
    for name in names:
        less = min(parts[name], -missing)
        parts[name] -= less
        missing += less
    return parts
