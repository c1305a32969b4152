"""What every walker carries: the database, the rulebook, the running channels and the doorbells."""

from __future__ import annotations

from syncd.corridor.bells import Bells
from syncd.corridor.core import Channel, Core
from syncd.corridor.fetch import book_fetched, fetch_orders
from syncd.corridor.links import follow_links, mark_duplicates, owe_linked
from syncd.corridor.speaking import speak
from syncd.corridor.switches import take_switches

__all__ = [
    "Bells",
    "Channel",
    "Core",
    "book_fetched",
    "fetch_orders",
    "follow_links",
    "mark_duplicates",
    "owe_linked",
    "speak",
    "take_switches",
]
