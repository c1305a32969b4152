"""Cut-overs over SIGHUP in the real process, with shoppers in the shops and writes in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncd.demo.standins.base import Standin
from tests.daemon.daemon import Process, until
from tests.daemon.shoppers import Shoppers, Tally, never_give_up, wrong

SETTLE_S = 60.0


async def cut_over(process: Process, name: str) -> None:
    """Reload, and wait until the channel is cut over."""
    before = len(process.said("cutover.done"))
    assert await process.reload() == []
    assert process.said("config.reloaded")[-1]["cut_over"] == [name]
    await until(
        lambda: len(process.said("cutover.done")) > before, 60, lambda: process.words()[-4000:]
    )


async def test_the_truth_changes_there_and_back_under_load(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally)
    shopping = asyncio.create_task(Shoppers(stores, list(units), 3.0).run())
    stores["shopify"].faults.lose_answer = 0.3
    try:
        for edits in ("overwrite", "adopt", "overwrite"):
            process.config["channels"]["shopify"]["edits"] = edits
            await cut_over(process, "shopify")
    finally:
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)
    stores["shopify"].faults.lose_answer = 0.0
    for store in stores.values():
        await store.sender.idle()
    await process.done("push", "--all")
    await until(lambda: not wrong(units, stores), SETTLE_S, lambda: str(wrong(units, stores)))
    assert process.said("walker.failed") == []
    assert await process.asked("select count(*) from suspense where reason = 'cut_over'") == 0


async def test_a_shop_feeds_another_warehouse_and_a_crash_begins_the_cut_over_anew(
    process: Process, stores: dict[str, Standin], units: dict[str, int]
) -> None:
    tally = Tally()
    for name, store in stores.items():
        never_give_up(name, store, tally)
    stores["shopify"].faults.hang = True
    await stores["woocommerce"].sell({"ITEM-01": 1})
    await until(lambda: process.writing("shopify"), 20, "a write in flight")
    process.config["warehouses"]["rear"] = {}
    process.config["channels"]["shopify"]["locations"] = {"*": "rear"}
    process.config["warehouses"]["main"] = {"source": "woocommerce"}
    assert await process.reload() == []
    await until(lambda: process.said("cutover.began"), 30, lambda: process.words()[-4000:])
    await process.kill()
    stores["shopify"].faults.hang = False
    sold = await stores["shopify"].sell({"ITEM-01": 2})
    process.write()
    await process.start()
    await until(lambda: process.said("cutover.done"), 40, lambda: process.words()[-4000:])
    level = (
        "select v.quantity from level v join item i on i.id = v.item_id join warehouse w"
        " on w.id = v.warehouse_id where i.sku = 'ITEM-01' and w.name = 'main'"
    )
    # the sale before the cut-over is the old warehouse's, its cancellation after it is not
    assert await process.asked(level) == units["ITEM-01"] - 3
    await stores["shopify"].cancel(sold)
    await stores["woocommerce"].sell({"ITEM-01": 1})
    await until(
        lambda: stores["shopwired"].shelf("ITEM-01") == units["ITEM-01"] - 4,
        40,
        lambda: process.words()[-4000:],
    )
    assert await process.asked(level) == units["ITEM-01"] - 4
    assert process.said("walker.failed") == []


async def test_a_daemon_that_stands_by_with_an_old_configuration_books_nothing(
    process: Process,
    make_process: Callable[..., Process],
    own_dsn: str,
    stores: dict[str, Standin],
    units: dict[str, int],
) -> None:
    """It was not reloaded: by its rule the levels of the shop would be booked beside its orders."""
    second = make_process(own_dsn, stores)
    second.config["http"]["public_url"] = process.config["http"]["public_url"]
    second.write()
    await second.start()
    await until(lambda: second.said("daemon.standby"), 10, "the second stands by")
    process.config["channels"]["shopify"]["edits"] = "overwrite"
    await cut_over(process, "shopify")
    for n in range(5):
        await stores["shopify"].sell({f"ITEM-{n:02}": 1})
    await until(lambda: not wrong(units, stores), SETTLE_S, lambda: str(wrong(units, stores)))
    told = await second.metrics()
    assert not [key for key, count in told.items() if key[0] == "movements_total" and count]
    rule = "select truth from rule_in_force r join channel c on c.id = r.channel_id where c.name = 'shopify'"
    assert await process.asked(rule) == "orders"
    await second.kill()
    assert await process.asked(rule) == "orders"
