"""The bundles that the configuration describes, in force."""

from __future__ import annotations

from syncd.config import Settings
from syncd.config.complaints import dotted
from syncd.corridor import Core, follow_links
from syncd.db.pool import Connection
from syncd.errors import ConfigError
from syncd.fanout.bundling import Undescribed, configure, refusals
from syncd.stock.bundles import Bundle, Problem
from syncd.telemetry.logs import get_logger

log = get_logger("syncd.bundles")


def bundles_of(settings: Settings) -> list[Bundle]:
    """The bundles of a configuration."""
    return [Bundle(sku, one.components) for sku, one in settings.bundles.items()]


async def problems_with(conn: Connection, settings: Settings) -> list[str]:
    """Why they do not fit the bundles that files, the API and people described."""
    if not settings.bundles:
        return []
    return [_told(problem) for problem in await refusals(conn, bundles_of(settings))]


async def take_up(core: Core, settings: Settings) -> None:
    """What is configured holds from now on. Raises ConfigError and DatabaseAway."""
    try:
        async with core.booking("bundles") as (conn, booking):
            unknown = await configure(conn, booking, bundles_of(settings))
    except Undescribed as error:
        raise ConfigError([_told(problem) for problem in error.problems]) from None
    for sku in unknown:
        log.warning(
            "bundle.component_unknown",
            component=sku,
            reason="no item had this sku: the bundle shows nothing before it is counted",
        )
    await follow_links(core, booking)


def _told(problem: Problem) -> str:
    component = () if problem.component is None else (problem.component,)
    return f"{dotted(('bundles', problem.bundle, 'components', *component))}: {problem.words}"
