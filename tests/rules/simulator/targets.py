"""The target of a listing, asked of the rules as the walkers ask: the one place that knows how."""

from __future__ import annotations

from typing import Any

from syncd.stock import rulebook
from syncd.stock.rulebook import ChannelRules


def target(rules: ChannelRules, listing_id: int, sku: str, warehouse_id: int, level: Any) -> int:
    """`level`: what `db.ledger.levels` gives of the item there."""
    asked = getattr(rulebook, "Asked", None)
    find: Any = rules.target_of
    if asked is None:
        found: int = find(sku, warehouse_id, getattr(level, "quantity", level))
    else:
        found = find(asked(listing_id, sku, warehouse_id), level)
    return found
