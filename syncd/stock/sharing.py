"""Who sells an item from an account of its own, and whose share of it is how large."""

from __future__ import annotations

from collections.abc import Collection

from syncd.stock.rulebook import Rulebook


def weights(book: Rulebook, sku: str, warehouse_id: int, served: Collection[int]) -> dict[int, int]:
    """How the channels that can be told of an item in escrow share it, by id; {}: none does.

    Where none of them has a share above 0, they share it alike.
    """
    shares = {
        rules.id: rules.policy_of(sku).share
        for rules in book.channels.values()
        if rules.id in served and warehouse_id in rules.locations.values() and rules.in_escrow(sku)
    }
    if any(shares.values()):
        return {channel: share or 0 for channel, share in shares.items()}
    return dict.fromkeys(shares, 1)


def in_escrow(book: Rulebook, sku: str, warehouse_id: int) -> bool:
    """True where some channel of a warehouse sells an item from an account of its own."""
    return any(
        warehouse_id in rules.locations.values() and rules.in_escrow(sku)
        for rules in book.channels.values()
    )
