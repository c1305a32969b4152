"""Edits on blind channels, in the transaction that holds the shelves: stretches are loaded, moved and
stored, and what they say is booked, asked, journalled and counted in targets.

`listen` loads the followed shelves among those locked; the caller lets happen what happened to each
(`followed.py`); `conclude` stores them and gives the movements to book.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from syncd.db import pushes, shelf, stretches, suspense, suspicion
from syncd.db.journal import Line
from syncd.db.ledger import Movement
from syncd.db.pool import Connection
from syncd.db.shelf import Shelf
from syncd.db.stretches import Kept
from syncd.db.suspense import Question
from syncd.db.suspicion import Suspicion
from syncd.fanout import moving
from syncd.fanout.booking import Booking
from syncd.fanout.followed import Followed
from syncd.fanout.owing import owe_items
from syncd.stock import edits
from syncd.stock.dating import shown_since
from syncd.stock.model import Edits, Kind
from syncd.stock.stretches import OrderStep, Seen, Stretch

AROUND = timedelta(seconds=60)
"""Wider than any clock margin: so far around a stretch its order steps are looked at."""

LevelKey = tuple[int, int]


@dataclass(slots=True)
class Concluded:
    """What followed shelves came to: movements to book, and the levels whose targets changed."""

    movements: list[Movement] = field(default_factory=list)
    moved: set[LevelKey] = field(default_factory=set)


def follows(booking: Booking, row: Shelf) -> bool:
    """True where readings of this shelf are to be kept: its channel's edits are, and it counts.

    A bundle has no count of its own: what people type there is never booked.
    """
    rules = booking.rules.channels.get(row.channel_id)
    return (
        rules is not None
        and rules.follows_edits
        and row.managed
        and not row.gone
        and row.item_id is not None
        and row.warehouse_id is not None
        and not row.made_of
    )


async def listen(
    conn: Connection,
    booking: Booking,
    rows: Iterable[Shelf],
    news: Mapping[int, Sequence[OrderStep]] | None = None,
    spans: stretches.Spans | None = None,
) -> dict[int, Followed]:
    """The followed shelves among these locked ones, with what is kept of them.

    `news`: order steps that were not known until now; they are noted here, and to be heard.
    `spans`: times in which settled stretches are wanted too.
    """
    shelves = {
        row.listing_id: row
        for row in rows
        if (row.followed or follows(booking, row)) and row.channel_id in booking.rules.channels
    }
    if not shelves:
        return {}
    told = {i: news[i] for i in shelves if news and i in news}
    if told:
        await stretches.note(conn, [(i, step) for i, steps in told.items() for step in steps])
    within = {i: _span(told[i]) if i in told else None for i in shelves} | dict(spans or {})
    kept = await stretches.load(conn, within)
    since = {i: began for i in shelves if (began := _since(kept[i], within[i])) is not None}
    steps = await stretches.steps(conn, since) if since else {}
    return {
        i: Followed(
            row,
            booking.rules.channels[row.channel_id],
            booking.now,
            {one.stretch.t0: one for one in kept[i]},
            steps.get(i, []),
        )
        for i, row in shelves.items()
    }


async def begin(
    conn: Connection,
    booking: Booking,
    rows: Iterable[Shelf],
    counts: Mapping[int, int],
    asked_at: datetime,
) -> None:
    """First counts were read from these shelves: what people change from then on is followed."""
    followed = await listen(conn, booking, [row for row in rows if follows(booking, row)])
    for listing, one in followed.items():
        one.begin(Seen(asked_at, counts[listing]), asked_at)
    await conclude(conn, booking, followed)


async def explain(
    conn: Connection,
    booking: Booking,
    rows: Iterable[Shelf],
    steps: Iterable[tuple[int, OrderStep]],
) -> Concluded:
    """Orders moved these shelves: they explain a part of what was read there, or less of it."""
    followed = {row.listing_id: row for row in rows if row.followed}
    if not followed:
        return Concluded()
    news: dict[int, list[OrderStep]] = {}
    for listing, step in steps:
        if listing in followed:
            news.setdefault(listing, []).append(step)
    told = await listen(conn, booking, [followed[i] for i in news], news)
    for listing, one in told.items():
        for step in news[listing]:
            one.hear(step)
    return await conclude(conn, booking, told)


def _span(steps: Sequence[OrderStep]) -> tuple[datetime, datetime]:
    return min(step.first for step in steps) - AROUND, max(step.last for step in steps) + AROUND


def _since(kept: Sequence[Kept], span: tuple[datetime, datetime] | None) -> datetime | None:
    """From when on order steps matter to the stretches that may be judged again."""
    begun = [
        one.stretch.t0
        for one in kept
        if not one.stretch.settled
        or (span is not None and (one.stretch.b is None or one.stretch.b >= span[0]))
    ]
    return min(begun) - AROUND if begun else None


async def conclude(
    conn: Connection, booking: Booking, followed: Mapping[int, Followed]
) -> Concluded:
    """Store what became of followed shelves, tell it, and give what is to be booked."""
    done = Concluded()
    changed = [one for one in followed.values() if one.changed or one.gone]
    if not changed:
        return done
    gone = [(i, t0) for i, one in followed.items() for t0 in sorted(one.gone)]
    if gone:
        await stretches.drop(conn, gone)
    await stretches.keep(conn, [kept for one in changed for kept in one.changed])
    await stretches.follow(conn, [(one.row.listing_id, True, _held(one)) for one in changed])
    revised = [news for one in changed for news in _rejected_otherwise(one)]
    if revised:
        await pushes.revise(conn, revised)
    for one in changed:
        await _ask(conn, booking, one)
        for stretch, units in one.booked:
            done.movements.append(_movement(one, stretch, units))
            booking.journal.append(_told(one, stretch, units))
    done.moved = {key for one in changed if _held(one) != one.row.held and (key := _key(one))}
    amounts = [found for one in changed if (found := _suspicion(one)) is not None]
    if amounts:
        done.moved.update(await suspicion.keep(conn, amounts, booking.now))
    return done


def _rejected_otherwise(one: Followed) -> list[tuple[int, datetime, int]]:
    """Stretches (listing, beginning, units) of which a push rejected another amount, as is known now."""
    found = []
    for kept in one.changed:
        now, before = kept.stretch, one.before.get(kept.stretch.t0)
        was = before.stretch if before is not None else now
        if was.rejected and now.rejected and was.proposal != now.proposal:
            found.append((now.listing, now.t0, now.proposal - now.booked))
    return found


def _key(one: Followed) -> LevelKey | None:
    if one.row.item_id is None or one.row.warehouse_id is None:
        return None
    return one.row.item_id, one.row.warehouse_id


def _suspicion(one: Followed) -> Suspicion | None:
    """What targets count of this shelf before anything is booked."""
    key, amounts = _key(one), one.amounts()
    if key is None:
        return None
    return Suspicion(one.row.listing_id, *key, amounts.own, amounts.others)


def _held(one: Followed) -> bool:
    """True while a person is asked about this shelf and nothing may be written to it."""
    asked = any(kept.stretch.in_suspense for kept in one.kept.values())
    return asked and one.rules.edits is Edits.ALERT


def _movement(one: Followed, stretch: Stretch, units: int) -> Movement:
    row = one.row
    assert row.item_id is not None
    assert row.warehouse_id is not None
    return Movement(
        item_id=row.item_id,
        warehouse_id=row.warehouse_id,
        delta=units,
        kind=Kind.EDIT,
        cause=edits.cause(one.rules.name, stretch),
        channel_id=row.channel_id,
        event_id=None,
        actor=one.rules.name,
        note=one.answered.get(stretch.t0, ""),
        occurred_at=shown_since(stretch, one.steps),
    )


def _told(one: Followed, stretch: Stretch, units: int) -> Line:
    end, row = stretch.end, one.row
    detail: dict[str, object] = {"units": units, "revision": stretch.revision}
    reason = (
        "counted anew by a person" if stretch.revision == 1 else "counted again: news of orders"
    )
    return Line(
        "edit",
        row.sku,
        row.channel_id,
        row.listing_id,
        stretch.v0,
        end.value if end else None,
        one.answered.get(stretch.t0) or reason,
        detail,
    )


async def book_edits(conn: Connection, booking: Booking, done: Concluded) -> None:
    """Book what followed shelves came to, and owe every listing of the items that moved.

    The caller holds all their shelves.
    """
    moved = set(done.moved)
    if done.movements:
        for now in await moving.book(conn, booking, done.movements):
            moved.add((now.item_id, now.warehouse_id))
            below = min(now.quantity, 0) - min(now.quantity - now.delta, 0)
            channel = done.movements[0].channel_id
            if below < 0 and channel is not None:
                booking.oversold[channel] -= below
        for movement in done.movements:
            booking.movements[movement.channel_id, movement.kind] += 1
    if moved:
        await owe_items(conn, booking, moved)


async def settle_counted(
    conn: Connection, booking: Booking, counted: Sequence[tuple[LevelKey, datetime]]
) -> bool:
    """What stretches of these items ask, their counts hold: nothing is booked of it, and nothing asked.

    So do they hold what readings before them showed and what is not booked yet. The caller holds the
    shelves of all their listings. Gives whether targets moved by it.
    """
    asking = await suspense.asking(conn, counted)
    open_ones = await suspicion.suspected(conn, [key for key, _ in counted])
    if not asking and not open_ones:
        return False
    wanted = {listing for listing, _ in (*asking, *open_ones)}
    rows = await shelf.lock(conn, sorted(wanted), [])
    followed = await listen(conn, booking, rows)
    for listing, t0 in asking:
        if listing in followed:
            followed[listing].answer(t0, None, "a count")
    times = dict(counted)
    for listing, key in open_ones:
        if listing in followed:
            followed[listing].begin_at_count(times[key])
    done = await conclude(conn, booking, followed)
    await book_edits(conn, booking, done)
    return bool(done.moved)


# --- what a person is asked ---


def _reason(one: Followed, stretch: Stretch) -> str:
    single = len(stretch.candidates) == 1
    return "edit" if single and one.rules.edits is Edits.ALERT else "unclear_edit"


async def _ask(conn: Connection, booking: Booking, one: Followed) -> None:
    """Keep the questions that a shelf's stretches ask in step with them."""
    row = one.row
    for t0 in sorted(one.gone):
        if t0 in one.before and one.before[t0].stretch.in_suspense:
            await suspense.leave(conn, row.listing_id, t0, "merged into another", booking.now)
    for kept in one.changed:
        stretch = kept.stretch
        earlier = one.before.get(stretch.t0)
        asked = earlier is not None and earlier.stretch.in_suspense
        if stretch.in_suspense:
            question = _question(one, stretch)
            news = earlier is None or not asked or earlier.stretch.candidates != stretch.candidates
            await suspense.ask(conn, question, booking.now)
            if news:
                booking.suspense[row.channel_id, question.reason] += 1
                booking.journal.append(_asked(one, stretch, question))
        elif asked:
            said = one.answered.get(stretch.t0)
            words = f"answered: {said}" if said else "became clear by itself"
            await suspense.leave(conn, row.listing_id, stretch.t0, words, booking.now)
            line = Line("suspense", row.sku, row.channel_id, row.listing_id, reason=words)
            booking.journal.append(line)


def _question(one: Followed, stretch: Stretch) -> Question:
    return Question(
        one.row.listing_id,
        stretch.t0,
        _reason(one, stretch),
        stretch.candidates,
        stretch.proposal,
        evidence(stretch, one.steps),
    )


def _asked(one: Followed, stretch: Stretch, question: Question) -> Line:
    end, row = stretch.end, one.row
    detail: dict[str, object] = {
        "candidates": list(stretch.candidates),
        "proposal": stretch.proposal,
    }
    return Line(
        "suspense",
        row.sku,
        row.channel_id,
        row.listing_id,
        stretch.v0,
        end.value if end else None,
        question.reason,
        detail,
    )


def evidence(stretch: Stretch, steps: Iterable[OrderStep]) -> dict[str, object]:
    """The readings, the write and the orders that a question comes from."""
    end = stretch.end
    last = end.at if end is not None else stretch.t0
    near = [s for s in steps if s.first <= last + AROUND and s.last >= stretch.t0 - AROUND]
    found: dict[str, object] = {
        "readings": [
            [at.isoformat(), value]
            for at, value in ((stretch.t0, stretch.v0), *stretch.watch, *([end] if end else []))
        ],
        "orders": [[step.at.isoformat(), -step.units, *_doubt(step)] for step in near],
    }
    if stretch.va is not None:
        found["write"] = {
            "value": stretch.va,
            "answered_at": stretch.a.isoformat() if stretch.a else None,
            "late_until": stretch.late_until.isoformat() if stretch.late_until else None,
        }
    return found


def _doubt(step: OrderStep) -> list[object]:
    """The times between which an order step may have moved what, where it is in doubt."""
    if step.doubt is None:
        return []
    first, last, least, most = step.doubt
    return [first.isoformat(), last.isoformat(), -most, -least]
