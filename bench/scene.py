"""A whole scene to measure: the real daemon, PostgreSQL with fsync on, and light shops, each its own.

Whatever happens inside, nothing that was started outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from bench.signing import SECRET
from tests.postgres import Cluster, free_port

UNLIMITED = ("shopify:shopify", "woo-a:woocommerce", "woo-b:woocommerce")
"""Shops that can be had without a rate limit: Shopify's answers name it, WooCommerce's host does."""
REAL = ("shopify:shopify", "shopwired:shopwired", "woo-a:woocommerce")
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB"}
READY_S = 30.0
SEED_S = 180.0
POLL_S = 0.01


class BenchFailed(Exception):
    """The scene could not be played: there is no number to tell."""


class Shops:
    """The process with the shops and the shoppers."""

    def __init__(self, items: int, shops: tuple[str, ...], *, limited: bool) -> None:
        self.items = items
        words = [str(items), *shops, *(["--limited"] if limited else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.shops", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.ports: dict[str, int] = json.loads(self._process.stdout.readline())

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise BenchFailed(f"the shops ended while asked to {do}")
        said: dict[str, Any] = json.loads(answer)
        return said

    def stop(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Daemon:
    """`syncd run` in a process of its own."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.config = folder / "config.toml"
        self.log = folder / "log"
        self.dsn = dsn
        self.door, self.ops = free_port(), free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, shops: tuple[str, ...], ports: dict[str, int]) -> None:
        """What an operator would write; the first shop is the source."""
        tables: dict[str, dict[str, object]] = {
            "": {"state_dir": str(self._folder)},
            "database": {"dsn": self.dsn},
            "http": {"listen": f"127.0.0.1:{self.door}"},
            "ops": {"listen": f"127.0.0.1:{self.ops}"},
            "sync": {"sweep_every": "1h", "drain_timeout": "5s"},
            "log": {"level": "warning"},
            "warehouses.main": {"source": shops[0].partition(":")[0]},
        }
        for one in shops:
            name, _, platform = one.partition(":")
            edits = "adopt" if platform == "shopify" else "overwrite"
            tables[f"channels.{name}"] = {"platform": platform, "edits": edits}
            tables[f"channels.{name}.locations"] = {"*": "main"}
            given = {"base_url": f"http://127.0.0.1:{ports[name]}"}
            tables[f"channels.{name}.options"] = given | _options(name, platform, shops)
        lines = []
        for table, rows in tables.items():
            lines += [f"[{table}]"] if table else []
            lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in rows.items()]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, *, profile: str = "") -> float:
        """Start it; gives the seconds from exec to ready."""
        began_s = time.perf_counter()
        extra = ["-m", "cProfile", "-o", profile] if profile else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *extra, "-m", "syncd.cli", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while time.perf_counter() - began_s < READY_S:
            if self._process.poll() is not None:
                raise BenchFailed(f"the daemon ended:\n{self.words()}")
            if self._get("/health/ready") is not None:
                return time.perf_counter() - began_s
            time.sleep(POLL_S)
        raise BenchFailed(f"the daemon was not ready:\n{self.words()}")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang_up(self) -> None:
        """Have it take up its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask(self, *words: str) -> None:
        """One command of an operator."""
        command = [sys.executable, "-m", "syncd.cli", *words, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SEED_S, check=False)
        if done.returncode:
            raise BenchFailed(f"syncd {words[0]}: {done.stdout}{done.stderr}")

    def metrics(self) -> dict[str, float]:
        """Its metrics now, by name with labels."""
        found = {}
        for line in (self._get("/metrics") or "").splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def metric(self, name: str) -> float:
        """The sum over all labels of a metric."""
        wanted = f"syncd_{name}"
        return sum(v for k, v in self.metrics().items() if k.partition("{")[0] == wanted)

    @property
    def rss_mb(self) -> float:
        return self._status("VmRSS") / 1024

    @property
    def peak_mb(self) -> float:
        """The most it ever held since the last `forget_peak`."""
        return self._status("VmHWM") / 1024

    def forget_peak(self) -> None:
        assert self._process is not None
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    @property
    def cpu_s(self) -> float:
        """Seconds of a core it has used so far."""
        assert self._process is not None
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def _status(self, name: str) -> float:
        assert self._process is not None
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return float(line.split()[1])
        raise BenchFailed(f"no {name}")

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}{path}", timeout=5) as answer:
                found: str = answer.read().decode()
                return found
        except (urllib.error.URLError, OSError):
            return None


def _options(name: str, platform: str, shops: tuple[str, ...]) -> dict[str, object]:
    secret = SECRET.decode()
    if platform == "shopify":
        return {"shop": name, "access_token": "shpat_bench", "webhook_secret": secret}
    if platform == "shopwired":
        return {"api_key": "k", "api_secret": "s", "webhook_secret": secret}
    keys = {"consumer_key": "ck", "consumer_secret": "cs", "auth": "basic"}
    limit = {} if shops == REAL else {"calls_per_s": 1000}
    return {**keys, **limit, "webhook_secret": secret}


class Scene:
    """The three processes, seeded: every shop shows the same and nothing is owed."""

    def __init__(self, cluster: Cluster, shops: Shops, daemon: Daemon) -> None:
        self.cluster, self.shops, self.daemon = cluster, shops, daemon

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            conn = await asyncpg.connect(self.cluster.dsn())
            try:
                return [tuple(row) for row in await conn.fetch(statement)]
            finally:
                await conn.close()

        return asyncio.run(fetch())

    def one(self, statement: str) -> Any:
        return self.sql(statement)[0][0]

    def until(self, true: Callable[[], bool], timeout_s: float, problem: str) -> float:
        """Wait for it; gives the seconds. Raises BenchFailed."""
        began_s = time.perf_counter()
        while not true():
            if time.perf_counter() - began_s > timeout_s:
                raise BenchFailed(f"{problem} within {timeout_s:.0f} s:\n{self.daemon.words()}")
            time.sleep(0.05)
        return time.perf_counter() - began_s

    def idle(self) -> bool:
        waiting = "(select count(*) from {})"
        tables = " + ".join(waiting.format(t) for t in ("inbox_queue", "outbox", "look", "attempt"))
        return bool(self.one(f"select {tables}") == 0)

    def seed(self, shops: tuple[str, ...]) -> None:
        self.daemon.ask("seed", "--apply")
        linked = "select count(*) from listing l join shelf s on s.listing_id = l.id"
        linked += " where item_id is not null and s.shown is not null"
        items = self.shops.items
        self.until(lambda: bool(self.one(linked) == items * len(shops)), SEED_S, "not all seeded")
        swept = "select count(*) from channel where swept_at is not null"
        self.until(lambda: bool(self.one(swept) == len(shops)), SEED_S, "not all swept")
        self.until(self.idle, SEED_S, "not idle after the seed")
        self.sql("vacuum analyze")


@contextmanager
def scene(
    items: int = 5000,
    shops: tuple[str, ...] = UNLIMITED,
    *,
    seeded: bool = True,
    settings: dict[str, str] | None = None,
) -> Iterator[Scene]:
    """Everything started, the database migrated and, unless told otherwise, seeded."""
    cluster = Cluster(durable=True, settings=SETTINGS | (settings or {}))
    folder = Path(tempfile.mkdtemp(prefix="syncd-bench-"))
    there: Shops | None = None
    daemon: Daemon | None = None
    try:
        cluster.start()
        there = Shops(items, shops, limited=shops == REAL)
        daemon = Daemon(folder, cluster.dsn())
        daemon.configure(shops, there.ports)
        made = Scene(cluster, there, daemon)
        if seeded:
            daemon.start(profile=os.environ.get("BENCH_DAEMON_PROFILE", ""))
            made.seed(shops)
        yield made
    finally:
        if daemon is not None:
            daemon.stop()
        if there is not None:
            there.stop()
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)
