"""Why a listing shows what it shows, and what its delivery waits for: one word and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from syncd.db.bookmark import asked_by
from syncd.db.explain import ListingRow
from syncd.stock.decide import is_raise, needs_orders_first
from syncd.stock.policy import Zero
from syncd.stock.rulebook import ChannelRules

SAID = {
    "unlinked": "no item has its sku: it is linked when the source lists that sku",
    "no_sku": "it has no sku",
    "unmapped": "its location is mapped to no warehouse",
    "duplicate": "its sku is listed twice at this location: a person has to say which is meant",
    "relinked": "its sku became another item's: a person has to say which is meant",
    "unmanaged": "the platform does not track its stock",
    "gone": "the channel does not list it any more",
    "not_listed": "the channel does not list it",
    "excluded": "a rule excludes it",
    "quarantined": "another writer and syncd alternate on it: nothing is written until `syncd retry`",
    "channel_removed": "its channel is not configured any more",
    "silent": "nothing is heard of its channel, which is not raised until all it did meanwhile is known",
    "channel_off": "deliveries of this kind are switched off on its channel",
    Zero.KEEP_LAST: "nothing is left, and by its rules it keeps its number",
    "not_counted": "its item was never counted in this warehouse",
    "component_not_counted": "it is a bundle, and a component of it was never counted in this warehouse",
}

MANY = 100

Reason = tuple[str, str]


def said(word: str) -> Reason:
    """A word with its sentence."""
    return word, SAID.get(word, word.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a listing's state is told from besides its row. `stopped`: why its channel makes no calls."""

    rules: ChannelRules
    target: int
    changed_at: datetime | None
    now: datetime
    stopped: str = ""
    bundle: bool = False


def state_of(row: ListingRow, facts: Facts) -> Reason:
    """The state of a listing that is served: the first reason that holds."""
    return next(_reasons(row, facts))


def _reasons(row: ListingRow, facts: Facts) -> Iterator[Reason]:
    """Every reason that holds, in the order in which the lane would meet them."""
    rules, target = facts.rules, facts.target
    if row.attempt_id is not None:
        yield "writing", _writing(row)
    withheld = rules.withholds(row.sku, target, row.shown)
    if withheld and row.shown != target:
        yield said(withheld)
    if row.owed_at is None:
        yield _not_owed(row, facts)
    if row.parked_at is not None:
        yield "parked", f"the platform refused it: {row.outbox_reason}"
    if facts.stopped:
        yield "channel_stopped", f"its channel makes no calls: {facts.stopped}"
    if row.not_before is not None and row.not_before > facts.now:
        yield "put_off", f"put off after {row.tries} tries: {row.outbox_reason}"
    if needs_orders_first(
        blind=rules.blind or (facts.bundle and row.surprised_at is not None),
        raises=is_raise(target, row.shown),
        changed_at=max(filter(None, (facts.changed_at, row.surprised_at)), default=facts.now),
        orders_asked_at=asked_by(row.orders_asked_at, facts.now),
    ):
        yield "waits_for_orders", "it would rise, and waits until the channel's orders are fetched"
    if row.look is not None and not rules.blind:
        yield "read_first", f"it is read before it is written ({row.look})"
    before = f"{row.before_it}{'+' if row.before_it >= MANY else ''}"
    yield "owed", f"owed, and next in its lane; {before} of its channel were owed earlier"


def _writing(row: ListingRow) -> str:
    if not row.times_sent:
        return f"{row.to_quantity} is being written"
    return (
        f"{row.to_quantity} was sent {row.times_sent} times and has no clear answer yet:"
        " the same write goes again, or a reading settles it"
    )


def _not_owed(row: ListingRow, facts: Facts) -> Reason:
    if row.shown == facts.target:
        return "shown", "it shows its target"
    if facts.rules.steps_up(row.sku, facts.target, row.shown):
        return (
            "in_steps",
            "it is raised in steps: the next one follows with news of it, or with a sweep",
        )
    if row.look is not None:
        return "read_first", f"it is read first ({row.look})"
    if row.shown is None:
        return "unknown", "nobody knows what it shows: the next sweep reads it"
    return "differs", "it does not show its target and nothing is owed: the next sweep sees to it"
