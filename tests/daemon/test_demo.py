"""`syncd demo` for real: stores, daemon, database, faults and verdict, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOUND_S = 120
COUNTS = ("lost", "double", "disagree")


@asynccontextmanager
async def demo(folder, *words):
    """The command in a process group of its own, with its temporary files under `folder`."""
    environ = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "syncd.cli", "demo", *words),
        cwd=folder,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(BOUND_S):
            yield process
    finally:
        if process.returncode is None:
            process.terminate()  # it ends its daemon and its PostgreSQL
            await process.communicate()


@pytest.fixture
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("d")
    for one in (made, *made.parents):  # as root, PostgreSQL runs under another account
        if one.stat().st_uid == os.geteuid() and one.stat().st_mode & 0o011 != 0o011:
            one.chmod(one.stat().st_mode | 0o011)
    return made


def running_in(folder):
    """Processes whose command names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in command:
                found.append(command)
    return found


async def test_a_short_demo_ends_well_and_leaves_nothing(folder):
    async with demo(folder, "--duration", "12", "--items", "60", "--json") as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    verdict = json.loads(out)
    assert verdict["good"] is True
    assert verdict["sales"] > 0
    assert {name: verdict[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert verdict["stores_disagreeing"] == []
    assert verdict["oversold_bound"]["beyond"] == 0
    assert verdict["oversold"] <= verdict["oversold_bound"]["units"]
    assert "webhook delay" in verdict["oversold_bound"]["formula"]
    inputs = {"webhook_delay_s", "write_delay_s", "platform_delay_s", "smallest_buffer"}
    assert set(verdict["oversold_bound"]["inputs"]) == inputs
    assert 0 < verdict["propagation"]["p50_s"] <= verdict["propagation"]["p99_s"]
    assert verdict["propagation"]["sales"] > 0
    assert verdict["troubles"]
    assert err == b""
    assert list(folder.iterdir()) == []
    assert running_in(folder) == []


async def test_an_interrupted_demo_leaves_nothing_but_its_log(folder):
    async with demo(folder, "--items", "20") as process:
        async for line in process.stdout:
            if b"seeding" in line:
                break
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"interrupted" in err
    assert [one.suffix for one in folder.iterdir()] == [".log"]
    assert running_in(folder) == []


async def test_ctrl_c_while_selling_asks_for_the_verdict(folder):
    async with demo(folder, "--items", "20", "--rate", "5") as process:
        async for line in process.stdout:
            if b"selling: sales: " in line and b"sales: 0," not in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.rstrip().endswith(b"good")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("words", [("--rate", "0"), ("--items", "0"), ("--duration", "-1")])
async def test_what_cannot_be_played_is_a_usage_error(folder, words):
    async with demo(folder, *words) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert b"above 0" in err
    assert list(folder.iterdir()) == []
