"""Channels that people switch on and off while the daemon runs: the database says it, every daemon follows."""

from __future__ import annotations

from syncd.corridor.core import Core
from syncd.db import switches
from syncd.stock.rulebook import switched


async def take_switches(core: Core) -> list[str]:
    """Follow what people switched; gives the channels whose rules that changed. Raises DatabaseAway.

    One that is on again is swept: orders since its watermark are fetched, every listing is compared.
    """
    async with core.db.statement("switched") as conn:
        book = switched(core.rulebook, await switches.switched(conn))
    if book == core.rulebook:
        return []
    changed: list[str] = []
    core.rulebook = book
    for rules in book.channels.values():
        channel = core.channels.get(rules.id)
        if channel is not None and channel.rules != rules:
            channel.rules = rules
            changed.append(rules.name)
            core.bells.sweeps[rules.id].set()
            core.bells.lanes[rules.id].set()
    return changed
