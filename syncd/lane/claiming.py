"""Claiming: of what a lane owes, the batch that goes now, with targets computed under its locks."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from syncd.connectors.base import Capabilities, WriteKind, WriteOp
from syncd.db import announcing, attempts, outbox, shelf, stretches
from syncd.db.attempts import Attempt, AttemptRow, OpenRow
from syncd.db.bookmark import asked_by
from syncd.db.journal import Line
from syncd.db.outbox import Candidate, Wanted
from syncd.db.pool import Connection
from syncd.fanout import Booking
from syncd.stock.claims import Ready, Way, batch, way
from syncd.stock.decide import is_raise, needs_orders_first
from syncd.stock.rulebook import Asked, ChannelRules

READ_FIRST = timedelta(milliseconds=500)
"""A compared write waits this long for a wished reading; then it goes as a delta."""

FRESH = timedelta(seconds=30)
"""Where edits are inferred, a reading stands before a write for so long: an order fetch may lie
between the two."""

FIRST_TRY = timedelta(seconds=45)
"""An attempt nobody settled in this time is taken up again: longer than any call may last."""


@dataclass(slots=True)
class Claim:
    """What was claimed: the rows of one stored attempt, in its order; empty for none."""

    rows: list[OpenRow] = field(default_factory=list)
    dropped: int = 0
    waits_for_orders: bool = False


@dataclass(frozen=True, slots=True)
class _Pick:
    """A candidate that is to be written, with its target and how."""

    candidate: Candidate
    want: Wanted
    target: int
    way: Way


async def claim(
    conn: Connection,
    booking: Booking,
    rules: ChannelRules,
    caps: Capabilities,
    key: UUID,
    lease_gen: int,
    among: Sequence[int] | None = None,
) -> Claim:
    """Store one attempt for the most urgent batch that can go now, `among` these listings or of all.

    Listings that show their target already are owed nothing and leave the outbox. Where edits are
    inferred, `among` are those that were read just before.
    """
    if among is not None:
        found = await outbox.candidates_among(conn, among, booking.now)
    else:
        found = await outbox.candidates(
            conn,
            rules.id,
            booking.now,
            caps.batch_max,
            owed_before=booking.now - READ_FIRST,
            despite_looks=caps.write is not WriteKind.CAS,
        )
    held: list[int] = []
    if rules.follows_edits and found:
        found, held = await _between_readings(conn, booking, found, among or ())
    if held:
        await outbox.drop(conn, held)
    if not found:
        return Claim(dropped=len(held))
    wanted = await outbox.wanted(conn, [c.listing_id for c in found])
    sorted_out = _sort_out(booking, rules, caps, found, wanted)
    if sorted_out.dropped:
        await outbox.drop(conn, sorted_out.dropped)
    if sorted_out.unread:
        await shelf.wish(conn, sorted_out.unread, "unread", booking.now)
        booking.lanes.add(rules.id)
    made = Claim([], len(held) + len(sorted_out.dropped), sorted_out.waits_for_orders)
    chosen = choose(sorted_out.picks, booking.now, caps.batch_max)
    if chosen:
        made.rows = await _open(conn, booking, rules, key, lease_gen, chosen)
    return made


async def _between_readings(
    conn: Connection, booking: Booking, found: Sequence[Candidate], read: Collection[int]
) -> tuple[list[Candidate], list[int]]:
    """Of these, those that may be written where edits are inferred; and those a person is asked about.

    A write begins a stretch at the reading before it: what was not read just now, or waits for a
    write that may still land, stays owed.
    """
    before = await stretches.before(conn, [c.listing_id for c in found])
    may, held = [], []
    for candidate in found:
        known = before[candidate.listing_id]
        if known.held:
            held.append(candidate.listing_id)
            booking.skip(
                Line(
                    "skipped",
                    candidate.sku,
                    candidate.channel_id,
                    candidate.listing_id,
                    candidate.shown,
                    reason="asked",
                )
            )
            continue
        fresh = known.read_at is not None and booking.now - known.read_at <= FRESH
        # a bundle's edits are never booked: it has been read, and that is enough
        ready = candidate.bundle or (fresh and not known.waits)
        if candidate.listing_id in read and ready:
            may.append(candidate)
    return may, held


@dataclass(slots=True)
class _Sorted:
    """Candidates by what happens to them."""

    picks: list[_Pick] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    waits_for_orders: bool = False


def _sort_out(
    booking: Booking,
    rules: ChannelRules,
    caps: Capabilities,
    found: Sequence[Candidate],
    wanted: dict[int, Wanted],
) -> _Sorted:
    done = _Sorted()
    for candidate in found:
        want = wanted.get(candidate.listing_id)
        if want is None:
            continue
        unsure = candidate.held_by is not None and candidate.keeps is None
        if unsure or want.quantity is None or not want.served:
            done.dropped.append(candidate.listing_id)
            continue
        wants = rules.target_of(_asked(booking, candidate), want)
        if not _served(booking, rules, candidate, wants):
            done.dropped.append(candidate.listing_id)
            continue
        if caps.write is WriteKind.CAS and candidate.shown is None:
            done.unread.append(candidate.listing_id)
            continue
        pick = _pick(caps, rules, candidate, want, wants)
        if pick is None:
            done.dropped.append(candidate.listing_id)
        elif _waits_for_orders(rules, candidate, want, pick.target, booking.now):
            done.waits_for_orders = True
        else:
            done.picks.append(pick)
    return done


def _waits_for_orders(
    rules: ChannelRules, candidate: Candidate, want: Wanted, target: int, now: datetime
) -> bool:
    """A comparison protects every sale but those that a reading showed and no order has told yet.

    Of a bundle orders tell every sale, also where levels are the truth.
    """
    by_orders = rules.guarded or (want.parts is not None and not rules.blind)
    guarded = by_orders and want.surprised_at is not None
    changed_at = want.surprised_at if guarded else want.changed_at
    return needs_orders_first(
        blind=rules.blind or guarded,
        raises=is_raise(target, candidate.shown),
        changed_at=changed_at or now,
        orders_asked_at=asked_by(want.orders_asked_at, now),
    )


def _asked(booking: Booking, candidate: Candidate) -> Asked:
    warehouse_id = candidate.warehouse_id
    none = booking.rules.shows_none(warehouse_id, orphaned=candidate.orphaned)
    return Asked(
        candidate.listing_id, candidate.sku, warehouse_id, none, candidate.keeps, candidate.shown
    )


def _served(booking: Booking, rules: ChannelRules, candidate: Candidate, wants: int) -> bool:
    """False where the operator's switches or rules take the listing out, which is journalled."""
    reason = rules.leaves_out(candidate.sku, candidate.withheld) or rules.withholds(
        candidate.sku, wants, candidate.shown, orphaned=candidate.orphaned
    )
    if not reason:
        return True
    booking.skip(
        Line(
            "skipped", candidate.sku, rules.id, candidate.listing_id, candidate.shown, wants, reason
        )
    )
    return False


def _pick(
    caps: Capabilities, rules: ChannelRules, candidate: Candidate, want: Wanted, wants: int
) -> _Pick | None:
    """How a candidate is written; None: it shows its target already.

    Where edits are inferred it was read just now: a delta would leave open what it made.
    """
    follows = rules.follows_edits
    how = way(
        wants,
        candidate.shown,
        compared=caps.write is WriteKind.CAS,
        forced=want.forced,
        stale_times=0 if follows else candidate.stale_times,
        looking=candidate.looking and not follows,
    )
    return _Pick(candidate, want, wants, how) if how is not None else None


def choose(picks: Sequence[_Pick], now: datetime, batch_max: int) -> list[_Pick]:
    """One batch: rows that can share a write, the most urgent first, and what starves before them."""
    ready = [
        Ready(p.way, p.candidate.owed_at, p.candidate.batch_group, p.candidate.batch_cap)
        for p in picks
    ]
    return [picks[place] for place in batch(ready, now, batch_max)]


async def _open(
    conn: Connection,
    booking: Booking,
    rules: ChannelRules,
    key: UUID,
    lease_gen: int,
    chosen: Sequence[_Pick],
) -> list[OpenRow]:
    op = WriteOp.DELTA if chosen[0].way.delta else WriteOp.SET
    attempt = Attempt(key, rules.id, op, booking.now, booking.now + FIRST_TRY)
    rows = [_row(booking, rules, pick) for pick in chosen]
    if not await attempts.open_attempt(conn, attempt, lease_gen, rows):
        return []
    steps = [
        p.candidate.listing_id
        for p in chosen
        if rules.steps_up(p.candidate.sku, p.target, p.candidate.shown)
    ]
    if steps:
        await announcing.announce(conn, sorted(steps), booking.now)
    return [
        OpenRow(
            key,
            op,
            booking.now,
            0,
            None,
            p.candidate.listing_id,
            p.candidate.remote,
            p.candidate.location,
            p.candidate.sku,
            p.candidate.batch_group,
            row.from_quantity,
            row.to_quantity,
            row.level,
            row.version,
            row.received_at,
            row.inputs,
        )
        for p, row in zip(chosen, rows, strict=True)
    ]


def _row(booking: Booking, rules: ChannelRules, pick: _Pick) -> AttemptRow:
    assert pick.want.quantity is not None
    inputs = rules.kept(_asked(booking, pick.candidate), pick.want)
    return AttemptRow(
        pick.candidate.listing_id,
        pick.candidate.shown,
        pick.target,
        pick.want.quantity,
        pick.want.version,
        pick.want.received_at,
        None if inputs is None else json.dumps(inputs),
    )
