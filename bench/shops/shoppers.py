"""The shoppers: what they buy, how often, and the webhooks that follow, sent and timed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from bench.sender import Sender
from bench.shops.shelf import Lines, Shop
from bench.shops.world import World

DRAIN_S = 150


class Load:
    """Webhooks waiting to be sent, and the times their acknowledgements took since they were due."""

    def __init__(self) -> None:
        self.idle: deque[Sender] = deque()
        self.senders: list[Sender] = []
        self.late: deque[tuple[bytes, float]] = deque()
        self.statuses: Counter[int] = Counter()
        self.acks_s: list[float] = []
        self.out = 0
        self.most_late = 0
        self.broken = False

    async def connect(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, sender = await loop.create_connection(lambda: Sender(self), "127.0.0.1", port)
            self.senders.append(sender)
            self.idle.append(sender)

    def close(self) -> None:
        self.broken = True
        for sender in self.senders:
            sender.transport.abort()

    def send(self, payload: bytes) -> None:
        due_s = time.perf_counter()
        self.out += 1
        if self.idle:
            self.idle.popleft().send(payload, due_s)
        else:
            self.late.append((payload, due_s))
            self.most_late = max(self.most_late, len(self.late))

    def answered(self, sender: Sender, status: int) -> None:
        self.out -= 1
        self.statuses[status] += 1
        self.acks_s.append(time.perf_counter() - sender.due_s)
        if self.late:
            sender.send(*self.late.popleft())
        else:
            self.idle.append(sender)

    def lost(self) -> None:
        self.broken = True

    async def drained(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while self.out:
                if self.broken:
                    raise ConnectionError("the door closed a connection")
                await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Bought:
    """How buying went: `all_acked_s` after it began, the last webhook was answered."""

    orders: int
    offered_s: float
    all_acked_s: float


async def buy(world: World, load: Load, rate: float, seconds: float, *, watch: bool) -> Bought:
    """Sales at a rate, exponential gaps, shops in turn; each webhook is due when it happens."""
    shops = list(world.shops.values())
    began_s = due_s = time.perf_counter()
    ends_s, number = began_s + seconds, 0
    choose = once_each(world.items) if watch else like_shoppers(world.items)
    while due_s < ends_s and not load.broken:
        now_s = time.perf_counter()
        while due_s <= now_s and due_s < ends_s:
            shop = shops[number % len(shops)]
            number += 1
            for topic, payload in world.sale(shop, next(choose), watch=watch):
                load.send(request(shop, topic, payload))
            due_s += random.expovariate(rate)
        await asyncio.sleep(max(due_s - time.perf_counter(), 0))
    offered_s = time.perf_counter() - began_s
    await load.drained(DRAIN_S)
    return Bought(number, offered_s, time.perf_counter() - began_s)


def request(shop: Shop, topic: str, payload: bytes) -> bytes:
    """A webhook as a whole signed request."""
    head = (
        f"POST /webhooks/{shop.shelf.name} HTTP/1.1\r\nHost: stock.example.com\r\n"
        "User-Agent: Hookshot\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        f"{shop.signed(topic, payload)}Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def once_each(items: int) -> Iterator[Lines]:
    """Every item in turn, so that no sale is mistaken for another of the same item."""
    order = list(range(items))
    while True:
        random.shuffle(order)
        for item in order:
            yield [(item, 1)]


def like_shoppers(items: int) -> Iterator[Lines]:
    """One to three lines (1.4 on average) of items of which some sell far better than others."""
    weights = [(n + 1) ** -0.8 for n in range(items)]
    chosen = random.choices(range(items), weights, k=50_000)
    place = 0
    while True:
        count = 1 if (dice := random.random()) < 0.7 else 2 if dice < 0.9 else 3
        place = (place + count) % (len(chosen) - 3)
        yield [(item, 1) for item in dict.fromkeys(chosen[place : place + count])]
