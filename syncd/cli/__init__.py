"""The command line: run the daemon, look at it, and ask it for work. Exit 0 done, 1 failed, 2 usage,
3 needs a person.

A file holds the commands of one kind; importing it here enters them in the group.
"""

from __future__ import annotations

from syncd.cli import (
    asking,
    bundles,
    daemon,
    explain,
    holds,
    items,
    linking,
    looking,
    places,
    plans,
    records,
    replay,
    sheets,
    suspense,
    switches,
    undo,
)
from syncd.cli.common import main

__all__ = [
    "asking",
    "bundles",
    "daemon",
    "explain",
    "holds",
    "items",
    "linking",
    "looking",
    "main",
    "places",
    "plans",
    "records",
    "replay",
    "sheets",
    "suspense",
    "switches",
    "undo",
]
