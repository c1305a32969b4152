"""What bundles are made of: said by the configuration, a file, the API or a person, all of it or none.

Nothing of stock moves by it: what a bundle shows follows from its components.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from syncd.db import bundles, catalog, links, plan_rows, shelf
from syncd.db.bundles import BundleRow
from syncd.db.journal import Line
from syncd.db.links import NewItem
from syncd.db.pool import Connection
from syncd.fanout import edits
from syncd.fanout.booking import Booking
from syncd.fanout.matching import link_waiting
from syncd.fanout.owing import owe_items
from syncd.stock.bundles import Bundle, Problem, problems_of
from syncd.stock.sheet import unknown_sku

CONFIG = "config"


class Undescribed(Exception):
    """These bundles cannot be made of that: every reason. Nothing was changed."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Author:
    """Who says what bundles are made of, and by which way."""

    source: str
    name: str


async def say(
    conn: Connection, booking: Booking, said: Sequence[Bundle], author: Author
) -> list[str]:
    """These skus are bundles made so, whatever they were made of before; gives those that changed.

    The bundle's own sku becomes an item where it is none yet. Raises Undescribed.
    """
    await bundles.alone(conn)
    known = {row.sku: row for row in await bundles.page(conn)}
    problems = problems_among(known, said)
    problems += [
        Problem(one.sku, None, "is described in the configuration: change it there")
        for one in said
        if one.sku in known and known[one.sku].source == CONFIG
    ]
    parts = sorted({part for one in said for part in one.components})
    items = await links.items_of(conn, parts)
    unknown = [part for part in parts if part not in items]
    if unknown:
        likely = await plan_rows.likely_skus(conn, unknown)
        problems += [
            Problem(one.sku, part, unknown_sku(part, likely.get(part)))
            for one in said
            for part in one.components
            if part in unknown
        ]
    if problems:
        raise Undescribed(problems)
    changed = [one for one in said if _differs(known.get(one.sku), one, author.source)]
    await _make(conn, booking, changed, (), known, author)
    return [one.sku for one in changed]


async def end(conn: Connection, booking: Booking, skus: Sequence[str], author: Author) -> None:
    """These items are bundles no more: what they had of their own counts again. Raises Undescribed."""
    await bundles.alone(conn)
    known = {row.sku: row for row in await bundles.page(conn, skus=skus)}
    problems = [Problem(sku, None, "is no bundle") for sku in skus if sku not in known]
    problems += [
        Problem(sku, None, "is described in the configuration: take it out there")
        for sku, row in known.items()
        if row.source == CONFIG
    ]
    if problems:
        raise Undescribed(problems)
    await _make(conn, booking, (), list(known.values()), known, author)


def problems_among(known: Mapping[str, BundleRow], said: Sequence[Bundle]) -> list[Problem]:
    """What speaks against these bundles beside those that are known already."""
    ours = {one.sku for one in said}
    others = [Bundle(row.sku, row.made_of) for sku, row in known.items() if sku not in ours]
    found = []
    for one in problems_of([*others, *said]):
        if one.bundle in ours:
            found.append(one)
        elif one.component in ours:
            words = f'is a component of the bundle "{one.bundle}", so it can be none itself'
            found.append(Problem(one.component or "", None, words))
    return found


async def refusals(conn: Connection, wanted: Sequence[Bundle]) -> list[Problem]:
    """Why what is configured cannot be kept beside what files and people described."""
    known = {row.sku: row for row in await bundles.page(conn) if row.source != CONFIG}
    return problems_among(known, wanted)


async def configure(conn: Connection, booking: Booking, wanted: Sequence[Bundle]) -> list[str]:
    """The configuration describes these bundles and no others; gives skus that no item had.

    What it says beats files and people. Raises Undescribed where it does not fit what those say.
    """
    known = {row.sku: row for row in await bundles.page(conn)}
    if not _changes(known, wanted):
        return []
    await bundles.alone(conn)
    known = {row.sku: row for row in await bundles.page(conn)}
    problems = problems_among({k: r for k, r in known.items() if r.source != CONFIG}, wanted)
    if problems:
        raise Undescribed(problems)
    changed, ended = _changes(known, wanted) or ([], [])
    skus = sorted({sku for one in changed for sku in one.components})
    there = await links.items_of(conn, skus)
    new = [sku for sku in skus if sku not in there]
    await _enter(conn, booking, new)
    await _make(conn, booking, changed, ended, known, Author(CONFIG, CONFIG))
    return new


def _changes(
    known: Mapping[str, BundleRow], wanted: Sequence[Bundle]
) -> tuple[list[Bundle], list[BundleRow]] | None:
    """What a configuration changes: bundles made otherwise, and those that end; None: nothing."""
    names = {one.sku for one in wanted}
    changed = [one for one in wanted if _differs(known.get(one.sku), one, CONFIG)]
    ended = [row for sku, row in known.items() if row.source == CONFIG and sku not in names]
    return (changed, ended) if changed or ended else None


def _differs(known: BundleRow | None, said: Bundle, source: str) -> bool:
    return known is None or known.made_of != dict(said.components) or known.source != source


async def _enter(conn: Connection, booking: Booking, skus: Collection[str]) -> None:
    """Make items of skus that are none; what waits for them is linked."""
    if skus:
        items = [NewItem(sku) for sku in sorted(skus)]
        await links.enter_items(conn, items, booking.now)
        await link_waiting(conn, booking, items)


async def _make(
    conn: Connection,
    booking: Booking,
    said: Sequence[Bundle],
    ended: Sequence[BundleRow],
    known: Mapping[str, BundleRow],
    author: Author,
) -> None:
    """Change what is known under the shelves of all items that are meant, and owe what they need."""
    skus = {one.sku for one in said}
    there = await links.items_of(conn, sorted(skus))
    await _enter(conn, booking, skus - there.keys())
    names = skus.union(*(one.components for one in said))
    items = await links.items_of(conn, sorted(names))
    made = {items[one.sku]: {items[p]: n for p, n in one.components.items()} for one in said}
    gone = [row.item_id for row in ended]
    old = [row for sku, row in known.items() if sku in skus] + list(ended)
    touched = {*made, *gone, *(part for parts in made.values() for part in parts)}
    touched.update(part for row in old for part in row.items)
    if not made and not gone:
        return
    listings = await shelf.lock_items(conn, sorted(touched))
    if gone:
        await bundles.end(conn, gone)
    if made:
        await bundles.say(conn, made, author.source, author.name, booking.now)
    _tell(booking, said, ended, author)
    ids = await links.listings_of(conn, sorted({*made, *gone}))
    await _follow_no_more(conn, booking, ids)
    await owe_items(conn, booking, await catalog.levels_of_listings(conn, ids))
    # who was booking a component's movement beside this may not have known of the bundle
    booking.linked += listings


async def _follow_no_more(conn: Connection, booking: Booking, listing_ids: Sequence[int]) -> None:
    """What people type on a bundle is never booked: its open stretches end where they were read."""
    rows = [row for row in await shelf.lock(conn, listing_ids, []) if row.followed and row.made_of]
    if rows:
        followed = await edits.listen(conn, booking, rows)
        for one in followed.values():
            one.abandon()
        await edits.book_edits(conn, booking, await edits.conclude(conn, booking, followed))


def _tell(
    booking: Booking, said: Iterable[Bundle], ended: Iterable[BundleRow], author: Author
) -> None:
    by: dict[str, object] = {"actor": author.name, "source": author.source}
    for one in said:
        made_of: dict[str, object] = {"components": dict(one.components)}
        reason = f"made of {words_of(one.components)}"
        booking.journal.append(Line("bundle", one.sku, reason=reason, detail=by | made_of))
    booking.journal += [
        Line("bundle", row.sku, reason="no bundle any more", detail=by) for row in ended
    ]


def words_of(made_of: Mapping[str, int]) -> str:
    """What a bundle is made of, for people."""
    return ", ".join(f"{units} × {sku}" for sku, units in sorted(made_of.items()))
