"""Escrow as an operator writes it: all channels of a warehouse or none, and shares that make the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.stock.policy import Allocation
from syncd.stock.sharing import in_escrow, weights
from tests.rules.test_policy_config import MAIN, book, refused, rules

HEAD = """
[warehouses.main]
"""


def channel(name: str, *policy: str, more: str = "") -> str:
    return f"""
[channels.{name}]
platform = "memory"
locations = {{ "*" = "main" }}
options = {{ store = "{name}" }}
{more}
[channels.{name}.policy]
""" + "\n".join((*policy, ""))


ESCROW = 'allocation = "escrow"'
MIXED = (
    'channels.eu.policy.allocation: must be "escrow", as uk says, which shares main: a channel that'
    " shows all of an item sells what is on the others' accounts"
)


def test_channels_share_alike_where_nobody_says_otherwise(tmp_path: Path) -> None:
    found = book(tmp_path, HEAD + channel("uk", ESCROW) + channel("eu", ESCROW))
    uk, eu = (found.named(name).id for name in ("uk", "eu"))  # type: ignore[union-attr]
    assert found.escrow == {MAIN}
    assert in_escrow(found, "MUG", MAIN)
    assert weights(found, "MUG", MAIN, [uk, eu]) == {uk: 1, eu: 1}
    assert weights(found, "MUG", MAIN, [eu]) == {eu: 1}
    assert weights(found, "MUG", MAIN, []) == {}


def test_shares_are_the_channels_own_and_an_items(tmp_path: Path) -> None:
    text = (
        HEAD
        + channel("uk", ESCROW, "share = 70")
        + channel("eu", ESCROW, "share = 30")
        + "".join(
            f'[channels.{name}.items."TEE"]\nshare = {n}\n' for name, n in (("uk", 0), ("eu", 100))
        )
    )
    found = book(tmp_path, text)
    uk, eu = (found.named(name).id for name in ("uk", "eu"))  # type: ignore[union-attr]
    assert weights(found, "MUG", MAIN, [uk, eu]) == {uk: 70, eu: 30}
    assert weights(found, "TEE", MAIN, [uk, eu]) == {uk: 0, eu: 100}
    assert weights(found, "TEE", MAIN, [uk]) == {uk: 1}, "nobody else lists it"


def test_a_single_item_may_be_in_escrow(tmp_path: Path) -> None:
    one = f'[channels.{{}}.items."TEE"]\n{ESCROW}\n'
    text = HEAD + channel("uk") + one.format("uk") + channel("eu") + one.format("eu")
    found = book(tmp_path, text)
    assert in_escrow(found, "TEE", MAIN)
    assert not in_escrow(found, "MUG", MAIN)
    assert rules(tmp_path, HEAD + channel("uk", 'allocation = "shared"')).policy_of(
        "X"
    ).allocation is (Allocation.SHARED)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            channel("uk", ESCROW, "share = 60") + channel("eu", ESCROW, "share = 30"),
            [
                "channels.uk.policy.share: the shares of main must make 100, and make 90: uk 60 + eu 30"
            ],
        ),
        (
            channel("uk", ESCROW, "share = 0") + channel("eu", ESCROW, "share = 0"),
            ["channels.uk.policy.share: the shares of main must make 100, and make 0: uk 0 + eu 0"],
        ),
        (
            channel("uk", ESCROW, "share = 60") + channel("eu", ESCROW),
            ["channels.eu.policy.share: is missing: uk of main has one, so each channel needs one"],
        ),
        (
            channel("uk", ESCROW) + channel("eu"),
            [
                MIXED,
            ],
        ),
        (
            channel("uk", ESCROW, "share = 50")
            + channel("eu", ESCROW, "share = 50")
            + '[channels.eu.items."TEE"]\nshare = 40\n',
            [
                "channels.uk.policy.share: the shares of main must make 100, and make 90: uk 50 + eu 40"
            ],
        ),
        (
            channel("uk", 'allocation = "own"'),
            [
                'channels.uk.policy.allocation: must be "shared", "buffered" or "escrow"',
            ],
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    tmp_path: Path, text: str, problems: list[str]
) -> None:
    found = refused(tmp_path, HEAD + text)
    assert [one.split(" (config.toml")[0] for one in found] == problems


def test_who_is_delivered_nothing_needs_no_account(tmp_path: Path) -> None:
    text = (
        HEAD
        + channel("uk", ESCROW)
        + channel("eu", more="deliver = false")
        + '[channels.wms]\nplatform = "api"\nlocations = { "*" = "main" }\n'
    )
    assert book(tmp_path, text).escrow == {MAIN}
