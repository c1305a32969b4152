"""Preparing a reload: everything that can fail happens here, before anything is swapped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from syncd.app.build import make_channel
from syncd.app.inforce import InForce
from syncd.config import Settings, diff
from syncd.corridor import Channel
from syncd.corridor.core import utc_now
from syncd.errors import ChannelClosed, ConfigError, Refused, RetryLater
from syncd.stock.rulebook import Rulebook
from syncd.telemetry.logs import get_logger
from syncd.telemetry.metrics import Metrics

log = get_logger("syncd.reload")

PROVE_S = 10.0


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """What a reload swaps in. `made`: channels whose connector is new, already proved."""

    settings: Settings
    found: InForce
    made: list[Channel]
    gone: list[int]
    added: list[str]
    removed: list[str]
    changed: list[str]
    needs_restart: list[str]

    @property
    def stops(self) -> list[str]:
        """Names of channels whose walkers end."""
        return [*self.removed, *self.changed]

    @property
    def starts(self) -> list[str]:
        """Names of channels whose walkers begin."""
        return [*self.added, *self.changed]


async def prepare(
    old: Settings,
    new: Settings,
    running: Rulebook,
    in_force: Callable[[Settings], Awaitable[InForce]],
    metrics: Metrics,
) -> ReloadPlan:
    """Check a new configuration against the running one and prove its new credentials.

    Raises ConfigError with every reason why it cannot be taken up; DatabaseAway likewise.
    """
    found = diff(old, new)
    kept = new.model_copy(
        update={
            "database": old.database,
            "state_dir": old.state_dir,
            "http": new.http.model_copy(
                update={
                    "listen": old.http.listen,
                    "max_body": old.http.max_body,
                    "body_timeout": old.http.body_timeout,
                }
            ),
            "ops": new.ops.model_copy(update={"listen": old.ops.listen}),
        }
    )
    wanted = await in_force(kept)
    made = [
        make_channel(rules, kept.channels[rules.name], metrics, utc_now)
        for rules in wanted.rulebook.channels.values()
        if rules.name in {*found.added, *found.changed}
    ]
    problems = [p for p in await asyncio.gather(*map(_prove, made)) if p]
    if problems:
        for channel in made:
            await channel.http.close()
        raise ConfigError(problems)
    if found.needs_restart:
        log.warning("config.needs_restart", keys=list(found.needs_restart))
    gone = [r.id for r in running.channels.values() if r.name in found.removed]
    return ReloadPlan(
        kept,
        wanted,
        made,
        gone,
        list(found.added),
        list(found.removed),
        list(found.changed),
        list(found.needs_restart),
    )


async def _prove(channel: Channel) -> str:
    """Why this channel's credentials cannot be used; empty when they work or cannot be tried now."""
    if not channel.rules.enabled:
        return ""
    try:
        async with asyncio.timeout(PROVE_S):
            await channel.connector.open()
    except (ChannelClosed, Refused) as error:
        return f"channels.{channel.name}.options: {error.reason}"
    except (RetryLater, TimeoutError) as error:
        # a platform that is down is no fault of the configuration
        log.warning("config.unproved", channel=channel.name, reason=str(error))
    return ""
