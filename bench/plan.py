"""Plan: a changed policy that would lower 100 000 listings to zero is held, and shown as a plan."""

from __future__ import annotations

import json
import time

from bench import Row
from bench.imports import command
from bench.scene import scene

LISTINGS = 100_000
ASKED_S = 10
WAIT_S = 120


def run() -> list[Row]:
    with scene(LISTINGS, ("shopify:shopify",)) as made:
        config = made.daemon.config.read_text()
        made.daemon.config.write_text(f"{config}\n[channels.shopify.policy]\npercent = 0\n")
        made.daemon.forget_peak()
        began_s = time.perf_counter()
        made.daemon.hang_up()
        weighed = "select count(*) from plan where kind = 'blast_radius' and summary ? 'channels'"
        made.until(lambda: bool(made.one(weighed)), WAIT_S, "no plan")
        took_s = time.perf_counter() - began_s
        peak_mb = made.daemon.peak_mb
        found = made.sql("select id, rows, summary from plan where kind = 'blast_radius'")
        number, rows, summary = found[0]
        zeroed = json.loads(summary)["channels"]["shopify"]["zeroed"]
        owed = made.one("select count(*) from outbox")
        shown = command(made.daemon, "plan", "show", str(number), "--json")
    return [
        Row(f"plan over {LISTINGS} listings, from the reload to what it would change",
            f"<= {ASKED_S} s", f"{took_s:.1f} s", took_s <= ASKED_S),
        Row("… memory at its highest", "-", f"{peak_mb:.0f} MB"),
        Row("… listings it would zero", str(rows), str(zeroed), rows == zeroed > LISTINGS * 0.9),
        Row("… deliveries owed meanwhile", "0", str(owed), not owed),
        Row("the plan shown by the command", "-", f"{shown.took_s:.1f} s"),
    ]  # fmt: skip
