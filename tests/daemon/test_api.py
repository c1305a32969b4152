"""The API of the real process: a WMS posts while shops are served, and tokens change with a reload."""

from __future__ import annotations

from typing import Any

import aiohttp

from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process, disagreeing, until


async def post(process: Process, token: str, key: str, body: dict[str, Any]) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    address = f"http://127.0.0.1:{process.ops}/api/v1/movements"
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_a_wms_posts_to_the_daemon_and_every_shop_follows(
    process: Process, stores: dict[str, Standin]
) -> None:
    process.config["channels"]["wms"] = {"platform": "api", "locations": {"*": "main"}}
    process.config["ops"]["tokens"] = {"wms": {"token": "first", "role": "operate"}}
    process.write()
    await process.reload()
    row = {"cause": "r-1", "sku": "ITEM-01", "kind": "receipt", "delta": 7}
    body = {"channel": "wms", "movements": [row]}
    status, said = await post(process, "first", "k", body)
    assert status == 200, said
    assert said["results"][0]["outcome"] == "booked"
    assert (await post(process, "first", "k", body))[1] == said
    level = said["results"][0]["level"]

    async def equal() -> bool:
        return not disagreeing(stores)

    await until(equal, within_s=20)
    assert level == 408
    process.config["ops"]["tokens"]["wms"]["token"] = "second"
    process.write()
    await process.reload()
    assert (await post(process, "first", "k2", body))[0] == 401
    status, said = await post(process, "second", "k2", body)
    assert (status, said["results"][0]["outcome"]) == (200, "duplicate")


async def test_people_act_over_the_api_of_the_daemon(
    process: Process, stores: dict[str, Standin]
) -> None:
    process.config["ops"]["tokens"] = {"anna": {"token": "secret", "role": "admin"}}
    assert await process.reload() == []
    address = f"http://127.0.0.1:{process.ops}"

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer secret"}) as session:

        async def act(path: str, body: dict[str, Any], key: str) -> tuple[int, Any]:
            """A call, and where it leaves a wish what became of that."""
            headers = {"Idempotency-Key": key}
            url = f"{address}/api/v1{path}"
            async with session.post(url, json=body, headers=headers) as answer:
                status, said = answer.status, await answer.json(content_type=None)
                where = answer.headers.get("Location")
            if where is None:
                return status, said
            done: dict[str, Any] = {}

            async def over() -> bool:
                async with session.get(f"{address}{where}") as answer:
                    done.update(await answer.json())
                return done["done_at"] is not None

            await until(over, within_s=30)
            return status, done["result"]

        first = stores["woocommerce"].shelf("ITEM-02")
        status, made = await act("/counts", {"sku": "ITEM-02", "quantity": 77}, "one")
        assert (status, made["state"]) == (202, "applied"), made
        assert (await act("/counts", {"sku": "ITEM-02", "quantity": 77}, "one"))[1] == made

        async def counted() -> bool:
            return {store.shelf("ITEM-02") for store in stores.values()} == {77}

        await until(counted, within_s=30)
        status, said = await act(
            "/items/exclude", {"skus": ["ITEM-02"], "channel": "shopwired"}, "two"
        )
        assert status == 200, said
        status, undone = await act(f"/plans/{made['plan']}/undo", {"force": True}, "three")
        assert (status, undone["state"]) == (202, "applied"), undone
        # nothing else is owed there once it is switched off
        await until(lambda: stores["woocommerce"].shelf("ITEM-02") == first, 30, process.words)
        before = stores["woocommerce"].shelf("ITEM-03")
        assert (await act("/channels/woocommerce/disable", {}, "four"))[0] == 200
        await until(lambda: len(process.said("channels.switched")) > 0, 30, process.words)
        await stores["woocommerce"].sell({"ITEM-03": 2})
        status, said = await act("/channels/woocommerce/enable", {}, "five")
        # a sweep that was under way when it went off may have read the sale: then it is owed, no gap
        assert said["state"] == "open", said
        assert said["gaps"] + said["channels"]["woocommerce"]["raised"] == 1, said
        await act(f"/plans/{said['plan']}/apply", {}, "six")

        async def booked() -> bool:
            return {store.shelf("ITEM-03") for store in stores.values()} == {before - 2}

        await until(booked, 45, process.words)
