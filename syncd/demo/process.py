"""The demo's daemon: the real one, in a process of its own on a folder that goes with it."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

from syncd.db.embedded import Embedded
from syncd.errors import SyncdError

READY_S = 90.0
STOP_S = 30.0
POLL_S = 0.05


class DemoFailed(SyncdError):
    """The demo could not be played to its end."""


class Daemon:
    """The real daemon in a process of its own, on a temporary folder."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.config = folder / "config.toml"
        self.state = folder / "state"
        self.door, self.ops = _free_ports(2)
        self._log = log
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ops}"

    def configure(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        """Write the configuration: these tables, and where this daemon lives."""
        every: dict[str, Mapping[str, object]] = {
            "": {"state_dir": str(self.state)},
            "http": {
                "listen": f"127.0.0.1:{self.door}",
                "public_url": f"http://127.0.0.1:{self.door}",
            },
            "ops": {"listen": f"127.0.0.1:{self.ops}"},
            **tables,
        }
        lines = []
        for table, rows in every.items():
            lines += [f"[{table}]"] if table else []
            lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in rows.items()]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises DemoFailed."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command("run"),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to pass on
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process.returncode is not None:
                raise DemoFailed(f"the daemon ended with {self._process.returncode}")
            if await self._get("/health/ready") is not None:
                return
            await asyncio.sleep(POLL_S)
        raise DemoFailed(f"the daemon was not ready within {READY_S:.0f} s")

    async def crash(self) -> None:
        """Kill it as a machine would, and start it again."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self.start()

    async def ensure(self) -> None:
        """Start it again where it is not running."""
        if self._process is None or self._process.returncode is not None:
            await self.start()

    async def ask(self, *words: str) -> None:
        """One command of an operator. Raises DemoFailed."""
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command(*words),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code != 0:
            raise DemoFailed(f"syncd {words[0]} ended with {code}")

    async def metrics(self) -> str | None:
        """Its metrics now; None while it does not answer."""
        return await self._get("/metrics")

    async def stop(self) -> None:
        """End it, by force if it must be, and the PostgreSQL it may have left behind."""
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._session is not None:
            await self._session.close()
        left = Embedded(self.state)
        if left.data.exists() and left.pid is not None:
            await left.start()
            await left.stop()

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "syncd.cli", *words, "--config", str(self.config)]

    async def _get(self, path: str) -> str | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        try:
            async with self._session.get(self.ops_url + path) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; held together, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
