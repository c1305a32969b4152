"""`syncd items` says of every listing in one word how it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncd.app import stocklist
from syncd.stock.model import Edits, Truth
from syncd.stock.rulebook import ChannelRules
from syncd.stock.states import Known, State, state_of
from tests.flow.commands import Operator
from tests.flow.test_catalogue import rename, sweep, tell
from tests.flow.town import Town


@pytest.fixture
def operator(town: Town, dsn: str, tmp_path: Path) -> Operator:
    return Operator(town, dsn, tmp_path)


async def states(operator: Operator, *words: str) -> dict[tuple[str | None, str], str]:
    """(item, channel) → state."""
    said = await operator.json("items", *words)
    return {(x["sku"], y["channel"]): y["state"] for x in said["items"] for y in x["listings"]}


async def test_every_listing_has_a_word(town: Town, operator: Operator) -> None:
    woo, sw = town.stores["woo"], town.stores["sw"]
    assert set((await states(operator)).values()) == {"synced"}
    assert "Listed & Synced" in await operator.done("items", "MUG")
    woo.add("ODD", 3)
    woo.remove("TEE")
    sw.faults.refuse_skus = {"MUG"}
    await operator.done("exclude", "CAP", "--channel", "sw")
    town.clock.forward(60)
    await town.stores["uk"].sell({"MUG": 1})
    await town.settle()
    found = await states(operator)
    assert found["MUG", "uk"] == "synced"
    assert found["MUG", "sw"] == "parked"
    assert found["CAP", "sw"] == "excluded"
    assert found["TEE", "woo"] == "gone"
    assert found[None, "woo"] == "unlinked"
    assert "the store refuses this product" in await operator.done("items", "MUG")
    assert await states(operator, "--status", "parked") == {
        ("MUG", "uk"): "synced",
        ("MUG", "sw"): "parked",
        ("MUG", "woo"): "synced",
    }
    assert set(await states(operator, "--status", "unlinked")) == {(None, "woo")}
    assert await states(operator, "CAP", "--channel", "sw") == {("CAP", "sw"): "excluded"}


async def test_what_is_listed_twice_or_called_by_anothers_name_is_seen(
    town: Town, operator: Operator
) -> None:
    woo = town.stores["woo"]
    rename(woo, "MUG", "TEE")
    tell(woo, "MUG")
    await town.settle()
    await sweep(town)
    found = await states(operator, "--channel", "woo")
    assert {found["MUG", "woo"], found["TEE", "woo"]} <= {"duplicate", "relinked"}


async def test_pages_meet(town: Town, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stocklist, "PIECE", 2)
    for n in range(3):
        town.stores["woo"].add(f"ODD{n}", 1)
    await town.settle()
    seen: list[tuple[str | None, str]] = []
    after: list[str] = []
    while True:
        said: Any = await operator.json("items", "--limit", "1", *after)
        seen += [(x["sku"], x["listings"][0]["sku"]) for x in said["items"]]
        if said["next"] is None:
            break
        after = ["--after", said["next"]]
    assert seen == [
        *((sku, sku) for sku in ("CAP", "MUG", "TEE")),
        *((None, f"ODD{n}") for n in range(3)),
    ]
    assert len((await operator.json("items", "--limit", "0"))["items"]) == 6


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("--channel", "us"), 1, "no channel is named us"),
        (("--status", "fine"), 2, "no state is called fine; there are not_listed"),
        (("--after", "x"), 1, "--after takes what an earlier page said"),
    ],
)
async def test_what_cannot_be_asked_is_told(
    operator: Operator, words: tuple[str, ...], status: int, complaint: str
) -> None:
    result = await operator.ask("items", *words)
    assert (result.exit_code, complaint in result.output) == (status, True), result.output


RULES = ChannelRules(1, "uk", "memory", Truth.LEVELS, Edits.ADOPT, exclude=("GIFT-*",))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.SYNCED),
        ({"gone": True, "skip": "unlinked"}, State.GONE),
        ({"skip": "duplicate"}, State.DUPLICATE),
        ({"managed": False}, State.UNMANAGED),
        ({"sku": "GIFT-1"}, State.EXCLUDED),
        ({"sku": "GIFT-1", "withheld": "included"}, State.SYNCED),
        ({"withheld": "tagged"}, State.TAGGED),
        ({"target": None}, State.NOT_COUNTED),
        ({"target": 4, "parked": True}, State.PARKED),
        ({"target": 4}, State.UPDATING),
        ({"writing": True}, State.UPDATING),
        ({"orphaned": True}, State.GONE_AT_SOURCE),
        ({"orphaned": True, "target": 9}, State.GONE_AT_SOURCE),
        ({"orphaned": True, "target": 1}, State.UPDATING),
    ],
)
def test_the_first_word_that_applies_is_said(changes: dict[str, Any], state: State) -> None:
    known = {
        "sku": "MUG",
        "skip": "",
        "withheld": "",
        "managed": True,
        "gone": False,
        "orphaned": False,
        "shown": 5,
        "target": 5,
        "writing": False,
        "parked": False,
    }
    assert state_of(RULES, Known(**{**known, **changes})) is state


def test_a_channel_that_is_configured_no_more_is_off() -> None:
    known = Known("MUG", "", "", True, False, False, 5, 5, False, False)
    assert state_of(None, known) is State.CHANNEL_OFF
