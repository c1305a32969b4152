"""A mapping that moved while the daemon was down is refused: stock would follow the wrong counts."""

from __future__ import annotations

from syncd.app.build import moved
from syncd.config import Settings

SETTINGS = Settings.model_validate(
    {
        "warehouses": {"main": {"source": "uk"}, "other": {}},
        "channels": {"uk": {"platform": "memory", "locations": {"1": "main", "*": "other"}}},
    }
)


def test_what_is_counted_as_configured_is_no_problem() -> None:
    assert moved(SETTINGS, [("uk", "memory", "1", "main"), ("uk", "memory", "7", "other")]) == []
    assert moved(SETTINGS, [("uk", "memory", None, None), ("gone", "memory", "1", "main")]) == []


def test_a_moved_location_and_a_changed_platform_are_named() -> None:
    (said,) = moved(SETTINGS, [("uk", "memory", "1", "other")])
    assert 'channels.uk.locations."1": cannot move from other to main' in said
    (said,) = moved(SETTINGS, [("uk", "shopify", "1", "main")])
    assert "channels.uk.platform: was shopify" in said
