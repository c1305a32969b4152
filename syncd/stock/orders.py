"""Effects from order-line state: what is booked for a line, what should be, and the difference.

Duplicates, reorder, replays and late news come out right by construction (model.md §2, §3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

from syncd.stock.model import Kind, LineSeen, OrderSeen


class CommitOn(StrEnum):
    """When the ledger owes the units of an order line."""

    CREATED = "created"
    PAID = "paid"


class Restock(StrEnum):
    """Which returned units go back into the ledger."""

    AS_PLATFORM = "as_platform"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class OrderKnown:
    """What is stored of an order."""

    version: int
    digest: bytes
    terminal: bool


@dataclass(frozen=True, slots=True)
class LineKnown:
    """What is stored of an order line: units off its shelf, units in the ledger, steps booked."""

    taken: int
    booked: int
    revision: int
    based: int | None = None
    """Units owed though they are not paid, where units are owed once paid: a count or an earlier rule
    lacks them. None: that rule was never applied to this line."""
    came_back: int | None = None
    """Units that came back before returned units were never owed back. None: as `based`."""


class News(StrEnum):
    """What to do with an order state that was just heard."""

    ACCEPT = "accept"
    OLD = "old"
    """Older than what is known, or the same: nothing."""
    AMBIGUOUS = "ambiguous"
    """The same version with other content: fetch it again."""


def digest(seen: OrderSeen) -> bytes:
    """A fingerprint of what an order state says about stock."""
    said = repr((sorted(map(_line_key, seen.lines)), seen.paid, seen.terminal))
    return blake2b(said.encode(), digest_size=12).digest()


def _line_key(line: LineSeen) -> tuple[str | int, ...]:
    names = (line.line, line.location, line.remote, line.alias, line.sku)
    more = (line.sold,) if line.sold is not None and line.sold != line.taken else ()
    return (*names, line.taken, line.kept, *more, *((line.waits,) if line.waits else ()))


def judge(
    known: OrderKnown | None, seen: OrderSeen, seen_digest: bytes, *, unsure: bool = False
) -> News:
    """Compare by version; terminal states are absorbing (C16).

    That an order is gone says nothing of what its lines hold: what was told before, and is heard of
    later, still counts. `unsure`: `seen` was heard together with another state of its version.
    """
    if seen.gone:
        return News.OLD
    if known is None:
        return News.AMBIGUOUS if unsure else News.ACCEPT
    if known.terminal or seen.version < known.version:
        return News.OLD
    if unsure:
        return News.AMBIGUOUS
    if seen.version == known.version and not seen.terminal:
        return News.OLD if seen_digest == known.digest else News.AMBIGUOUS
    return News.ACCEPT


def in_doubt(known: OrderKnown | None, seen: OrderSeen) -> bool:
    """True for a version of which two states were heard: kept one back, so that what is fetched counts.

    Another message of it, sent before that fetch, may be either of the two; a terminal state is none.
    """
    return known is not None and not seen.terminal and seen.version == known.version + 1


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 253_370_764_800_000_000
"""The first version that is no time of these millennia."""


def time_of(version: int) -> datetime | None:
    """When a state of this version was made: versions are microseconds. None: it is no time."""
    return EPOCH + timedelta(microseconds=version) if version < LATEST else None


def newest(first: OrderSeen, second: OrderSeen) -> OrderSeen:
    """Of two states of one order heard together, the one that counts; `second` was heard later."""
    if first.gone != second.gone:
        return second if first.gone else first
    if first.terminal != second.terminal:
        return first if first.terminal else second
    return first if first.version > second.version else second


def contradict(first: OrderSeen, second: OrderSeen) -> bool:
    """True for two states under one version of which only the platform knows the newer."""
    return (
        first.version == second.version
        and not first.terminal
        and not second.terminal
        and digest(first) != digest(second)
    )


def whole(line: LineSeen, known: LineKnown | None, restock: Restock) -> int:
    """Units the ledger owes to a line that is paid: `taken` bent by `restock`."""
    if restock is Restock.ALWAYS:
        return min(line.taken, max(line.kept, 0))
    if restock is Restock.NEVER:
        if line.sold is None:
            return max(line.taken, known.booked if known else 0)
        return max(line.taken, line.sold - _came_back(line.sold, line, known))
    return line.taken


def _came_back(sold: int, line: LineSeen, known: LineKnown | None) -> int:
    """Units that came back while another rule held: what it booked of them stays."""
    if known is None:
        return 0
    if known.came_back is not None:
        return known.came_back
    return max(sold - max(known.booked, line.taken), 0)


def committed(
    line: LineSeen, known: LineKnown | None, *, paid: bool, commit_on: CommitOn, restock: Restock
) -> int:
    """Units the ledger owes to a line: what is owed when paid, bent by `commit_on`.

    It follows from the line's newest state alone, whichever states were heard before; save what was
    booked before these settings held, which stays.
    """
    owes = whole(line, known, restock)
    if commit_on is CommitOn.CREATED or paid:
        return owes
    return min(owes, _based(known))


def _based(known: LineKnown | None) -> int:
    if known is None:
        return 0
    return known.booked if known.based is None else known.based


@dataclass(frozen=True, slots=True)
class Effect:
    """The new state of a line, the units by which the level moves, and by which its shelf did."""

    state: LineKnown
    delta: int
    taken_more: int


def effect(
    line: LineSeen,
    known: LineKnown | None,
    *,
    paid: bool,
    commit_on: CommitOn,
    restock: Restock,
    baseline: bool,
) -> Effect:
    """Book a line: movement = booked − committed; `baseline` books without a movement.

    What a line holds at its baseline is off the count already, whether it is paid or not.
    """
    owes = committed(line, known, paid=paid or baseline, commit_on=commit_on, restock=restock)
    booked = known.booked if known else 0
    taken_more = line.taken - (known.taken if known else 0)
    delta = 0 if baseline else booked - owes
    revision = (known.revision if known else 0) + (1 if delta else 0)
    based = known.based if known else None
    if commit_on is CommitOn.PAID:
        based = owes if baseline and not paid else _based(known)
    came_back = known.came_back if known else None
    if restock is Restock.NEVER and line.sold is not None:
        came_back = _came_back(line.sold, line, known)
    return Effect(LineKnown(line.taken, owes, revision, based, came_back), delta, taken_more)


def held(seen: OrderSeen, line: LineSeen, owes: int, committed_units: int, now: datetime) -> int:
    """Units that a line promises and the ledger does not have: not paid, and payable still (C6).

    `owes`: what it is owed once it is paid.
    """
    if seen.paid or seen.terminal or (seen.payable_until and seen.payable_until <= now):
        return 0
    return max(owes + max(line.waits, 0) - committed_units, 0)


def kind_of(delta: int, hint: Kind) -> Kind:
    """Units that leave are a sale; units that come back take the order's hint."""
    if delta < 0:
        return Kind.SALE
    return hint if hint in (Kind.REFUND, Kind.CANCELLATION) else Kind.CANCELLATION


def cause(channel: str, order: str, line: str, location: str, revision: int) -> str:
    """The text that lets a step of an order line happen at most once."""
    where = f"@{location}" if location else ""
    return f"{channel}:order:{order}:line:{line}{where}:r{revision}"


def order_of(caused: str) -> str:
    """The order a movement's cause names; empty: it is no order's."""
    _, found, rest = caused.partition(":order:")
    return rest.partition(":line:")[0] if found else ""


def inside_first_count(seen: OrderSeen, seeded_at: datetime, margin_s: float) -> bool:
    """True for an order that is older than its item's first count and so inside it.

    `margin_s`: so far the two clocks may differ. What is first heard of after the count and dated
    as near before it was not known to be inside, and counts.
    """
    return (seen.created or seen.at) <= seeded_at - timedelta(seconds=margin_s)


def before_cut_over(
    seen: OrderSeen, cut_at: datetime | None, margin_s: float, *, fresh: bool
) -> bool:
    """True for what an order did before its channel's truth changed: the shelf's last reading holds it.

    `fresh`: the order was not known before; one placed before the change is taken as it is now.
    """
    if cut_at is None:
        return False
    latest = (seen.created or seen.at) if fresh else (seen.span or (seen.at, seen.at))[1]
    return latest <= cut_at - timedelta(seconds=margin_s)


def carried(known: LineKnown, lines: Sequence[LineSeen]) -> list[LineKnown]:
    """What is known of a line told without a location, spread over the locations it is told by now.

    What was taken and booked stays as much; only where it counts from now on changes.
    """
    found, taken, booked = [], known.taken, known.booked
    for place, line in enumerate(lines):
        last = place == len(lines) - 1
        here = taken if last else min(max(line.taken, 0), taken)
        owed = booked if last else min(max(line.taken, 0), booked)
        taken, booked = taken - here, booked - owed
        found.append(LineKnown(here, owed, 0))
    return found
