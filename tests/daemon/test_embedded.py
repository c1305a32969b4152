"""The private PostgreSQL: it is found, started, revived and left, and its data is never touched."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from syncd.db import binaries
from syncd.db.embedded import Embedded
from syncd.db.pool import Database
from syncd.errors import ConfigError
from tests.postgres import wanted

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to offer")


@pytest.fixture(params=wanted(), ids=lambda found: f"pg{found.major}", scope="module")
def installation(request):
    return request.param


@pytest.fixture
def state():
    folder = Path(tempfile.mkdtemp(prefix="syncd-state-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def embedded(state, installation):
    one = Embedded(state, installations=[installation])
    yield one
    await one.stop()


async def ask(dsn, *statements):
    database = Database(dsn, min_size=1)
    await database.open()
    try:
        async with database.transaction("ask") as conn:
            for statement in statements:
                value = await conn.fetchval(statement)
            return value
    finally:
        await database.close()


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def owner(pid):
    return Path(f"/proc/{pid}").stat().st_uid


async def eventually_gone(embedded):
    async with asyncio.timeout(30):
        while embedded.pid is not None:
            await asyncio.to_thread(os.sched_yield)
    return True


async def test_it_serves_durably_on_a_socket_alone_and_stops(embedded):
    dsn = await embedded.start()
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "data_checksums": "on",
    }
    for name, value in expected.items():
        assert await ask(dsn, f"SELECT current_setting('{name}')") == value
    assert await ask(dsn, "SELECT current_database()") == "syncd"
    pid = embedded.pid
    assert owner(pid) != 0
    await embedded.stop()
    assert gone(pid)
    assert embedded.pid is None
    await embedded.stop()


async def test_a_killed_server_is_revived_with_what_was_committed(embedded):
    dsn = await embedded.start()
    await ask(dsn, "CREATE TABLE thing (n int)", "INSERT INTO thing VALUES (1)")
    assert await embedded.ensure_running() is False
    first = embedded.pid
    os.kill(first, signal.SIGKILL)
    assert await eventually_gone(embedded)
    assert await embedded.ensure_running() is True
    assert embedded.pid != first
    assert await ask(dsn, "SELECT count(*) FROM thing") == 1


async def test_the_last_one_to_leave_stops_it(embedded, state, installation):
    dsn = await embedded.start()
    other = Embedded(state, installations=[installation])
    assert await other.start() == dsn
    assert other.pid == embedded.pid
    await embedded.stop()
    assert await ask(dsn, "SELECT 1") == 1
    pid = other.pid
    await other.stop()
    assert other.pid is None
    assert gone(pid)


async def test_many_starts_at_once_make_one_server(state, installation):
    several = [Embedded(state, installations=[installation]) for _ in range(4)]
    await asyncio.gather(*(one.start() for one in several))
    assert len({one.pid for one in several}) == 1
    for one in several:
        await one.stop()
    assert several[0].pid is None


STARTER = """
import asyncio, sys
from pathlib import Path
from syncd.db.embedded import Embedded
async def main():
    one = Embedded(Path(sys.argv[1]))
    await one.start()
    print(one.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def start_and_kill_syncd(state):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with starter:
        pid = int(starter.stdout.readline())
        starter.kill()
    return pid


async def test_it_outlives_a_killed_syncd_and_is_found_again(state):
    pid = start_and_kill_syncd(state)
    one = Embedded(state)
    dsn = await one.start()
    assert one.pid == pid
    assert await ask(dsn, "SELECT 1") == 1
    await one.stop()
    assert one.pid is None


async def test_a_pid_file_that_names_a_stranger_is_no_hindrance(embedded):
    dsn = await embedded.start()
    await embedded.stop()
    file = embedded.data / "postmaster.pid"
    file.write_text(f"{os.getpid()}\n{embedded.data}\n1\n5432\n{embedded.root}\n\n1 1\nready\n")
    assert embedded.pid is None
    await embedded.start()
    assert await ask(dsn, "SELECT 1") == 1


async def test_half_a_data_folder_is_made_anew(embedded):
    leftover = embedded.root / "data.new"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18")
    assert await ask(await embedded.start(), "SELECT 1") == 1


async def test_another_major_versions_data_is_refused_and_left_alone(embedded):
    await embedded.start()
    await embedded.stop()
    version = embedded.data / "PG_VERSION"
    version.write_text("9\n")
    before = sorted(path.name for path in embedded.data.iterdir())
    with pytest.raises(ConfigError, match=r"made by PostgreSQL 9, .* nothing was changed"):
        await embedded.start()
    assert sorted(path.name for path in embedded.data.iterdir()) == before
    version.write_text("words")
    with pytest.raises(ConfigError, match="not a PostgreSQL data folder"):
        await embedded.start()


async def test_the_data_chooses_among_several_versions(state):
    found = {one.major: one for one in binaries.installed()}
    if len(found) < 2:
        pytest.skip("only one version of PostgreSQL here")
    old, new = found[min(found)], found[max(found)]
    async with asyncio.timeout(60):
        first = Embedded(state, installations=[old])
        await first.start()
        await first.stop()
        second = Embedded(state, installations=[new, old])
        version = await ask(
            await second.start(), "SELECT current_setting('server_version_num')::int / 10000"
        )
        await second.stop()
    assert version == old.major


async def test_without_programs_it_says_what_to_install(state):
    with pytest.raises(ConfigError, match="embedded extra"):
        await Embedded(state, installations=[]).start()


@pytest.mark.parametrize("name", ["long" * 30, 'a, "b" and c'], ids=["long", "odd"])
async def test_a_path_no_socket_can_have_gets_a_short_one(state, installation, name):
    one = Embedded(state / name, installations=[installation])
    (state / name).mkdir(mode=0o755)
    state.chmod(0o755)
    try:
        assert await ask(await one.start(), "SELECT 1") == 1
        folder = one._socket_folder()
        assert folder.stat().st_mode & 0o077 == 0
    finally:
        await one.stop()
    shutil.rmtree(folder)


@as_root
async def test_a_state_folder_closed_above_is_refused_with_words(tmp_path, installation):
    closed = tmp_path / "closed"
    state = closed / "state"
    state.mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(ConfigError, match="cannot reach"):
        await Embedded(state, installations=[installation]).start()
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
async def test_closed_programs_are_copied_within_reach(state, installation):
    if installation.folder.is_relative_to("/usr"):
        pytest.skip("a distribution's programs are open to everyone")
    private = Path(tempfile.mkdtemp(prefix="syncd-private-", dir="/tmp"))
    one = Embedded(state, installations=[binaries.copied(installation, private / "pg")])
    try:
        assert await ask(await one.start(), "SELECT 1") == 1
    finally:
        await one.stop()
        shutil.rmtree(private)


AS_USER = """
import asyncio, concurrent.futures.thread, json, os, subprocess, sys
from pathlib import Path
import asyncpg
from syncd.db import binaries
from syncd.db.embedded import Embedded
async def main():
    one = Embedded(Path(sys.argv[1]))
    dsn = await one.start()
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute("CREATE TABLE thing ()")
    finally:
        await conn.close()
    first = one.pid
    os.kill(first, 9)
    while one.pid is not None:
        await asyncio.sleep(0)
    revived = await one.ensure_running()
    conn = await asyncpg.connect(dsn)
    try:
        kept = await conn.fetchval("SELECT to_regclass('thing') IS NOT NULL")
    finally:
        await conn.close()
    owner = os.stat(f"/proc/{one.pid}").st_uid
    await one.stop()
    file = one.data / "postmaster.pid"
    stranger = subprocess.Popen(["sleep", "60"])
    file.write_text(f"{stranger.pid}\\n")
    try:
        await one.start()
        await one.stop()
    finally:
        stranger.kill()
        stranger.wait()
    print(json.dumps({"revived": revived, "kept": kept, "owner": owner}))
uid = int(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
if not binaries.installed():
    print("null")
else:
    asyncio.run(main())
"""


def test_it_runs_as_an_ordinary_user(state):
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    if os.geteuid() == 0:
        os.chown(state, uid, uid)
    answer = subprocess.run(
        [sys.executable, "-c", AS_USER, str(state), str(uid)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    if result is None:
        pytest.skip("no PostgreSQL programs that an ordinary user can reach")
    assert result == {"revived": True, "kept": True, "owner": uid}
