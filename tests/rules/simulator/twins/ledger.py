"""Twins of `syncd.db.ledger`, and of what `syncd.db.catalog` says while a catalogue stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from syncd.db.catalog import LineFound
from syncd.db.ledger import LevelNow, LineRow, Note, OrderRow
from tests.rules.simulator.tables import LevelRow, OrderState, Tables, made
from tests.rules.simulator.twins.shelf import distinct


async def enter_orders(t: Tables, orders: Sequence[Any]) -> list[OrderRow]:
    keys = [(o.channel_id, o.order_id) for o in orders]
    distinct(keys)
    found = []
    for key, o in sorted(zip(keys, orders, strict=True), key=lambda pair: pair[0]):
        known = t.orders.get(key)
        if known is None:
            t.orders[key] = OrderState(o.number, o.version, o.digest, o.terminal, o.placed_at)
        now = t.orders[key]
        found.append(OrderRow(*key, now.version, now.digest, now.terminal, known is None))
    return found


async def update_orders(t: Tables, orders: Sequence[Any]) -> None:
    for o in orders:
        known = t.orders[o.channel_id, o.order_id]
        known.version, known.digest, known.terminal = o.version, o.digest, o.terminal
        known.number = o.number or known.number


async def forget_orders(t: Tables, orders: Sequence[tuple[int, str]]) -> None:
    for key in orders:
        t.orders.pop(key, None)


async def lines(t: Tables, orders: Sequence[tuple[int, str]]) -> list[LineRow]:
    found = []
    for key in orders:
        for row in t.lines.get(key, {}).values():
            level = t.levels.get((row.item_id, row.warehouse_id))
            found.append(_with(row, level.seeded_at if level else None))
    return found


def _with(row: LineRow, seeded_at: datetime | None) -> LineRow:
    return replace(row, seeded_at=seeded_at)


async def keep_lines(t: Tables, rows: Sequence[LineRow]) -> None:
    distinct([(r.channel_id, r.order_id, r.line_id, r.location, r.part) for r in rows])
    for row in rows:
        of_order, key = t.lines[row.channel_id, row.order_id], (row.line_id, row.location)
        known = of_order.get(key)
        terms = _TERMS if known is None else {name: getattr(known, name) for name in _TERMS}
        of_order[key] = replace(_with(row, None), **terms)


_TERMS: dict[str, Any] = {"held": 0, "held_until": None, "based": None, "came_back": None}


async def order_holds_keep(t: Tables, rows: Sequence[LineRow]) -> None:
    for row in rows:
        of_order, key = t.lines[row.channel_id, row.order_id], (row.line_id, row.location)
        of_order[key] = replace(of_order[key], **{name: getattr(row, name) for name in _TERMS})


async def order_holds_end(t: Tables, orders: Sequence[tuple[int, str]]) -> None:
    for order in orders:
        of_order = t.lines.get(order, {})
        for key, row in of_order.items():
            if row.held:
                of_order[key] = replace(row, held_until=datetime.min.replace(tzinfo=UTC))


async def book(
    t: Tables, movements: Sequence[Any], now: datetime, counted_at: datetime | None = None
) -> list[LevelNow]:
    sums: dict[tuple[int, int], int] = {}
    for m in movements:
        name = m.item_id, m.warehouse_id, m.cause
        if name not in t.movements:
            t.movements[name] = m
            key = m.item_id, m.warehouse_id
            sums[key] = sums.get(key, 0) + m.delta
    found = []
    for key in sorted(sums):
        level = t.levels.get(key)
        if level is None:
            t.levels[key] = level = LevelRow(0, now, counted_at or now)
        level.quantity += sums[key]
        level.changed_at = now
        found.append(_level(t, key, sums[key]))
    return found


async def levels(t: Tables, keys: Sequence[tuple[int, int]]) -> list[LevelNow]:
    return [_level(t, key, 0) for key in keys if key in t.levels]


def standing(t: Tables, key: tuple[int, int]) -> LevelNow:
    """How an item stands in a warehouse."""
    return _level(t, key, 0)


def _level(t: Tables, key: tuple[int, int], delta: int) -> LevelNow:
    quantity = t.levels[key].quantity
    return made(
        LevelNow,
        item_id=key[0],
        warehouse_id=key[1],
        quantity=quantity,
        delta=delta,
        suspects=suspects(t, key),
        holds=holds(t, key),
    )


def holds(t: Tables, key: tuple[int | None, int | None]) -> list[list[int]] | None:
    """What orders promise, as (listing, own, others)."""
    found: dict[int, list[int]] = {}
    for of_order in t.lines.values():
        for row in of_order.values():
            if row.held and (row.item_id, row.warehouse_id) == key:
                one = found.setdefault(row.listing_id or 0, [row.listing_id or 0, 0, 0])
                one[1] += min(row.held, max(row.taken - row.booked, 0))
                one[2] += row.held
    return list(found.values()) or None


def suspects(t: Tables, key: tuple[int | None, int | None]) -> list[list[int]] | None:
    """Open amounts as (listing, own, others): what is in suspense and what is suspected."""
    found = [[one, own, others] for one, (of, own, others) in t.suspicions.items() if of == key]
    for one, doubt in t.doubts:
        x = t.listings[one]
        if (x.item_id, x.warehouse_id) == key and doubt.counted:
            found.append([one, doubt.proposal, min(0, *doubt.candidates)])
    return found or None


async def counting(_: Tables) -> None:
    """Transactions here never overlap."""


async def uncounted(_: Tables) -> None:
    """Transactions here never overlap."""


async def annotate(t: Tables, notes: Sequence[tuple[int, str, str, str, int, datetime]]) -> None:
    t.annotations += [(*note[:3], str(note[3]), *note[4:]) for note in notes]  # type: ignore[misc]


async def take_annotations(
    t: Tables, readings: Sequence[tuple[int, datetime | None, int]]
) -> list[Note]:
    taken: list[Any] = []
    for listing, at, delta in readings:
        ours = [note for note in t.annotations if note[0] == listing]
        fits = sum(note[4] for note in ours) == delta
        taken += [note for note in ours if fits or at is None or note[5] <= at]
    t.annotations = [note for note in t.annotations if note not in taken]
    return [Note(note[0], note[3], note[2] or note[1], note[4], note[5]) for note in taken]


async def catalog_resolve(t: Tables, wanted: Sequence[Any]) -> list[LineFound]:
    return [_resolved(t, w) for w in wanted]


def _resolved(t: Tables, w: Any) -> LineFound:
    one = t.named.get((w.channel_id, w.location, w.remote))
    if one is None:
        return LineFound(None, None, w.warehouse_id, None, bundle=False)
    x = t.listings[one]
    level = t.level_of(x)
    seeded_at = level.seeded_at if level else None
    return LineFound(x.id, x.item_id, x.warehouse_id, seeded_at, bundle=False, managed=x.managed)


async def catalog_live_listings(
    t: Tables, channel_id: int, after: int, limit: int
) -> list[tuple[int, str]]:
    found = [
        (x.id, x.remote)
        for x in t.listings.values()
        if x.channel_id == channel_id and x.gone_at is None and x.id > after
    ]
    return sorted(found)[:limit]


async def catalog_levels_of_listings(
    t: Tables, listing_ids: Sequence[int]
) -> list[tuple[int, int]]:
    found = {(t.listings[i].item_id, t.listings[i].warehouse_id) for i in listing_ids}
    return sorted(key for key in found if None not in key)  # type: ignore[misc]


async def standing_date(t: Tables, keys: Sequence[tuple[int, int]], now: datetime) -> None:
    for key in keys:
        if key in t.levels:
            t.levels[key].changed_at = now


async def suspicion_keep(t: Tables, amounts: Sequence[Any], now: datetime) -> list[tuple[int, int]]:
    changed = set()
    for a in amounts:
        key = a.item_id, a.warehouse_id
        before = t.suspicions.get(a.listing_id)
        after = (key, a.own, a.others) if a.own or a.others else None
        if before == after:
            continue
        if after is None:
            assert before is not None
            changed.add(before[0])
            del t.suspicions[a.listing_id]
        else:
            changed.add(key)
            t.suspicions[a.listing_id] = after
    await standing_date(t, sorted(changed), now)
    return sorted(changed)
