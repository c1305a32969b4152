"""A location offered to two warehouses is refused with both names, however it is offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.app.build import problems_in
from syncd.config import Settings, load
from syncd.errors import ConfigError

MAIN = """
[warehouses.main]
[warehouses.outlet]
[channels.uk]
platform = "memory"
locations = { "L1" = "main" }
"""


def test_by_two_files(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(MAIN)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "uk.toml").write_text('[channels.uk.locations]\n"L1" = "outlet"\n')
    with pytest.raises(ConfigError) as found:
        load(file, {})
    assert found.value.problems == [
        (
            "channels.uk.locations.L1: is offered to two warehouses, 'main' (in config.toml) and "
            "'outlet' (in conf.d/uk.toml): a location feeds one"
        )
    ]


def test_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(MAIN + '[channels.uk.locations]\n"L1" = "outlet"\n')
    with pytest.raises(ConfigError, match=r"config.toml: .*at line 7"):
        load(file, {})


def test_by_two_channels_on_one_account() -> None:
    settings = Settings.model_validate(
        {
            "warehouses": {"main": {}, "outlet": {}},
            "channels": {
                name: {
                    "platform": "shopify",
                    "locations": {"*": warehouse},
                    "options": {"shop": shop, "access_token": "t", "webhook_secret": "s"},
                }
                for name, warehouse, shop in (
                    ("uk", "main", "urbanwear"),
                    ("us", "outlet", "https://urbanwear.myshopify.com/"),
                    ("de", "outlet", "urbanwear-de"),
                )
            },
        }
    )
    assert problems_in(settings) == [
        (
            "channels.us.options: is the account of channels.uk, so its locations would be offered to "
            "main by uk and to outlet by us; a location feeds one warehouse"
        )
    ]
