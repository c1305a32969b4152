"""`python -m bench [name…] [--json]`: runs the named benches, or all, and prints one table each.

A bench is a module of this package with `run() -> list[Row]`; its docstring's first line names it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from types import ModuleType

from bench import Row, as_dict, machine
from tests.postgres import wanted

BENCHES = (
    "door",
    "booking",
    "propagation",
    "sweep",
    "explain",
    "idle",
    "restart",
    "imports",
    "plan",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(BENCHES))
    if unknown:
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    modules = {name: importlib.import_module(f"bench.{name}") for name in asked.names or BENCHES}
    if asked.list:
        for name, module in modules.items():
            print(f"{name:12} {headline(module)}")
        return 0
    where = machine(wanted()[0].major)
    if not asked.json:
        print("  ".join(f"{key} {value}" for key, value in where.items()))
    results: dict[str, list[Row]] = {}
    for name, module in modules.items():
        results[name] = module.run()
        if not asked.json:
            print(f"\n{headline(module)}\n{table(results[name])}")
    if asked.json:
        lines = {name: [as_dict(row) for row in rows] for name, rows in results.items()}
        print(json.dumps({"machine": where, "results": lines}, indent=2))
    return 1 if any(row.met is False for rows in results.values() for row in rows) else 0


def headline(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]


def table(rows: list[Row]) -> str:
    cells = [("what", "asked", "measured", "")]
    words = {True: "met", False: "MISSED", None: ""}
    cells += [(row.what, row.asked, row.measured, words[row.met]) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


if __name__ == "__main__":
    sys.exit(main())
