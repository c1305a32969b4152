"""The rules of a configuration for somebody who only reads: commands beside the daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syncd.app.build import rulebook_of
from syncd.config import Settings
from syncd.db import explain
from syncd.db.pool import Database
from syncd.stock.rulebook import Rulebook


async def rulebook_now(db: Database, settings: Settings) -> Rulebook:
    """All rules of a configuration; what the database never heard of gets an id that nothing has."""
    async with db.transaction("rulebook_ids") as conn:
        channels = await explain.channel_ids(conn)
        warehouses = await explain.warehouse_ids(conn)
    return rulebook_of(
        settings, _filled(channels, settings.channels), _filled(warehouses, settings.warehouses)
    )


def _filled(known: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name: known.get(name, -place) for place, name in enumerate(sorted(names), 1)}
