"""The target of a listing, asked of the rules as the walkers ask: the one place that knows how."""

from __future__ import annotations

from syncd.stock.rulebook import Asked, ChannelRules
from syncd.stock.standing import Standing


def target(
    rules: ChannelRules, listing_id: int, sku: str, warehouse_id: int, standing: Standing
) -> int:
    """What a listing should show of how its item stands."""
    return rules.target_of(Asked(listing_id, sku, warehouse_id), standing)
