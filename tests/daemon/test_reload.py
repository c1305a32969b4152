"""SIGHUP: what it changes, what it refuses, and that nobody outside notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from syncd.demo.standins.base import Standin
from syncd.demo.standins.shopify import ShopifyStandin
from syncd.demo.standins.shopwired import ShopWiredStandin
from tests.daemon.daemon import Process, found_in, say, until
from tests.daemon.secrets import canaries
from tests.daemon.shoppers import Shoppers, Tally, never_give_up, wrong

SETTLE_S = 45.0


@dataclass
class Answers:
    """Statuses of a client that posts signed webhooks without pause, and how long each took."""

    statuses: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)


@asynccontextmanager
async def posting(process: Process, shop: ShopifyStandin, name: str) -> AsyncIterator[Answers]:
    """Four clients post hints of ITEM-00's level, each its own delivery, while inside."""
    answers = Answers()
    loop = asyncio.get_running_loop()

    async def client(session: aiohttp.ClientSession) -> None:
        while True:
            body = json.dumps({"inventory_item_id": 1, "location_id": 1, "available": 1}).encode()
            headers = shop.headers("inventory_levels/update", body, "event")
            began = loop.time()
            try:
                url = f"http://127.0.0.1:{process.door}/webhooks/{name}"
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()
                    answers.statuses.append(answer.status)
            except (aiohttp.ClientError, OSError, TimeoutError):
                answers.statuses.append(0)
            answers.took_s.append(loop.time() - began)
            await asyncio.sleep(0.02)

    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        tasks = [asyncio.create_task(client(session)) for _ in range(4)]
        try:
            await until(lambda: len(answers.statuses) >= 8, 5, "the first answers")
            yield answers
            enough = len(answers.statuses) + 8
            await until(lambda: len(answers.statuses) >= enough, 5, "more answers")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def reload_state(process: Process) -> float:
    return (await process.metrics())["config_last_reload_successful",]


@pytest.fixture
def shopify(stores: dict[str, Standin]) -> ShopifyStandin:
    found = stores["shopify"]
    assert isinstance(found, ShopifyStandin)
    return found


async def test_channels_come_change_and_go_under_load(
    process: Process,
    stores: dict[str, Standin],
    units: dict[str, int],
    shopify: ShopifyStandin,
) -> None:
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally)
    shopping = asyncio.create_task(Shoppers(stores, list(units), 3.0).run())
    fourth = ShopWiredStandin()
    fourth.faults.buckets = False
    for sku in units:
        fourth.add(sku, 1)
    await fourth.start()
    pid = process.pid
    try:
        async with posting(process, shopify, "shopify") as answers:
            process.config["channels"]["fourth"] = process.channel("fourth", fourth)
            assert await process.reload() == []

            async def waits() -> bool:
                return bool(
                    await process.asked(
                        "select count(*) from plan where rows > 0 and state = 'open'"
                    )
                )

            await until(waits, 20, "the new channel's first sync is a plan")
            assert max(fourth.shelves().values()) <= 1
            number = await process.asked("select id from plan where rows > 0 and state = 'open'")
            await process.done("plan", "apply", str(number))
            await until(
                lambda: min(fourth.shelves().values()) > 1,
                20,
                lambda: f"a new channel's counts: {fourth.shelves()}\n{process.words()}",
            )
            process.config["channels"]["woocommerce"]["policy"] = {"buffer": 3}
            assert await process.reload() == []
            del process.config["channels"]["woocommerce"]["policy"]
            process.config["channels"]["shopwired"]["options"]["order_history_days"] = 20
            assert await process.reload() == []
            del process.config["channels"]["fourth"]
            assert await process.reload() == []
        gone_at = await fourth_is_left_alone(process, fourth, stores)
        assert gone_at == 404
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)
        for store in stores.values():
            await store.sender.idle()
        await process.done("push", "--all")
        await until(lambda: not wrong(units, stores), SETTLE_S, lambda: str(wrong(units, stores)))
    finally:
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)
        await fourth.stop()
    assert set(answers.statuses) == {200}
    assert len(answers.statuses) > 50
    assert process.pid == pid
    assert tally.refused == 0
    say(
        f"{len(answers.statuses)} webhooks over 4 reloads, 0 failed, worst {max(answers.took_s):.3f} s"
    )


async def test_a_changed_policy_is_on_the_shelves_within_seconds(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    channels, level = process.config["channels"], units["ITEM-05"]

    async def shows(**wanted: int) -> None:
        def shown() -> dict[str, int]:
            return {name: stores[name].shelf("ITEM-05") for name in wanted}

        assert await process.reload() == []
        await until(lambda: shown() == wanted, 10, lambda: f"{shown()}\n{process.words()}")

    channels["woocommerce"]["policy"] = {"buffer": 7}
    channels["shopwired"]["patterns"] = {"ITEM-0*": {"cap": 9}}
    await shows(woocommerce=level - 7, shopwired=9, shopify=level)
    channels["shopwired"]["patterns"] = {}
    channels["woocommerce"]["items"] = {"ITEM-05": {"last_units": level + 1}}
    await shows(woocommerce=level - 7, shopwired=0, shopify=0)


async def fourth_is_left_alone(
    process: Process, fourth: ShopWiredStandin, stores: dict[str, Standin]
) -> int:
    """After its removal nothing is written there; gives what its door answers."""
    writes = fourth.counters.writes
    shown = stores["shopwired"].shelf("ITEM-01")
    await stores["woocommerce"].sell({"ITEM-01": 1})
    await until(lambda: stores["shopwired"].shelf("ITEM-01") < shown, 10, "a sale elsewhere")
    assert fourth.counters.writes == writes
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{process.door}/webhooks/fourth", data=b"{}") as answer,
    ):
        return answer.status


async def test_a_bad_file_changes_nothing_and_says_every_reason(
    process: Process, stores: dict[str, Standin], units: dict[str, int], shopify: ShopifyStandin
) -> None:
    good = json.loads(json.dumps(process.config))
    process.config["sync"]["sweep_evry"] = "1m"
    process.config["channels"]["shopwired"]["platform"] = "shopwire"
    process.config["channels"]["woocommerce"]["options"]["consumer_kee"] = "ck_1"
    process.config["warehouses"]["main"]["source"] = "nobody"
    async with posting(process, shopify, "shopify") as answers:
        assert await process.reload()
    assert set(answers.statuses) == {200}
    said = "\n".join(process.said("config.reload_refused")[-1]["problems"])
    for piece in ("sweep_evry", "sweep_every", "shopwire", "consumer_kee", "main.source"):
        assert piece in said
    assert await reload_state(process) == 0
    await stores["woocommerce"].sell({"ITEM-02": 2})
    await until(lambda: not wrong(units, stores), 20, lambda: str(wrong(units, stores)))
    process.config = good
    assert await process.reload() == []
    assert await reload_state(process) == 1


async def test_wrong_new_credentials_are_refused(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    wrong_key = "not-the-key-of-this-account"
    process.config["channels"]["shopwired"]["options"]["api_key"] = wrong_key
    assert await process.reload()
    problem = process.said("config.reload_refused")[-1]["problems"][0]
    assert problem.startswith("channels.shopwired.options: credentials refused (401)")
    assert await reload_state(process) == 0
    await stores["shopify"].sell({"ITEM-03": 1})
    await until(lambda: not wrong(units, stores), 20, lambda: str(wrong(units, stores)))
    assert found_in([wrong_key, *canaries(process)], process.log.read_text()) == []


async def test_a_secret_is_rotated_without_a_gap(
    process: Process, stores: dict[str, Standin], shopify: ShopifyStandin
) -> None:
    old, new = shopify.secret, "a-brand-new-secret"
    options = process.config["channels"]["shopify"]["options"]

    async def answered(secret: str) -> int:
        body = json.dumps({"n": Random().random()}).encode()
        shopify.secret = secret
        headers = shopify.headers("inventory_levels/update", body, "event")
        url = f"http://127.0.0.1:{process.door}/webhooks/shopify"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers) as answer,
        ):
            return answer.status

    assert [await answered(old), await answered(new)] == [200, 401]
    options["webhook_secret"] = [old, new]
    assert await process.reload() == []
    assert [await answered(old), await answered(new)] == [200, 200]
    options["webhook_secret"] = new
    assert await process.reload() == []
    assert [await answered(old), await answered(new)] == [401, 200]
    assert found_in([old, new], process.log.read_text()) == []


async def test_a_change_that_needs_a_restart_says_so(process: Process) -> None:
    process.config["ops"]["listen"] = "127.0.0.1:1"
    process.config["http"]["max_body"] = "2MiB"
    process.config["sync"]["sweep_every"] = "7m"
    assert await process.reload() == []
    assert process.said("config.needs_restart")[-1]["keys"] == ["http.max_body", "ops.listen"]
    assert await reload_state(process) == 1
    assert await process.is_ready()


VALUES = st.one_of(
    st.integers(-5, 5),
    st.booleans(),
    st.sampled_from(["", "x", "15m", "-1s", "99%", "120%", "adopt", "0.0.0.0:http", "☃", "\u0007"]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["a", "credential", "file"]), st.text(max_size=3), max_size=2),
)
BROKEN = st.one_of(
    st.text(max_size=40).map(lambda text: f"{text}\n[[["),
    st.tuples(
        st.sampled_from(["sync", "http", "ops", "warehouses", "channels", "database", "log"]),
        st.sampled_from(["sweep_every", "listen", "main", "shopify", "dsn", "nothing", "level"]),
        VALUES,
    ),
)


def generated(count: int) -> list[Any]:
    """So many different broken configurations, the same in every run."""
    found: list[Any] = []

    @seed(5)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BROKEN)
    def collect(broken: Any) -> None:
        found.append(broken)

    collect()
    return found


async def test_no_configuration_ends_the_process(process: Process, shopify: ShopifyStandin) -> None:
    good = json.dumps(process.config)
    pid, refused = process.pid, 0
    async with posting(process, shopify, "shopify") as answers:
        for broken in generated(20):
            process.config = json.loads(good)
            if isinstance(broken, str):
                process.write(broken)
            else:
                table, key, value = broken
                process.config.setdefault(table, {})
                process.config[table][key] = value
                process.write()
            taken = await process.hup()
            refused += not taken
            assert process.running
            assert await reload_state(process) == (1 if taken else 0)
    assert refused >= 15, "the generated configurations were too good"
    assert set(answers.statuses) == {200}
    process.config = json.loads(good)
    assert await process.reload() == []
    assert (process.pid, await reload_state(process)) == (pid, 1)
    assert process.said("walker.failed") == []
    say(f"{refused} of 20 refused; {len(answers.statuses)} webhooks answered meanwhile")


async def test_the_blast_radius_holds_from_the_reload_on(
    process: Process, stores: dict[str, Standin]
) -> None:
    """A channel that goes on is swept by the new one, and what people ask for is weighed by it."""
    process.config.setdefault("sync", {})["blast_listings"] = 0
    assert await process.reload() == []
    before = stores["shopwired"].shelf("ITEM-01")
    process.config["channels"]["shopwired"]["items"] = {"ITEM-01": {"percent": 0}}
    assert await process.reload() == []

    async def waits() -> bool:
        _, out, _ = await process.ask("plan", "list", "--json")
        return any(one["kind"] == "blast_radius" for one in json.loads(out))

    await until(waits, SETTLE_S, process.words)
    assert stores["shopwired"].shelf("ITEM-01") == before
    status, _, err = await process.ask("status")
    assert (status, "plans wait" in err) == (3, True)
