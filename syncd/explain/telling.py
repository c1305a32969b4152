"""Tells how an item came to its numbers: read in one snapshot, derived by the rules that write, locking nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from syncd.db import accounts, history, ledger_marks, order_holds
from syncd.db import explain as rows_of
from syncd.db.explain import LevelRow, LineRow, ListingRow, SuspenseRow
from syncd.db.history import KindSum
from syncd.db.order_holds import Hold
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.explain.made import told_of
from syncd.explain.owed import own_since
from syncd.explain.shapes import (
    AccountPart,
    AttemptPart,
    DeliveryPart,
    Explanation,
    HoldPart,
    LinePart,
    ListingPart,
    MovementPart,
    SumPart,
    SuspensePart,
    WarehousePart,
    WritePart,
)
from syncd.explain.why import Facts, said, state_of
from syncd.fanout.owing import skip_reason
from syncd.stock.orders import order_of
from syncd.stock.policy import Derived, retold
from syncd.stock.rulebook import Asked, Rulebook

NEWEST = 10
LINES = 5
LINES_READ = 200
"""Of a sku's newest journal lines so many are looked through for those of each listing."""


async def explain(
    conn: Connection,
    rules: Rulebook,
    sku: str,
    now: datetime,
    *,
    channel: str | None = None,
    at: datetime | None = None,
) -> Explanation | None:
    """All there is to say of a sku, `at` a past instant or now; None: nothing is known of it.

    `channel`: of its listings only those there. The first thing its transaction does, which becomes
    one snapshot that writes nothing.
    """
    await history.snapshot(conn)
    item = await rows_of.item(conn, sku)
    if item.id is None and not item.listed:
        return None
    levels = await rows_of.levels(conn, item.id) if item.id is not None else []
    found = await rows_of.listings(conn, item.id, sku)
    listings = [row for row in found if channel in (None, row.channel)]
    until = at or now
    skus = sorted({sku, *(row.sku for row in listings)})
    told = await rows_of.newest_lines(conn, skus, until, LINES_READ)
    pairs = [(row.listing_id, row.sku) for row in listings]
    writes = {x.listing_id: x for x in await rows_of.last_writes(conn, pairs, until)}
    doubts = await rows_of.suspense(conn, [row.listing_id for row in listings])
    stopped = await rows_of.stopped(conn, sorted({row.channel for row in listings}), now)
    parts = []
    if item.id is not None:
        await history.own_plans(conn)
        marks = await ledger_marks.nearest(conn, item.id, at)
        kinds = await history.sums(conn, item.id, marks, at)
        ceilings = {m.warehouse_id: m.ceiling for m in marks}
        held = await accounts.told(conn, item.id) if at is None else []
        parts = [
            replace(
                await _warehouse(conn, item.id, row, kinds, ceilings.get(row.warehouse_id), at),
                accounts=tuple(
                    AccountPart(x.channel, x.units, x.going, x.coming)
                    for x in held
                    if x.warehouse_id == row.warehouse_id
                ),
            )
            for row in levels
            if row.seeded_at is not None
        ]
        if at is None and any(row.holds for row in levels):
            promised = await order_holds.open_holds(conn, sku=item.sku)
            parts = [replace(part, holds=_holds(part, promised)) for part in parts]
    own = await own_since(conn, item.id, at, listings, writes) if item.id and at else {}
    seen = _Seen(rules, levels, {p.warehouse: p.level for p in parts}, stopped, now, at, own)
    lines = _by_listing(told)
    return Explanation(
        sku,
        at,
        now,
        tuple(parts),
        tuple(
            seen.listing(row, writes.get(row.listing_id), lines[row.listing_id], doubts)
            for row in listings
        ),
        *await told_of(conn, sku, at),
    )


async def _warehouse(
    conn: Connection,
    item_id: int,
    row: LevelRow,
    kinds: Sequence[KindSum],
    ceiling: int | None,
    at: datetime | None,
) -> WarehousePart:
    """`ceiling`: no movement after this one was recorded by then."""
    own = sorted((k for k in kinds if k.warehouse_id == row.warehouse_id), key=_order)
    level = sum(k.units for k in own)
    before = None if ceiling is None else ceiling + 1
    newest = await history.movements(
        conn, item_id, [row.warehouse_id], NEWEST, before=before, until=at
    )
    found, left = [], level
    for moved in newest:
        found.append(
            MovementPart(
                moved.recorded_at,
                moved.occurred_at,
                moved.kind,
                moved.delta,
                left,
                moved.channel,
                order_of(moved.cause) or None,
                moved.actor,
                moved.note,
                moved.cause,
            )
        )
        left -= moved.delta
    return WarehousePart(
        row.warehouse,
        level,
        row.seeded_at,
        row.changed_at if at is None else None,
        tuple(SumPart(k.kind, k.count, k.units) for k in own),
        tuple(found),
    )


def _holds(part: WarehousePart, promised: Sequence[Hold]) -> tuple[HoldPart, ...]:
    return tuple(
        HoldPart(x.channel, x.number or x.order_id, x.units, x.taken, x.until)
        for x in promised
        if x.warehouse == part.warehouse
    )


def _order(one: KindSum) -> tuple[bool, str]:
    return one.kind != "seed", one.kind


def _by_listing(lines: Iterable[LineRow]) -> defaultdict[int | None, list[LinePart]]:
    found: defaultdict[int | None, list[LinePart]] = defaultdict(list)
    for line in lines:
        if len(found[line.listing_id]) < LINES:
            found[line.listing_id].append(_line(line))
    return found


def _line(row: LineRow) -> LinePart:
    return LinePart(row.at, row.outcome, row.before, row.after, row.reason, _loaded(row.detail))


def _loaded(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text is not None else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What all listings of an item are explained from."""

    rules: Rulebook
    standings: Sequence[LevelRow]
    levels: Mapping[str, int]
    stopped: Mapping[str, str]
    now: datetime
    at: datetime | None
    own: Mapping[int, int]

    def listing(
        self,
        row: ListingRow,
        write: LineRow | None,
        lines: Sequence[LinePart],
        doubts: Sequence[SuspenseRow],
    ) -> ListingPart:
        linked = self.standings if row.item_id is not None else ()
        standing = next((x for x in linked if x.warehouse_id == row.warehouse_id), None)
        written = _write(write) if write is not None else None
        part = ListingPart(
            row.channel,
            row.platform,
            row.location,
            row.remote,
            row.sku,
            row.title,
            standing.warehouse if standing else None,
            None,
            (),
            None,
            *said("not_counted"),
            row.shown,
            row.shown_at,
            write=written,
            lines=tuple(lines),
        )
        if self.at is not None:
            return self._then(part, row, standing, written)
        part = replace(
            part,
            observed=row.observed,
            observed_at=row.observed_at,
            look=row.look,
            delivery=_delivery(row),
            attempt=_attempt(row),
            suspense=tuple(
                SuspensePart(x.id, x.reason, tuple(x.candidates), x.proposal, x.created_at)
                for x in doubts
                if x.listing_id == row.listing_id
            ),
        )
        return self._now(part, row, standing)

    def _now(self, part: ListingPart, row: ListingRow, standing: LevelRow | None) -> ListingPart:
        rules = self.rules.channels.get(row.channel_id)
        skipped = skip_reason(_shelf(row), rules)
        if rules is None or standing is None or standing.quantity is None:
            return _because(part, skipped or _uncounted(row, standing))
        none = self.rules.shows_none(standing.warehouse_id, orphaned=row.orphaned)
        asked = Asked(
            row.listing_id, row.sku, standing.warehouse_id, none, row.keeps, shown=row.shown
        )
        derived = rules.derive(asked, standing)
        part = _derived(part, derived)
        if skipped:
            return _because(part, skipped)
        stopped = self.stopped.get(row.channel, "")
        made = standing.parts is not None
        facts = Facts(rules, derived.target, standing.changed_at, self.now, stopped, made)
        state, why = state_of(row, facts)
        return replace(part, state=state, why=why)

    def _then(
        self,
        part: ListingPart,
        row: ListingRow,
        standing: LevelRow | None,
        write: WritePart | None,
    ) -> ListingPart:
        """As it was: the level of then, by the rules of the newest write until then."""
        part = replace(part, shown=None, shown_at=None)
        if standing is None:
            return _because(part, _uncounted(row, standing))
        if write is None:
            return replace(
                part, state="not_written", why="nothing is recorded of a write of it until then"
            )
        if write.line.outcome == "delivered":
            part = replace(part, shown=write.line.after, shown_at=write.line.at)
        level = self.levels.get(standing.warehouse, 0)  # a bundle may have none
        derived = _retold(level, write.inputs)
        if derived is not None:
            part = _derived(part, derived)
        why = "by the rules of the newest write until then, and the level of then"
        own = self.own.get(row.listing_id)
        if part.target is None or part.shown is None or own is None:
            return replace(part, state="then", why=why)
        showed = part.shown + own  # what it sold itself it lowered itself
        if showed == part.target:
            return replace(part, state="then", why=why)
        why = f"{part.target} was owed where it showed {showed}: {why}"
        return replace(part, state="then_owed", why=why, owed=part.target)


def _uncounted(row: ListingRow, standing: LevelRow | None) -> str:
    """Why there is no target: the word for it."""
    if row.item_id is None:
        return "unlinked"
    return "not_counted" if standing is None or standing.parts is None else "component_not_counted"


def _because(part: ListingPart, word: str) -> ListingPart:
    state, why = said(word)
    return replace(part, state=state, why=why)


def _derived(part: ListingPart, derived: Derived) -> ListingPart:
    return replace(part, target=derived.target, steps=derived.steps, zero=str(derived.zero))


def _retold(level: int, inputs: Mapping[str, Any] | None) -> Derived | None:
    """The target again; None where rules stored it that this version does not know."""
    try:
        return retold(level, None if inputs is None else {**inputs, "level": level})
    except (TypeError, ValueError, KeyError):
        return None


def _write(row: LineRow) -> WritePart:
    detail = _loaded(row.detail) or {}
    level, inputs = detail.get("level"), detail.get("inputs")
    derived = _retold(level, inputs) if level is not None else None
    return WritePart(
        _line(row),
        detail["attempt"],
        detail.get("op"),
        level,
        inputs,
        derived.steps if derived else (),
        derived.target if derived else None,
    )


def _delivery(row: ListingRow) -> DeliveryPart | None:
    if row.owed_at is None:
        return None
    return DeliveryPart(
        row.owed_at,
        row.version or 0,
        row.risk or 0,
        bool(row.forced),
        row.tries or 0,
        row.not_before or row.owed_at,
        row.parked_at,
        row.outbox_reason or "",
        row.before_it,
    )


def _attempt(row: ListingRow) -> AttemptPart | None:
    if row.attempt_id is None or row.created_at is None:
        return None
    return AttemptPart(
        str(row.attempt_id),
        row.op or "",
        row.rows,
        row.from_quantity,
        row.to_quantity or 0,
        row.level or 0,
        _loaded(row.inputs),
        row.created_at,
        row.times_sent or 0,
        row.last_sent_at,
        row.attempt_not_before or row.created_at,
    )


def _shelf(row: ListingRow) -> Shelf:
    return Shelf(
        listing_id=row.listing_id,
        channel_id=row.channel_id,
        location=row.location,
        sku=row.sku,
        item_id=row.item_id,
        warehouse_id=row.warehouse_id,
        managed=row.managed,
        skip=row.skip,
        withheld=row.withheld,
        orphaned=row.orphaned,
        gone=row.gone_at is not None,
        shown=row.shown,
        shown_at=row.shown_at,
        turn=0,
        attempt_open=row.attempt_id is not None,
        lag_asks=0,
        quarantined=bool(row.quarantined),
        held_by=row.held_by,
        keeps=row.keeps,
        held=row.held,
    )
