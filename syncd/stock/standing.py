"""How an item stands in a warehouse: all that the targets of its listings are made from besides their rules.

The database fills it (`db/standing.py`), `inputs` says what it means for one listing. To add an input:
a field here, a column of the same name there, and what it is for a listing in `inputs`. None means
absent in every field, so that an item without any of it costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from syncd.stock.bundles import scarcest
from syncd.stock.policy import Inputs

Part = tuple[int, int, int | None]
"""A component of a bundle: the item, units in one, and how many are left of it (None: not counted)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was read of an (item, warehouse) under the locks of its shelves."""

    quantity: int | None
    """The level; None: never counted there, so there is no target."""
    suspects: Sequence[Sequence[int]] | None
    """Open amounts as (listing, own, others): what is suspected on a listing and not booked."""
    sales: Sequence[Sequence[int]] | None
    """Sales by channel as (channel, units sold of late, in so many hours, units it may have sold unseen)."""
    accounts: Sequence[Sequence[int]] | None
    """Accounts of an item in escrow as (channel, units); None: it has none."""
    places: Sequence[Sequence[int | None]] | None
    """Locations that divide its target, as (channel, listing, position, shown); None: none do."""
    parts: Sequence[Part] | None
    """What a bundle is made of."""
    part_accounts: Sequence[Sequence[int]] | None
    """Accounts of its components in escrow as (item, channel, units)."""
    holds: Sequence[Sequence[int]] | None
    """What orders promise, as (listing, own, others): units off its own shelf, units in all."""


_BESIDES = tuple(field.name for field in fields(Standing) if field.name != "quantity")


def is_plain(standing: Standing) -> bool:
    """True where its targets are made from the level alone."""
    return all(getattr(standing, name) is None for name in _BESIDES)


def units_made(parts: Sequence[Part]) -> int | None:
    """How many bundles these components make; None while one of them is not counted."""
    found = scarcest(parts)
    return found[0] if found is not None else None


def _parts_here(standing: Standing, channel_id: int) -> list[Part]:
    """What a channel may make of components: of those in escrow, no more than its own accounts hold."""
    parts = list(standing.parts or ())
    if standing.part_accounts is None:
        return parts
    held: dict[int, int] = {}
    for item, channel, units in standing.part_accounts:
        held[item] = held.get(item, 0) + (units if channel == channel_id else 0)
    return [
        (item, each, left if left is None else min(left, held.get(item, left)))
        for item, each, left in parts
    ]


def inputs(standing: Standing, listing_id: int, channel_id: int = 0) -> Inputs:
    """What the target of this listing of a channel is made from besides what the operator ruled.

    Its own open amount is added to its own target whatever the sign. What is suspected elsewhere
    lowers it where that is a fall; a rise there raises nobody, nor does it make up for a fall. A
    bundle has nothing but its components; while one of them is not counted its quantity is None.
    What its own platform promises and has not taken off its shelf, it keeps for that order itself.
    """
    assert standing.quantity is not None
    if standing.parts is not None:
        units = units_made(_parts_here(standing, channel_id))
        return Inputs(standing.quantity, bundle_minimum=units or 0)
    own = against = 0
    for listing, proposed, lowest in standing.suspects or ():
        if listing == listing_id:
            own += proposed
        else:
            against -= min(0, lowest)
    unseen = sum(x[3] for x in standing.sales or () if x[0] != channel_id)
    held = sum(
        taken if listing == listing_id else units for listing, taken, units in standing.holds or ()
    )
    return Inputs(standing.quantity, held, suspense_against=against, own_edits=own, unseen=unseen)


def sold(standing: Standing) -> tuple[int, int]:
    """Units sold of late on all channels, and in how many hours."""
    sales = standing.sales or ()
    return sum(x[1] for x in sales), max((x[2] for x in sales), default=24)


def account_of(standing: Standing, channel_id: int) -> int | None:
    """The units on a channel's account, 0 where others have some and it has none; None: nobody has."""
    if standing.accounts is None:
        return None
    return sum(units for channel, units in standing.accounts if channel == channel_id)


def spread_of(standing: Standing, channel_id: int, listing_id: int) -> dict[str, Any]:
    """What the locations that divide a channel's target show, in their order, and this one's place,
    as fields of `Inputs`; {}: it shares the target with nobody.
    """
    rows = [x for x in standing.places or () if x[0] == channel_id]
    rows.sort(key=lambda x: (x[2] or 0, x[1] or 0))
    own = next((n for n, x in enumerate(rows) if x[1] == listing_id), None)
    if own is None or len(rows) < 2:
        return {}
    return {"spread": tuple(x[3] for x in rows), "spread_at": own}


def own_unseen(standing: Standing, channel_id: int) -> int:
    """Units that this channel may have sold since nothing was heard of it."""
    return sum(x[3] for x in standing.sales or () if x[0] == channel_id)
