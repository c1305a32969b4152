"""Doorbells: hints that a table has work. The table is the truth, and everybody polls behind them."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Bells:
    """One event per walker; ringing twice is ringing once."""

    def __init__(self) -> None:
        self.intake = asyncio.Event()
        self.wishes = asyncio.Event()
        self.switches = asyncio.Event()
        self.lanes: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.sweeps: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)


async def rung(bell: asyncio.Event, at_most_s: float) -> bool:
    """Wait for a bell, at most so long; True when it rang. The bell is quiet afterwards."""
    try:
        async with asyncio.timeout(max(at_most_s, 0.0)):
            await bell.wait()
    except TimeoutError:
        return False
    bell.clear()
    return True
