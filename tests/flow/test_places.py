"""Locations feed one warehouse each; what is not mapped is skipped, counted and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flow.commands import Operator
from tests.flow.town import LEVELS, ORDERS, Town

PLACES = {"L1": "main", "L3": "main"}


@pytest.fixture
async def operator(plan: Town, dsn: str, tmp_path: Path) -> Operator:
    """A shop with three locations, one of them mapped, and a shop that has none."""
    uk = plan.store("uk", {**LEVELS, "locations": ["L1", "L2"]}, locations=PLACES)
    woo = plan.store("woo", ORDERS)
    uk.add("MUG", 50)
    woo.add("MUG", 7)
    await plan.open({"main": {"source": "uk/L1"}})
    await plan.seed()
    return Operator(plan, dsn, tmp_path, {"main": {"source": "uk/L1"}})


async def test_locations_are_listed_with_what_they_feed(plan: Town, operator: Operator) -> None:
    result = await operator.ask("locations", "uk", "--json")
    assert result.exit_code == 3  # a listing is skipped
    rows = {row["location"]: row for row in json.loads(result.stdout)}
    assert {x: (r["state"], r["warehouse"], r["source"]) for x, r in rows.items()} == {
        "L1": ("mapped", "main", True),
        "L2": ("unmapped", None, False),
        "L3": ("not there", "main", False),
    }
    assert (rows["L2"]["listings"], rows["L2"]["skipped"], rows["L1"]["skipped"]) == (1, 1, 0)
    shown = (await operator.ask("locations", "uk")).stdout
    assert "unmapped" in shown
    assert "not there" in shown


async def test_a_channel_without_locations_is_one_place(plan: Town, operator: Operator) -> None:
    (row,) = await operator.json("locations", "woo")
    assert (row["location"], row["state"], row["warehouse"]) == ("", "fallback", "main")
    assert "(all of it)" in await operator.done("locations", "woo")
    assert "no channel is named us" in (await operator.ask("locations", "us")).output


async def test_what_is_not_mapped_is_skipped_and_never_written(
    plan: Town, operator: Operator
) -> None:
    uk = plan.stores["uk"]
    await plan.stores["woo"].sell({"MUG": 1})
    await plan.settle()
    assert (uk.shelf("MUG", "L1"), uk.shelf("MUG", "L2")) == (49, 0)
    found = await plan.rows("select skip from listing where location = 'L2'")
    assert found == [("unmapped",)]


async def test_registrations_are_listed_and_made(plan: Town, operator: Operator) -> None:
    woo = plan.stores["woo"]
    woo.disable("orders/update")
    del woo.subscriptions["items/delete"]
    result = await operator.ask("webhooks", "list", "woo", "--json")
    assert result.exit_code == 3
    states = {row["topic"]: row["state"] for row in json.loads(result.stdout)}
    assert states == {
        "items/delete": "missing",
        "items/update": "ok",
        "levels/update": "ok",
        "orders/update": "unhealthy",
    }
    assert await operator.done("webhooks", "ensure", "woo", "--actor", "ann") == (
        "items/delete: registered\norders/update: registered\n"
    )
    assert await operator.done("webhooks", "ensure", "woo") == "all are registered\n"
    assert await plan.rows(
        "select detail->>'actor' from journal where outcome = 'subscribed' and detail->>'actor' <> ''"
    ) == [("ann",)]
