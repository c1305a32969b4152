"""SIGTERM, two daemons on one database, and the service manager: word to it, and its sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from syncd.demo.standins.base import Standin
from syncd.demo.standins.shopify import ShopifyStandin
from tests.daemon.daemon import Process, say, until
from tests.daemon.shoppers import Tally, never_give_up, wrong

DRAIN_S = 20.0
TAKE_OVER_S = 10.0


async def test_sigterm_waits_for_calls_under_way(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally)
    slow = stores["shopify"]
    slow.faults.latency_s = 2.0
    calls = slow.counters.calls
    await stores["woocommerce"].sell({"ITEM-00": 3})
    await until(
        lambda: stores["shopwired"].shelf("ITEM-00") == units["ITEM-00"] - 3, 10, "the quick one"
    )
    await until(lambda: process.writing("shopify"), 10, "the slow one is being written")
    status, took_s = await process.term()
    assert (status, took_s < DRAIN_S) == (0, True)
    assert slow.counters.calls > calls, "no call was under way"
    assert slow.shelf("ITEM-00") == units["ITEM-00"] - 3, f"{took_s} {slow.counters} {calls}"
    assert (await process.get("/health/live"))[0] == 0
    assert process.said("walker.failed") == []
    assert [line for line in process.lines() if "Traceback" in str(line)] == []
    slow.faults.latency_s = 0.0
    await stores["shopwired"].sell({"ITEM-01": 1})
    await process.start()
    await until(lambda: not wrong(units, stores), 20, lambda: str(wrong(units, stores)))
    metrics = await process.metrics()
    assert metrics["ambiguous_total",] == 0, "an answer was not waited for"
    say(f"drained in {took_s:.2f} s with a call of 2 s under way, exit 0")


async def test_sigterm_leaves_a_hanging_store_behind(
    process: Process, stores: dict[str, Standin]
) -> None:
    stores["shopify"].faults.hang = True
    await stores["woocommerce"].sell({"ITEM-00": 1})
    await until(lambda: stores["shopwired"].shelf("ITEM-00") == 399, 10, "the sale elsewhere")
    process.config["sync"]["drain_timeout"] = "5s"
    assert await process.reload() == []
    status, took_s = await process.term()
    assert status == 0
    assert took_s < 8.0


async def test_sigterm_while_it_waits_for_the_database(
    make_process: Callable[..., Process],
) -> None:
    process = make_process("postgresql://nobody@127.0.0.1:1/none", {})
    await process.start(ready=False)
    await until(lambda: process.said("database.away"), 10, "word of the database")
    assert (await process.term())[0] == 0


# ---- two daemons


@pytest.fixture
async def pair(
    make_process: Callable[..., Process], own_dsn: str, stores: dict[str, Standin]
) -> tuple[Process, Process]:
    """A leader on three seeded stores and a second daemon on the same database."""
    first = make_process(own_dsn, stores)
    await first.start()
    await first.seeded()
    second = make_process(own_dsn, stores)
    second.config["http"]["public_url"] = first.config["http"]["public_url"]
    second.write()
    await second.start()
    await until(lambda: second.said("daemon.standby"), 5, "the second stands by")
    return first, second


async def test_a_second_daemon_takes_over_when_the_first_is_killed(
    pair: tuple[Process, Process], stores: dict[str, Standin], units: dict[str, int]
) -> None:
    first, second = pair
    await stores["shopify"].sell({"ITEM-00": 1})
    await until(lambda: not wrong(units, stores), 15, lambda: str(wrong(units, stores)))
    assert ("calls_total", "shopify", "read", "200") not in await second.metrics()
    await stores["shopify"].edit("ITEM-01", 77)
    await first.kill()
    await stores["shopify"].edit("ITEM-02", 78)
    took_s = await until(
        lambda: not wrong(units, stores), TAKE_OVER_S, lambda: f"{wrong(units, stores)}"
    )
    say(f"the second daemon had every store right {took_s:.2f} s after the first was killed")


async def test_a_leader_that_lost_its_lock_delivers_again_once_it_has_it_back(
    pair: tuple[Process, Process],
    own_dsn: str,
    stores: dict[str, Standin],
    units: dict[str, int],
) -> None:
    """The lock goes with its connection, to and fro; who had it before delivers like any other."""
    first, second = pair
    for holder, other in ((first, second), (second, first)):
        assert await _cut_the_lead(own_dsn) == 1
        await until(lambda other=other: _leads(other), 15, "the other one leads")
        await until(lambda holder=holder: not _leads(holder), 15, "the first one knows")
    await second.kill()
    await stores["shopify"].edit("ITEM-03", 55)
    async with asyncio.timeout(20):
        await stores["shopify"].sender.idle()
    await until(
        lambda: not wrong(units, stores), 20, lambda: f"{wrong(units, stores)}\n{first.words()}"
    )


async def _cut_the_lead(dsn: str) -> int:
    """End the connection that holds the leader's lock of this database; gives how many there were."""
    owner = await asyncpg.connect(dsn)
    try:
        sql = """
            select count(pg_terminate_backend(l.pid)) from pg_locks l
            join pg_database d on d.oid = l.database and d.datname = current_database()
            where l.locktype = 'advisory' and l.granted
        """
        return int(await owner.fetchval(sql))
    finally:
        await owner.close()


def _leads(process: Process) -> bool:
    """Whether its log says last that it leads."""
    told = ("daemon.leads", "daemon.standby", "daemon.lead_lost")
    said = [line["event"] for line in process.lines() if line.get("event") in told]
    return bool(said) and said[-1] == "daemon.leads"


# ---- the service manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The manager's end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(manager: socket.socket) -> list[dict[str, str]]:
    found = []
    while True:
        try:
            text = manager.recv(4096).decode()
        except BlockingIOError:
            return found
        found.append(dict(line.split("=", 1) for line in text.splitlines()))


async def test_the_manager_hears_of_every_step_in_order(
    make_process: Callable[..., Process],
    own_dsn: str,
    stores: dict[str, Standin],
    manager: socket.socket,
    tmp_path: Path,
) -> None:
    process = make_process(own_dsn, stores)
    process.environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
    await process.start()
    told: list[dict[str, str]] = []

    def watched() -> bool:
        told.extend(heard(manager))
        return sum("WATCHDOG" in one for one in told) >= 3

    await until(watched, 5, "three beats")
    await process.reload()
    told += heard(manager)
    await process.term()
    told += heard(manager)
    steps = [key for one in told for key in one if key in ("READY", "RELOADING", "STOPPING")]
    assert steps == ["READY", "RELOADING", "READY", "STOPPING"]
    reloading = next(one for one in told if "RELOADING" in one)
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert "3 channels" in next(one for one in told if "READY" in one)["STATUS"]


async def test_no_request_is_dropped_by_restarts_on_an_inherited_socket(
    make_process: Callable[..., Process], own_dsn: str, stores: dict[str, Standin]
) -> None:
    shop = stores["shopify"]
    assert isinstance(shop, ShopifyStandin)
    process = make_process(own_dsn, {"shopify": shop})
    process.listener = socket.create_server(("127.0.0.1", process.door), backlog=1024)
    await process.start()
    statuses: list[int | str] = []
    waited_s: list[float] = []
    going = True

    async def client(session: aiohttp.ClientSession, number: int) -> None:
        loop = asyncio.get_running_loop()
        sent = 0
        while going:
            sent += 1
            body = b'{"n": %d, "m": %d}' % (number, sent)
            headers = shop.headers("inventory_levels/update", body, "event")
            began = loop.time()
            try:
                url = f"http://127.0.0.1:{process.door}/webhooks/shopify"
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()
                    statuses.append(answer.status)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                statuses.append(repr(error))
            waited_s.append(loop.time() - began)
            await asyncio.sleep(0.01)

    # each request has a connection of its own, as a platform's has after a pause
    connector = aiohttp.TCPConnector(force_close=True, limit=8)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        clients = [asyncio.create_task(client(session, number)) for number in range(8)]
        for _ in range(4):
            enough = len(statuses) + 80
            await until(lambda enough=enough: len(statuses) >= enough, 15, "requests between")
            assert (await process.term())[0] == 0
            await process.start()
        enough = len(statuses) + 150
        await until(lambda: len(statuses) >= enough, 15, "requests after")
        going = False
        await asyncio.gather(*clients)
    assert len(statuses) >= 400
    assert set(statuses) == {200}
    say(f"{len(statuses)} requests over 4 restarts, 0 failed, worst wait {max(waited_s):.2f} s")
