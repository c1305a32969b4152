"""A server under measurement: runs on uvloop, prints its port, ends with its input."""

from __future__ import annotations

import asyncio
import cProfile
import os
import pstats
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop


async def serve(port: int) -> None:
    """Tell the port, then wait until the parent closes our input."""
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; BENCH_PROFILE=lines prints that many lines of a profile to stderr."""
    lines = int(os.environ.get("BENCH_PROFILE", "0"))
    if not lines:
        uvloop.run(work)
        return
    with cProfile.Profile() as profile:
        uvloop.run(work)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(lines)
