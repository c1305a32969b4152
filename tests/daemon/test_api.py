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
