"""What `make bench` runs: promises of speed, measured against numbers written down beforehand."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a result: what was measured, what was asked for, what came out."""

    what: str
    asked: str
    measured: str
    met: bool | None = None
    """None: nothing was asked, the line is there to compare with."""


def machine(postgres_major: int | None) -> dict[str, Any]:
    """Where the numbers come from; they mean little anywhere else."""
    page = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(page / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgres": postgres_major,
        "commit": commit(),
    }


def commit() -> str:
    """The commit measured, with a plus where the work tree differs from it."""
    found = _git("rev-parse", "--short", "HEAD")
    return f"{found}+" if _git("status", "--porcelain", "--", "syncd", "bench") else found


def _git(*words: str) -> str:
    answer = subprocess.run(
        ["git", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    return answer.stdout.strip() or ("unknown" if words[0] == "rev-parse" else "")


def as_dict(row: Row) -> dict[str, Any]:
    return asdict(row)
