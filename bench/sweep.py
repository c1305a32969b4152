"""Sweep: 100 000 listings of one channel read in bulk and compared, nothing different."""

from __future__ import annotations

import time

from bench import Row
from bench.scene import Scene, scene

LISTINGS = 100_000
ASKED_S = 20
ASKED_MB = 200


def run() -> list[Row]:
    with scene(LISTINGS, ("shopify:shopify",)) as made:
        # a fresh process: the seed's memory is not the sweep's
        made.daemon.stop()
        made.daemon.start()
        took_s = max(sweep(made), sweep(made))
        peak_mb = made.daemon.peak_mb
        made.shops.ask("limit")
        limited_s = sweep(made)
        found = made.one("select count(*) from movement where kind <> 'seed'")
    return [
        Row(f"sweep of {LISTINGS} listings, nothing different", f"<= {ASKED_S} s",
            f"{took_s:.1f} s, the slower of two", took_s <= ASKED_S),
        Row("… memory at its highest", f"<= {ASKED_MB} MB RSS", f"{peak_mb:.0f} MB",
            peak_mb <= ASKED_MB),
        Row("… the same with the platform's real bucket", "-", f"{limited_s:.1f} s"),
        Row("… movements it booked", "0", str(found), not found),
    ]  # fmt: skip


def sweep(made: Scene) -> float:
    """Have every listing swept; gives the seconds that took."""
    swept = "select swept_at from channel where name = 'shopify'"
    before = made.one(swept)
    began_s = time.perf_counter()
    made.daemon.ask("sweep")
    made.until(lambda: bool(made.one(swept) != before), 120, "no sweep ended")
    return time.perf_counter() - began_s
