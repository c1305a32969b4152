"""Posted movements into the ledger: what a WMS, an ERP or a till says, each cause once.

What each of them does is thought out in `stock/picks.py` and `stock/counts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from syncd.db import bundles, counts, ledger, links, postings, shelf
from syncd.db.counts import NewCount
from syncd.db.journal import Line
from syncd.db.ledger import LevelNow, Movement
from syncd.db.links import NewItem
from syncd.db.pool import Connection
from syncd.db.postings import Posting
from syncd.db.shelf import Shelf
from syncd.fanout import moving
from syncd.fanout.booking import Booking
from syncd.fanout.joining import free_later_sales
from syncd.fanout.matching import link_waiting
from syncd.fanout.naming import Naming, name_orders
from syncd.fanout.owing import levels_now, owe_deliveries
from syncd.fanout.recounting import LevelKey, take
from syncd.fanout.unheard import settle_counted
from syncd.stock.model import Kind, Moved, Truth
from syncd.stock.picks import Post, Posted, Standing, posted
from syncd.stock.rulebook import ChannelRules

KINDS = {
    Post.RECEIPT_DIRECT: Kind.RECEIPT,
    Post.RECEIPT_STAGED: Kind.RECEIPT,
    Post.RECEIPT_CROSS_DOCK: Kind.RECEIPT,
    Post.PUTAWAY: Kind.RECEIPT,
    Post.PICK: Kind.PICK,
    Post.SHIPMENT: Kind.PICK,
    Post.ADJUSTMENT: Kind.ADJUSTMENT,
    Post.STOCKTAKE: Kind.STOCKTAKE,
    Post.TRANSFER: Kind.TRANSFER,
}


class Outcome(StrEnum):
    """What became of one posted movement."""

    BOOKED = "booked"
    KEPT = "kept"
    """Stored, with no effect of its own."""
    PROVISIONAL = "provisional"
    """Stored without an effect; the order it names was not heard of yet."""
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(slots=True)
class Result:
    """What became of one posted movement; `delta` and `level` of the warehouse it names."""

    outcome: Outcome
    delta: int | None = None
    level: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One movement at one warehouse: a transfer has two."""

    moved: Moved
    key: LevelKey
    delta: int


@dataclass(slots=True)
class _Work:
    """What one booking of posted movements has found out so far."""

    channel: ChannelRules
    actor: str
    results: list[Result | None]
    pieces: list[list[_Piece]] = field(default_factory=list)
    begun: set[LevelKey] = field(default_factory=set)
    """Levels that exist."""
    first_counted: dict[LevelKey, datetime | None] = field(default_factory=dict)
    made: list[Posting] = field(default_factory=list)

    def refuse(self, place: int, reason: str) -> None:
        self.results[place] = Result(Outcome.REFUSED, reason=reason)

    @property
    def open(self) -> list[int]:
        """The movements of which nothing speaks against booking."""
        return [place for place, result in enumerate(self.results) if result is None]

    @property
    def keys_asked(self) -> list[LevelKey]:
        """Whatever became of them."""
        return sorted({piece.key for pieces in self.pieces for piece in pieces})

    @property
    def keys(self) -> list[LevelKey]:
        """Of the movements that are open."""
        return sorted({piece.key for place in self.open for piece in self.pieces[place]})


async def book_posted(
    conn: Connection, booking: Booking, channel: ChannelRules, actor: str, moved: Sequence[Moved]
) -> list[Result]:
    """Book posted movements; one result for each, in their order. A bad one hurts no other one."""
    work = _Work(channel, actor, [None] * len(moved))
    await postings.alone(conn, channel.id)
    await _find_items(conn, booking, work, moved)
    await _drop_known(conn, work)
    await _find_levels(conn, booking, work)
    await _free_sales(conn, booking, work)
    rows = await shelf.lock(conn, [], work.keys)
    work.first_counted = await counts.lock_levels(conn, work.keys)
    naming = await name_orders(conn, booking, [moved[p] for p in work.open])
    await naming.learn_gone(conn, [(x.moved, x.key) for p in work.open for x in work.pieces[p]])
    movements = _movements(work, naming)
    if movements:
        # before they are booked: what a count holds depends on what was picked before it
        await postings.keep(conn, work.made, booking.now)
        await moving.book(conn, booking, movements)
        for one in movements:
            booking.movements[one.channel_id, one.kind] += 1
    await _take_counts(conn, booking, work)
    levels = await levels_now(conn, work.keys_asked)
    await owe_deliveries(conn, booking, rows, levels, {})
    _tell_unlisted(booking, work, rows)
    return _finished(booking, work, levels)


def _tell_unlisted(booking: Booking, work: _Work, rows: Sequence[Shelf]) -> None:
    """Where an item moved that a channel of its warehouse does not list, nothing can be delivered."""
    listed = {(row.item_id, row.warehouse_id, row.channel_id) for row in rows}
    moved = {
        (piece.key, piece.moved.sku)
        for place, pieces in enumerate(work.pieces)
        for piece in pieces
        if (result := work.results[place]) is not None and result.delta
    }
    for key, sku in sorted(moved):
        for rules in booking.rules.configured:
            serves = rules.enabled and rules.deliver and key[1] in rules.locations.values()
            if serves and rules.truth is not Truth.MOVEMENTS and (*key, rules.id) not in listed:
                booking.skip(Line("skipped", sku, rules.id, reason="not_listed"))


async def _find_items(
    conn: Connection, booking: Booking, work: _Work, moved: Sequence[Moved]
) -> None:
    """Which item each is of; the source of a warehouse brings new ones in."""
    items, made_of = await bundles.kinds(conn, sorted({one.sku for one in moved}))
    new = sorted(
        {
            one.sku
            for one in moved
            if one.sku not in items
            and booking.rules.sources.get(one.warehouse_id, (None,))[0] == work.channel.id
        }
    )
    if new:
        named = [NewItem(sku) for sku in new]
        await links.enter_items(conn, named, booking.now)
        items |= await links.items_of(conn, new)
        await link_waiting(conn, booking, named)
        booking.journal += [Line("listed", sku, work.channel.id) for sku in new]
    for place, one in enumerate(moved):
        item_id = items.get(one.sku)
        work.pieces.append([])
        if item_id is None:
            work.refuse(place, "no item has this sku")
            booking.skip(
                Line("skipped", one.sku, work.channel.id, reason="unknown_sku", detail=_detail(one))
            )
            continue
        if one.sku in made_of:
            work.refuse(place, f"is a bundle: post its components ({made_of[one.sku]})")
            booking.skip(
                Line("skipped", one.sku, work.channel.id, reason="bundle", detail=_detail(one))
            )
            continue
        delta = -one.delta if one.to is not None else one.delta
        work.pieces[place].append(_Piece(one, (item_id, one.warehouse_id), delta))
        if one.to is not None:
            work.pieces[place].append(_Piece(one, (item_id, one.to), one.delta))


def _detail(one: Moved) -> dict[str, object]:
    return {"cause": one.cause, "post": one.post.value, "delta": one.delta}


async def _drop_known(conn: Connection, work: _Work) -> None:
    """What was posted before, here or above, is a duplicate; under its cause nothing else can be."""
    keys = {(x.moved.cause, *x.key): x for p in work.open for x in work.pieces[p]}
    known = await postings.find(conn, work.channel.id, sorted(keys))
    digests = {key: posting.digest for key, posting in known.items()}
    for place in work.open:
        ours = [((x.moved.cause, *x.key), x.moved.digest) for x in work.pieces[place]]
        found = [digests[key] for key, _ in ours if key in digests]
        if not found:
            digests |= dict(ours)
        elif all(digest == ours[0][1] for digest in found):
            first = known.get(ours[0][0])
            work.results[place] = Result(Outcome.DUPLICATE, first.booked if first else None)
        else:
            work.refuse(place, "its cause was posted before, saying something else")


async def _find_levels(conn: Connection, booking: Booking, work: _Work) -> None:
    """A movement moves a level that exists; counts, and the source's movements, begin one."""
    for alone in (False, True):
        found = await ledger.levels(conn, work.keys)
        work.begun = {(now.item_id, now.warehouse_id) for now in found}
        missing = [key for key in work.keys if key not in work.begun]
        if not missing or alone:
            break
        await ledger.counting(conn)
    for place in work.open:
        new = [piece for piece in work.pieces[place] if piece.key not in work.begun]
        if all(_begins(booking, work, piece) for piece in new):
            continue
        one = work.pieces[place][0].moved
        work.refuse(place, "its item was never counted there: seed it, or post a count first")
        detail = _detail(one)
        booking.skip(Line("skipped", one.sku, work.channel.id, reason="not_seeded", detail=detail))


async def _free_sales(conn: Connection, booking: Booking, work: _Work) -> None:
    """What was sold since an item's level begins is not inside it, though heard before it."""
    begins: dict[LevelKey, Moved] = {}
    for place in work.open:
        for piece in work.pieces[place]:
            earlier = begins.get(piece.key)
            if piece.key not in work.begun and (earlier is None or piece.moved.at < earlier.at):
                begins[piece.key] = piece.moved
    for key, one in sorted(begins.items(), key=lambda item: item[0]):
        await free_later_sales(conn, booking, [(*key, one.sku)], one.at)


def _begins(booking: Booking, work: _Work, piece: _Piece) -> bool:
    if piece.moved.counted is not None:
        return True
    source = booking.rules.sources.get(piece.key[1])
    return source is None or source[0] == work.channel.id


def _movements(work: _Work, naming: Naming) -> list[Movement]:
    """What each of them does; they are told in the order in which they were posted."""
    movements: list[Movement] = []
    for place in work.open:
        one = work.pieces[place][0].moved
        if one.counted is not None:
            continue
        for piece in work.pieces[place]:
            done = posted(one.post, piece.delta, naming.of(one), naming.gone(one, piece.key))
            naming.left(one, piece.key, piece.delta)
            since = work.first_counted.get(piece.key)
            if since is not None and one.at <= since:
                done = Posted(Standing.KEPT, 0)  # inside the item's first count
            work.made.append(_posting(work, piece, done.standing, done.effect))
            movements.append(_movement(work, piece, done.effect))
            if piece is work.pieces[place][0]:
                work.results[place] = Result(Outcome(done.standing.value), done.effect)
    return movements


def _posting(work: _Work, piece: _Piece, standing: Standing, booked: int) -> Posting:
    one = piece.moved
    return Posting(
        channel_id=work.channel.id,
        cause=one.cause,
        item_id=piece.key[0],
        warehouse_id=piece.key[1],
        post=one.post,
        delta=None if one.counted is not None else piece.delta,
        order_channel_id=one.order.channel_id if one.order else None,
        order_ref=one.order.ref if one.order else "",
        standing=standing,
        booked=booked,
        revision=1,
        digest=one.digest,
        actor=work.actor,
        note=one.note,
        occurred_at=one.at,
    )


def _movement(work: _Work, piece: _Piece, delta: int) -> Movement:
    one = piece.moved
    note = one.note or (f"order {one.order.ref}" if one.order else "")
    return Movement(
        item_id=piece.key[0],
        warehouse_id=piece.key[1],
        delta=delta,
        kind=KINDS[one.post],
        cause=f"{cause_of(work.channel, one.cause)}:r1",
        channel_id=channel_of(work.channel),
        event_id=None,
        actor=work.actor,
        note=note,
        occurred_at=one.at,
    )


def cause_of(channel: ChannelRules, cause: str) -> str:
    """A posted cause as the ledger knows it: no other channel's, and nothing else's."""
    return f"{channel.name}:post:{cause}"


def channel_of(channel: ChannelRules) -> int | None:
    """The channel a movement is shown under; None: it was posted for none."""
    return channel.id if channel.truth is Truth.MOVEMENTS else None


async def _take_counts(conn: Connection, booking: Booking, work: _Work) -> None:
    """Book the counts among them: a count settles all that is in suspense of its item."""
    counted = [(place, work.pieces[place][0]) for place in work.open]
    if not counted:
        return
    made = [_count(work, piece) for _, piece in counted]
    await take(conn, booking, made)
    booked = await counts.booked(conn, [(c.item_id, c.warehouse_id, c.cause) for c in made])
    await settle_counted(conn, booking, sorted(_times(made).items()))
    kept: list[Posting] = []
    for (place, piece), new in zip(counted, made, strict=True):
        delta = booked[new.item_id, new.warehouse_id, new.cause]
        work.results[place] = Result(Outcome.BOOKED, delta)
        kept.append(_posting(work, piece, Standing.BOOKED, delta))
    await postings.keep(conn, kept, booking.now)


def _times(made: Sequence[NewCount]) -> dict[LevelKey, datetime]:
    """When each of these was counted last."""
    found: dict[LevelKey, datetime] = {}
    for one in made:
        key = one.item_id, one.warehouse_id
        found[key] = max(found.get(key, one.counted_at), one.counted_at)
    return found


def _count(work: _Work, piece: _Piece) -> NewCount:
    one = piece.moved
    assert one.counted is not None
    return NewCount(
        piece.key[0],
        piece.key[1],
        one.at,
        one.quantity,
        one.counted,
        cause_of(work.channel, one.cause),
        channel_of(work.channel),
        work.actor,
        one.note,
    )


def _finished(booking: Booking, work: _Work, levels: dict[LevelKey, LevelNow]) -> list[Result]:
    results = []
    for result, pieces in zip(work.results, work.pieces, strict=True):
        assert result is not None
        booking.outcomes[work.channel.id, result.outcome.value] += 1
        now = levels.get(pieces[0].key) if pieces else None
        result.level = now.quantity if now else None
        results.append(result)
    return results
