"""Imports: 1 000 000 counts from a CSV file through the command and the daemon, then out and in again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import Row
from bench.scene import BenchFailed, Daemon, scene

ITEMS = int(os.environ.get("BENCH_IMPORT_ITEMS", "1000000"))
ASKED_S = 120
ASKED_MB = 250


def run() -> list[Row]:
    with scene(5, ("shopify:shopify",), seeded=False) as made:
        made.daemon.start()
        folder = made.daemon.config.parent
        first, second, out = folder / "first.csv", folder / "second.csv", folder / "out.csv"
        write(first, (f"ITEM-{n:07d},{n % 500}\n" for n in range(ITEMS)))
        write(second, (f"ITEM-{n:07d},{n % 500 + 1}\n" for n in range(ITEMS)))
        made.daemon.forget_peak()
        counted = command(made.daemon, "import", str(first), "--warehouse", "main", "--new-items",
                          "--apply")  # fmt: skip
        again = command(made.daemon, "import", str(second), "--warehouse", "main", "--apply")
        daemon_mb = made.daemon.peak_mb
        written = command(made.daemon, "export", "-o", str(out))
        nothing = command(made.daemon, "import", str(out))
        wrong = made.one(
            "select count(*) from level v join (select item_id, sum(delta) as total from movement"
            " group by item_id) m using (item_id) where v.quantity <> m.total"
        )
        right = made.one("select sum(quantity) from level v join item i on i.id = v.item_id"
                         " where starts_with(i.sku, 'ITEM-')")  # fmt: skip
    expected = sum(n % 500 + 1 for n in range(ITEMS))
    peak = max(counted.mb, again.mb, written.mb, nothing.mb)
    return [
        Row(f"first counts of {ITEMS} new items, plan and apply", f"<= {ASKED_S} s",
            f"{counted.took_s:.0f} s", counted.took_s <= ASKED_S),
        Row("counts of the same items, every one changed", f"<= {ASKED_S} s",
            f"{again.took_s:.0f} s", again.took_s <= ASKED_S),
        Row("memory of the command at its highest", f"<= {ASKED_MB} MB RSS", f"{peak:.0f} MB",
            peak <= ASKED_MB),
        Row("memory of the daemon at its highest", f"<= {ASKED_MB} MB RSS", f"{daemon_mb:.0f} MB",
            daemon_mb <= ASKED_MB),
        Row("export of them all", "-", f"{written.took_s:.1f} s"),
        Row("the export brought back: counts it would change", "0",
            str(nothing.said["changed"]), nothing.said["changed"] == 0),
        Row("… which took", "-", f"{nothing.took_s:.1f} s"),
        Row("levels that are wrong at the end", "0",
            str(wrong if right == expected else "the sum"), not wrong and right == expected),
    ]  # fmt: skip


def write(path: Path, rows: Iterable[str]) -> None:
    with path.open("w") as out:
        out.write("sku,quantity\n")
        out.writelines(rows)


class Done:
    """A command that ended well: its seconds, its memory at its highest, what it said."""

    def __init__(self, took_s: float, mb: float, out: str) -> None:
        self.took_s, self.mb = took_s, mb
        self.said: dict[str, Any] = json.loads(out) if out.startswith("{") else {}


def command(daemon: Daemon, *words: str) -> Done:
    """One command of an operator, in a process of its own."""
    asked = [sys.executable, "-m", "syncd.cli", *words, "--config", str(daemon.config)]
    asked += ["--json"] if words[0] == "import" else []
    began_s = time.perf_counter()
    with subprocess.Popen(asked, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        out = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchFailed(f"syncd {words[0]}: {process.returncode}\n{out}\n{daemon.words()}")
    return Done(time.perf_counter() - began_s, used.ru_maxrss / 1024, out)
