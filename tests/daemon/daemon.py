"""The real daemon in a process of its own: configured, started, signalled, killed, read and cleaned up."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from syncd.demo.standins.base import Standin

READY_S = 20.0
END_S = 30.0
ASK_S = 60.0
LOOK_S = 0.01

_SAMPLE = re.compile(r"^syncd_(\w+?)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'\w+="((?:[^"\\]|\\.)*)"')

# systemd names the process it starts: only the process itself can
_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; held together, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def toml(value: Any) -> str:
    """One value as TOML: JSON's own forms, and inline tables."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


async def until(
    true: Callable[[], Any], within_s: float, what: str | Callable[[], str] = "it"
) -> float:
    """Wait until something holds (called or awaited); gives the seconds, fails after `within_s`."""
    began = time.monotonic()
    while True:
        found = true()
        if asyncio.iscoroutine(found):
            found = await found
        took_s = time.monotonic() - began
        if found:
            return took_s
        if took_s > within_s:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {within_s:g} s: {said}")
        await asyncio.sleep(LOOK_S)


class Process:
    """One daemon. `config` is a nested mapping of its file: change it and `write()`, then `hup()`."""

    def __init__(self, folder: Path, dsn: str | None, stores: Mapping[str, Standin]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.dsn = dsn or ""
        self.file = folder / "config.toml"
        self.log = folder / "log"
        self.stores = stores
        self.door, self.ops = free_ports(2)
        self.environ: dict[str, str] = {}
        self.listener: socket.socket | None = None
        """Handed over as systemd does; outlives the process."""
        self.config: dict[str, Any] = {
            "state_dir": str(folder / "state"),
            "http": {
                "listen": f"127.0.0.1:{self.door}",
                "public_url": f"http://127.0.0.1:{self.door}",
            },
            "ops": {"listen": f"127.0.0.1:{self.ops}"},
            "sync": {"sweep_every": "10m", "drain_timeout": "20s"},
            "warehouses": {"main": {"source": next(iter(stores))} if stores else {}},
            "channels": {name: self.channel(name, store) for name, store in stores.items()},
        }
        if dsn is not None:
            self.config["database"] = {"dsn": dsn}
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @staticmethod
    def channel(name: str, store: Standin) -> dict[str, Any]:
        """What an operator would write for this store."""
        return {
            "platform": store.platform,
            "edits": "adopt" if store.platform == "shopify" else "overwrite",
            "locations": {"*": "main"},
            "options": store.options(),
        }

    # ---- life

    def write(self, text: str | None = None) -> None:
        """Write the configuration, or any text in its place."""
        if text is None:
            text = "\n".join(f"{key} = {toml(value)}" for key, value in self.config.items()) + "\n"
        self.file.touch(mode=0o600)
        self.file.write_text(text)

    async def start(self, *, ready: bool = True) -> float:
        """Start it; gives the seconds until it was ready (0 where that is not waited for)."""
        began = time.monotonic()
        command = ["-m", "syncd.cli", "run", "--config", str(self.file)]
        if self.listener is not None:
            command = ["-c", _ACTIVATE, str(self.listener.fileno()), *command]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ},
                pass_fds=() if self.listener is None else (self.listener.fileno(),),
            )
        if not ready:
            return 0.0
        await until(self.is_ready, READY_S, lambda: f"ready\n{self.words()}")
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def term(self) -> tuple[int, float]:
        """SIGTERM; gives its exit status and the seconds it took."""
        began = time.monotonic()
        return await self._end(signal.SIGTERM), time.monotonic() - began

    async def _end(self, number: int) -> int:
        process = self._process
        assert process is not None
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            async with asyncio.timeout(END_S):
                await process.wait()
        assert process.returncode is not None
        return process.returncode

    async def wait(self, within_s: float = END_S) -> int:
        """Its exit status, once it ends by itself."""
        assert self._process is not None
        async with asyncio.timeout(within_s):
            return await self._process.wait()

    async def hup(self) -> bool:
        """SIGHUP, and wait until that reload is over; True where it was taken up."""
        said = self._reloads()
        self.signal(signal.SIGHUP)
        await until(lambda: len(self._reloads()) > len(said), 30, "the reload's end")
        return self._reloads()[-1] == "config.reloaded"

    async def reload(self) -> list[str]:
        """Write the configuration and take it up; gives why it was refused, [] where it was not."""
        self.write()
        if await self.hup():
            return []
        problems: list[str] = self.said("config.reload_refused")[-1]["problems"]
        return problems

    def _reloads(self) -> list[str]:
        ends = ("config.reloaded", "config.reload_refused")
        return [line["event"] for line in self.lines() if line.get("event") in ends]

    async def close(self) -> None:
        """Whatever happened, nothing of it stays."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._session is not None:
            await self._session.close()
        if self.listener is not None:
            self.listener.close()

    # ---- what it says

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the ops listener; (0, "") where nobody answers."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        try:
            async with self._session.get(f"http://127.0.0.1:{self.ops}{path}") as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, ""

    async def is_ready(self) -> bool:
        if not self.running:
            raise AssertionError(f"the daemon ended\n{self.words()}")
        return (await self.get("/health/ready"))[0] == 200

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """Its metrics by name (without prefix) and label values."""
        _, text = await self.get("/metrics")
        return {
            (match[1], *_LABEL.findall(match[2] or "")): float(match[3])
            for match in map(_SAMPLE.match, text.splitlines())
            if match
        }

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines so far; what is not JSON comes under `text`."""
        found: list[dict[str, Any]] = []
        if not self.log.exists():
            return found
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                said = line
            found.append(said if isinstance(said, dict) else {"text": line})
        return found

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("event") == event]

    def words(self) -> str:
        """The end of its log, for a failure's message."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    async def ask(self, *words: str, within_s: float = ASK_S) -> tuple[int, str, str]:
        """One command of an operator: exit status, output, complaints."""
        place = 2 if words[0] in ("bundles", "db", "config", "plan", "channel", "webhooks") else 1
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "syncd.cli", *words[:place], "--config", str(self.file), *words[place:]),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, **self.environ},
        )
        try:
            async with asyncio.timeout(within_s):
                out, err = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def done(self, *words: str) -> str:
        """A command that has to succeed; gives its output."""
        status, out, err = await self.ask(*words)
        assert status == 0, f"syncd {' '.join(words)}: {status}\n{out}\n{err}\n{self.words()}"
        return out

    async def asked(self, sql: str, *args: Any) -> Any:
        """One value from its database, past the daemon."""
        owner = await asyncpg.connect(self.dsn)
        try:
            return await owner.fetchval(sql, *args)
        finally:
            await owner.close()

    async def writing(self, channel: str) -> bool:
        """Whether an attempt is open there: stored, and about to be sent or under way."""
        sql = "select exists(select from attempt a join channel c on c.id = a.channel_id where c.name = $1)"
        return bool(await self.asked(sql, channel))

    async def inbox_empty(self) -> bool:
        """Whether every event is booked."""
        return not await self.asked("select count(*) from inbox_queue")

    async def seeded(self, within_s: float = 30.0) -> None:
        """First counts, webhooks registered, every store equal to the source."""
        await self.done("seed", "--apply")
        await until(
            lambda: not disagreeing(self.stores), within_s, lambda: str(disagreeing(self.stores))
        )
        await until(
            self._registered, within_s, lambda: f"webhooks registered everywhere\n{self.words()}"
        )
        # an order stamped in whole seconds must not fall into the second of the count
        next_second = int(time.time()) + 1
        await until(lambda: time.time() >= next_second, 2)

    async def _registered(self) -> bool:
        found = await self.metrics()
        return all(
            found.get(("subscriptions_missing", name), 1.0) == 0
            and found.get(("sweep_last_success_timestamp_seconds", name), 0.0) > 0
            for name in self.stores
        )


def disagreeing(stores: Mapping[str, Standin]) -> dict[str, list[int]]:
    """Items whose shelves differ from store to store."""
    shelves = [store.shelves() for store in stores.values()]
    found = {sku: [shelf.get(sku, 0) for shelf in shelves] for sku in set().union(*shelves)}
    return {sku: shown for sku, shown in found.items() if len(set(shown)) > 1}


def say(figures: str) -> None:
    """Tell measured figures: shown by pytest -s, and with a failure."""
    sys.stdout.write(f"\n{figures}\n")


def found_in(secrets: Sequence[str], *texts: str) -> list[str]:
    """Which of these secrets stand in any of these texts."""
    return [secret for secret in secrets if any(secret in text for text in texts)]
