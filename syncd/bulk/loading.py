"""A file of counts becomes a plan: every row is checked before anything of it may be made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from syncd.db import bundles, levels, plan_rows, plans
from syncd.db.levels import Listed
from syncd.db.plan_rows import NewRow
from syncd.db.pool import Database
from syncd.fanout.counting import foreseen
from syncd.stock.counts import Counted as Of
from syncd.stock.plans import Radius, Reach, Tally
from syncd.stock.rulebook import Asked, Rulebook
from syncd.stock.sheet import (
    Complaint,
    Counted,
    Layout,
    Said,
    Unstocked,
    of_bundle,
    read,
    unknown_sku,
)
from syncd.stock.standing import Part

CHUNK = 10_000
TOLD = 1000
"""So many complaints are kept word for word; the rest is counted."""

CLOCKS = timedelta(minutes=1)
"""A count may be dated so far ahead of our clock."""

_SHORT_FORM = re.compile(r"\d([.,]\d+)?[eE]\+\d+")

Progress = Callable[[str, int], None]
"""Told what is being done, and how many rows of it are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a file is to be read, and what becomes of it."""

    title: str
    actor: str
    warehouse: str | None = None
    """Where the file names none."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Warehouses by other names that the file has for them."""
    counted_at: datetime | None = None
    """None: what a row's stamp says, else now."""
    sets: bool = False
    """Central edits, over what was exported or is there now; else counts."""
    on_hand: bool = False
    """It counts what lies there: what is sold and neither picked nor shipped is subtracted."""
    new_items: bool = False
    skip_unknown: bool = False
    expires_in: timedelta | None = None
    radius: Radius = field(default_factory=Radius)


@dataclass(slots=True)
class Loaded:
    """What became of a file. `plan_id` None: nothing is to be done, or something is wrong."""

    plan_id: int | None = None
    complaints: list[Complaint] = field(default_factory=list)
    wrong: int = 0
    """How many complaints there are, kept or not."""
    rows: int = 0
    untouched: int = 0
    unstocked: int = 0
    unknown: int = 0
    """Rows left out since no item has their sku."""
    tally: Tally = field(default_factory=Tally)
    reaches: dict[str, Reach] = field(default_factory=dict)
    above: list[str] = field(default_factory=list)
    """Channels on which it changes more than the blast radius."""

    def complain(self, *found: Complaint) -> None:
        self.wrong += len(found)
        self.complaints += found[: max(0, TOLD - len(self.complaints))]

    def summary(self) -> dict[str, object]:
        """What the plan's row keeps."""
        t = self.tally
        return {
            "rows": t.rows, "changed": t.changed, "new": t.new, "raised": t.raised,
            "lowered": t.lowered, "zeroed": t.zeroed, "units_up": t.units_up,
            "units_down": t.units_down, "untouched": self.untouched, "unstocked": self.unstocked,
            "unknown": self.unknown, "above_blast_radius": self.above,
            "channels": {
                name: {
                    "listings": r.listings, "zeroed": r.zeroed, "raised": r.raised,
                    "lowered": r.lowered, "units_up": r.units_up, "units_down": r.units_down,
                }
                for name, r in sorted(self.reaches.items())
            },
        }  # fmt: skip


async def load(
    db: Database,
    rulebook: Rulebook,
    lines: Iterable[str],
    wanted: Wanted,
    now: datetime,
    progress: Progress = lambda _what, _rows: None,
) -> Loaded:
    """Read a file into an open plan, or say everything that is wrong with it and keep nothing.

    Memory does not grow with the file. Raises DatabaseAway.
    """
    done = Loaded()
    async with db.transaction("plan_enter") as conn:
        places = await levels.warehouses(conn)
        plan_id = await plans.enter(
            conn,
            "set" if wanted.sets else "import",
            wanted.title,
            wanted.actor,
            now,
            expires_at=now + wanted.expires_in if wanted.expires_in else None,
        )
    try:
        await _Loading(db, plan_id, wanted, places, now, done).run(lines, progress)
        if not done.wrong and done.rows:
            await weigh(db, rulebook, plan_id, wanted.radius, done, progress)
            async with db.transaction("plan_open") as conn:
                await plans.open_plan(conn, plan_id, done.rows, done.summary())
            done.plan_id = plan_id
    finally:
        if done.plan_id is None:
            async with db.transaction("plan_forget") as conn:
                await plans.forget(conn, plan_id)
    done.complaints.sort(key=lambda one: one.row)
    return done


class _Loading:
    """Carries the rows of one file into the rows of one plan."""

    def __init__(
        self,
        db: Database,
        plan_id: int,
        wanted: Wanted,
        places: Mapping[str, int],
        now: datetime,
        done: Loaded,
    ) -> None:
        self._db, self._plan_id, self._wanted = db, plan_id, wanted
        self._places, self._now, self._done = places, now, done
        self._unknown: list[tuple[int, str]] = []

    async def run(self, lines: Iterable[str], progress: Progress) -> None:
        names = {name: name for name in self._places} | dict(self._wanted.names)
        for said, name in self._wanted.names.items():
            if name not in self._places:
                self._done.complain(Complaint(0, f"{said}: no warehouse is named {name}"))
        if self._wanted.warehouse not in (None, *self._places):
            self._done.complain(Complaint(0, f"no warehouse is named {self._wanted.warehouse}"))
        if self._wanted.sets and self._wanted.on_hand:
            self._done.complain(Complaint(0, "a number that is set is no count of what lies there"))
        if self._done.wrong:
            return
        found = read(lines, names, self._wanted.warehouse, on_hand=self._wanted.on_hand)
        self._layout(next(found))
        read_rows = 0
        while chunk := list(islice(self._rows(found), CHUNK)):
            read_rows += len(chunk)
            await self._store(chunk)
            progress("read", read_rows)
        await self._judge_skus()

    def _layout(self, first: Layout | Said) -> None:
        if isinstance(first, Complaint):
            self._done.complain(first)
        elif isinstance(first, Layout) and first.on_hand and not self._wanted.on_hand:
            self._done.complain(
                Complaint(1, "the quantities lie on hand, sold units included: say --on-hand if that "
                             "is what was counted, or give a column of what is available")
            )  # fmt: skip

    def _rows(self, found: Iterator[Layout | Said]) -> Iterator[Counted]:
        """Rows that count something new; everything else is noted."""
        for said in found:
            if isinstance(said, Complaint):
                self._done.complain(said)
            elif isinstance(said, Unstocked):
                self._done.unstocked += 1
            elif isinstance(said, Counted):
                recounted = self._wanted.counted_at is not None or self._wanted.on_hand
                if said.untouched and not recounted:
                    self._done.untouched += 1
                elif said.at is not None and said.at > self._now + CLOCKS:
                    when = f"{said.at:%Y-%m-%d %H:%M:%SZ}"
                    self._done.complain(Complaint(said.row, f"{said.sku}: {when} is still to come"))
                else:
                    yield said

    async def _store(self, chunk: Sequence[Counted]) -> None:
        async with self._db.transaction("plan_load") as conn:
            ids, made_of = await bundles.kinds(conn, [one.sku for one in chunk])
            for one in chunk if made_of else ():
                if one.sku in made_of:
                    self._done.complain(Complaint(one.row, of_bundle(one.sku, made_of[one.sku])))
            rows = [row for one in chunk if (row := self._row(one, ids.get(one.sku))) is not None]
            if rows and not self._done.wrong:
                # nothing that is wrong is kept, so the rest is only checked
                await plan_rows.copy_rows(conn, self._plan_id, self._done.rows + 1, rows)
                self._done.rows += len(rows)

    def _row(self, one: Counted, item_id: int | None) -> NewRow | None:
        wanted = self._wanted
        if item_id is None:
            short_form = _SHORT_FORM.fullmatch(one.sku) is not None
            if wanted.skip_unknown:
                self._done.unknown += 1
                return None
            if not wanted.new_items or short_form:
                self._done.wrong += 1
                if len(self._unknown) < TOLD:
                    self._unknown.append((one.row, one.sku))
                return None
        counted_at = wanted.counted_at or (None if wanted.sets else one.at or self._now)
        seen = one.exported if wanted.sets and counted_at is None else None
        return NewRow(
            one.row, one.sku, item_id, self._places[one.warehouse], one.quantity, seen,
            counted_at=counted_at, counted=Of.ON_HAND if wanted.on_hand else Of.AVAILABLE,
        )  # fmt: skip

    async def _judge_skus(self) -> None:
        """Complain of unknown skus, and of those that stand there twice."""
        done, unknown = self._done, self._unknown
        async with self._db.transaction("plan_judge") as conn:
            likely = (
                await plan_rows.likely_skus(conn, [sku for _, sku in unknown]) if unknown else {}
            )
            done.complaints += [
                Complaint(row, unknown_sku(sku, likely.get(sku))) for row, sku in unknown
            ]
            if done.wrong:
                return
            if self._wanted.new_items:
                for row, sku, known in await plan_rows.lost_zeros(conn, self._plan_id, TOLD):
                    done.complain(Complaint(row, unknown_sku(sku, known)))
            names = {place: name for name, place in self._places.items()}
            for sku, place, rows in await plan_rows.twice(conn, self._plan_id, TOLD):
                where = ", ".join(str(row) for row in rows[:10])
                says = f"{sku}: counted {len(rows)} times in {names[place]}, in rows {where}"
                done.complain(Complaint(rows[0], says))


async def weigh(
    db: Database,
    rulebook: Rulebook,
    plan_id: int,
    radius: Radius,
    done: Loaded,
    progress: Progress,
) -> None:
    """What a plan would do now: to counts in all, and to the listings of each channel."""
    after = 0
    async with db.statement("plan_served") as conn:
        served = await levels.served(conn)
    while True:
        async with db.transaction("plan_weigh") as conn:
            page = await plan_rows.rows(conn, plan_id, after, CHUNK)
            deltas: dict[tuple[int, int], tuple[int, int]] = {}
            would = await foreseen(conn, page, rulebook.picked_within)
            for row in page:
                delta = would[row.position]
                done.tally.add(row.quantity_now, delta)
                if row.item_id is not None and (delta or row.quantity_now is None):
                    deltas[row.item_id, row.warehouse_id] = row.quantity_now or 0, delta
            listed = await levels.listed(conn, list(deltas)) if deltas and served else []
        if not page:
            break
        for one in listed:
            rules = rulebook.channels.get(one.channel_id)
            if rules is None or rules.leaves_out(one.sku, one.withheld):
                continue
            before, then = _moved(one, deltas)
            if before.quantity is None or then.quantity is None:
                continue
            none = rulebook.shows_none(one.warehouse_id, orphaned=one.orphaned)
            asked = Asked(one.listing_id, one.sku, one.warehouse_id, none)
            was, wants = rules.target_of(asked, before), rules.target_of(asked, then)
            if rules.withholds(one.sku, wants, was, orphaned=one.orphaned):
                continue
            reach = done.reaches.setdefault(rules.name, Reach(served.get(rules.id, 0)))
            reach.add(was, wants)
        after = page[-1].position
        progress("weighed", done.tally.rows)
    done.above = sorted(name for name, reach in done.reaches.items() if radius.exceeded(reach))


def _moved(one: Listed, deltas: Mapping[tuple[int, int], tuple[int, int]]) -> tuple[Listed, Listed]:
    """What a listing's target is made from before and after; a bundle's from its components."""
    if one.parts is None:
        level, delta = deltas[one.item_id, one.warehouse_id]
        return replace(one, quantity=level), replace(one, quantity=level + delta)
    parts: list[Part] = []
    for item, units, left in one.parts:
        delta = deltas.get((item, one.warehouse_id), (0, 0))[1]
        parts.append((item, units, None if left is None else left + delta))
    return one, replace(one, parts=parts)
