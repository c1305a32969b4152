"""Propagation: from a sale's webhook to the confirmed write on the last other shop."""

from __future__ import annotations

from bench import Row
from bench.scene import REAL, UNLIMITED, scene

RATE = 100
SECONDS = 20.0
ASKED_P50_MS = 40
ASKED_P99_MS = 150
SETTLE_S = 60


def measure(shops: tuple[str, ...]) -> list[Row]:
    limited = shops == REAL
    with scene(shops=shops) as made:
        sold = made.shops.ask("sell", door=made.daemon.door, rate=RATE, seconds=SECONDS, watch=True)
        left = made.shops.ask("settled", seconds=SETTLE_S)
        counts = made.shops.ask("counts")
    shown, label = sold["propagation_ms"], "real buckets" if limited else "no rate limits"
    unshown = f", {sold['unshown']} later than 10 s after the last sale" if sold["unshown"] else ""
    words = f"{shown['p50']:.0f} ms{unshown}"
    calls = ", ".join(f"{name} {count['calls']}" for name, count in counts.items())
    return [
        Row(
            f"{RATE} sales/s, {label}: p50",
            "-" if limited else f"<= {ASKED_P50_MS} ms",
            words,
            None if limited else shown["p50"] <= ASKED_P50_MS,
        ),
        Row(
            f"{RATE} sales/s, {label}: p99",
            "-" if limited else f"<= {ASKED_P99_MS} ms",
            f"{shown['p99']:.0f} ms, max {shown['max']:.0f} ms",
            None if limited else shown["p99"] <= ASKED_P99_MS and not unshown,
        ),
        Row(f"… calls made ({sold['orders']} sales)", "-", calls),
        Row("… shelves that are wrong at the end", "-" if limited else "0", str(left["unequal"]),
            None if limited else not left["unequal"]),
    ]  # fmt: skip


def run() -> list[Row]:
    return [*measure(UNLIMITED), *measure(REAL)]
