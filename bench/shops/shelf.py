"""What every light shop keeps, and what it must be able to say of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

FIRST_COUNT = 1_000_000
"""Enough for any run: nothing sells out, so that every sale owes a delivery to every other shop."""
BODY_BYTES = 1500

Lines = list[tuple[int, int]]
"""What one order buys: item number and units."""


class Bucket:
    """A leaky bucket as the platforms keep it; capacity 0: no limit."""

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity, self.rate = capacity, rate
        self.level, self.at_s = capacity, time.monotonic()

    def take(self, cost: float) -> bool:
        if not self.capacity:
            return True
        now_s = time.monotonic()
        self.level = min(self.capacity, self.level + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        if self.level < cost:
            return False
        self.level -= cost
        return True


class Shelf:
    """One shop's counts by item number; `shows` is told of every count written from outside."""

    def __init__(
        self, name: str, items: int, bucket: Bucket, shows: Callable[[str, int, int], None]
    ) -> None:
        self.name, self.items, self.bucket = name, items, bucket
        self.port = 0
        self.counts = [FIRST_COUNT] * items
        self.orders = random.getrandbits(31) * 1000
        """The newest order's number."""
        self.tally: Counter[str] = Counter()
        """How often what was done."""
        self._shows = shows
        self._stamps: dict[int, str] = {}
        self._opened = iso_now()

    def sell(self, lines: Lines) -> None:
        for item, units in lines:
            self.counts[item] -= units
            self._stamps[item] = iso_now()
        self.orders += 1

    def put(self, item: int, quantity: int) -> None:
        self.counts[item] = quantity
        self._stamps[item] = iso_now()
        self.tally["rows_written"] += 1
        self._shows(self.name, item, quantity)

    def stamp(self, item: int) -> str:
        """When its count last changed."""
        return self._stamps.get(item, self._opened)


class Shop(Protocol):
    """What a platform's shop does with its shelf."""

    real_bucket: ClassVar[tuple[float, float]]
    """Capacity and refill a second, as the platform has them."""
    shelf: Shelf

    def __init__(self, shelf: Shelf) -> None: ...

    def said(self, order: int, lines: Lines) -> Iterator[tuple[str, Any]]:
        """Topic and body of each webhook that tells of an order."""
        ...

    def signed(self, topic: str, payload: bytes, /) -> str:
        """The header lines of a webhook."""
        ...

    def answer(self, method: str, target: str, body: bytes, /) -> tuple[int, str, bytes]:
        """Status, extra header lines, body."""
        ...


def iso_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sku_of(item: int) -> str:
    return f"SKU-{item:06d}"
