"""The rules in force beside those configured: what may change at once, and what takes a cut-over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from syncd.app.build import moved, rulebook_of
from syncd.app.bundles import problems_with
from syncd.config import Settings
from syncd.corridor import Core
from syncd.db import catalog, cutovers, hearing, order_holds, status, switches
from syncd.db.cutovers import RuleRow
from syncd.db.pool import Connection
from syncd.errors import ConfigError
from syncd.lane.cutover import row_of
from syncd.stock.cutover import CutOver, InForceRule, held_to, rule_of
from syncd.stock.model import Edits, Truth
from syncd.stock.rulebook import INTERNAL, ChannelRules, Rulebook, quieted, switched, with_claimants


@dataclass(frozen=True, slots=True)
class InForce:
    """The rulebook to book by, and the cut-overs (by channel) that lead to the configured one.

    `fresh`: rules that may hold at once and are to be kept; `off`: channels configured no more.
    """

    rulebook: Rulebook
    pending: Mapping[str, CutOver]
    fresh: Sequence[RuleRow]
    off: Sequence[int]


async def in_force(conn: Connection, settings: Settings) -> InForce:
    """Enter the configured names and compare what is configured with what is in force.

    Raises ConfigError.
    """
    problems = moved(settings, await status.platforms(conn))
    problems += await problems_with(conn, settings)
    if problems:
        raise ConfigError(problems)
    channels = {
        name: await catalog.enter_channel(conn, name, channel.platform)
        for name, channel in sorted(settings.channels.items())
    }
    channels[INTERNAL] = await catalog.enter_channel(conn, INTERNAL, "api")
    warehouses = {
        name: await catalog.enter_warehouse(conn, name) for name in sorted(settings.warehouses)
    }
    book = rulebook_of(settings, channels, warehouses)
    wanted = switched(book, await switches.switched(conn))
    stored, places = await cutovers.rules(conn), await cutovers.places(conn)
    held: dict[int, InForceRule] = {}
    fresh: list[RuleRow] = []
    pending: dict[str, CutOver] = {}
    for rules in wanted.channels.values():
        old = _old(stored.get(rules.id), rules, places.get(rules.id, {}))
        new = replace(rule_of(rules), cut_at=old.cut_at)
        change = CutOver(old, new, tuple(sorted(places.get(rules.id, {}))))
        if change.needed:
            kept = replace(old, enabled=old.enabled and new.enabled)
            held[rules.id] = kept
            if new.enabled:
                pending[rules.name] = change
        else:
            kept = held[rules.id] = new
        if rules.id not in stored or _rule(stored[rules.id]) != kept:
            fresh.append(row_of(rules.id, kept))
    off = sorted(set(stored) - set(channels.values()))
    rules_now = [held_to(rules, held[rules.id]) for rules in wanted.channels.values()]
    book = replace(wanted, channels=with_claimants(rules_now))
    return InForce(quieted(book, await hearing.silent(conn)), pending, fresh, off)


async def off_in_force(core: Core) -> set[str]:
    """Channels that are on while the rule in force says off. Raises DatabaseAway."""
    async with core.db.statement("rules_in_force") as conn:
        stored = await cutovers.rules(conn)
    return {
        rules.name
        for rules in core.rulebook.channels.values()
        if rules.enabled and rules.id in stored and not stored[rules.id].enabled
    }


async def keep(conn: Connection, found: InForce, now: datetime) -> None:
    """What needs no cut-over is in force from this transaction on."""
    for row in found.fresh:
        await cutovers.keep_rule(conn, row, now)
    await cutovers.switch_off(conn, found.off)
    await order_holds.end_all(conn, found.off)


def _old(row: RuleRow | None, rules: ChannelRules, places: Mapping[str, int | None]) -> InForceRule:
    """The rule in force; of a channel that has none stored, as its listings were counted."""
    if row is not None:
        return _rule(row)
    fed = {place: warehouse for place, warehouse in places.items() if warehouse is not None}
    configured = rule_of(rules)
    return replace(configured, locations={**configured.locations, **fed})


def _rule(row: RuleRow) -> InForceRule:
    return InForceRule(Truth(row.truth), Edits(row.edits), row.enabled, row.locations, row.cut_at)
