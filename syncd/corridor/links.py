"""What new links need once they are committed: skus listed twice are marked, the rest is owed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from syncd.corridor.core import Core
from syncd.db import catalog, links, marks, shelf
from syncd.db.journal import Line
from syncd.fanout import Booking, owe_again
from syncd.fanout.accounts import balance
from syncd.stock.match import Rule


async def follow_links(core: Core, booking: Booking) -> None:
    """Finish what a committed booking said of listings. Raises DatabaseAway.

    A movement or another message that was being booked beside it may not have seen them: only now
    can both be seen. What a crash leaves out here is found by the next sweep.
    """
    linked = set(booking.linked)
    for channel_id, skus in booking.relisted.items():
        linked.update(await mark_duplicates(core, channel_id, sorted(skus)))
    await owe_linked(core, linked)


async def mark_duplicates(
    core: Core, channel_id: int, skus: Sequence[str] | None = None
) -> list[int]:
    """Mark skus (None: all of the channel) that are listed twice; gives what is single again.

    Those are served, and to be owed what they missed.
    """
    rules = core.rulebook.channels.get(channel_id)
    by_sku = rules is None or Rule.SKU in rules.match
    async with core.booking("mark_duplicates") as (conn, booking):
        wrong = await marks.mismarked(conn, channel_id, skus, by_sku=by_sku)
        if not wrong:
            return []
        await shelf.lock(conn, wrong, [])  # no write is claimed while it is marked
        changed = await marks.mark_duplicates(conn, channel_id, wrong, by_sku=by_sku)
        await links.follow(conn, listing_ids=[listing_id for listing_id, _, _ in changed])
        for listing_id, sku, skip in changed:
            reason = skip or "no longer a duplicate"
            booking.journal.append(Line("relinked", sku, channel_id, listing_id, reason=reason))
    return [listing_id for listing_id, _, skip in changed if not skip]


async def owe_linked(core: Core, listing_ids: Collection[int]) -> None:
    """Owe what these need, after their links are committed."""
    if not listing_ids:
        return
    if core.rulebook.escrow:
        # before anything is owed: who has no account shows all there is
        async with core.booking("join_accounts") as (conn, booking):
            keys = await catalog.levels_of_listings(conn, sorted(listing_ids))
            await balance(conn, booking, keys, anyway=False)
    async with core.booking("owe_linked") as (conn, booking):
        await owe_again(conn, booking, sorted(listing_ids), linked=True)
