"""Which channels may follow edits, and what is said to those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.app.build import cautions_in, channel_problems, rules_of
from syncd.config import ChannelSettings, Settings
from syncd.stock.model import Edits, Truth
from syncd.stock.stretches import Margins

SHOPWIRED = {"api_key": "k", "api_secret": "s", "webhook_secret": "w"}
WOO = {
    "base_url": "https://shop.example",
    "consumer_key": "k",
    "consumer_secret": "s",
    "webhook_secret": "abcdefgh1",
}
AT_ONCE = {"stock_moves_on": "created", "restocks": "never"}


def channel(platform: str, options: dict[str, Any], **more: Any) -> ChannelSettings:
    return ChannelSettings.model_validate(
        {"platform": platform, "locations": {"*": "main"}, "options": options, **more}
    )


@pytest.mark.parametrize("edits", ["adopt", "alert"])
def test_a_platform_that_does_not_date_orders_says_why_it_refuses(edits: str) -> None:
    [problem] = channel_problems("a", channel("shopwired", SHOPWIRED, edits=edits))
    assert problem.startswith(
        f'channels.a.edits: "{edits}" is not supported on shopwired: an order'
    )
    assert 'options.restocks = "never"' in problem
    assert problem.endswith("it can be overwrite")
    undated = {"truth": "orders", "write": "absolute", "dates_moves": False}
    [problem] = channel_problems("a", channel("memory", undated, edits=edits))
    assert "its orders do not say when they moved a shelf" in problem


@pytest.mark.parametrize("edits", ["adopt", "alert", "overwrite"])
@pytest.mark.parametrize(
    ("platform", "options"),
    [
        ("shopwired", SHOPWIRED | AT_ONCE),
        ("woocommerce", WOO),
        ("memory", {"truth": "orders", "write": "absolute"}),
    ],
)
def test_a_platform_that_dates_orders_takes_every_setting(
    platform: str, options: dict[str, Any], edits: str
) -> None:
    found = channel(platform, options, edits=edits)
    assert channel_problems("a", found) == []
    rules = rules_of(1, "a", found, {"main": 1})
    assert (rules.truth, rules.edits) == (Truth.ORDERS, Edits(edits))
    assert rules.follows_edits is (edits != "overwrite")


def test_edits_are_followed_only_where_somebody_asks_for_it() -> None:
    rules = rules_of(1, "a", channel("woocommerce", WOO), {"main": 1})
    assert (rules.edits, rules.follows_edits) == (Edits.OVERWRITE, False)
    levels = rules_of(1, "a", channel("memory", {}), {"main": 1})
    assert (levels.truth, levels.edits, levels.follows_edits) == (Truth.LEVELS, Edits.ADOPT, False)


def test_a_channel_that_is_switched_off_follows_nothing() -> None:
    off = channel("woocommerce", WOO, edits="adopt", enabled=False)
    assert not rules_of(1, "a", off, {"main": 1}).follows_edits


def test_the_platform_says_what_is_believed_of_its_clock_and_speed() -> None:
    options = {"truth": "orders", "write": "absolute", "clock_margin_s": 4, "late_apply_s": 20}
    rules = rules_of(1, "a", channel("memory", options, edits="adopt"), {"main": 1})
    assert rules.margins == Margins(clock_s=4.0, late_s=20.0)


def test_where_one_call_reads_one_listing_following_edits_is_warned_about() -> None:
    def told(options: dict[str, Any], edits: str) -> list[str]:
        found = channel("shopwired", options, edits=edits)
        return cautions_in(Settings.model_validate({"channels": {"a": found}}))

    assert "it is slow" in told(SHOPWIRED | AT_ONCE, "adopt")[0]
    assert told(SHOPWIRED | AT_ONCE, "overwrite") == []
    woo = Settings.model_validate({"channels": {"a": channel("woocommerce", WOO, edits="adopt")}})
    assert cautions_in(woo) == []
