"""What if: other rules over the ledger as it is, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.commands import Operator
from tests.flow.town import Town


@pytest.fixture
def operator(town: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(town, dsn, tmp_path)


async def everything(town: Town) -> list[tuple[object, ...]]:
    return await town.rows(
        "select 'plan', count(*) from plan union all select 'outbox', count(*) from outbox"
        " union all select 'journal', count(*) from journal union all select 'movement', count(*)"
        " from movement union all select 'channel', count(*) from channel"
    )


async def test_a_changed_rule_is_tried(town: Town, operator: Operator) -> None:
    before = await everything(town)
    said = await operator.json("replay", "--set", "channels.woo.policy.buffer=5")
    assert said["channels"]["woo"] == {
        "listings": 3, "zeroed": 1, "raised": 0, "lowered": 2, "units_up": 0, "units_down": 13,
    }  # fmt: skip
    assert said["channels"]["sw"]["zeroed"] == 0
    assert {x["sku"]: (x["before"], x["after"]) for x in said["listings"]} == {
        "MUG": (50, 45), "TEE": (10, 5), "CAP": (3, 0),
    }  # fmt: skip
    assert await everything(town) == before
    await town.settle()
    assert town.shelves("MUG")["woo"] == 50


async def test_another_file_is_tried(
    town: Town, operator: Operator, dsn: str, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "config.toml"
    other.parent.mkdir()
    town.settings["sw"] = {"items": {"TEE": {"exclude": True}}}
    Operator(town, dsn, other.parent)
    words = await operator.done("replay", "--with", str(other))
    assert "TEE" in words
    assert "MUG" not in words
    said = await operator.json("replay", "--with", str(other), "--channel", "sw")
    assert [(x["sku"], x["before"], x["after"]) for x in said["listings"]] == [("TEE", 10, None)]
    assert list(said["channels"]) == ["sw"]


async def test_what_takes_a_cut_over_is_not_compared(town: Town, operator: Operator) -> None:
    said = await operator.json(
        "replay", "--set", "channels.woo.truth=none", "--set", "channels.sw.policy.cap=7"
    )
    assert said["not_compared"] == ["woo"]
    assert said["channels"]["sw"]["lowered"] == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((), 2),
        (("--set", "channels.woo.policy.buffer"), 2),
        (("--set", "channels.woo.policy.buffer=many"), 1),
        (("--set", "channels.woo.policy.bufer=1"), 1),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    town: Town, operator: Operator, words: tuple[str, ...], status: int
) -> None:
    assert (await operator.ask("replay", *words)).exit_code == status
