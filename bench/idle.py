"""Idle: what a daemon with three channels and nothing to do takes of a machine."""

from __future__ import annotations

import time

from bench import Row
from bench.scene import scene

SECONDS = 20.0
ASKED_MB = 110
ASKED_SHARE = 0.02


def run() -> list[Row]:
    with scene() as made:
        # a restart, so that what the first seed took is not counted, and its sweeps are over
        made.daemon.stop()
        made.daemon.start()
        swept = "select count(*) from channel where swept_at > now() - interval '1 minute'"
        made.until(lambda: bool(made.one(swept) == 3), 60, "not swept")
        made.until(made.idle, 60, "not idle")
        time.sleep(2)
        before_s = made.daemon.cpu_s
        began_s = time.perf_counter()
        time.sleep(SECONDS)
        share = (made.daemon.cpu_s - before_s) / (time.perf_counter() - began_s)
        rss_mb = made.daemon.rss_mb
    return [
        Row("idle, 3 channels of 5 000: memory", f"<= {ASKED_MB} MB RSS", f"{rss_mb:.0f} MB",
            rss_mb <= ASKED_MB),
        Row("idle, 3 channels of 5 000: CPU", f"<= {ASKED_SHARE:.0%} of a core", f"{share:.1%}",
            share <= ASKED_SHARE),
    ]  # fmt: skip
