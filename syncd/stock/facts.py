"""What a fact may say: ids and text that can be stored, numbers and times that can be true.

Whatever a platform sends has a defined answer here, so that no row can stop the rows beside it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from syncd.errors import BadFact
from syncd.stock.model import (
    QUANTITY_LIMIT,
    Fact,
    ItemGone,
    LevelSeen,
    LineSeen,
    ListingSeen,
    OrderHint,
    OrderNews,
    OrderSeen,
    OrderUnreadable,
)

ID_LIMIT = 255
"""Characters of an id or a sku; longer ones are no ids but accidents."""

VERSION_LIMIT = 2**63 - 1
YEARS = range(1970, 2300)


def storable(text: str) -> bool:
    """False for text no database takes: NUL, or half of a surrogate pair."""
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def clean(text: str) -> str:
    """The text as it can be stored: what cannot be becomes the replacement character."""
    if storable(text):
        return text
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def checked(fact: Fact) -> Fact:
    """The fact as it can be booked. Raises BadFact where it says what cannot be true.

    Rows of a catalogue are judged one by one where they are entered (`unusable`).
    """
    match fact:
        case OrderSeen():
            return _checked_order(fact)
        case OrderUnreadable():
            return replace(fact, order=clean(fact.order)[:ID_LIMIT], reason=clean(fact.reason))
        case OrderHint():
            _ids("order", fact.order)
        case LevelSeen():
            _ids("listing", fact.remote, fact.location)
            if fact.quantity is not None and abs(fact.quantity) > QUANTITY_LIMIT:
                return replace(fact, quantity=None)
        case ItemGone():
            _ids("listing", fact.group, *fact.remotes)
    return fact


def told(news: OrderNews) -> OrderNews:
    """A fetched order as it can be booked, or why it cannot: it never keeps the others waiting."""
    try:
        found = checked(news)
    except BadFact as error:
        return OrderUnreadable(clean(news.order)[:ID_LIMIT], clean(str(error)))
    assert isinstance(found, OrderSeen | OrderUnreadable)
    return found


def unusable(row: ListingSeen) -> str:
    """Why a row of a catalogue cannot be entered; empty: it can."""
    try:
        _ids("listing", row.remote, row.location, row.alias, row.group, row.sku)
    except BadFact as error:
        return str(error)
    return ""


def _checked_order(seen: OrderSeen) -> OrderSeen:
    _ids("order", seen.order)
    if not 0 <= seen.version <= VERSION_LIMIT:
        raise BadFact(f"order {seen.order}: version {seen.version}")
    for moment in (seen.at, seen.created, *(seen.span or ())):
        if moment is not None and not _possible(moment):
            raise BadFact(f"order {seen.order}: a time of {moment}")
    for line in seen.lines:
        _check_line(seen.order, line)
    return seen if storable(seen.number) else replace(seen, number=clean(seen.number))


def _check_line(order: str, line: LineSeen) -> None:
    _ids(f"order {order}: line", line.line, line.remote, line.alias, line.sku, line.location)
    # what came back to another location than it was sent from makes that one hold less than nothing
    least = -QUANTITY_LIMIT if line.location else 0
    if not least <= line.taken <= QUANTITY_LIMIT:
        raise BadFact(f"order {order} line {line.line}: {line.taken} units taken")


def _possible(moment: datetime) -> bool:
    return moment.tzinfo is not None and moment.year in YEARS


def _ids(what: str, *ids: str) -> None:
    for one in ids:
        if len(one) > ID_LIMIT or not storable(one):
            raise BadFact(f"{what}: {clean(one[:40])!r} cannot be an id or a sku")
