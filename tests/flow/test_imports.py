"""Files of counts: a plan first, made piece by piece, and nothing where a row is wrong."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from syncd.bulk.applying import apply
from syncd.bulk.files import export, opened
from syncd.bulk.loading import Loaded, Wanted, load
from syncd.bulk.undoing import undo
from syncd.db import plan_rows, plans
from syncd.errors import SyncdError
from tests.flow.town import LEVELS, ORDERS, Town


async def plan_of(town: Town, text: str, **wanted) -> Loaded:
    """What becomes of a file."""
    asked = Wanted("stock.csv", "anna", **{"warehouse": "main", **wanted})
    lines = io.StringIO(text, newline="")
    return await load(town.db, town.core.rulebook, lines, asked, town.clock())


async def say_yes(town: Town, plan_id: int) -> None:
    async with town.db.transaction("yes") as conn:
        assert await plans.decide(conn, plan_id, "applying", town.clock(), "anna")


async def made(town: Town, text: str, **wanted) -> dict[str, object]:
    """A file that is applied, and everything that follows from it."""
    done = await plan_of(town, text, **wanted)
    assert not done.complaints
    assert done.plan_id is not None
    await say_yes(town, done.plan_id)
    result = await apply(town.core, done.plan_id)
    await town.settle()
    return result


async def exported(town: Town) -> str:
    out = io.StringIO(newline="")
    await export(town.db, out, None, town.clock())
    return out.getvalue()


async def movements(town: Town, sku: str) -> list[tuple]:
    return await town.rows(
        "select kind, delta, actor from movement m join item i on i.id = m.item_id"
        " where i.sku = $1 and kind <> 'seed' order by m.id",
        sku,
    )


async def kept(town: Town) -> list[tuple]:
    return await town.rows("select id from plan union all select plan_id from plan_row")


async def test_a_count_reaches_every_shop(town):
    done = await made(town, "sku,quantity\nMUG,40\nTEE,10\n")
    assert done == {"plan": 1, "state": "applied", "rows": 1, "units": -10}
    assert await town.level("MUG") == 40
    assert town.shelves("MUG") == {"uk": 40, "sw": 40, "woo": 40}
    assert await movements(town, "MUG") == [("stocktake", -10, "anna")]
    assert await movements(town, "TEE") == []


async def test_nothing_moves_before_somebody_says_yes(town):
    done = await plan_of(town, "sku,quantity\nMUG,0\nTEE,12\nCAP,3\n")
    assert done.summary() | {"channels": None} == {
        "rows": 3, "changed": 2, "new": 0, "raised": 1, "lowered": 0, "zeroed": 1, "units_up": 2,
        "units_down": 50, "untouched": 0, "unstocked": 0, "unknown": 0, "above_blast_radius": [],
        "channels": None,
    }  # fmt: skip
    assert done.summary()["channels"]["woo"] == {
        "listings": 3, "zeroed": 1, "raised": 1, "lowered": 0, "units_up": 2, "units_down": 50,
    }  # fmt: skip
    await town.settle()
    assert await town.level("MUG") == 50
    with pytest.raises(SyncdError, match="plan 1 is open"):
        await apply(town.core, done.plan_id)
    with pytest.raises(SyncdError, match="no plan 7"):
        await apply(town.core, 7)


async def test_what_is_sold_between_the_plan_and_the_yes_stays_sold(town):
    done = await plan_of(town, "sku,quantity\nMUG,45\n")
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    assert await town.level("MUG") == 48
    await say_yes(town, done.plan_id)
    await apply(town.core, done.plan_id)
    await town.settle()
    assert await town.level("MUG") == 43
    assert set(town.shelves("MUG").values()) == {43}


async def test_a_count_of_an_hour_ago_is_less_what_was_sold_since(town):
    counted_at = town.clock()
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    await made(town, "sku,quantity\nMUG,40\n", counted_at=counted_at)
    assert await town.level("MUG") == 37


async def test_an_export_brought_back_changes_nothing(town):
    text = await exported(town)
    assert text.splitlines()[0] == "sku,warehouse,quantity,exported,as_of"
    assert len(text.splitlines()) == 4
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    done = await plan_of(town, text, warehouse=None)
    assert (done.plan_id, done.untouched) == (None, 3)
    assert await kept(town) == []


async def test_an_edited_export_counts_from_its_stamp(town):
    text = await exported(town)
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    await made(town, text.replace("MUG,main,50,", "MUG,main,60,"), warehouse=None)
    assert await town.level("MUG") == 57
    assert await town.level("TEE") == 10


async def test_a_number_set_is_an_edit_of_what_was_seen(town):
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    await made(town, "sku,quantity,exported\nMUG,60,50\n", sets=True)
    assert await town.level("MUG") == 57
    assert await movements(town, "MUG") == [("sale", -3, "woo"), ("adjustment", 10, "anna")]


async def test_skus_become_items_where_that_is_asked_for(town):
    text = "sku,quantity\nNEW,4\nMUG,50\n"
    done = await plan_of(town, text)
    assert [(c.row, c.says) for c in done.complaints] == [(2, "NEW: no item has this sku")]
    done = await plan_of(town, text, skip_unknown=True)
    assert (done.plan_id, done.unknown, done.wrong) == (2, 1, 0)
    for store in (town.stores["uk"], town.stores["woo"]):
        store.add("NEW", 9)
    await town.sweepers["woo"].sweep()
    await town.settle()
    assert await town.level("NEW") is None
    await made(town, text, new_items=True)
    assert await town.level("NEW") == 4
    assert town.stores["woo"].shelf("NEW") == 4


async def test_a_warehouse_without_a_source_is_filled_from_a_file(plan):
    plan.store("uk", LEVELS).add("MUG", 3)
    await plan.open({"attic": {}})
    await made(plan, "sku,warehouse,quantity\n00123,attic,5\nMUG,attic,0\n", new_items=True)
    found = await plan.rows(
        "select i.sku, v.quantity from level v join item i on i.id = v.item_id order by 1"
    )
    assert found == [("00123", 5), ("MUG", 0)]
    assert await plan.rows("select distinct kind from movement") == [("seed",)]


async def test_an_order_older_than_a_first_count_is_inside_it(plan):
    plan.store("uk", LEVELS)
    woo = plan.store("woo", ORDERS)
    woo.add("MUG", 9)
    await plan.open()
    await woo.sell({"MUG": 2})
    await plan.sweepers["woo"].sweep()
    await plan.settle()
    plan.clock.forward(60)
    counted_at = plan.clock()
    plan.clock.forward(60)
    await woo.sell({"MUG": 1})
    await plan.settle()
    await made(plan, "sku,quantity\nMUG,7\n", new_items=True, counted_at=counted_at)
    assert await plan.level("MUG") == 6
    assert woo.shelf("MUG") == 6


SINS = """sku,quantity
1.23E+12,5
123,5
MUG,1E+05
MUG,-1
TEE,1.5
TEE,1000000000000
CAP,3
CAP,3
NOBODY,1
,4
CAP
"""


async def test_everything_wrong_is_told_at_once_and_nothing_is_kept(town):
    async with town.db.transaction("item") as conn:
        await conn.execute("insert into item (sku, created_at) values ('00123', $1)", town.clock())
    done = await plan_of(town, SINS)
    assert done.plan_id is None
    assert [c.row for c in done.complaints] == [2, 3, 4, 5, 6, 7, 10, 11, 12]
    assert "did 00123 lose its leading zeros" in done.complaints[1].says
    assert "short form" in done.complaints[0].says
    assert await kept(town) == []
    assert await town.level("CAP") == 3


@pytest.mark.parametrize(
    ("text", "wanted", "row", "words"),
    [
        ("sku,quantity\nMUG,3\nTEE,1\nMUG,4\n", {}, 2, "counted 2 times in main, in rows 2, 4"),
        ("sku,quantity\n123,3\n", {"new_items": True}, 2, "did 00123 lose its leading zeros"),
        ("sku,quantity\n1.5E+10,3\n", {"new_items": True}, 2, "short form"),
        ("sku,on hand\nMUG,3\n", {}, 1, "lie on hand"),
        ("sku,quantity\nMUG,3\n", {"warehouse": "moon"}, 0, "no warehouse is named moon"),
        ("sku,quantity\nMUG,3\n", {"names": {"Shop": "moon"}}, 0, "no warehouse is named moon"),
        ("sku,quantity,as of\nMUG,3,2100-01-01T00:00:00Z\n", {}, 2, "still to come"),
        ("", {}, 0, "empty"),
        ('sku,quantity\nMUG,3\n"TE', {}, 3, "cut off"),
    ],
)
async def test_one_wrong_row_stops_a_file(town, text, wanted, row, words):
    async with town.db.transaction("item") as conn:
        await conn.execute("insert into item (sku, created_at) values ('00123', $1)", town.clock())
    done = await plan_of(town, text, **wanted)
    assert done.plan_id is None
    assert [(c.row, words in c.says) for c in done.complaints] == [(row, True)]
    assert await kept(town) == []


async def test_a_crash_in_the_middle_is_gone_on_with(town, monkeypatch):
    monkeypatch.setattr("syncd.bulk.applying.PIECE", 1)
    done = await plan_of(town, "sku,quantity\nMUG,40\nTEE,11\nCAP,4\n")
    await say_yes(town, done.plan_id)
    booked = plan_rows.booked

    async def falls_over(conn, plan_id, rows, now):
        await booked(conn, plan_id, rows, now)
        if rows[0][0] == 2:
            raise SyncdError("the daemon is killed")

    monkeypatch.setattr(plan_rows, "booked", falls_over)
    with pytest.raises(SyncdError):
        await apply(town.core, done.plan_id)
    assert (await town.level("MUG"), await town.level("TEE")) == (40, 10)
    monkeypatch.setattr(plan_rows, "booked", booked)
    assert (await apply(town.core, done.plan_id))["rows"] == 2
    assert (await town.level("MUG"), await town.level("TEE")) == (40, 11)
    assert len(await movements(town, "MUG")) == 1


async def test_an_apply_is_wished_for_and_told(town):
    done = await plan_of(town, "sku,quantity\nMUG,40\n")
    await say_yes(town, done.plan_id)
    await town.ask("apply", plan_id=done.plan_id)
    assert await town.level("MUG") == 40
    assert await town.rows("select result->>'state' from wish") == [("applied",)]
    assert await town.rows("select outcome, reason, after from journal where outcome = 'plan'") == [
        ("plan", "applied", 1)
    ]


async def test_a_count_that_cannot_be_booked_is_told(town):
    text = "sku,quantity,exported\nMUG,1000000000,-1000000000\n"
    assert (await made(town, text, sets=True))["rows"] == 0
    assert await town.level("MUG") == 50
    found = await town.rows("select sku, reason from journal where reason = 'out_of_bounds'")
    assert found == [("MUG", "out_of_bounds")]


@pytest.mark.parametrize(
    ("bytes_of", "title"),
    [
        (lambda text: text.encode("utf-8"), "Tasse für Tee"),
        (lambda text: text.encode("utf-8-sig"), "Tasse für Tee"),
        (lambda text: text.encode("utf-16"), "Tasse für Tee"),
        (lambda text: text.encode("cp1252"), "Tasse für Tee"),
    ],
)
def test_files_are_opened_in_every_encoding(tmp_path, bytes_of, title):
    path = tmp_path / "stock.csv"
    path.write_bytes(bytes_of(f"sku;title;quantity\nMUG;{title};5\n"))
    with opened(path) as lines:
        assert f"MUG;{title};5" in lines.read()


async def test_a_plan_expires_and_is_then_closed(town):
    done = await plan_of(town, "sku,quantity\nMUG,40\n", expires_in=timedelta(days=7))
    async with town.db.transaction("expire") as conn:
        assert await plans.expire(conn, town.clock()) == []
        later = datetime(2027, 1, 1, tzinfo=UTC)
        assert await plans.expire(conn, later) == [done.plan_id]
        assert not await plans.decide(conn, done.plan_id, "applying", later, "anna")


# ---- counts hold: what is heard late is inside them, and what waited is settled


async def test_a_sale_heard_after_a_count_it_preceded_is_inside_it(town):
    await town.stores["woo"].sell({"MUG": 3})
    town.clock.forward(60)
    await made_unheard(town, "sku,quantity\nMUG,40\n")
    assert await town.level("MUG") == 40
    await town.settle()
    assert await town.level("MUG") == 40, "the three that were sold before were not counted"
    assert sorted(await movements(town, "MUG")) == [
        ("sale", -3, "woo"), ("stocktake", -10, "anna"), ("stocktake", 3, "anna"),
    ]  # fmt: skip


async def made_unheard(town: Town, text: str, **wanted) -> int:
    """A file that is applied before anybody carries the webhooks that were sent."""
    done = await plan_of(town, text, **wanted)
    assert not done.complaints, done.complaints
    assert done.plan_id is not None
    await say_yes(town, done.plan_id)
    await apply(town.core, done.plan_id)
    return done.plan_id


async def test_a_count_taken_back_holds_nothing_any_more(town):
    await town.stores["woo"].sell({"MUG": 3})
    town.clock.forward(60)
    plan = await made_unheard(town, "sku,quantity\nMUG,40\n")
    back = await undo(town.db, town.core.rulebook, plan, Wanted("", "bert"), town.clock())
    await say_yes(town, back.loaded.plan_id)
    await apply(town.core, back.loaded.plan_id)
    assert await town.level("MUG") == 50
    await town.settle()
    assert await town.level("MUG") == 47, "nobody counted: the late sale counts"
    again = await undo(
        town.db, town.core.rulebook, back.loaded.plan_id, Wanted("", "bert"), town.clock()
    )
    await say_yes(town, again.loaded.plan_id)
    await apply(town.core, again.loaded.plan_id)
    await town.settle()
    assert await town.level("MUG") == 40, "it was counted after all"


async def test_what_was_counted_later_outlives_the_undo_of_an_earlier_count(town):
    first = await made_unheard(town, "sku,quantity\nMUG,40\n")
    town.clock.forward(60)
    await made(town, "sku,quantity\nMUG,33\n")
    back = await undo(town.db, town.core.rulebook, first, Wanted("", "bert"), town.clock())
    assert [m.kinds for m in back.moved] == [["stocktake"]]
    await say_yes(town, back.loaded.plan_id)
    await apply(town.core, back.loaded.plan_id)
    await town.settle()
    assert await town.level("MUG") == 33


async def test_a_count_settles_what_is_in_suspense_of_its_item(town):
    await town.rows(
        "insert into suspense (listing_id, item_id, warehouse_id, reason, candidates, proposal, evidence,"
        " created_at) select l.id, l.item_id, l.warehouse_id, 'cut_over', '{-4,0}', 0, '{}', $1"
        " from listing l join channel c on c.id = l.channel_id where c.name = 'woo' and l.sku = 'MUG'"
        " returning id",
        town.clock(),
    )
    town.clock.forward(60)
    await made(town, "sku,quantity\nMUG,50\nTEE,9\n")
    assert await town.rows("select resolution from suspense") == [("counted",)]
    assert town.shelves("MUG") == {"uk": 50, "sw": 50, "woo": 50}, "nothing is held back any more"


async def test_what_lies_there_is_counted_less_what_is_sold_and_not_yet_gone(town):
    town.clock.forward(60)
    await town.stores["woo"].sell({"MUG": 3})
    await town.settle()
    town.clock.forward(60)
    text = "sku,on hand\nMUG,45\nTEE,10\n"
    found = await plan_of(town, text, on_hand=True)
    assert found.summary()["units_down"] == 5
    done = await made(town, text, on_hand=True)
    assert done["units"] == -5
    assert await town.level("MUG") == 42
    assert await town.level("TEE") == 10
    await town.stores["woo"].sell({"MUG": 1})
    await town.settle()
    assert await town.level("MUG") == 41


async def test_a_number_that_is_set_does_not_lie_there(town):
    done = await plan_of(town, "sku,quantity\nMUG,3\n", sets=True, on_hand=True)
    assert [c.row for c in done.complaints] == [0]
