"""What people switch at the command line is followed by the daemon that runs, and by the next one."""

from __future__ import annotations

import json
import re

from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process, until

SETTLE_S = 45.0


async def test_a_channel_is_switched_off_and_on_while_the_daemon_runs(
    process: Process, stores: dict[str, Standin]
) -> None:
    shopify, woo = stores["shopify"], stores["woocommerce"]
    sku, before = "ITEM-03", shopify.shelf("ITEM-03")
    assert "is off" in await process.done("channel", "disable", "woocommerce")
    await until(lambda: len(process.said("channels.switched")) > 0, SETTLE_S, process.words)
    await shopify.sell({sku: 5})
    await woo.sell({sku: 2})
    await until(lambda: stores["shopwired"].shelf(sku) == before - 5, SETTLE_S, "shopwired told")
    await until(process.inbox_empty, SETTLE_S, "every event taken")
    assert woo.shelf(sku) == before - 2
    # a new daemon follows the switch from its start
    await process.term()
    await process.start()
    status, out, _ = await process.ask("status", "--json")
    assert status in (0, 3)
    switched = {row["name"]: row["switched"] for row in json.loads(out)}
    assert switched == {"shopify": None, "shopwired": None, "woocommerce": False}
    assert woo.shelf(sku) == before - 2
    status, said, words = await process.ask("channel", "enable", "woocommerce")
    assert status == 3, words
    assert "1 listings moved meanwhile, by −2 units together" in said
    plan = re.search(r"syncd plan apply (\d+)", said)
    assert plan is not None
    await process.done("plan", "apply", plan[1])
    await until(
        lambda: {store.shelf(sku) for store in stores.values()} == {before - 7},
        SETTLE_S,
        lambda: str([store.shelf(sku) for store in stores.values()]) + process.words(),
    )
    # its rule in force was off since the restart: what comes after is heard, whatever is reloaded
    await process.hup()
    await woo.sell({sku: 1})
    await until(process.inbox_empty, SETTLE_S, "every event taken")
    await until(
        lambda: {store.shelf(sku) for store in stores.values()} == {before - 8},
        SETTLE_S,
        process.words,
    )
    assert "being cut over" not in (await process.get("/health/ready"))[1]


async def test_items_and_locations_are_shown_beside_a_running_daemon(
    process: Process, stores: dict[str, Standin]
) -> None:
    rows = json.loads(await process.done("items", "ITEM-01", "--json"))["items"]
    assert {x["channel"]: x["state"] for x in rows[0]["listings"]} == dict.fromkeys(
        stores, "synced"
    )
    (place,) = json.loads(await process.done("locations", "woocommerce", "--json"))
    assert place["location"] == ""
    assert len(json.loads(await process.done("webhooks", "list", "shopify", "--json"))) > 3
