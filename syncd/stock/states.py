"""What can be said of a listing in one word: whether it shows what it should, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncd.stock.rulebook import ChannelRules


class State(StrEnum):
    """One word for each listing; the first that applies, from what keeps it out to what it shows."""

    NOT_LISTED = "not_listed"
    GONE = "gone"
    UNMAPPED = "unmapped"
    NO_SKU = "no_sku"
    UNLINKED = "unlinked"
    AMBIGUOUS = "ambiguous"
    DUPLICATE = "duplicate"
    RELINKED = "relinked"
    UNMANAGED = "unmanaged"
    EXCLUDED = "excluded"
    ELSEWHERE = "elsewhere"
    TAGGED = "tagged"
    CHANNEL_OFF = "channel_off"
    NOT_COUNTED = "not_counted"
    PARKED = "parked"
    UPDATING = "updating"
    GONE_AT_SOURCE = "gone_at_source"
    KEEP_LAST = "keep_last"
    SILENT = "silent"
    IN_STEPS = "in_steps"
    RETIRED = "retired"
    SYNCED = "synced"


WORDS = {
    State.NOT_LISTED: "not listed",
    State.GONE: "gone",
    State.UNMAPPED: "location not mapped",
    State.NO_SKU: "no sku",
    State.UNLINKED: "unlinked",
    State.AMBIGUOUS: "ambiguous",
    State.DUPLICATE: "listed twice",
    State.RELINKED: "another item's sku",
    State.UNMANAGED: "stock not tracked",
    State.EXCLUDED: "excluded",
    State.ELSEWHERE: "not offered here",
    State.TAGGED: "excluded by tag",
    State.CHANNEL_OFF: "channel off",
    State.NOT_COUNTED: "not counted yet",
    State.PARKED: "refused",
    State.UPDATING: "updating",
    State.GONE_AT_SOURCE: "gone at the source",
    State.KEEP_LAST: "keeps its last number",
    State.SILENT: "channel silent: not raised",
    State.IN_STEPS: "raised in steps",
    State.RETIRED: "out of sale",
    State.SYNCED: "Listed & Synced",
}
"""As people read them."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a listing. `target` None: its item has no level there."""

    sku: str
    skip: str
    withheld: str
    managed: bool
    gone: bool
    orphaned: bool
    shown: int | None
    target: int | None
    writing: bool
    parked: bool
    retired: bool = False
    """It is out of sale while nothing is left."""


def state_of(rules: ChannelRules | None, known: Known) -> State:
    """The state of a listing; `rules` None: its channel is configured no more."""
    kept_out = _kept_out(rules, known)
    if kept_out is not None or rules is None:
        return kept_out or State.CHANNEL_OFF
    if known.target is None:
        return State.NOT_COUNTED
    if known.parked:
        return State.PARKED
    if known.shown == known.target and not known.writing:
        return _shown(known)
    withheld = rules.withholds(known.sku, known.target, known.shown, orphaned=known.orphaned)
    if withheld:
        return State(withheld)
    in_steps = not known.writing and rules.steps_up(known.sku, known.target, known.shown)
    return State.IN_STEPS if in_steps else State.UPDATING


def _shown(known: Known) -> State:
    """What is to be said of a listing that shows its target."""
    if known.orphaned:
        return State.GONE_AT_SOURCE
    return State.RETIRED if known.retired else State.SYNCED


def _kept_out(rules: ChannelRules | None, known: Known) -> State | None:
    """Why nothing is delivered to it, whatever it shows; None: it is."""
    if known.gone:
        return State.GONE
    if known.skip:
        return State(known.skip)
    if not known.managed:
        return State.UNMANAGED
    if rules is None or not (rules.enabled and rules.deliver):
        return State.CHANNEL_OFF
    left_out = rules.leaves_out(known.sku, known.withheld)
    return State(left_out) if left_out else None
