"""The central act: facts become movements, levels and owed deliveries, all in one transaction.

There is no other road to the ledger. Callers ring the lanes named in `Booking` after the commit.
"""

from __future__ import annotations

from syncd.fanout.answers import NotAsked, answer_doubt, answer_kept
from syncd.fanout.booking import Booking, Heard
from syncd.fanout.edits import book_edits
from syncd.fanout.facts import book
from syncd.fanout.joining import CataloguePage
from syncd.fanout.listings import enter_page
from syncd.fanout.owing import hold_items, owe_again, owe_items
from syncd.fanout.postings import Outcome, Result, book_posted
from syncd.fanout.promising import expire, take_promised
from syncd.fanout.readings import Found, book_readings, lock_readings
from syncd.fanout.unheard import give_up, hear_orders, settle_counted

__all__ = [
    "Booking",
    "CataloguePage",
    "Found",
    "Heard",
    "NotAsked",
    "Outcome",
    "Result",
    "answer_doubt",
    "answer_kept",
    "book",
    "book_edits",
    "book_posted",
    "book_readings",
    "enter_page",
    "expire",
    "give_up",
    "hear_orders",
    "hold_items",
    "lock_readings",
    "owe_again",
    "owe_items",
    "settle_counted",
    "take_promised",
]
