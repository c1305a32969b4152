"""What people say of links by hand is kept whatever names say, all of it or none, and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.errors import Declined
from syncd.fanout.linking import HandLink, link_by_hand, rename_item
from tests.flow.commands import Operator
from tests.flow.test_catalogue import rename, skips, sweep, tell
from tests.flow.test_matching import told
from tests.flow.town import Town


@pytest.fixture
def operator(town: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(town, dsn, tmp_path)


def odd(town: Town, quantity: int = 3) -> str:
    """A listing on woo that is no item; gives its remote id."""
    woo = town.stores["woo"]
    woo.remove("MUG")
    woo.add("ODD", quantity)
    return woo.items["ODD"].remote


async def test_a_link_by_hand_is_served_and_outlives_every_name(
    town: Town, operator: Operator
) -> None:
    remote = odd(town)
    await town.settle()
    assert (await skips(town, "woo"))[remote] == "unlinked"
    assert (
        await operator.done("link", "woo", remote, "MUG", "--actor", "ann") == "1 listing linked\n"
    )
    await town.settle()
    woo = town.stores["woo"]
    assert woo.shelf("ODD") == 50
    town.clock.forward(60)
    await woo.sell({"ODD": 2})
    await town.settle()
    assert (await town.level("MUG"), woo.shelf("ODD")) == (48, 48)
    rename(woo, "ODD", "TEE")  # even another item's name
    tell(woo, "ODD")
    await town.settle()
    town.clock.forward(900)
    await sweep(town)
    assert (await skips(town, "woo"))[remote] == ""
    (line,) = await town.rows("select sku, detail->>'actor' from journal where outcome = 'linked'")
    assert line == ("MUG", "ann")


async def test_what_is_unlinked_by_hand_is_left_alone_until_its_names_decide_again(
    town: Town, operator: Operator
) -> None:
    woo = town.stores["woo"]
    remote = woo.items["MUG"].remote
    await operator.done("unlink", "woo", remote)
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 5})
    await town.settle()
    town.clock.forward(900)
    await sweep(town)
    assert woo.shelf("MUG") == 50
    await woo.sell({"MUG": 1})
    await town.settle()
    assert await town.level("MUG") == 45
    assert await told(town, "unlinked") == [("MUG", "by hand, was MUG")]
    await operator.done("link", "woo", remote, "--by-rules")
    await town.settle()
    assert woo.shelf("MUG") == 45
    assert (await skips(town, "woo"))[remote] == ""


async def test_a_twin_that_is_unlinked_by_hand_lets_the_other_go_on(
    town: Town, operator: Operator
) -> None:
    woo = town.stores["woo"]
    woo.add("TWIN", 3)
    rename(woo, "TWIN", "MUG")
    tell(woo, "TWIN")
    town.clock.forward(60)
    await sweep(town)
    assert set((await skips(town, "woo")).values()) == {"", "duplicate"}
    await operator.done("unlink", "woo", woo.items["TWIN"].remote)
    town.clock.forward(900)
    await sweep(town)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    assert (woo.shelf("MUG"), woo.shelf("TWIN")) == (49, 3)


async def test_links_by_hand_that_cannot_be_are_told_all_at_once_and_none_is_made(
    town: Town, operator: Operator, tmp_path: Path
) -> None:
    remote = odd(town)
    await town.settle()
    tee = town.stores["woo"].items["TEE"].remote
    for words, complaint in (
        (("nowhere", remote, "MUG"), "no channel is named nowhere"),
        (("woo", "12", "MUG"), "woo lists no 12"),
        (("woo", remote, "NOPE"), "no item is called NOPE"),
        (("woo", remote, "TEE"), f"woo lists TEE as {tee} already: unlink that first"),
        (("woo", remote, "MUG", "--location", "x"), f"woo lists no {remote} at location x"),
    ):
        result = await operator.ask("link", *words)
        assert (result.exit_code, complaint in result.output) == (1, True), result.output
    file = tmp_path / "links.csv"
    file.write_text(f"Channel;Remote;SKU\nwoo;{remote};MUG\nwoo;7;MUG\n;{tee};\n", "utf-8-sig")
    result = await operator.ask("link", "--file", str(file))
    assert (result.exit_code, "row 4: no channel" in result.output) == (1, True)
    file.write_text(f"channel,remote,sku\nwoo,{remote},MUG\nwoo,7,MUG\n")
    result = await operator.ask("link", "--file", str(file))
    assert (result.exit_code, "row 3: woo lists no 7" in result.output) == (1, True)
    assert (await skips(town, "woo"))[remote] == "unlinked"
    file.write_text("sku,price\nMUG,1\n")
    assert "lacks the column remote" in (await operator.ask("link", "--file", str(file))).output
    assert (await operator.ask("link", "woo", remote)).exit_code == 2


async def test_two_listings_exchange_their_items_by_a_file(
    town: Town, operator: Operator, tmp_path: Path
) -> None:
    woo = town.stores["woo"]
    mug, tee = woo.items["MUG"].remote, woo.items["TEE"].remote
    file = tmp_path / "links.csv"
    file.write_text(f"channel,remote,sku\nwoo,{mug},TEE\nwoo,{tee},MUG\n")
    assert await operator.done("link", "--file", str(file)) == "2 listings linked\n"
    await town.settle()
    assert (woo.shelf("MUG"), woo.shelf("TEE")) == (10, 50)
    town.clock.forward(60)
    await woo.sell({"MUG": 1})
    await town.settle()
    assert (await town.level("TEE"), await town.level("MUG")) == (9, 50)


async def test_a_listing_being_written_is_not_linked_elsewhere(town: Town) -> None:
    woo = town.stores["woo"]
    await town.stores["uk"].sell({"MUG": 1})

    async def relink() -> None:
        said = [HandLink("woo", woo.items["MUG"].remote, None)]
        with pytest.raises(Declined, match="is being written just now"):
            async with town.core.booking("link") as (conn, booking):
                await link_by_hand(conn, booking, said, "ann")

    with town.before_write("woo", relink):
        await town.settle()
    assert woo.shelf("MUG") == 49


async def test_an_item_is_renamed_by_hand_and_keeps_all_it_has(
    town: Town, operator: Operator
) -> None:
    assert await operator.done("rename", "MUG", "CUP-1") == "CUP-1 is MUG now\n".replace(
        "CUP-1 is MUG", "MUG is CUP-1"
    )
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 4})
    await town.settle()
    town.clock.forward(900)
    await sweep(town)
    assert await town.level("CUP-1") == 46
    assert town.shelves("MUG") == {"uk": 46, "sw": 46, "woo": 46}
    assert set(await told(town, "renamed")) == {("CUP-1", "was MUG"), ("MUG", "is CUP-1 now")}
    for old, new, complaint in (
        ("MUG", "X", "no item is called MUG"),
        ("CUP-1", "TEE", "TEE is another item already"),
        ("CUP-1", "CUP-1", "it is called CUP-1 already"),
        ("CUP-1", " ", "a sku has 1 to 255 characters"),
        ("CUP-1", "x" * 256, "a sku has 1 to 255 characters"),
    ):
        result = await operator.ask("rename", old, new)
        assert (result.exit_code, complaint in result.output) == (1, True), result.output


async def test_who_waited_for_a_name_is_linked_when_an_item_gets_it(town: Town) -> None:
    remote = odd(town)
    await town.settle()
    async with town.core.booking("rename") as (conn, booking):
        await rename_item(conn, booking, "MUG", "ODD", "ann")
    assert len(booking.linked) == 1
    assert (await skips(town, "woo"))[remote] == ""


async def test_a_name_that_a_listing_waits_for_links_no_second_listing_of_the_item(
    town: Town,
) -> None:
    woo = town.stores["woo"]
    woo.add("ODD", 3)
    await town.settle()
    async with town.core.booking("rename") as (conn, booking):
        await rename_item(conn, booking, "MUG", "ODD", "ann")
    assert booking.linked == []
    town.clock.forward(900)
    await sweep(town)
    assert (await skips(town, "woo"))[woo.items["ODD"].remote] == "ambiguous"
    assert woo.shelf("ODD") == 3
