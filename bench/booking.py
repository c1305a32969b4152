"""Booking: orders of three channels received, booked and fanned out, sustained; and a backlog drained.

Sales have 1.4 lines on average over 5 000 items, some of which sell far better than others; each
line of Shopify's also sends its level as a hint. Whatever is offered must be answered 200 and end
on every shelf.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from bench import Row
from bench.scene import REAL, UNLIMITED, Scene, scene

RATE = 2000
SECONDS = 20.0
BACKLOG = 100_000
CONNECTIONS = 64
ASKED_DRAIN = 3000
ASKED_STATEMENTS = 0.2
SETTLE_S = 120
INBOX_S = 1.0
"""The inbox is flat when what waits at the end came in no longer ago than this."""

SAMPLE_S = 5.5
"""The daemon counts its statements for /metrics every five seconds."""


@dataclass(slots=True)
class Watch:
    """The tables while a load runs, looked at once a second."""

    scene: Scene
    inbox: list[int] = field(default_factory=list)
    outbox: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        counts = "select (select count(*) from inbox_queue), (select count(*) from outbox)"
        while not self.over.wait(1.0):
            [(inbox, outbox)] = self.scene.sql(counts)
            self.inbox.append(inbox)
            self.outbox.append(outbox)


def sustained(shops: tuple[str, ...]) -> list[Row]:
    limited = shops == REAL
    label = "real buckets" if limited else "no rate limits"
    with scene(shops=shops) as made:
        watch = Watch(made)
        watching = threading.Thread(target=watch.run)
        time.sleep(SAMPLE_S)
        before, cpu_s = made.daemon.metric("sql_statements_total"), made.daemon.cpu_s
        watching.start()
        sold = made.shops.ask(
            "sell", door=made.daemon.door, rate=RATE, seconds=SECONDS, connections=CONNECTIONS
        )
        left_over = made.one("select count(*) from inbox_queue")
        cpu_s = made.daemon.cpu_s - cpu_s
        watch.over.set()
        watching.join()
        made.until(
            lambda: made.one("select count(*) from inbox_queue") == 0, SETTLE_S, "not booked"
        )
        time.sleep(SAMPLE_S)
        statements = made.daemon.metric("sql_statements_total") - before
        booked = made.one("select count(*) from sales_order")
        wrong = 0 if limited else made.shops.ask("settled", seconds=SETTLE_S)["unequal"]
        rss_mb = made.daemon.rss_mb
    taken = sold["statuses"].get("200", 0)
    per_event = statements / max(taken, 1)
    flat = left_over <= RATE * INBOX_S
    listings = 3 * made.shops.items
    rate = sold["rate"] if taken == sold["webhooks"] and booked == sold["orders"] else 0.0
    ack = sold["ack_ms"]
    asked = not limited
    return [
        Row(f"orders taken and booked, {label}", f">= {RATE}/s" if asked else "-",
            f"{rate:.0f}/s ({taken / SECONDS:.0f} webhooks/s, ack p50 {ack['p50']:.0f} ms, "
            f"p99 {ack['p99']:.0f} ms)", rate >= RATE * 0.98 if asked else None),
        Row("… events waiting at the end of the load", "flat" if asked else "-",
            f"{left_over} (most {max(watch.inbox, default=0)})", flat if asked else None),
        Row("… outbox at its largest", f"<= {listings} listings", str(max(watch.outbox, default=0)),
            max(watch.outbox, default=0) <= listings),
        Row("… SQL statements per event, deliveries included", f"<= {ASKED_STATEMENTS}",
            f"{per_event:.3f}", per_event <= ASKED_STATEMENTS),
        Row("… daemon", "-", f"{cpu_s / SECONDS:.0%} of a core, {rss_mb:.0f} MB RSS"),
        Row("… shelves that are wrong at the end", "0" if asked else "-",
            str(wrong) if asked else "not waited for", not wrong if asked else None),
    ]  # fmt: skip


def drained() -> list[Row]:
    with scene() as made:
        time.sleep(SAMPLE_S)
        made.daemon.stop()
        put = made.shops.ask("backlog", dsn=made.cluster.dsn(), events=BACKLOG)
        made.daemon.start()
        # counted from the first event booked: start-up is another bench's figure
        waiting = "select count(*) from inbox_queue"
        made.until(lambda: made.one(waiting) < put["events"], 30, "nothing booked")
        began_s, first = time.perf_counter(), made.one(waiting)
        made.until(lambda: made.one(waiting) == 0, 180, "not drained")
        rate = first / (time.perf_counter() - began_s)
        time.sleep(SAMPLE_S)
        statements = made.daemon.metric("sql_statements_total")
        left = made.shops.ask("settled", seconds=SETTLE_S)["unequal"]
    per_event = statements / put["events"]
    return [
        Row(f"backlog of {BACKLOG} events drained ({put['orders']} orders)",
            f">= {ASKED_DRAIN}/s", f"{rate:.0f}/s", rate >= ASKED_DRAIN),
        Row("… SQL statements per event, start and deliveries included", f"<= {ASKED_STATEMENTS}",
            f"{per_event:.3f}", per_event <= ASKED_STATEMENTS),
        Row("… shelves that are wrong at the end", "0", str(left), not left),
    ]  # fmt: skip


def run() -> list[Row]:
    return [*sustained(UNLIMITED), *sustained(REAL), *drained()]
