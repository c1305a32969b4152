"""Bundles in the real process: a reload describes them, sales take their components, mistakes change nothing."""

from __future__ import annotations

import json
from pathlib import Path

from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process, until

SETTLE_S = 45.0


async def test_a_reload_describes_bundles_and_a_bad_one_changes_nothing(
    process: Process, stores: dict[str, Standin], units: dict[str, int], tmp_path: Path
) -> None:
    async def shows(**wanted: int) -> None:
        def shown() -> dict[str, set[int]]:
            return {
                sku: {store.shelf(sku.replace("_", "-")) for store in stores.values()}
                for sku in wanted
            }

        await until(
            lambda: shown() == {sku: {n} for sku, n in wanted.items()},
            SETTLE_S,
            lambda: f"{shown()}\n{process.words()}",
        )

    one, two = units["ITEM-01"], units["ITEM-02"]
    bundles = process.config.setdefault("bundles", {})
    bundles["ITEM-05"] = {"components": {"ITEM-01": 2, "ITEM-02": 1}}
    assert await process.reload() == []
    await shows(ITEM_05=one // 2)
    for store in stores.values():
        await store.sell({"ITEM-05": 1})
    await shows(ITEM_01=one - 6, ITEM_02=two - 3, ITEM_05=(one - 6) // 2)
    bundles["ITEM-06"] = {"components": {"ITEM-05": 1, "ITEM-06": 2}}
    refused = await process.reload()
    assert [problem.partition(" (")[0] for problem in refused] == [
        (
            'bundles.ITEM-06.components.ITEM-05: contains the bundle "ITEM-05":'
            " name what that one is made of instead"
        ),
        "bundles.ITEM-06.components.ITEM-06: contains itself",
    ]
    del bundles["ITEM-06"]
    assert await process.reload() == []
    file = tmp_path / "bundles.csv"
    file.write_text("bundle sku,component sku,quantity\nITEM-07,ITEM-03,10\n")
    assert "1 bundle" in await process.done("bundles", "import", str(file))
    await shows(ITEM_07=units["ITEM-03"] // 10)
    found = json.loads(await process.done("bundles", "list", "--json"))["bundles"]
    assert {x["sku"]: x["source"] for x in found} == {"ITEM-05": "config", "ITEM-07": "csv"}
    await process.term()
    await process.start()
    await stores["shopify"].sell({"ITEM-07": 2})
    await shows(ITEM_03=units["ITEM-03"] - 20, ITEM_07=(units["ITEM-03"] - 20) // 10)
