"""Sweep: 100 000 listings of one channel read in bulk and compared, nothing different."""

from __future__ import annotations

import time

from bench import Row
from bench.scene import scene

LISTINGS = 100_000
ASKED_S = 20
ASKED_MB = 200


def run() -> list[Row]:
    shops = ("shopify:shopify",)
    with scene(LISTINGS, shops) as made:
        # a fresh process: the seed's memory is not the sweep's
        made.daemon.stop()
        made.daemon.start()
        took_s = []
        for _ in range(2):
            before = made.one("select swept_at from channel")
            began_s = time.perf_counter()
            made.daemon.ask("sweep")

            def swept(before: object = before) -> bool:
                return bool(made.one("select swept_at from channel") != before)

            made.until(swept, 120, "no sweep ended")
            took_s.append(time.perf_counter() - began_s)
        peak_mb = made.daemon.peak_mb
        found = made.one("select count(*) from movement where kind <> 'seed'")
    return [
        Row(f"sweep of {LISTINGS} listings, nothing different", f"<= {ASKED_S} s",
            f"{min(took_s):.1f} s", min(took_s) <= ASKED_S),
        Row("… memory at its highest", f"<= {ASKED_MB} MB RSS", f"{peak_mb:.0f} MB",
            peak_mb <= ASKED_MB),
        Row("… movements it booked", "0", str(found), not found),
    ]  # fmt: skip
