"""Undo: compensating movements, a word on what moved since, and nothing but the plan's own doing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.bulk.applying import apply
from syncd.bulk.loading import Wanted
from syncd.bulk.undoing import Undo, undo
from syncd.errors import SyncdError
from tests.flow.test_imports import made, movements, plan_of, say_yes
from tests.flow.town import ORDERS, Town

SKUS = ("MUG", "TEE", "CAP")


async def undone(town: Town, plan_id: int, **options) -> Undo:
    """The plan that undoes one."""
    wanted = Wanted("", "bert")
    return await undo(town.db, town.core.rulebook, plan_id, wanted, town.clock(), **options)


async def done(town: Town, found: Undo) -> None:
    assert found.loaded.plan_id is not None
    await say_yes(town, found.loaded.plan_id)
    await apply(town.core, found.loaded.plan_id)
    await town.settle()


async def levels(town: Town) -> list[int | None]:
    return [await town.level(sku) for sku in SKUS]


async def test_an_import_is_undone_and_its_undo_too(town):
    plan = (await made(town, "sku,quantity\nMUG,40\nTEE,0\nCAP,3\n"))["plan"]
    back = await undone(town, plan)
    assert (back.moved, back.loaded.rows) == ([], 2)
    await done(town, back)
    assert await levels(town) == [50, 10, 3]
    assert town.shelves("TEE") == {"uk": 10, "sw": 10, "woo": 10}
    assert await movements(town, "MUG") == [("stocktake", -10, "anna"), ("correction", 10, "bert")]
    with pytest.raises(SyncdError, match=f"is undone by plan {back.loaded.plan_id}"):
        await undone(town, plan)
    again = await undone(town, back.loaded.plan_id)
    await done(town, again)
    assert await levels(town) == [40, 0, 3]
    last = await undone(town, plan)
    await done(town, last)
    assert await levels(town) == [50, 10, 3]


async def test_what_moved_since_is_told_and_stays(town):
    plan = (await made(town, "sku,quantity\nMUG,40\nTEE,8\n"))["plan"]
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    back = await undone(town, plan)
    assert [(m.sku, m.units, m.movements, m.kinds) for m in back.moved] == [
        ("MUG", -2, 1, ["sale"])
    ]
    await done(town, back)
    assert await levels(town) == [48, 10, 3]


async def test_what_moved_since_can_be_left_out(town):
    plan = (await made(town, "sku,quantity\nMUG,40\nTEE,8\n"))["plan"]
    await town.stores["woo"].sell({"MUG": 2})
    await town.settle()
    await done(town, await undone(town, plan, skip_moved=True))
    assert await levels(town) == [38, 10, 3]


async def test_a_number_set_by_hand_is_undone(town):
    plan = (await made(town, "sku,quantity,exported\nMUG,60,50\n", sets=True))["plan"]
    await done(town, await undone(town, plan))
    assert await levels(town) == [50, 10, 3]


async def test_a_first_count_that_is_undone_leaves_no_zero_behind(plan):
    woo = plan.store("woo", ORDERS)
    woo.add("NEW", 9)
    await plan.open()
    await plan.sweepers["woo"].sweep()
    number = (await made(plan, "sku,quantity\nNEW,4\n", new_items=True))["plan"]
    assert woo.shelf("NEW") == 4
    back = await undone(plan, number)
    await done(plan, back)
    assert await plan.level("NEW") is None
    assert woo.shelf("NEW") == 4, "an item that nobody counts is left alone"
    await done(plan, await undone(plan, back.loaded.plan_id))
    assert await plan.level("NEW") == 4
    await woo.sell({"NEW": 1})
    await plan.settle()
    await done(plan, await undone(plan, number))
    assert await plan.level("NEW") == -1, "it was sold, so it stays counted"


async def test_only_what_was_made_can_be_undone(town):
    with pytest.raises(SyncdError, match="no plan 7"):
        await undone(town, 7)
    found = await plan_of(town, "sku,quantity\nMUG,40\n")
    with pytest.raises(SyncdError, match="is open"):
        await undone(town, found.plan_id)


COUNTS = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 10**9), min_size=1)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(counts=COUNTS)
async def test_undo_after_apply_is_nothing(town, counts):
    before = await levels(town)
    text = "sku,quantity\n" + "".join(f"{sku},{units}\n" for sku, units in counts.items())
    plan = (await made(town, text))["plan"]
    assert [await town.level(sku) for sku in counts] == list(counts.values())
    found = await undone(town, plan)
    if found.loaded.plan_id is not None:
        await done(town, found)
    assert await levels(town) == before
