"""What other rules would show: every listing's target by both, from the ledger as it is. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from syncd.corridor.plans import target_of
from syncd.db import holds
from syncd.db.pool import Database
from syncd.stock.plans import Reach
from syncd.stock.rulebook import Rulebook

PAGE = 5000


@dataclass(frozen=True, slots=True)
class Changed:
    """A listing whose target is another one by the other rules; None: nothing is written to it."""

    channel: str
    sku: str
    location: str
    level: int
    shown: int | None
    before: int | None
    after: int | None


async def compare(
    db: Database, now: Rulebook, then: Rulebook, reaches: dict[str, Reach]
) -> AsyncIterator[Changed]:
    """Listings whose targets differ, by id; `reaches` counts by channel what would change as it goes.

    Memory does not grow with the catalogue. Raises DatabaseAway.
    """
    after = 0
    while True:
        async with db.statement("what_if_page") as conn:
            page = await holds.served_page(conn, after, PAGE)
        if not page:
            return
        after = page[-1].listing_id
        for one in page:
            rules = now.channels.get(one.channel_id) or then.channels.get(one.channel_id)
            if rules is None or one.quantity is None:
                continue
            reach = reaches.setdefault(rules.name, Reach())
            reach.listings += 1
            was, wants = target_of(now, one), target_of(then, one)
            if was == wants:
                continue
            if was is not None and wants is not None:
                reach.add(was, wants)
            elif wants is not None and one.shown is not None:
                reach.add(one.shown, wants)  # it is delivered again
            yield Changed(rules.name, one.sku, one.location, one.quantity, one.shown, was, wants)


def differing_places(now: Rulebook, then: Rulebook) -> list[str]:
    """Channels whose mapping or truth differs: that takes a cut-over, and is not compared here."""
    found = []
    for rules in then.configured:
        old = now.channels.get(rules.id)
        if old is not None and (old.locations != rules.locations or old.truth is not rules.truth):
            found.append(rules.name)
    return sorted(found)
