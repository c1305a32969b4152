"""The sender's side, in a process of its own: signed orders over keep-alive connections.

`python -m bench.load PORT SECONDS CONNECTIONS [RATE]`: without a rate every connection sends as
soon as it was answered (closed loop); with one, requests are due at fixed times and their latency
counts from when they were due, so a slow answer hides nothing (open loop). Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator

import uvloop

from bench.sender import Sender
from bench.signing import digest64

PATH = "/webhooks/shop"
BODY_BYTES = 1500
WARM_UP = 0.15
"""Share of the time whose answers are not counted."""


def body(number: int) -> bytes:
    """An order of 1.5 KB like no other."""
    order = {
        "id": number,
        "number": str(100_000 + number),
        "status": "processing",
        "currency": "GBP",
        "billing": {"first_name": "Ada", "last_name": "Byron", "city": "London"},
        "line_items": [
            {"id": number * 4 + k, "sku": f"SKU-{(number + k) % 997}", "quantity": k + 1}
            for k in range(3)
        ],
        "note": "",
    }
    order["note"] = "x" * (BODY_BYTES - len(json.dumps(order)))
    return json.dumps(order).encode()


def request(number: int) -> bytes:
    """A whole signed request as WooCommerce sends them."""
    payload = body(number)
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        "Host: stock.example.com\r\n"
        "User-Agent: WooCommerce/10.7.0 Hookshot (WordPress/6.8)\r\n"
        "Accept: */*\r\n"
        "Content-Type: application/json\r\n"
        "X-WC-Webhook-Source: https://shop.example/\r\n"
        "X-WC-Webhook-Topic: order.updated\r\n"
        "X-WC-Webhook-Resource: order\r\n"
        "X-WC-Webhook-Event: updated\r\n"
        f"X-WC-Webhook-Signature: {digest64(payload)}\r\n"
        "X-WC-Webhook-ID: 7\r\n"
        f"X-WC-Webhook-Delivery-ID: {number:032x}\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class Run:
    """One measurement; `left` gives prepared requests until there are none."""

    def __init__(self, left: Iterator[bytes], seconds: float, rate: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.left = left
        self.seconds = seconds
        self.rate = rate
        self.statuses: Counter[int] = Counter()
        self.latencies_s: list[float] = []
        self.counted = 0
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.idle: deque[Sender] = deque()
        self.late: deque[float] = deque()
        self.out = 0
        self.over = False
        """Nothing more falls due; what is out is still waited for."""

    async def go(self, port: int, connections: int) -> dict[str, object]:
        for _ in range(connections):
            _, sender = await self.loop.create_connection(lambda: Sender(self), "127.0.0.1", port)
            self.idle.append(sender)
        self.senders = list(self.idle)
        gc.freeze()
        gc.disable()
        self.began_s = time.perf_counter()
        self.counts_from_s = self.began_s + self.seconds * WARM_UP
        self.ends_s = self.began_s + self.seconds
        if self.rate:
            self.tick(self.began_s)
        else:
            for sender in list(self.idle):
                self.begin(sender, time.perf_counter())
            self.idle.clear()
        await asyncio.wait_for(self.done, self.seconds * 2 + 10)
        for sender in self.senders:
            sender.transport.abort()
        return self.result()

    def begin(self, sender: Sender, due_s: float) -> None:
        payload = next(self.left, None)
        if payload is None:
            self.ends_s = min(self.ends_s, time.perf_counter())
        else:
            self.out += 1
            sender.send(payload, due_s)

    def tick(self, due_s: float) -> None:
        """Everything due by now is sent, or waits for a free connection."""
        now_s = time.perf_counter()
        while due_s <= now_s and due_s < self.ends_s:
            self.late.append(due_s)
            # arrivals of many independent shops: exponential gaps
            due_s += random.expovariate(self.rate)
        while self.late and self.idle:
            self.begin(self.idle.popleft(), self.late.popleft())
        if due_s < self.ends_s:
            self.loop.call_later(due_s - now_s, self.tick, due_s)
        else:
            self.over = True
            self.finish_if_drained()

    def answered(self, sender: Sender, status: int) -> None:
        now_s = time.perf_counter()
        self.out -= 1
        self.statuses[status] += 1
        if sender.due_s >= self.counts_from_s:
            self.latencies_s.append(now_s - sender.due_s)
            self.counted += now_s <= self.ends_s
        if self.rate:
            if self.late:
                self.begin(sender, self.late.popleft())
            else:
                self.idle.append(sender)
        elif now_s < self.ends_s:
            self.begin(sender, now_s)
        else:
            self.over = True
        if self.over:
            self.finish_if_drained()

    def finish_if_drained(self) -> None:
        if not self.out and not self.late and not self.done.done():
            self.done.set_result(None)

    def lost(self) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the door closed a connection"))

    def result(self) -> dict[str, object]:
        ordered = sorted(self.latencies_s)
        span_s = self.ends_s - self.counts_from_s
        return {
            "rate": self.counted / span_s,
            "p50_ms": 1000 * ordered[len(ordered) // 2],
            "p99_ms": 1000 * ordered[int(len(ordered) * 0.99)],
            "max_ms": 1000 * ordered[-1],
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }


async def main(port: int, seconds: float, connections: int, rate: float) -> None:
    # more than any door takes; made beforehand, so that signing costs the measurement nothing
    most = int((rate * 1.2 or 14_000) * seconds) + connections
    start = random.getrandbits(40)
    prepared = [request(start + number) for number in range(most)]
    run = Run(itertools.chain(prepared), seconds, rate)
    print(json.dumps(await run.go(port, connections)))


if __name__ == "__main__":
    words = sys.argv[1:]
    uvloop.run(
        main(int(words[0]), float(words[1]), int(words[2]), float(words[3]) if words[3:] else 0.0)
    )
